"""A schema registry for tests, served over HTTP on loopback."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from tests.brokers import free_port


class RegistryServer:
    """Serves schemas by number and by subject, at one address, as long as it runs.

    Parameters
    ----------
    authorization
        What every request must say in its header of that name.
    certificate
        PEM files of a certificate and its key: with them, HTTPS.

    Attributes
    ----------
    asked
        How often each path was asked for.
    broken
        The status that every answer has; None for the right one.
    delay
        Seconds until an answer.
    """

    def __init__(
        self, authorization: str | None = None, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.port = free_port()
        self.authorization = authorization
        self.certificate = certificate
        self.asked: Counter[str] = Counter()
        self.broken: int | None = None
        self.delay = 0.0
        self._answers: dict[str, Any] = {"/schemas/types": ["AVRO", "JSON", "PROTOBUF"]}
        self._ids = iter(range(1, 1_000_000))
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def register(
        self,
        schema: Any,
        kind: str = "AVRO",
        references: Sequence[Mapping[str, Any]] = (),
        subject: str | None = None,
    ) -> int:
        """Add a schema, under a number of its own and as version 1 of a subject if there is one."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        number = next(self._ids)
        answer: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            answer["schemaType"] = kind
        if references:
            answer["references"] = list(references)
        self._answers[f"/schemas/ids/{number}"] = answer
        if subject is not None:
            version = {"subject": subject, "id": number, "version": 1, **answer}
            self._answers[f"/subjects/{subject}/versions/1"] = version
        return number

    def start(self) -> None:
        """Answer from now on, at the same address as before."""
        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Go away: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        """Return status and body for a request."""
        time.sleep(self.delay)
        path = unquote(path)
        self.asked[path] += 1
        if self.broken is not None:
            return self.broken, {"error_code": self.broken, "message": "out of order"}
        if authorization != self.authorization:
            return 401, {"error_code": 401, "message": "Unauthorized"}
        if path in self._answers:
            return 200, self._answers[path]
        return 404, {"error_code": 40403, "message": "Schema not found"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = registry.answer(self.path, self.headers.get("Authorization"))
                content = json.dumps(body).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://elsewhere:8081/")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler
