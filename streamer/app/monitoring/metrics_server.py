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

from ..._util.files import reason
from ...errors import SinkError

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_TIMEOUT = 2.0  # s that a client may be silent, or not read
MAX_CLIENT_SECONDS = 5.0  # s that a client may take in all
MAX_CLIENTS = 8  # clients at a time


class MetricsServer:
    """Serves what ``text`` returns, from a thread; ``where`` is its address. Raises SinkError for a taken port."""

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        try:
            self._server = _Server(host, port, text)
        except OSError as fault:
            raise SinkError(f"metrics cannot be served on {host}:{port}: {reason(fault)}: name another port") from fault
        self.where = f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; may be called twice."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = hasattr(socket, "AF_UNIX")  # on Windows it would let two programs have one port
    request_queue_size = MAX_CLIENTS

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        self.text = text
        self._since: dict[Any, float] = {}  # when each client came
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if len(self._since) >= MAX_CLIENTS:
            return False
        self._since[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close the connections of clients that take too long, even if a byte comes now and then; twice a second."""
        for request, since in self._since.copy().items():
            if time.monotonic() - since > MAX_CLIENT_SECONDS:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away or took too long."""


class _Handler(BaseHTTPRequestHandler):
    server_version = "valaro"
    sys_version = ""
    timeout = CLIENT_TIMEOUT

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"Only {PATH} is here.")
            return
        assert isinstance(self.server, _Server)
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
