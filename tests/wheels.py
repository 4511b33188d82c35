"""Wheels, built and installed without fetching anything."""

import subprocess
import sys
import venv
from pathlib import Path


def build_wheel(folder: Path) -> Path:
    """The wheel of the project in ``folder``, which is written to; by this environment's own setuptools."""
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "dist").iterdir()
    return path


def fresh_environment(folder: Path, *wheels: Path) -> Path:
    """A new environment with these wheels, which borrows their requirements from this one; its folder of programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-index",
        "--no-deps",
        *map(str, wheels),
    ]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    borrowed = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return programs
