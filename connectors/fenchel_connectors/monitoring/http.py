"""A small HTTP server for figures and health, which no client can block."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from fenchel_stream.errors import ConfigError

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for a whole request, from the connection to the last byte of the answer."""

CONNECTIONS = 64
"""Number of clients served at a time. Another one takes the place of the oldest, so that clients
cannot take the descriptors that checkpoints and outputs need."""


@dataclass(frozen=True)
class Page:
    """An answer: its body, the type of the body, and the HTTP status."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


Routes = Mapping[str, Callable[[str], Page]]
"""For each path the function that answers it, given the ``Accept`` header of the client."""


class HttpServer:
    """Answers GET on a few paths, each client in a thread of its own, until it is closed.

    No client blocks another one, or the run. A client that has not asked its question and read the
    answer after `PATIENCE` seconds is hung up on, however it spends them: silent, byte by byte, or
    in a TLS handshake. So is the oldest of `CONNECTIONS` clients at once when another one comes.

    Parameters
    ----------
    routes
        The functions that answer, by path.
    port, host
        Where to listen. Port 0 takes a free one; the attribute `port` is its number.
    certfile, keyfile
        For HTTPS, the certificate and its key as PEM files. `certfile` may hold both.

    Raises
    ------
    ConfigError
        The address cannot be listened on, or the certificate cannot be used.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> from fenchel_connectors.monitoring.http import HttpServer, Page
    >>> server = HttpServer({"/": lambda accept: Page(b"hello")}, port=0)
    >>> urlopen(server.url).read()
    b'hello'
    >>> server.close()
    """

    def __init__(
        self,
        routes: Routes,
        port: int,
        host: str = "127.0.0.1",
        *,
        certfile: str | None = None,
        keyfile: str | None = None,
    ) -> None:
        context = _context(certfile, keyfile)
        try:
            self._server = _Server(host, port, routes, context)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"metrics cannot be served at {host}, port {port}: {error}"
            ) from error
        self.host, self.port = host, int(self._server.server_address[1])
        self.scheme = "http" if context is None else "https"
        serve = self._server.serve_forever
        self._thread = Thread(target=serve, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """URL of the server, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def close(self) -> None:
        """Stop serving; a second call does no harm."""
        self._server.shutdown()
        self._server.hang_up_all()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # closing the server waits for no client
    request_queue_size = 128  # with the default of 5, simultaneous clients may wait for seconds

    def __init__(
        self, host: str, port: int, routes: Routes, context: ssl.SSLContext | None
    ) -> None:
        self.routes = routes
        self.context = context
        self._clients: dict[socket.socket, float] = {}  # each with the time at which it must go
        self._lock = Lock()  # of `_clients`, and of its sockets: none is closed during a hang-up
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind looks up the host's name, which is slow without a name server.
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._clients) >= CONNECTIONS:
                # The oldest has had the most time. Those who ask and go are never shut out.
                oldest = next(iter(self._clients))
                del self._clients[oldest]
                self._hang_up(oldest)
            self._clients[request] = time.monotonic() + PATIENCE
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # This runs in the thread of the client, where an endless handshake blocks no other client.
        if self.context is None:
            super().finish_request(request, client_address)
            return
        # The duplicate shares the connection. The original stays open, so that it can be hung up.
        with self.context.wrap_socket(request.dup(), server_side=True) as secured:
            super().finish_request(secured, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._clients.pop(request, None)
            super().shutdown_request(request)

    def service_actions(self) -> None:
        # `serve_forever` calls this several times a second.
        now = time.monotonic()
        with self._lock:
            for request, end in self._clients.items():
                if end < now:
                    self._hang_up(request)

    def hang_up_all(self) -> None:
        """End all connections now; their threads end by themselves."""
        with self._lock:
            for request in self._clients:
                self._hang_up(request)

    def _hang_up(self, request: socket.socket) -> None:
        # A thread that reads or writes wakes up with an error, and closes the socket.
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("client %s: %r", client_address, sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "fenchel_stream", ""

    def do_GET(self) -> None:
        answer = self.server.routes.get(urlsplit(self.path).path)
        if answer is None:
            self.send_error(404)
            return
        page = answer(self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own
        log.debug(format, *args)


def _context(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    if certfile is None:
        if keyfile is not None:
            raise ConfigError(f"keyfile {keyfile} needs a certfile")
        return None
    for path in filter(None, (certfile, keyfile)):
        if not Path(path).is_file():
            raise ConfigError(f"{path}: no such file; HTTPS needs a certificate and its key in PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate {certfile}: {error}") from error
    return context
