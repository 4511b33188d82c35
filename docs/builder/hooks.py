"""mkdocs hooks: files of the repository that lie outside ``docs/`` become pages and files of the site too.

So nothing is written down twice: the model card is ``models/weights/CARD.md``, the architecture ``ARCHITECTURE.md``. A
relative link is written as it works in the repository (``../examples/embed.py``) and turned here into the place that
the file has on the site.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
PAGES = {
    "models/weights/CARD.md": "model_card.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",  # the site's own first page
}
FOLDERS = ("examples",)
MADE = re.compile(r"/(__pycache__|build|dist|[^/]*\.egg-info)/")
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):(<code>)[~.]?")
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside."""
    for source, target in _outside().items():
        if target != "index.md":
            files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point each relative link to where its file is on the site."""
    here, outside = page.file.src_uri, _outside()
    sources = {target: source for source, target in outside.items() if target != "index.md"}
    source = sources.get(here, f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        on_site = outside.get(target, target.removeprefix("docs/"))
        return f"{link[1]}{posixpath.relpath(on_site, posixpath.dirname(here) or '.')}{link[3]}"

    return LINK.sub(moved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings name code by Sphinx's roles, which Markdown does not know: the name alone stays."""
    return ROLE.sub(r"\1", html)


def _outside() -> dict[str, str]:
    """Path in the repository -> path on the site, for all that does not lie in ``docs/``."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    shared = [path.relative_to(ROOT).as_posix() for path in files]
    return PAGES | {path: path for path in shared if not MADE.search(path)} | {"LICENSE": "LICENSE.txt"}
