"""``valaro devices``: audio inputs and MIDI ports, with the options that select them."""

import typer

from ..errors import DeviceError


def devices() -> None:
    """List audio inputs, loopback and monitor sources, and MIDI ports, with what to pass."""
    from ..app.console import notify
    from ..errors import DeviceError
    from ..sources.devices import listing

    fault: DeviceError | None = None
    inputs: list[listing.AudioInput] = []
    default: int | None = None
    try:
        port_inputs, default = listing.listing()
        inputs = listing.with_monitors(port_inputs)
    except DeviceError as error:
        fault = error
    typer.echo("Audio inputs" if inputs else "Audio inputs: none")
    for audio_input in inputs:
        marks = [f"{audio_input.channels} ch", f"{audio_input.rate} Hz", audio_input.host_api]
        marks += ["loopback: what this computer plays"] if audio_input.is_loopback else []
        marks += ["default"] if audio_input.index is not None and audio_input.index == default else []
        index = "-" if audio_input.index is None else audio_input.index
        typer.echo(f"  {index:>3}  {audio_input.name}  ({', '.join(marks)})\n       {audio_input.use}")
    if not inputs and fault is None:
        typer.echo("  connect an interface or start the sound server, then look again; `valaro demo` needs none")
    ports, why = midi_outputs()
    typer.echo("MIDI ports" if ports else f"MIDI ports: none{f' ({why})' if why else ''}")
    for port in ports:
        typer.echo(f"       {port}")
    if fault is not None:
        notify(str(fault))
        raise typer.Exit(fault.exit_code)


def midi_outputs() -> tuple[list[str], str | None]:
    """The names of the MIDI output ports, and the reason when there is no MIDI at all (else None)."""
    from ..midi.ports import names

    try:
        return names(), None
    except DeviceError as error:
        return [], str(error)
