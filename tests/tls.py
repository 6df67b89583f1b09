"""TLS for a broker that does not speak it: a proxy on loopback."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.brokers import free_port


class TlsProxy:
    """Takes connections under TLS, and passes on what they say, in the clear.

    Parameters
    ----------
    certfile, keyfile
        Of the proxy, in PEM.

    Attributes
    ----------
    address
        Its own, as ``host:port``.
    options
        What a Kafka client needs to know.
    target
        Where to pass things on; it may be set later.
    """

    def __init__(self, certfile: Path, keyfile: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.target = ""
        self.options = {"security_protocol": "SSL", "ssl_cafile": str(certfile)}
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certfile, keyfile)
        self._ready, self._done = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        host, port = self.address.split(":")
        server = await asyncio.start_server(self._pass_on, host, int(port), ssl=self._context)
        async with server:
            self._ready.set()
            await self._done.wait()

    async def _pass_on(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        host, port = self.target.split(":")
        far, forth = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pump(near, forth), _pump(far, back))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()
