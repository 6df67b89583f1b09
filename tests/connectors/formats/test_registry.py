"""The schema registry: what is asked of it, how often, and what its answers mean."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fenchel_connectors.formats import choose_format, schemas
from fenchel_connectors.formats.avro import AvroFormat
from fenchel_connectors.formats.registry import Registry
from fenchel_stream.errors import ConfigError
from tests.connectors.formats.helpers import avro, decode, fault, framed, record, row
from tests.connectors.formats.registry_server import RegistryServer
from tests.runs import until

SCHEMA = record("R", [("a", "long")])


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("localhost:8081", "is not of the form http://host:8081"),
            ("file:///etc/passwd", "is not of the form"),
            ("http://", "is not of the form"),
            ("http://host:99999", "is not of the form"),
            ("http://me:secret@host:8081", "holds no password"),
            ({}, "is not of the form"),
            ({"url": "http://a", "colour": "red"}, "unknown key 'colour'; known: url, user,"),
            ({"url": "http://a", "user": 7}, "registry.user must be text, and is of type int"),
            ({"url": "http://a", "user": "u"}, "user and password belong together"),
            ({"url": "http://a", "password": "p"}, "user and password belong together"),
            (
                {"url": "http://a", "user": "u", "password": "p", "token": "t"},
                "give user and password, or token",
            ),
            ({"url": "http://a", "token": "a\nb"}, "holds a character that a header cannot have"),
            ({"url": "http://a", "token": "${NOT_SET_ANYWHERE}"}, "NOT_SET_ANYWHERE is not set"),
            ({"url": "http://a", "cafile": "/nowhere.pem"}, "registry.cafile: no such file"),
        ],
    )
    def test_wrong_ones(self, options: Any, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Registry(options)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_a_file_that_is_no_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        with pytest.raises(ConfigError, match="is no PEM file"):
            Registry({"url": "https://a", "cafile": str(tmp_path / "ca.pem")})

    def test_what_goes_together(self) -> None:
        with pytest.raises(ConfigError, match="needs the address of a schema registry"):
            choose_format("avro")
        with pytest.raises(ConfigError, match="registry goes with decoder = 'avro', 'protobuf'"):
            choose_format("tests.models:decode_pairs", "http://a")

    def test_a_library_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "jsonschema_rs", None)
        monkeypatch.delitem(
            __import__("sys").modules, "fenchel_connectors.formats.json_schema", raising=False
        )
        with pytest.raises(ConfigError, match=r'pip install "fenchel-stream\[json-schema\]"'):
            choose_format("json_schema", "http://a")


class TestCredentials:
    def test_user_and_password(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("REGISTRY_USER", "reader")
        (tmp_path / "password").write_text("s3cret\n")
        expected = f"Basic {base64.b64encode(b'reader:s3cret').decode()}"
        with RegistryServer(authorization=expected) as server:
            number = server.register(SCHEMA)
            password = str(tmp_path / "password")
            table = {"url": server.url, "user": "${REGISTRY_USER}", "password_file": password}
            form = AvroFormat(Registry(table))
            form.begin(fresh=True)
            assert row(form, avro(number, SCHEMA, {"a": 7})) == {"a": 7}

    def test_a_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REGISTRY_TOKEN", "abc.def")
        with RegistryServer(authorization="Bearer abc.def") as server:
            number = server.register(SCHEMA)
            form = AvroFormat(Registry({"url": server.url, "token": "${REGISTRY_TOKEN}"}))
            assert row(form, avro(number, SCHEMA, {"a": 7})) == {"a": 7}

    def test_refused(self) -> None:
        with RegistryServer(authorization="Bearer right") as server:
            form = AvroFormat(Registry({"url": server.url, "token": "wr0ng"}))
            with pytest.raises(ConfigError, match="401 .*check registry.user and") as caught:
                form.begin(fresh=True)
            assert "wr0ng" not in str(caught.value)
            with pytest.raises(ConfigError, match="gives 401"):
                until(lambda: form.ready([framed(1, b"")]))

    def test_a_redirect_does_not_get_them(self, server: RegistryServer) -> None:
        server.broken = 302
        with pytest.raises(ConfigError, match="to which it sends, http://elsewhere:8081/"):
            Registry({"url": server.url, "token": "t"}).schema(1)


def test_tls(certificate: tuple[Path, Path]) -> None:
    with RegistryServer(certificate=certificate) as server:
        number = server.register(SCHEMA)
        with pytest.raises(ConfigError, match="certificate is not trusted .* registry.cafile"):
            Registry(server.url).schema(number)
        trusting = Registry({"url": server.url, "cafile": str(certificate[0])})
        assert trusting.schema(number).kind == "AVRO"


def test_each_schema_is_asked_for_once(server: RegistryServer) -> None:
    form = AvroFormat(Registry(server.url))
    numbers = [server.register(SCHEMA) for _ in range(3)]
    values = [avro(number, SCHEMA, {"a": number}) for number in numbers * 20]
    assert [one for one, _, _ in decode(form, *values)] == [{"a": n} for n in numbers * 20]
    decode(form, *values)
    assert server.asked == {f"/schemas/ids/{number}": 1 for number in numbers}


def test_a_number_that_is_not_known_may_be_later(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "UNKNOWN_FOR", 0.2)
    form = AvroFormat(Registry(server.url))
    value = avro(1, SCHEMA, {"a": 7})
    reason, detail = fault(form, value)
    assert reason == "unknown_schema"
    assert detail.startswith(
        f"schema registry {server.url}: /schemas/ids/1 gives 404 Not Found: is"
    )
    assert server.register(SCHEMA) == 1
    assert fault(form, value)[0] == "unknown_schema"
    assert server.asked["/schemas/ids/1"] == 1
    time.sleep(0.3)
    assert row(form, value) == {"a": 7}


def test_many_numbers_that_are_not_known(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for all of them takes longer than the answer for the first one counts."""
    monkeypatch.setattr(schemas, "UNKNOWN_FOR", 0.3)
    server.delay = 0.05
    form = AvroFormat(Registry(server.url))
    values = [framed(number, b"") for number in range(100, 110)]
    assert [reason for _, reason, _ in decode(form, *values)] == ["unknown_schema"] * 10
    assert set(server.asked.values()) == {1}


def test_none_at_the_first_start_is_an_error_and_later_none() -> None:
    server = RegistryServer()  # it does not run
    form = AvroFormat(Registry(server.url))
    with pytest.raises(ConfigError, match=rf"{server.url} does not answer: Connection refused"):
        form.begin(fresh=True)
    form.begin(fresh=False)


@pytest.mark.parametrize("status", [None, 500, 503, 429])
def test_one_that_goes_away_is_waited_for(
    server: RegistryServer,
    status: int | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing blocks meanwhile, and the log has one line at the beginning and one at the end."""
    monkeypatch.setattr(schemas, "PAUSES", (0.01, 0.02))
    form = AvroFormat(Registry(server.url))
    first, second = (avro(server.register(SCHEMA), SCHEMA, {"a": n}) for n in range(2))
    assert row(form, first) == {"a": 0}
    if status is None:
        server.stop()
    server.broken = status
    with caplog.at_level(logging.WARNING):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            begin = time.monotonic()
            assert not form.ready([first, second])
            assert time.monotonic() - begin < 0.3
            time.sleep(0.01)
        assert 0.3 < form.outage_seconds < 5
        assert len(caplog.messages) == 1
        assert "schema 2 is asked for until it does" in caplog.messages[0]
        if status is None:
            server.start()
        server.broken = None
        assert row(form, second) == {"a": 1}
    assert form.outage_seconds == 0
    assert len(caplog.messages) == 2
    assert "answers again, after" in caplog.messages[1]


def test_closing_ends_the_wait(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(schemas, "PAUSES", (60.0, 60.0))
    server.stop()
    form = AvroFormat(Registry(server.url))
    assert not form.ready([framed(1, b"")])
    thread = form.schemas._thread
    assert thread is not None
    until(lambda: caplog.messages)
    form.close()
    thread.join(5)
    assert not thread.is_alive()
    # And it can be used again.
    server.start()
    server.register(SCHEMA)
    assert row(form, avro(1, SCHEMA, {"a": 7})) == {"a": 7}


@pytest.mark.parametrize("answer", [[], "text", {"other": 1}, {"schema": 7}])
def test_what_is_no_registry(server: RegistryServer, answer: Any) -> None:
    server._answers["/schemas/ids/1"] = answer
    form = AvroFormat(Registry(server.url))
    with pytest.raises(ConfigError, match="not as a schema registry does: check the address"):
        until(lambda: form.ready([framed(1, b"")]))


def test_a_path_before_the_interface(server: RegistryServer) -> None:
    number = server.register(SCHEMA)
    path = f"/schemas/ids/{number}"
    server._answers[f"/apis/ccompat/v7{path}"] = server._answers.pop(path)
    form = AvroFormat(Registry(f"{server.url}/apis/ccompat/v7/"))
    assert row(form, avro(number, SCHEMA, {"a": 7})) == {"a": 7}
