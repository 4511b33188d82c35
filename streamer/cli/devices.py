"""``valaro devices``: what there is to hear and to play, with what to type."""

import typer

from ..errors import DeviceError


def devices() -> None:
    """List audio inputs, loopback and monitor sources, and MIDI ports, with what to pass."""
    from ..app.console import tell
    from ..errors import DeviceError
    from ..sources.devices import listing as found

    fault: DeviceError | None = None
    inputs: list[found.AudioInput] = []
    default: int | None = None
    try:
        own, default = found.listing()
        inputs = found.with_monitors(own)
    except DeviceError as error:
        fault = error
    typer.echo("Audio inputs" if inputs else "Audio inputs: none")
    for each in inputs:
        marks = [f"{each.channels} ch", f"{each.rate} Hz", each.host_api]
        marks += ["loopback: what this computer plays"] if each.is_loopback else []
        marks += ["default"] if each.index is not None and each.index == default else []
        index = "-" if each.index is None else each.index
        typer.echo(f"  {index:>3}  {each.name}  ({', '.join(marks)})\n       {each.use}")
    if not inputs and fault is None:
        typer.echo("  connect an interface or start the sound server, then look again; `valaro demo` needs none")
    ports, why = midi_outputs()
    typer.echo("MIDI ports" if ports else f"MIDI ports: none{f' ({why})' if why else ''}")
    for port in ports:
        typer.echo(f"       {port}")
    if fault is not None:
        tell(str(fault))
        raise typer.Exit(fault.exit_code)


def midi_outputs() -> tuple[list[str], str | None]:
    """What to pass for each MIDI output port, and why there are none when there is no MIDI at all (else None)."""
    from ..midi.ports import names

    try:
        return names(), None
    except DeviceError as error:
        return [], str(error)
