"""What every test shares: real data where the machine has it, and repeatable random cases."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fenchel_stream import display
from tests.brokers import TESTED, Broker
from tests.tensors import INSTALLED, needs_torch

os.environ.setdefault("MPLBACKEND", "Agg")  # plots are drawn to files: tests have no screen

# Before anything loads BLAS. The tests' matrices are small: a second thread only waits in a loop,
# which made them five times slower wherever something else wanted the other core.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A shell that starts the tests in the background has SIGINT ignored, and processes that they start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases on every run: a failure in CI is a failure on the developer's machine.
settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what earlier tests have concealed: a process does so for good."""
    monkeypatch.setattr(display, "_secrets", set())
    monkeypatch.setattr(display, "_hosts", set())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout, or wherever FENCHEL_STREAM_DATA says."""
    folder = Path(os.environ.get("FENCHEL_STREAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; FENCHEL_STREAM_DATA can name another folder")
    return folder


@pytest.fixture(scope="session", params=TESTED)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A Kafka broker that the tests share; each makes topics and groups of its own."""
    with Broker(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(params=TESTED)
def own_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A Kafka broker for one test, which may stop and start it."""
    with Broker(request.param, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine's own, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(keyfile), "-out", str(certfile)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    return certfile, keyfile


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the docstring examples that compute in PyTorch, where it is not installed."""
    if INSTALLED:
        return
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.dtest is not None:
            source = "".join(example.source for example in item.dtest.examples)
            if re.search(r"torch|Conv2d|AveragePool2d|lenet5|cpu:0", source):
                item.add_marker(needs_torch)
