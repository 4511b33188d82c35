"""``GET /metrics`` on a port of its own, with bounds on clients and their time."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from ..._util.address import EVERYWHERE, listening_at
from ..._util.files import reason
from ..._util.http import Seats, is_own_host
from ...errors import SinkError

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_TIMEOUT = 2.0  # s that a client may be silent, or not read
MAX_CLIENT_SECONDS = 5.0  # s that a client may take in all
MAX_CLIENTS = 32  # clients at a time
BACKLOG = 512  # that the system keeps waiting


class MetricsServer:
    """Serves what ``text`` returns, from a thread; ``where`` is its address. Raises SinkError for a taken port."""

    faults = 0  # it writes no file

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        try:
            opened = listening_at(host, port, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as fault:
            why = reason(fault) if isinstance(fault, OSError) else str(fault)
            raise SinkError(f"metrics cannot be served on {host}:{port}: {why}: name another port") from fault
        shown = "127.0.0.1" if host == EVERYWHERE else f"[{host}]" if ":" in host else host
        self.where = f"http://{shown}:{port}{PATH}"
        seats: Seats[Any] = Seats(MAX_CLIENTS)
        self._servers = [_Server(each, text, seats) for each in opened]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """End it; may be called twice."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, text: Callable[[], str], seats: Seats[Any]) -> None:
        self.text = text
        self.seats = seats
        self._since: dict[Any, float] = {}  # when each client came
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.socket.listen(BACKLOG)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        leaving = self.seats.enter(request, client_address[0])
        if leaving is not None:
            _hang_up(leaving)
        if leaving is request:
            return False
        self._since[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        self.seats.leave(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close the connections of clients that take too long, even if a byte comes now and then; twice a second."""
        for request, since in self._since.copy().items():
            if time.monotonic() - since > MAX_CLIENT_SECONDS:
                _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away or took too long."""


def _hang_up(request: Any) -> None:
    """Wake the thread of a connection by ending it."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server_version = "valaro"
    sys_version = ""
    timeout = CLIENT_TIMEOUT

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.seats.asked(self.request)
        if not is_own_host(self.headers.get("Host")):
            self.send_error(HTTPStatus.FORBIDDEN, explain="Ask by the address of this machine.")
            return
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"Only {PATH} is here.")
            return
        page = self.server.text().encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is http.server's
        """Log nothing: there is a scrape every few seconds for months."""
