"""``valaro listeners``: the listeners and their ratings."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ExitCode

if TYPE_CHECKING:
    from ..listeners.evidence import StoredRating
    from ..listeners.store import Listeners

LARGEST = 256 << 20  # bytes of an import: as many ratings as are stored of one listener
UNSAVED = 10  # ratings since the last backup, from which on a command makes one

app = typer.Typer(name="listeners", help="Profiles: who rated what, and how to take it along or have it forgotten.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Who; `valaro listeners list` has the names.")]


@app.command("list")
def list_listeners() -> None:
    """Name each listener and how many ratings they gave."""
    with opened() as store:
        names = store.names()
    if not names:
        typer.echo("nobody has rated anything yet: valaro rate --help")
    width = max(map(len, names), default=0)
    for name, count in names.items():
        typer.echo(f"{name:<{width}}  {rating_count(count)}")


@app.command()
def show(name: NameArgument) -> None:
    """Show what is known of a listener."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    with opened() as store:
        store.require(name)
        summary = _summary(store.ratings(name, undone=True))
    table = Table(title=Text(name.strip()), show_header=False)
    for what, value in summary.items():
        table.add_row(Text(what), Text(value))
    Console().print(table)


@app.command()
def undo(name: NameArgument) -> None:
    """Take a listener's newest rating back; once more, the one before it.

    A session that is running goes on as it knows them until it ends.
    """
    from collections import deque

    from ..errors import InputError

    with opened() as store:
        newest = deque(store.ratings(name), maxlen=1)
        if not newest:
            store.require(name)
            raise InputError(f"{name} has no rating left to take back")
        [rated] = newest
        store.undo(rated.id)
    typer.echo(
        f"taken back: {name}'s valence {rated.valence:+.2f}, arousal {rated.arousal:+.2f} of {rated.at:%Y-%m-%d %H:%M}"
    )


@app.command()
def forget(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask whether it is meant.")] = False,
) -> None:
    """Delete all that is known of a listener, for good, in the backups too.

    A session that is running goes on as it knows them until it ends.
    """
    from ..app.console import notify
    from ..core.controls import listener_name

    with opened() as store:
        if not yes and listener_name(name) in store.names():  # also where ratings cannot be read
            typer.confirm(f"Delete all that {name} ever rated, for good?", abort=True)
        copies = store.copies(name)
        count = store.forget(name)  # also of an unknown listener: it clears traces that an earlier attempt left
        if not count:
            store.require(name)
        typer.echo(f"{name} is forgotten: {rating_count(count)} deleted")
        if copies:
            notify(f"copies of these ratings stay with {', '.join(copies)}: forget them too if that is meant")
        for path in store.set_aside_files():
            notify(f"{path}, kept because it is damaged, may still hold some: delete it and what begins with its name")


@app.command()
def like(
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Whose taste is near; `valaro listeners list`.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is new.")],
    add: Annotated[
        bool, typer.Option("--add", metavar="", help="Also to a listener who has rated something already.")
    ] = False,
) -> None:
    """Begin a new listener as another one: with copies of their newest ratings, ten at most.

    The new listener's own ratings soon outweigh them.
    """
    with opened() as store:
        count = store.like(other, name, add=add)
    typer.echo(f"{name} is like {other}: {rating_count(count)} copied")


@app.command()
def export(
    name: NameArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file, instead of standard output.")
    ] = None,
) -> None:
    """Write all that is known of a listener as JSON."""
    from ..errors import InputError, SinkError

    with opened() as store:
        text = json.dumps(store.export(name), ensure_ascii=False)
    if output is None:
        typer.echo(text)
        return
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.write(f"{text}\n")
    except FileExistsError as fault:
        raise InputError(f"{output} exists already: export to another file, or remove it first") from fault
    except OSError as fault:
        raise SinkError(f"{output} cannot be written: {(fault.strerror or str(fault)).lower()}") from fault


@app.command("import")
def import_listener(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `valaro listeners export` wrote.")],
) -> None:
    """Add an exported listener's ratings; those that are here already are not doubled."""
    from ..errors import InputError

    data = _read(file)
    with opened() as store:
        try:
            name, new = store.import_(data)
        except InputError as fault:
            raise InputError(f"{file}: {fault}") from fault
    typer.echo(f"{name}: {rating_count(new)} added")


@app.command()
def restore(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A backup, another store or a damaged one; the backups here otherwise."),
    ] = None,
) -> None:
    """Add ratings that were lost, from the backups that are kept beside the store, or from a file.

    What is there now stays as it is. Who was forgotten is in no backup.
    """
    from ..app.console import notify

    with opened() as store:
        restored = store.restore(file)
    known = f"; {rating_count(restored.known)} there already" if restored.known else ""
    typer.echo(f"{rating_count(restored.added)} added{known}")
    if restored.refused:
        notify(f"{rating_count(restored.refused)} left out: there is no room for more of these listeners")
        raise typer.Exit(ExitCode.LOST)


@contextmanager
def opened() -> "Iterator[Listeners]":
    """The store of ratings, in the user's data directory; backed up at the end, if much is new."""
    from ..app.console import notify
    from ..errors import StoreError
    from ..listeners.backup import back_up, unsaved
    from ..listeners.store import open_listeners

    with open_listeners(None, notify) as store:
        yield store
        with suppress(StoreError):  # the ratings are stored: a backup comes another time
            new = unsaved(store.path)
            if store.newest() if new is None else new >= UNSAVED:
                back_up(store.path)


def _read(file: Path) -> object:
    from ..errors import InputError

    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise InputError(f"{file}: is larger than {LARGEST >> 20} MB: no listener's export")
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as fault:  # ValueError: not JSON, not UTF-8, or no name of a file
        reason = fault.strerror.lower() if isinstance(fault, OSError) and fault.strerror else "not JSON"
        raise InputError(f"{file}: cannot be read as a listener's export ({reason})") from fault


def _summary(ratings: "Iterable[StoredRating]") -> dict[str, str]:
    """A listener's ratings (at least one) in figures, by label."""
    from ...models import grid

    counting, undone, sources, days = [], 0, Counter[str](), []
    for rating in ratings:
        days.append(f"{rating.at:%Y-%m-%d}")
        if rating.undone:
            undone += 1
            continue
        mean, _ = grid.moments(rating.evidence.heatmap)
        counting.append((rating.valence, rating.arousal, float(mean[0]), float(mean[1])))
        sources[rating.source] += 1
    summary = {"ratings": str(len(counting))}
    if undone:
        summary["taken back"] = str(undone)
    if counting:
        valence, arousal, heard_valence, heard_arousal = (
            sum(column) / len(counting) for column in zip(*counting, strict=True)
        )
        summary["by way of"] = ", ".join(f"{source} {count}" for source, count in sources.most_common())
        summary["rated on average"] = f"valence {valence:+.2f}, arousal {arousal:+.2f}"
        summary["where Valaro heard"] = f"valence {heard_valence:+.2f}, arousal {heard_arousal:+.2f}"
    return summary | {"first": min(days), "last": max(days)}


def rating_count(count: int) -> str:
    """A number of ratings, in words."""
    return "1 rating" if count == 1 else f"{count} ratings"
