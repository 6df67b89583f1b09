"""The store of checkpoints: what it keeps, what it says, what it refuses."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from river import compose, metrics, stats, utils

from fenchel_stream import FenchelClassifier
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.checkpoint.manifest import FORMAT
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.preprocessing.pipeline import pipeline


class Opaque:
    """A model of the user's own, whose class is in no allowed package."""

    def __init__(self) -> None:
        self.n = 0
        self.itself = self

    def learn(self) -> None:
        self.itself.n += 1


class OpaqueWithSlots:
    __slots__ = ("n",)


def mean_of(*values: float) -> stats.Mean:
    mean = stats.Mean()
    for value in values:
        mean.update(value)
    return mean


def batches(n: int) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
    rng = np.random.default_rng(0)
    for _ in range(n):
        X = pl.DataFrame(rng.normal(size=(32, 6)), schema=[f"x{i}" for i in range(6)])
        yield X, (X["x0"] + rng.normal(size=32) > 0).alias("y")


def run(model: Any, metric: Any, stream: Iterator[tuple[pl.DataFrame, pl.Series]]) -> None:
    for X, y in stream:
        for truth, guess in zip(y, model.predict_many(X), strict=True):
            metric.update(truth, guess)
        model.learn_many(X, y)


def fresh() -> dict[str, Any]:
    return {
        "model": pipeline(FenchelClassifier(hidden=(16,))),
        "metrics": metrics.Accuracy() + metrics.MacroF1(),
        "window": utils.Rolling(metrics.BalancedAccuracy, window_size=50),
        "counts": Counter(),
    }


def weights(state: dict[str, Any]) -> list[bytes]:
    network = state["model"].steps["FenchelClassifier"].ensemble.networks[0]
    return [np.asarray(w).tobytes() for w in network.weights]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CheckpointStore]:
    with CheckpointStore(tmp_path / "checkpoints") as opened:
        yield opened


class TestARun:
    def test_goes_on_bit_for_bit(self, store: CheckpointStore) -> None:
        whole = fresh()
        run(whole["model"], whole["metrics"], batches(40))

        first = fresh()
        stream = batches(40)
        run(first["model"], first["metrics"], (next(stream) for _ in range(23)))
        first["counts"]["bad"] += 3
        store.save(first, {"records": 23 * 32, "position": {"row": 23 * 32}})

        second = fresh()
        meta = CheckpointStore(store.directory).load(second)
        assert meta == {"records": 736, "position": {"row": 736}}
        assert second["counts"] == {"bad": 3}
        run(second["model"], second["metrics"], stream)
        assert weights(second) == weights(whole)
        assert repr(second["metrics"]) == repr(whole["metrics"])

    def test_is_not_changed_by_saving(self, store: CheckpointStore) -> None:
        quiet, saved = fresh(), fresh()
        for i, batch in enumerate(batches(25)):
            for state in (quiet, saved):
                run(state["model"], state["metrics"], iter([batch]))
            store.save(saved, {"records": i})
        assert weights(saved) == weights(quiet)
        assert repr(saved["metrics"]) == repr(quiet["metrics"])


class TestDirectory:
    def test_keeps_the_newest(self, tmp_path: Path) -> None:
        with CheckpointStore(tmp_path, keep=2) as store:
            paths = [store.save({"mean": mean_of(i)}, {"records": i}) for i in range(12)]
        assert [path.name for path in paths[-2:]] == ["00000011", "00000012"]
        assert [info.path for info in store.list()] == paths[-2:]
        assert [info.meta["records"] for info in store.list()] == [10, 11]
        latest = store.latest()
        assert latest is not None
        assert latest.path == paths[-1]
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "00000011", "00000012"]

    def test_holds_what_it_says(self, store: CheckpointStore) -> None:
        path = store.save({"mean": mean_of(1), "table": {"w": np.arange(3.0)}}, {"records": 1})
        assert sorted(p.name for p in path.iterdir()) == [
            "arrays.npz",
            "manifest.json",
            "state.json",
        ]
        with np.load(path / "arrays.npz") as arrays:
            assert {name: a.tolist() for name, a in arrays.items()} == {"table['w']": [0, 1, 2]}
        manifest = json.loads((path / "manifest.json").read_text())
        libraries = {"python", "fenchel-stream", "river", "numpy"}
        assert manifest["versions"].keys() - {"torch"} == libraries
        for name, described in manifest["files"].items():
            shown = subprocess.run(
                ["sha256sum", path / name], capture_output=True, check=True, text=True
            ).stdout
            assert shown.split()[0] == described["sha256"]
            assert (path / name).stat().st_size == described["bytes"]

    def test_shows_each_checkpoint_in_one_line(self, store: CheckpointStore) -> None:
        store.save({"mean": mean_of(1)}, {"records": 12345})
        store.save({"mean": mean_of(1)}, {})
        (store.directory / "00000002" / "manifest.json").write_text("{}")
        lines = [str(info) for info in store.list()]
        assert re.fullmatch(
            r"00000001  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC  12,345 records  \d+ bytes", lines[0]
        )
        assert lines[1] == "00000002  damaged: manifest.json: its contents are not what was written"

    def test_that_is_empty_or_missing(self, tmp_path: Path) -> None:
        store = CheckpointStore(tmp_path / "none")
        assert (store.list(), store.latest()) == ([], None)
        assert not store.directory.exists()
        for refused in (store.verify, lambda: store.load({})):
            with pytest.raises(CheckpointError, match="none holds no checkpoint"):
                refused()

    def test_asked_for_another_checkpoint(self, store: CheckpointStore) -> None:
        store.save({"mean": mean_of(1)}, {"records": 1})
        store.save({"mean": mean_of(1, 2)}, {"records": 2})
        mean = stats.Mean()
        assert store.load({"mean": mean}, "00000001") == {"records": 1}
        assert mean.n == 1
        for name in ("00000009", "..", "../checkpoints/00000001"):
            with pytest.raises(CheckpointError, match="no checkpoint .*, only 00000001, 00000002"):
                store.verify(name)

    def test_keep_is_at_least_one(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="keep must be at least 1, not 0"):
            CheckpointStore(tmp_path, keep=0)

    def test_an_old_checkpoint_that_cannot_be_removed_is_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with CheckpointStore(tmp_path, keep=1) as store:
            store.save({"mean": mean_of(1)}, {})
            # A directory in the way of the removal, which renames first.
            (tmp_path / ".old-00000001" / "x").mkdir(parents=True)
            path = store.save({"mean": mean_of(2)}, {})
        assert "old checkpoint" in caplog.text
        assert store.verify().path == path
        assert [info.name for info in store.list()] == ["00000001", "00000002"]


class TestLoading:
    def test_some_of_the_parts(self, store: CheckpointStore) -> None:
        store.save({"mean": mean_of(4), "other": stats.Var()}, {})
        mean = stats.Mean()
        store.load({"mean": mean})
        assert mean.get() == 4

    def test_a_part_that_is_not_there(self, store: CheckpointStore) -> None:
        store.save({"mean": mean_of(4)}, {})
        with pytest.raises(CheckpointError, match="00000001: it holds no var"):
            store.load({"mean": stats.Mean(), "var": stats.Var()})

    def test_into_another_kind_of_object(self, store: CheckpointStore) -> None:
        store.save({"model": mean_of(4)}, {})
        with pytest.raises(
            CheckpointError, match=r"model was a .*Mean, and the config.*builds a .*Var"
        ):
            store.load({"model": stats.Var()})

    def test_two_parts_into_one_object(self, store: CheckpointStore) -> None:
        store.save({"a": mean_of(1), "b": mean_of(2)}, {})
        one = stats.Mean()
        with pytest.raises(CheckpointError, match="are one object, and were two"):
            store.load({"a": one, "b": one})

    def test_what_other_versions_wrote_is_loaded_with_a_warning(
        self, store: CheckpointStore, caplog: pytest.LogCaptureFixture, monkeypatch: Any
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("fenchel_stream.checkpoint.manifest.versions", lambda: {"river": "0.1"})
            store.save({"mean": mean_of(1)}, {})
        store.load({"mean": stats.Mean()})
        assert "was written by river 0.1, this is river" in caplog.text

    @pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
    def test_another_format(
        self, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("fenchel_stream.checkpoint.manifest.FORMAT", number)
            path = store.save({"mean": mean_of(1)}, {})
        own, age = (
            metadata.version("fenchel-stream"),
            "an earlier" if number < FORMAT else "a later",
        )
        message = (
            f"checkpoint {path}: manifest.json: format {number}, of {age} state of fenchel-stream "
            f"{own}, and this one reads format {FORMAT}: go on with the one that wrote it, or "
            "choose another directory to start anew"
        )
        for refused in (store.latest, store.verify, lambda: store.load({"mean": stats.Mean()})):
            with pytest.raises(CheckpointError) as error:
                refused()
            assert str(error.value) == message
        (info,) = store.list()
        assert str(info).startswith(f"00000001  manifest.json: format {number}, of {age}")


class TestSaving:
    @pytest.mark.parametrize("value", [1, "text", None, (1, 2), frozenset(), np.zeros(2), 2.5])
    def test_what_cannot_be_filled_again_is_no_part(
        self, store: CheckpointStore, value: object
    ) -> None:
        with pytest.raises(
            CheckpointError, match="part is a .*, which cannot be restored in place"
        ):
            store.save({"part": value}, {})

    @pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
    def test_names_are_names(self, store: CheckpointStore, name: str) -> None:
        with pytest.raises(CheckpointError, match="is no name for a part"):
            store.save({name: stats.Mean()}, {})

    @pytest.mark.parametrize("meta", [{"x": object()}, {"x": float("nan")}, {"x": {1, 2}}])
    def test_meta_data_is_json(self, store: CheckpointStore, meta: dict[str, Any]) -> None:
        with pytest.raises(CheckpointError, match="meta data of a checkpoint must be JSON"):
            store.save({"mean": stats.Mean()}, meta)
        assert store.list() == []
        assert store.save({"mean": stats.Mean()}, {}).name == "00000001"

    def test_keys_that_json_turns_into_text(self, store: CheckpointStore) -> None:
        store.save({"mean": stats.Mean()}, {"x": {1: "a", "1": "b"}})
        assert store.verify().meta == {"x": {"1": "b"}}


class TestPickle:
    def test_is_refused_unless_asked_for(self, store: CheckpointStore) -> None:
        state = {"model": Opaque(), "mean": mean_of(3)}
        with pytest.raises(CheckpointError, match=r"model is a .*Opaque.*allow_pickle = true"):
            store.save(state, {})
        assert store.list() == []

        path = store.save(state, {}, allow_pickle=True)
        assert (path / "model.pkl").exists()
        with pytest.raises(
            CheckpointError, match=r"model\.pkl: loading a pickle runs whatever code"
        ):
            store.load({"model": Opaque(), "mean": stats.Mean()})
        mean = stats.Mean()
        store.load({"mean": mean})
        assert mean.get() == 3

    def test_continues_in_the_fresh_object(self, store: CheckpointStore) -> None:
        model = Opaque()
        model.learn()
        store.save({"model": model, "mean": mean_of(3)}, {}, allow_pickle=True)
        back, mean = Opaque(), stats.Mean()
        store.load({"model": back, "mean": mean}, allow_pickle=True)
        back.learn()
        assert (back.n, mean.get()) == (2, 3)

    def test_takes_a_pipeline_with_a_function_of_the_users_in_a_grown_part(
        self, store: CheckpointStore
    ) -> None:
        model = compose.Pipeline(stats.Mean())
        model.hook = len  # type: ignore[attr-defined]
        with pytest.raises(CheckpointError, match=r"model\.hook is builtins\.len"):
            store.save({"model": model}, {})
        store.save({"model": model}, {}, allow_pickle=True)
        back = compose.Pipeline(stats.Mean())
        store.load({"model": back}, allow_pickle=True)
        assert back.hook is len  # type: ignore[attr-defined]

    def test_is_not_even_read_if_a_byte_changed(
        self, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = store.save({"model": Opaque()}, {}, allow_pickle=True) / "model.pkl"
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        monkeypatch.setattr(pickle, "loads", lambda content: pytest.fail("it was unpickled"))
        with pytest.raises(CheckpointError, match=r"model\.pkl: its sha256 is not that of the man"):
            store.load({"model": Opaque()}, allow_pickle=True)

    def test_of_a_class_that_is_gone(
        self, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save({"model": Opaque()}, {}, allow_pickle=True)
        fresh = Opaque()
        monkeypatch.delattr(sys.modules[__name__], "Opaque")
        with pytest.raises(
            CheckpointError, match=r"model\.pkl cannot be unpickled: AttributeError"
        ):
            store.load({"model": fresh}, allow_pickle=True)

    @pytest.mark.parametrize("model", [OpaqueWithSlots(), lambda: None])
    def test_cannot_do_everything(self, store: CheckpointStore, model: Any) -> None:
        with pytest.raises(CheckpointError, match="cannot be pickled"):
            store.save({"model": model}, {}, allow_pickle=True)

    def test_of_something_that_cannot_be_pickled(self, store: CheckpointStore) -> None:
        model = Opaque()
        model.itself = (x for x in [])  # type: ignore[var-annotated,assignment]
        with pytest.raises(CheckpointError, match="model cannot be pickled: TypeError"):
            store.save({"model": model}, {}, allow_pickle=True)


class TestExport:
    def test_is_a_checkpoint_again_when_unpacked(
        self, store: CheckpointStore, tmp_path: Path
    ) -> None:
        store.save({"mean": mean_of(5)}, {"records": 1})
        written = store.export("00000001", tmp_path / "model.tar")
        elsewhere = tmp_path / "elsewhere"
        with tarfile.open(written) as archive:
            archive.extractall(elsewhere, filter="data")
        mean = stats.Mean()
        CheckpointStore(elsewhere).load({"mean": mean})
        assert mean.get() == 5

    def test_overwrites_nothing(self, store: CheckpointStore, tmp_path: Path) -> None:
        store.save({"mean": mean_of(5)}, {})
        file = tmp_path / "model.tar"
        file.write_text("of the user")
        with pytest.raises(CheckpointError, match=r"model\.tar cannot be written: File exists"):
            store.export(None, file)
        assert file.read_text() == "of the user"

    def test_of_a_damaged_one_is_refused(self, store: CheckpointStore, tmp_path: Path) -> None:
        (store.save({"mean": mean_of(5)}, {}) / "state.json").write_text("{}")
        with pytest.raises(CheckpointError, match="damaged"):
            store.export(None, tmp_path / "model.tar")
        assert not (tmp_path / "model.tar").exists()


class TestForeignFiles:
    """What is not ours stays, whatever it is called."""

    NAMES = (".old-20191231", ".new-00000007-0123abcd", "00000005", "20261127")

    @pytest.mark.parametrize("name", NAMES)
    def test_folders(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "a.jpg").write_text("mine")
        with CheckpointStore(tmp_path, keep=1) as store:
            for number in range(8):
                store.save({"mean": mean_of(number)}, {})
            assert store.load({"mean": stats.Mean()}) == {}
            assert len(store.list()) == 1
        assert (tmp_path / name / "below" / "a.jpg").read_text() == "mine"

    @pytest.mark.parametrize("name", [*NAMES, ".new-alias", ".new-alias-0123abcd"])
    @pytest.mark.parametrize("link", [False, True])
    def test_files_and_links(self, name: str, link: bool, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text("mine")
        path = tmp_path / "store" / name
        path.parent.mkdir()
        path.symlink_to(elsewhere) if link else path.write_text("mine")
        with CheckpointStore(path.parent, keep=1) as store:
            for number in range(8):
                store.save({"mean": mean_of(number)}, {})
            store.alias("champion")
        assert elsewhere.read_text() == "mine"
        assert path.read_text() == "mine" if path.exists() else name == ".new-alias-0123abcd"

    def test_a_note_in_a_checkpoint(self, store: CheckpointStore) -> None:
        path = store.save({"mean": mean_of(1)}, {})
        (path / "notes.txt").write_text("mine")
        for number in range(8):
            store.save({"mean": mean_of(number)}, {})
        assert (path / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize("content", ["three years of work\n", "12 years", "1\n2\n", "9" * 40])
    @pytest.mark.parametrize("how", ["itself", "link", "hard link"])
    def test_a_lock_that_is_another_file(self, how: str, content: str, tmp_path: Path) -> None:
        mine, lock = tmp_path / "mine", tmp_path / "store" / ".lock"
        mine.write_text(content)
        lock.parent.mkdir()
        match how:
            case "link":
                lock.symlink_to(mine)
            case "hard link":
                lock.hardlink_to(mine)
            case _:
                lock.write_text(content)
        if how == "itself" and content.isdigit():
            return  # as a lock that a full disk has cut off
        with pytest.raises(CheckpointError, match=r"\.lock is not a file that a run has written"):
            CheckpointStore(lock.parent).save({"mean": mean_of(1)}, {})
        assert lock.read_text() == mine.read_text() == content
        assert CheckpointStore(lock.parent).writer is None

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_a_lock_that_is_no_file(self, make: Any, tmp_path: Path) -> None:
        make(tmp_path / ".lock")
        assert CheckpointStore(tmp_path).writer is None
        with pytest.raises(CheckpointError, match=r"\.lock is not a file that a run has written"):
            CheckpointStore(tmp_path).save({"mean": mean_of(1)}, {})

    @pytest.mark.parametrize("place", ["{}", "{}/model.tar", "00000009", ".lock", ".hidden/a"])
    def test_no_export_goes_among_the_checkpoints(self, place: str, store: CheckpointStore) -> None:
        name = store.save({"mean": mean_of(1)}, {}).name
        with pytest.raises(CheckpointError, match="is among the checkpoints"):
            store.export(None, store.directory / place.format(name))
        assert store.verify().name == name

    def test_an_export_replaces_no_file_and_follows_no_link(
        self, store: CheckpointStore, tmp_path: Path
    ) -> None:
        store.save({"mean": mean_of(1)}, {})
        (tmp_path / "file").write_text("mine")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
        for name in ("file", "link", "dangling"):
            with pytest.raises(CheckpointError, match="File exists"):
                store.export(None, tmp_path / name)
        assert (tmp_path / "file").read_text() == "mine"
        assert not (tmp_path / "nowhere").exists()


def test_only_its_owner_can_read_a_checkpoint(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with CheckpointStore(tmp_path / "new") as store:
            path = store.save({"mean": mean_of(1)}, {})
            store.alias("champion")
            store.roll_back(path.name)
            exported = store.export(None, tmp_path / "model.tar")
    finally:
        os.umask(before)
    for place in (exported, *(tmp_path / "new").rglob("*"), tmp_path / "new"):
        if not place.is_symlink():
            assert place.stat().st_mode & 0o077 == 0, place
    with tarfile.open(exported) as archive:
        members = archive.getmembers()
        assert {(one.mode, one.uid, one.uname) for one in members} == {(0o600, 0, "")}


class TestLock:
    PROGRAM = """
import sys
from fenchel_stream.checkpoint import CheckpointStore
from river import stats
with CheckpointStore(sys.argv[1]) as store:
    store.save({"mean": stats.Mean()}, {})
    print("ready", flush=True)
    sys.stdin.read()
"""

    def test_one_process_writes(self, tmp_path: Path) -> None:
        other = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            store = CheckpointStore(tmp_path)
            assert store.verify().name == "00000001"
            with pytest.raises(
                CheckpointError, match=f"process {other.pid} is writing checkpoints"
            ):
                store.save({"mean": stats.Mean()}, {})
            other.kill()
            other.wait()
            assert store.save({"mean": stats.Mean()}, {}).name == "00000002"
            store.close()
        finally:
            other.kill()
            other.communicate()

    def test_is_taken_early_and_given_back(self, tmp_path: Path) -> None:
        first, second = CheckpointStore(tmp_path / "new"), CheckpointStore(tmp_path / "new")
        first.open().open()
        with pytest.raises(CheckpointError, match=f"process {os.getpid()} is writing"):
            second.open()
        first.close()
        first.close()
        second.open().close()


def test_nothing_is_logged_when_all_is_well(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(5):
        store.save({"mean": stats.Mean()}, {})
    store.load({"mean": stats.Mean()})
    assert caplog.text == ""
