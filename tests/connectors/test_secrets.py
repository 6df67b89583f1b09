"""Nothing that came from the environment or from a file is shown: errors, logs, checkpoints."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_connectors import KafkaSource
from fenchel_connectors.formats.registry import Registry
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.client_log import COUNTER
from fenchel_connectors.secrets import Secrets
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.cli import main
from fenchel_stream.display import printable
from fenchel_stream.errors import ConfigError, FenchelStreamError
from fenchel_stream.runner.build import build_model
from fenchel_stream.runner.config import parse
from tests.runs import learn, rows, write_csv

HOST = "broker-in-the-cellar.invalid"


@pytest.fixture
def root_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lines that reach the handlers of a program: pytest's own see those of a client before."""
    monkeypatch.setattr(COUNTER, "_kinds", {})
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


class TestAddresses:
    """Values of variables and files that are no passwords, but are nobody's business either."""

    @pytest.mark.parametrize("key", ["bootstrap_servers", "bootstrap_servers_file"])
    def test_brokers(
        self,
        key: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        root_log: list[str],
    ) -> None:
        """Through the client's own log, and the error in which it ends."""
        value = f"{HOST}:9092,second-{HOST}:9092"
        (tmp_path / "brokers").write_text(f"{value}\n")
        monkeypatch.setenv("BROKERS", value)
        client = {
            key: str(tmp_path / "brokers") if key.endswith("_file") else "${BROKERS}",
            "bootstrap_timeout_ms": 300,
        }
        with pytest.raises(FenchelStreamError) as caught:
            next(KafkaSource("///events", client=client).batches(1))
        assert "Kafka at ***" in str(caught.value)
        assert len(root_log) > 2
        for text in (str(caught.value), *root_log):
            assert "in-the-cellar" not in text

    @pytest.mark.parametrize("name", ["ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"])
    def test_files_of_tls(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLACE", "/vault/of-the-house/bundle-17.pem")
        with pytest.raises(ConfigError, match=f"kafka.{name}: no such file: ") as caught:
            ClientOptions({name: "${PLACE}"}, "a:9092")
        assert not re.search("vault|house|bundle", str(caught.value))

    @pytest.mark.parametrize(
        "value", ["ftp://schemas-in-the-cellar.invalid", "http://schemas-in-the-cellar.invalid:1"]
    )
    def test_a_registry(
        self, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("REGISTRY", value)
        with pytest.raises(ConfigError) as caught:
            Registry({"url": "${REGISTRY}"}).ping()
        assert "cellar" not in str(caught.value) + caplog.text
        assert "***" in str(caught.value)

    def test_passwords_in_addresses(self) -> None:
        for make in (
            lambda: Registry("ftp://me:hunter2@host"),
            lambda: KafkaSource("//me:hunter2@"),
        ):
            with pytest.raises(ConfigError, match="holds no password") as caught:
                make()
            assert "hunter2" not in str(caught.value)
        with pytest.raises(ConfigError) as caught:
            Registry({"url": "http://a", "password": ["hunter2"]})
        assert "hunter2" not in str(caught.value)


@given(
    value=st.text(min_size=4, max_size=30).filter(lambda text: "\0" not in text and text.strip())
)
@settings(max_examples=60)
def test_any_secret_in_any_quotation(value: str) -> None:
    secrets = Secrets("kafka")
    secrets.resolve({"sasl_plain_password": value})
    texts = {value, repr(value), json.dumps(value), f"a{value}b", f"<{value!r}>", value + value}
    for text in texts:
        for shown in (secrets.scrub(text), printable(text), str(ConfigError(text))):
            assert value not in shown.replace("***", "")


class TestFactories:
    MODEL = """
from fenchel_stream import FenchelClassifier

def make(dsn, pin=0, api_key=""):
    if pin == 9917:
        raise KeyError(f"no user {dsn!r} with {pin}")
    if pin == 9918:
        raise ValueError(f"{dsn} is closed")
    return FenchelClassifier(hidden=[2])
"""
    DSN = "postgres://scott:tiger@db/models"

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "factory_with_secrets.py").write_text(self.MODEL)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    def learn(self, folder: Path, limit: int, **model: Any) -> None:
        url = write_csv(folder / "data.csv", rows(60))
        settings = {"factory": "factory_with_secrets:make", "dsn": self.DSN, **model}
        learn(folder, url, model=settings, run={"limit": limit})

    def test_no_argument_is_in_a_checkpoint(self, folder: Path) -> None:
        self.learn(folder, 20, pin=4711)
        self.learn(folder, 40, pin=4711)
        assert CheckpointStore(folder / "checkpoints").verify().meta["records"] == 40
        for file in folder.rglob("*"):
            if file.is_file() and file.suffix in {".json", ".jsonl", ".npz"}:
                assert b"tiger" not in file.read_bytes()

    def test_another_argument_is_another_model(self, folder: Path) -> None:
        self.learn(folder, 20, pin=4711)
        with pytest.raises(FenchelStreamError, match=r"made with model\.pin = 'sha256:") as caught:
            self.learn(folder, 40, pin=4712)
        assert not re.search("tiger|471[12]", str(caught.value))
        with pytest.raises(FenchelStreamError, match=r"made with model\.dsn = 'sha256:") as caught:
            self.learn(folder, 40, pin=4711, dsn="postgres://scott:lion@db")
        assert not re.search("tiger|lion", str(caught.value))

    @pytest.mark.parametrize("pin", [9917, 9918])
    def test_no_argument_is_in_an_error(self, pin: int, folder: Path) -> None:
        with pytest.raises(ConfigError, match=r"model: .*\*\*\*") as caught:
            self.learn(folder, 20, pin=pin)
        assert not re.search(f"tiger|{pin}", str(caught.value))

    def test_check_shows_none(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        settings = [
            "--set",
            "model.factory=river.neighbors:KNNClassifier",
            "--set",
            "model.api_key=hunter2",
        ]
        assert main(["check", "--source", "river:Phishing", "--target", "target", *settings]) == 2
        assert "hunter2" not in "".join(capsys.readouterr())


def test_the_configuration_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = {"url": "river:Phishing", "target": "target"}
    build_model(parse({"source": source, "kafka": {"sasl_plain_password": "hunter2"}}))
    assert "hunter2" not in caplog.text
