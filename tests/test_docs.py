"""What is written about Valaro is true of it: links, commands, options, addresses, keys, folders, figures."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer.cli import app
from valaro.streamer.midi.messages import MidiSettings
from valaro.streamer.midi.receiver import MidiInSettings
from valaro.streamer.osc.commands import Refusal, handle
from valaro.streamer.osc.query.namespace import METHODS, READ, WRITE

from .places import ROOT

DOCS = ROOT / "docs"
README = ROOT / "README.md"
TOP = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted(DOCS.glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
CARD = ROOT / "models" / "weights" / "CARD.md"
ROOMS = ("kernels", "models", "streamer")


def every_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def code(text: str) -> Iterator[str]:
    """Each line of the fenced blocks without its comment, and each code span."""
    for number, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
        if number % 2:
            yield from (re.sub(r"(^|\s)#.*", "", line) for line in part.splitlines())
        else:
            yield from re.findall(r"`([^`]+)`", part)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(path: Path, title: str) -> str:
    """What stands under a heading, up to the next of its level."""
    under = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert under is not None, f"{path.name} has no heading {title!r}"
    return under[2]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in it, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def test_the_readme_is_for_the_first_ten_minutes() -> None:
    assert len(README.read_text().split()) < 900


@every_page()
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text()))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_each_page_has_its_place_in_the_site_and_is_found_from_the_first() -> None:
    nav = (DOCS / "builder" / "mkdocs.yml").read_text().partition("\nnav:")[2]
    first = (DOCS / "index.md").read_text()
    for page in DOCS.glob("*.md"):
        assert re.search(rf"\b{page.name}$", nav, re.MULTILINE)
        assert page.name == "index.md" or f"({page.name})" in first


# Commands and options


@cache
def tree() -> Any:
    return typer.main.get_command(app)


def options(command: Any) -> set[str]:
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return names | {"--help", "-h"}


def all_options(command: Any) -> set[str]:
    children = getattr(command, "commands", {}).values()
    return options(command).union(*(all_options(child) for child in children))


def calls(text: str) -> Iterator[list[str]]:
    """The words after each `valaro` that is called in its code."""
    for line in code(text):
        for part in re.split("&&|;", line):
            if call := re.match(r"\s*(?:[A-Z_]+=\S+ )?(?:\S*/)?valaro\s+(.*)", part):
                yield shlex.split(call[1])


def wrong_words(words: list[str]) -> list[str]:
    """Those that name no command, and the options that the command does not have."""
    command, wrong = tree(), []
    for place, word in enumerate(words):
        name, _, _ = word.partition("=")
        if name.startswith("-") and name != "-" and not re.fullmatch(r"-[\d.]+", name):
            wrong += [word] if name not in options(command) else []
        elif place <= 1 and hasattr(command, "commands") and not word.isupper():
            if word not in command.commands:
                return [word]
            command = command.commands[word]
    return wrong


def test_each_command_that_is_written_somewhere_exists_and_has_its_options() -> None:
    written = {page.relative_to(ROOT).as_posix(): list(calls(page.read_text())) for page in PAGES}
    assert len(written["README.md"]) > 12
    assert len(written["docs/use.md"]) > 25
    wrong = {name: [word for call in lines for word in wrong_words(call)] for name, lines in written.items()}
    assert {word for words in wrong.values() for word in words} == set(), wrong


@every_page()
def test_each_option_that_is_written_alone_is_one_of_some_command(page: Path) -> None:
    alone = [span.split()[0].partition("=")[0] for span in code(page.read_text()) if span.startswith("--")]
    assert set(alone) - all_options(tree()) == set()


def test_a_wrong_command_or_option_would_be_seen() -> None:
    text = "`valaro lisen` and `A=b valaro listen --osk 1`\n```\ncd a && bin/valaro listeners lost ana  # --not\n```\n"
    assert [wrong_words(call) for call in calls(text)] == [["lisen"], ["--osk"], ["lost"]]


def test_each_make_target_that_is_written_somewhere_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"-"}
    written = set()
    for page in PAGES:
        for line in code(page.read_text()):
            if line.startswith("make "):
                written |= {word for word in line.split()[1:] if word.islower()}
    assert {"demo", "test", "bench"} <= written
    assert written - targets == set()


# Architecture


def test_the_architecture_names_only_what_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert text.count("\n") <= 120
    named = [
        span for span in re.findall(r"`([^`\s]+)`", prose(text)) if span.split("/")[0] in (*ROOMS, "tests", "bench")
    ]
    assert len(named) > 40
    assert [span for span in named if not (ROOT / span).exists()] == []


def test_the_architecture_draws_the_folders_that_are_there() -> None:
    picture = section(ROOT / "ARCHITECTURE.md", "The picture").split("```")[1]
    drawn = set(re.findall(r"\b([a-z_]+)/", picture))
    folders = {
        path.name
        for room in ROOMS
        for path in (ROOT / room, *(ROOT / room).iterdir(), *(ROOT / "streamer" / "app").iterdir())
        if path.is_dir() and any(path.glob("*.py"))
    }
    assert drawn == folders - {"__pycache__"}


def test_each_where_is_has_its_file() -> None:
    answers = rows(section(ROOT / "ARCHITECTURE.md", "Where is ...?"))
    assert len(answers) >= 10
    for _, answer in answers:
        folder, *modules = re.findall(r"`([^`]+)`", answer)
        assert (ROOT / folder).exists()
        assert [name for name in modules if not (ROOT / folder / f"{name}.py").exists()] == []


# OSC and MIDI


def tags(values: str) -> str:
    """``121 f`` or ``f f (s)`` as OSC's type tags, without what may be left out and without alternatives."""
    count, _, kind = values.partition(" ")
    return kind * int(count) if count.isdigit() else values.partition(",")[0].partition("(")[0].replace(" ", "")


def addresses(title: str) -> dict[str, str]:
    """Address -> type tags, by the table under a heading of the OSC page."""
    table = rows(section(DOCS / "osc_midi.md", title))
    return {address: tags(row[1]) for row in table for address in re.findall(r"`(/[^`]+)`", row[0])}


def test_the_table_of_what_is_sent_is_that_of_oscquery() -> None:
    sent = addresses("What is sent over OSC")
    assert sent.pop("/valaro/cell/A/V") == "f"
    assert sent == {path: method.tags for path, method in METHODS.items() if method.access == READ}


def test_the_table_of_what_is_taken_names_all_that_is_obeyed() -> None:
    taken = addresses("What is taken over OSC")
    (refusal,) = handle(OscMessageBuilder("/valaro/no_such_address").build().dgram)
    assert isinstance(refusal, Refusal)
    assert set(taken) == set(re.findall(r"/valaro/[\w/]+", refusal.expected))
    writable = {path: method.tags for path, method in METHODS.items() if method.access & WRITE}
    assert {path: taken[path] for path in writable} == writable


def test_the_readme_names_addresses_that_are_sent() -> None:
    named = re.findall(r"`(/valaro/[^`]+)`", section(README, "What is sent"))
    assert len(named) >= 5
    assert set(named) - METHODS.keys() == set()


def test_the_table_of_midi_is_the_default() -> None:
    page = section(DOCS / "osc_midi.md", "MIDI")
    numbers = [int(number) for row in rows(page) for number in re.findall(r"\d+", row[1])]
    settings = MidiSettings()
    assert numbers == [*settings.controllers, *settings.notes]
    knobs = MidiInSettings()
    assert f"{knobs.valence} for valence and {knobs.arousal} for arousal" in page


# Configuration


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generator", DOCS / "builder" / "generate_configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_reference_is_that_of_the_schema(generator: ModuleType) -> None:
    written = (DOCS / "configuration.md").read_text()
    assert written == generator.render(), "run docs/builder/generate_configuration.py"


def test_the_configuration_reference_names_every_key(generator: ModuleType) -> None:
    page = DOCS / "configuration.md"
    for path in generator.written_keys():
        table, _, key = path.rpartition(".")
        title = "Top of the file" if not table else f"`[[{table}]]`" if table in ("osc", "osc.map") else f"`[{table}]`"
        assert f"`{key}`" in [row[0] for row in rows(section(page, title))], path


def test_the_configuration_reference_begins_with_one_that_is_taken(tmp_path: Path) -> None:
    from valaro.streamer.app.config.schema import load_config

    text = (DOCS / "configuration.md").read_text()
    (tmp_path / "show.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    config = load_config(tmp_path / "show.toml")
    assert config.osc[0].entries[0].source == "q1 - q3"


def test_the_expressions_of_the_reference_are_the_language(generator: ModuleType) -> None:
    from valaro.streamer.sinks.expressions import _NAMES, compile_expression

    spans = [span for row in rows(generator.TAIL) for span in re.findall(r"`([^`]+)`", row[0])]
    assert set(_NAMES) <= set(spans)
    for span in spans:
        if span not in ("+ - * /", "( )"):
            compile_expression(re.sub(r"\b[abv]\b", "1", span))


# Figures


def figures(text: str) -> set[str]:
    """Numbers that measure something: with a fraction, a percent sign, or times real time."""
    plain = prose(text).replace("−", "-")
    return set(re.findall(r"-?\d*\.\d+|\d+(?= %)|\d+(?= x real)", plain))


def test_the_readme_states_no_figure_of_its_own() -> None:
    right, fast = figures(section(README, "How right it is")), figures(section(README, "How fast it is"))
    assert {".689", "70"} <= right
    assert {"281", "0.36", "0.9"} <= fast
    assert right - figures((DOCS / "accuracy.md").read_text()) == set()
    assert fast - figures((DOCS / "speed.md").read_text()) == set()


def test_the_figures_of_accuracy_are_those_of_the_model_card() -> None:
    text = (DOCS / "accuracy.md").read_text()
    stated = re.search(r"(\d+) % of the clips \(macro-F1 (\.\d+)\).*?in (\d+) %.*?in (\d+) %", text, re.DOTALL)
    assert stated is not None
    fusion = next(row for row in rows(CARD.read_text()) if row[0] == "fusion")
    macro, accuracy, valence, arousal = (cell.split()[0] for cell in fusion[1:5])
    percents = [str(int(float(share) * 100 + 0.5)) for share in (accuracy, arousal, valence)]
    assert [stated[2], stated[1], stated[3], stated[4]] == [macro, *percents]
    nats = set(re.findall(r"−4\.\d{3}", text))
    assert len(nats) == 3
    assert nats <= set(re.findall(r"−4\.\d{3}", CARD.read_text()))
