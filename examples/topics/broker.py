"""A broker with Kafka's protocol: noida-db from PyPI, one binary that keeps its data on disk."""

from __future__ import annotations

import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

PATIENCE = 30.0


class Broker:
    """A broker on loopback for the length of a ``with`` block. It keeps its data on disk.

    Parameters
    ----------
    folder
        Directory of the data and the log.
    port
        Port to listen on.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def __enter__(self) -> Self:
        if self._answers():
            raise SystemExit(f"port {self.port} is in use: is a demo still running?")
        spec = find_spec("noida_db")
        if spec is None or spec.origin is None:
            raise SystemExit("the demo needs a broker: pip install 'fenchel-stream[demo]'")
        # Not the package's Python script: it would not pass a signal on to the binary.
        binary = Path(spec.origin).with_name("noida-db")
        where = ["--data-dir", str(self.folder / "data"), "--host", "127.0.0.1"]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [binary, "start", "--only", "kafka", *where, "--kafka-port", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach the demo alone, which ends all in order
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise SystemExit(f"the broker does not start: see {self.folder / 'log'}")
            time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
