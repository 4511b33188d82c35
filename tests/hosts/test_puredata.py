"""Pure Data gets what is sent: a patch that prints everything, and the patch that is among the examples."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from valaro.streamer.sinks import Osc

from ..streamer.oscdump import free_port, wait_for
from .programs import HOSTS, emission, need, running, same

Patches = dict[str, tuple[int, Path]]  # name -> its port, what it prints


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patches]:
    """Both patches open in one Pure Data each, without window and sound, on ports of their own."""
    need(pd="puredata-core")
    folder = tmp_path_factory.mktemp("puredata")
    found: Patches = {}
    with ExitStack() as stack:
        for patch in (Path(__file__).parent / "everything.pd", HOSTS / "puredata.pd"):
            copy, port = folder / patch.name, free_port()
            text = patch.read_text()
            assert text.count("netreceive -u -b 9000") == 1
            copy.write_text(text.replace("netreceive -u -b 9000", f"netreceive -u -b {port}"))
            log = folder / f"{patch.stem}.log"
            ready = "; pd-loaded 1"  # the patch has no such receiver: Pure Data says so once the patches are open
            stack.enter_context(
                running(["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-send", ready, str(copy)], log)
            )
            found[patch.stem] = port, log
        for _, log in found.values():
            wait_for(lambda log=log: "pd-loaded" in log.read_text())
        yield found


@pytest.mark.parametrize("bundle", [True, False], ids=["bundle", "messages"])
def test_every_address_arrives_with_its_values(bundle: bool, patches: Patches) -> None:
    port, log = patches["everything"]
    before = len(log.read_text())
    affect = emission(-0.25, 0.5, time=1.5 + bundle)
    sink = Osc(f"127.0.0.1:{port}", bundle=bundle)
    sink.send(affect)
    sink.close()
    wait_for(lambda: "got: valaro clock " in log.read_text()[before:].rpartition("\n")[0])
    lines = [line.removeprefix("got: valaro ").split() for line in log.read_text()[before:].splitlines()]
    assert same({address: values for address, *values in lines}, affect)


def test_the_example_reacts_and_finds_no_fault(patches: Patches) -> None:
    port, log = patches["puredata"]
    opened = len(log.read_text())
    sink = Osc(f"127.0.0.1:{port}")
    hottest = []
    for affect in (emission(-0.75, -0.5), emission(0.625, 0.875)):
        sink.send(affect)
        hottest.append(f"va: {affect.valence:g} {affect.arousal:g}\nlikeliest: {affect.heatmap.argmax()}\n")
    sink.close()
    wait_for(lambda: log.read_text().count("likeliest") == 2)
    assert log.read_text()[opened:] == "".join(hottest)
