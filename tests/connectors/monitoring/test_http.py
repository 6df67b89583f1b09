"""The little HTTP server, plain and under TLS, with clients of every kind."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from fenchel_connectors.monitoring import http
from fenchel_connectors.monitoring.http import HttpServer, Page
from fenchel_stream.errors import ConfigError

ROUTES = {"/": lambda accept: Page(b"here"), "/ill": lambda accept: Page(b"no", status=503)}


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest) -> Iterator[HttpServer]:
    files: dict[str, str] = {}
    if request.param == "https":
        certfile, keyfile = request.getfixturevalue("certificate")
        files = {"certfile": str(certfile), "keyfile": str(keyfile)}
    running = HttpServer(ROUTES, port=0, **files)
    assert running.url.startswith(f"{request.param}://127.0.0.1:")
    yield running
    running.close()


def get(server: HttpServer, path: str, request: pytest.FixtureRequest) -> bytes:
    context = None
    if server.scheme == "https":
        certfile, _ = request.getfixturevalue("certificate")
        context = ssl.create_default_context(cafile=str(certfile))
    with urlopen(server.url + path, timeout=5, context=context) as answer:
        body: bytes = answer.read()
    return body


def silent_clients(server: HttpServer, stack: ExitStack) -> list[socket.socket]:
    """Return clients that connect, and say nothing or not enough."""
    address = (server.host, server.port)
    clients = [
        stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(20)
    ]
    for client in clients[:10]:
        client.sendall(b"GET / HTTP/1.1\r\nHos" if server.scheme == "http" else b"\x16\x03\x01")
    return clients


def test_head_is_get_without_a_body(server: HttpServer, request: pytest.FixtureRequest) -> None:
    context = None
    if server.scheme == "https":
        certfile, _ = request.getfixturevalue("certificate")
        context = ssl.create_default_context(cafile=str(certfile))
    for path, status, length in (("/", 200, "4"), ("/ill", 503, "2"), ("/none", 404, None)):
        with ExitStack() as stack:
            address = (server.host, server.port)
            client = stack.enter_context(socket.create_connection(address, timeout=5))
            if context is not None:
                client = context.wrap_socket(client, server_hostname="127.0.0.1")
                stack.enter_context(client)
            client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
            answer = stack.enter_context(client.makefile("rb")).read()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == str(status).encode()
        assert body == b""
        assert length is None or f"Content-Length: {length}".encode() in head


def test_answers(server: HttpServer, request: pytest.FixtureRequest) -> None:
    assert get(server, "/", request) == get(server, "/?a=1", request) == b"here"
    for path, status in (("/ill", 503), ("/none", 404)):
        with pytest.raises(HTTPError) as error:
            get(server, path, request)
        assert error.value.code == status
        error.value.close()


def test_silent_clients_keep_nobody_waiting(
    server: HttpServer, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        clients = silent_clients(server, stack)
        for _ in range(5):
            assert get(server, "/", request) == b"here"
        for client in clients:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)


def test_silent_clients_are_hung_up_on(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    with ExitStack() as stack:
        for client in silent_clients(server, stack):
            assert client.recv(1) == b""
    assert get(server, "/", request) == b"here"


def test_clients_that_send_byte_by_byte_are_hung_up_on(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.5)
    ends = time.monotonic() + 5
    with socket.create_connection((server.host, server.port), timeout=0.05) as client:
        for byte in itertools.cycle(b"GET / HTTP/1.1\r\nX: "):
            assert time.monotonic() < ends, "the server waits for ever"
            try:
                client.sendall(bytes([byte]))
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert get(server, "/", request) == b"here"


def test_a_client_that_does_not_read_its_answer_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.5)
    before = threading.active_count()
    server = HttpServer({"/": lambda accept: Page(bytes(30_000_000))}, port=0)
    with socket.create_connection((server.host, server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        until(lambda: threading.active_count() > before + 1)
        until(lambda: threading.active_count() == before + 1)  # only the server's own thread
    server.close()


def test_beyond_the_bound_the_oldest_clients_are_hung_up(
    server: HttpServer, request: pytest.FixtureRequest
) -> None:
    address = (server.host, server.port)
    taken = descriptors()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=2))
            for _ in range(http.CONNECTIONS + 40)
        ]
        for client in clients[:40]:
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert answers(server, request)  # at once, though all places are taken
        # Each served client takes a descriptor there, or two under TLS, and one here.
        most = taken + len(clients) + 2 * http.CONNECTIONS + 5
        assert descriptors() <= most
    until(lambda: answers(server, request))


def test_closing_waits_for_no_client(server: HttpServer) -> None:
    with ExitStack() as stack:
        clients = silent_clients(server, stack)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < http.PATIENCE / 2
        for client in clients:
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def until(happens: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < ends
        time.sleep(0.02)


def answers(server: HttpServer, request: pytest.FixtureRequest) -> bool:
    try:
        return get(server, "/", request) == b"here"
    except OSError:
        return False


def test_clients_that_go_away_do_no_harm(
    server: HttpServer, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    for _ in range(5):
        client = socket.create_connection((server.host, server.port), timeout=5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")  # under TLS, noise
        client.close()
    assert get(server, "/", request) == b"here"
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_served(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    certfile, keyfile = map(str, certificate)
    (tmp_path / "wrong.pem").write_text("no certificate")
    for files, message in (
        ({"certfile": str(tmp_path / "none.pem")}, r"none\.pem: no such file; HTTPS needs"),
        ({"certfile": str(tmp_path / "wrong.pem")}, r"certificate .*wrong\.pem: "),
        ({"certfile": certfile}, r"certificate .*cert\.pem: "),  # never plain HTTP instead
        ({"keyfile": keyfile}, r"keyfile .*key\.pem needs a certfile"),
    ):
        with pytest.raises(ConfigError, match=message):
            HttpServer(ROUTES, port=0, **files)
