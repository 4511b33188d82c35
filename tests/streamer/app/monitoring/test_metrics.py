"""The session's numbers as Prometheus reads them: with its own parser, over HTTP and from a file."""

import http.client
import logging
import os
import socket
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from valaro.streamer.app.losses import Losses
from valaro.streamer.app.monitoring import metrics_server
from valaro.streamer.app.monitoring.metrics import Metrics, Page, parse_target
from valaro.streamer.core.affect import ACTIVITIES
from valaro.streamer.core.session import Session
from valaro.streamer.errors import InputError, SinkError
from valaro.streamer.osc.receiver import OscInCounters

from ...fakes import Collect, CountingEngine, Endless, FullDisk, neutral
from ...oscdump import wait_for

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def parsed(text: str) -> Samples:
    """Every sample by name and labels; fails for one that comes twice."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_what_a_session_did_is_served_as_prometheus_reads_it() -> None:
    port, sink = free_tcp_port(), Collect()
    session = Session(Endless(burst=100_000), CountingEngine(), [sink, FullDisk()])
    facts = {"version": "1.0", "bundle": "abc", "decoder": 'fus"ion\\\n', "provider": "CPU"}
    losses = Losses(24_000)
    losses.watch("session", lambda: session.counters)
    losses.watch("osc", lambda: SimpleNamespace(faults=3), "10.0.0.1:9000")
    losses.watch("osc", lambda: SimpleNamespace(faults=0), "10.0.0.2:9000")
    losses.watch("osc_in", lambda: SimpleNamespace(counters=OscInCounters(refused=4)))
    traffic = {"osc_in_messages": {"obeyed": 5, "refused": 4}, "ratings": {"taken": 2, "kept": 1, "lost": 1}}
    metrics = Metrics(str(port), lambda: session.counters, losses, facts, 24_000, lambda: traffic)
    assert metrics.where == f"http://127.0.0.1:{port}/metrics"
    with session:
        wait_for(lambda: len(sink.affects) >= 2)
    metrics.send(replace(neutral(0.5, level=0.25), valence=-0.125, arousal=0.5, confidence=0.75, activity="lost"))
    status, content, text = get(port)
    metrics.close()
    assert (status, content) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = parsed(text)
    counters = session.counters
    assert counters.dropped > 0
    assert counters.sink_faults > 0
    plain = {name: value for (name, labels), value in samples.items() if not labels}
    assert plain["valaro_emissions_total"] == counters.emissions
    assert plain["valaro_frames_total"] == counters.frames
    assert plain["valaro_dropped_frames_total"] == counters.dropped
    assert plain["valaro_device_flags_total"] == counters.flags
    assert plain["valaro_bad_samples_total"] == counters.bad_samples
    assert plain["valaro_input_losses_total"] == counters.losses
    assert plain["valaro_input_lost_seconds_total"] == counters.filled / 24_000
    assert (plain["valaro_valence"], plain["valaro_arousal"]) == (-0.125, 0.5)
    assert (plain["valaro_confidence"], plain["valaro_level"], plain["valaro_input_lost"]) == (0.75, 0.25, 1.0)
    assert plain["valaro_last_emission_timestamp_seconds"] == pytest.approx(time.time(), abs=600)
    assert 3 < plain["process_open_fds"] < 100_000
    assert plain["process_start_time_seconds"] == pytest.approx(time.time(), abs=600)
    assert plain["process_cpu_seconds_total"] > 0
    assert plain["process_resident_memory_bytes"] > 10_000_000
    faults = {labels: value for (name, labels), value in samples.items() if name == "valaro_sink_faults_total"}
    assert faults == {(("sink", "session"),): counters.sink_faults, (("sink", "osc"),): 3.0, (("sink", "osc_in"),): 0.0}

    def lost(part: str, what: str, name: str = "", unit: str = "times") -> float:
        return samples["valaro_lost_total", (("name", name), ("part", part), ("unit", unit), ("what", what))]

    assert [lost("osc", "faults", f"10.0.0.{each}:9000") for each in (1, 2)] == [3.0, 0.0]
    assert lost("session", "dropped", unit="frames") == counters.dropped
    assert samples["valaro_told_total", (("name", ""), ("part", "osc_in"), ("what", "refused"))] == 4.0
    assert samples["valaro_osc_in_messages_total", (("outcome", "obeyed"),)] == 5.0
    assert samples["valaro_ratings_total", (("outcome", "kept"),)] == 1.0
    assert samples["valaro_ratings_total", (("outcome", "lost"),)] == 1.0
    hot = {labels[0][1]: value for (name, labels), value in samples.items() if name == "valaro_activity"}
    assert hot == {activity: float(activity == "lost") for activity in ACTIVITIES}
    assert samples["valaro_build_info", tuple(sorted(facts.items()))] == 1.0


def test_before_the_first_emission_there_is_nothing_felt() -> None:
    port = free_tcp_port()
    metrics = Metrics(f"localhost:{port}", lambda: None)
    names = {name for name, _ in parsed(get(port)[2])}
    metrics.close()
    assert "valaro_valence" not in names
    assert "valaro_last_emission_timestamp_seconds" not in names
    assert {"valaro_build_info", "valaro_uptime_seconds", "process_cpu_seconds_total"} <= names


def test_the_start_is_one_number_until_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(str(tmp_path / "v.prom"), lambda: None)
    start = ("process_start_time_seconds", ())
    first = parsed(metrics.text())[start]
    assert [parsed(metrics.text())[start] for _ in range(20)] == [first] * 20
    wall = time.time
    monkeypatch.setattr("time.time", lambda: wall() + 1e6)
    assert parsed(metrics.text())[start] == pytest.approx(first + 1e6, abs=600)
    metrics.close()


def test_separate_channels_are_told_apart(tmp_path: Path) -> None:
    metrics = Metrics(str(tmp_path / "v.prom"), lambda: None)
    for channel, valence in ((1, 0.25), (5, -0.5)):
        metrics.send(replace(neutral(0.5), valence=valence, channel=channel))
    samples = parsed(metrics.text())
    metrics.close()
    assert samples["valaro_valence", (("channel", "1"),)] == 0.25
    assert samples["valaro_valence", (("channel", "5"),)] == -0.5
    assert samples["valaro_activity", (("activity", "music"), ("channel", "5"))] == 1.0


def test_a_number_is_written_in_full() -> None:
    page = Page()
    page.add("large_total", "counter", "x", 123456789012345678)
    page.add("small", "gauge", "x", 1.5e-7)
    page.add("none", "gauge", "x", float("nan"))
    samples = parsed(str(page))
    assert samples["large_total", ()] == 123456789012345678
    assert samples["small", ()] == 1.5e-7
    assert samples["none", ()] != samples["none", ()]


def test_other_paths_and_methods_are_refused() -> None:
    port = free_tcp_port()
    metrics = Metrics(str(port), lambda: None)
    assert get(port, "/metrics?name=x")[0] == 200
    assert get(port, method="HEAD")[::2] == (200, "")
    assert [get(port, path)[0] for path in ("/", "/metrics/", "/etc/passwd", "/x/metrics", "/../metrics")] == [404] * 5
    assert [get(port, method=method)[0] for method in ("POST", "PUT", "DELETE", "TRACE")] == [501] * 4
    metrics.close()
    with pytest.raises(OSError, match=r"refused|reset"):
        get(port)


def test_it_survives_garbage_and_clients_that_hang() -> None:
    port, before = free_tcp_port(), threading.active_count()
    metrics = Metrics(str(port), lambda: None)
    for garbage in (b"", b"\x00" * 70_000, b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", os.urandom(4000)):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            try:
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
            except OSError:  # hung up on
                pass
        assert get(port)[0] == 200
    hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * metrics_server.MAX_CLIENTS)]
    for client in hanging[::2]:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
    wait_for(lambda: _answers(port))  # those who say nothing are let go after a while
    assert threading.active_count() - before < 2 * metrics_server.MAX_CLIENTS
    for client in hanging:
        client.close()
    metrics.close()
    metrics.close()


def test_33_scrapes_are_served_under_60_slow_clients() -> None:
    """All from one address, the scraper's; each comes back when it is let go."""
    port = free_tcp_port()
    metrics = Metrics(str(port), lambda: None)
    slow: list[socket.socket] = []
    for _ in range(33):
        while len(slow) < 60:
            slow.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            slow[-1].sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        for client in slow.copy():
            try:
                client.sendall(b"x")
            except OSError:  # let go
                client.close()
                slow.remove(client)
        assert get(port)[0] == 200
    for client in slow:
        client.close()
    metrics.close()


def test_a_site_whose_name_points_here_reads_nothing() -> None:
    port = free_tcp_port()
    metrics = Metrics(str(port), lambda: None)
    for host, status in (("site.example", 403), ("localhost", 200), (f"127.0.0.1:{port}", 200)):
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        asked.request("GET", "/metrics", headers={"Host": host})
        assert asked.getresponse().status == status
        asked.close()
    metrics.close()


def test_a_star_is_every_interface() -> None:
    port = free_tcp_port()
    metrics = Metrics(f"*:{port}", lambda: None)
    assert get(port)[0] == 200
    metrics.close()


def test_who_dribbles_is_let_go() -> None:
    port = free_tcp_port()
    metrics = Metrics(str(port), lambda: None)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        began = time.monotonic()

        def hung_up() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return False

        wait_for(hung_up)
        assert time.monotonic() - began > metrics_server.CLIENT_TIMEOUT
    assert get(port)[0] == 200
    metrics.close()


def _answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SinkError, match=f"metrics cannot be served on 127.0.0.1:{port}: address already in use"):
            Metrics(str(port), lambda: None)


def test_it_listens_on_this_machine_only_unless_told_otherwise() -> None:
    assert parse_target("9464") == ("127.0.0.1", 9464)
    assert parse_target("0.0.0.0:9464") == ("0.0.0.0", 9464)
    assert parse_target("[::1]:9464") == ("::1", 9464)
    assert parse_target("/var/lib/node_exporter/valaro.prom") == Path("/var/lib/node_exporter/valaro.prom")
    for wrong in ("", "x", "-1", "70000", "host:", "file.txt", ":::"):
        with pytest.raises(InputError, match="write PORT, HOST:PORT, or a file"):
            parse_target(wrong)


def test_ipv6_is_served() -> None:
    port = free_tcp_port()
    try:
        metrics = Metrics(f"[::1]:{port}", lambda: None)
    except SinkError:
        pytest.skip("no IPv6 here")
    with urllib.request.urlopen(metrics.where, timeout=30) as answer:
        assert parsed(answer.read().decode())
    metrics.close()


def test_the_file_is_whole_at_any_moment_and_goes_with_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valaro.streamer.app.monitoring.metrics.WRITE_INTERVAL", 0.001)
    path = tmp_path / "made" / "valaro.prom"
    metrics = Metrics(str(path), lambda: None)
    metrics.send(neutral(0.5))
    wait_for(path.exists)
    seen = set()
    deadline = time.monotonic() + 30
    while len(seen) < 20 and time.monotonic() < deadline:
        text = path.read_text()
        assert text.endswith("\n")
        seen.add(parsed(text)["valaro_uptime_seconds", ()])
    assert len(seen) == 20
    metrics.close()
    metrics.close()
    assert list(path.parent.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("valaro.streamer.app.monitoring.metrics.WRITE_INTERVAL", 0.01)
    folder = tmp_path / "disk"
    metrics = Metrics(str(folder / "valaro.prom"), lambda: None)
    wait_for((folder / "valaro.prom").exists)
    folder.rename(tmp_path / "gone")  # at once: removed file by file, it would be written to meanwhile
    wait_for(lambda: bool(caplog.records))
    time.sleep(0.1)
    metrics.close()
    assert metrics.faults > 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no such file or directory" in caplog.records[0].getMessage()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "valaro.prom"
    folder.mkdir()
    with pytest.raises(SinkError, match="is a directory: name another file"):
        Metrics(str(folder), lambda: None)
