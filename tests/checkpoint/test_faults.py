"""Checkpoints under damage, full disks and sudden death, all of them real."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import stats

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.checkpoint.manifest import _text, write_manifest
from fenchel_stream.errors import CheckpointError, ConfigError

FILES = ("arrays.npz", "manifest.json", "model.pkl", "state.json")


class Opaque:
    """Something that only pickle can store."""

    def __init__(self, n: int = 0) -> None:
        self.n = n


def save(store: CheckpointStore, n: int) -> Path:
    mean = stats.Mean()
    for i in range(n):
        mean.update(i)
    state = {"mean": mean, "table": {"w": np.arange(n)}, "model": Opaque(n)}
    return store.save(state, {"records": n}, allow_pickle=True)


def loaded(store: CheckpointStore) -> int:
    """Return how many records the newest checkpoint stands for, which all its parts agree on."""
    mean, table, model = stats.Mean(), dict[str, Any](), Opaque()
    meta = store.load({"mean": mean, "table": table, "model": model}, allow_pickle=True)
    assert {meta["records"], mean.n, len(table["w"]), model.n} == {meta["records"]}
    return int(meta["records"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CheckpointStore]:
    with CheckpointStore(tmp_path / "checkpoints") as opened:
        yield opened


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_every_damaged_byte_is_noticed(self, store: CheckpointStore, name: str) -> None:
        path = save(store, 3) / name
        content = path.read_bytes()
        for position in range(len(content)):
            damaged = bytearray(content)
            damaged[position] ^= 1 << position % 8
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match=f"is damaged: {name}: "):
                store.verify()
        path.write_bytes(content)
        assert loaded(store) == 3

    @pytest.mark.parametrize("name", FILES)
    def test_every_truncation_and_addition_is_noticed(
        self, store: CheckpointStore, name: str
    ) -> None:
        path = save(store, 3) / name
        content = path.read_bytes()
        wrong = [content[:length] for length in range(len(content))]
        for damaged in (*wrong, content + b"\0", content + b"\n", content + content):
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match=f"is damaged: {name}: "):
                store.load({"mean": stats.Mean()})

    @pytest.mark.parametrize("name", FILES)
    def test_missing_files(self, store: CheckpointStore, name: str) -> None:
        path = save(store, 3)
        (path / name).unlink()
        missing = "No such file" if name == "manifest.json" else "is missing"
        with pytest.raises(CheckpointError, match=f"{name}: {missing}"):
            store.verify()
        (path / name).mkdir()
        with pytest.raises(CheckpointError, match=f"{name}: Is a directory"):
            store.verify()

    def test_files_that_do_not_belong(self, store: CheckpointStore) -> None:
        path = save(store, 3)
        (path / "other.pkl").write_bytes(b"")
        with pytest.raises(CheckpointError, match=r"other\.pkl: does not belong to the checkpoint"):
            store.verify()

    @pytest.mark.parametrize("name", FILES)
    def test_files_of_another_checkpoint(self, store: CheckpointStore, name: str) -> None:
        old, new = save(store, 3), save(store, 4)
        shutil.copy(old / name, new / name)
        with pytest.raises(CheckpointError, match="is damaged"):
            store.verify()

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", "null", "[" * 100_000, '{"sha256": 1}', "\0", "{" * 99, '"\\ud800"'],
    )
    def test_any_text_for_a_manifest(self, store: CheckpointStore, text: str) -> None:
        (save(store, 3) / "manifest.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"manifest\.json: its contents are not what was"):
            store.verify()

    def test_an_older_one_is_named_and_not_loaded(self, store: CheckpointStore) -> None:
        one, two, three = (save(store, n) for n in (1, 2, 3))
        for path in (two, three):
            (path / "manifest.json").write_text("")
        for ask in (
            store.latest,
            store.verify,
            lambda: loaded(store),
            lambda: store.load({}, three.name),
        ):
            with pytest.raises(CheckpointError) as error:
                ask()
            assert f"checkpoint {three} is damaged: manifest.json: " in str(error.value)
            assert f"checkpoint {one.name} is whole: to go on from there, move" in str(error.value)
        assert store.verify(one.name).name == one.name
        assert [bool(info.damage) for info in store.list()] == [False, True, True]

        shutil.rmtree(three)
        shutil.rmtree(two)
        assert loaded(store) == 1
        assert save(store, 5).name == "00000002"

    def test_of_all_of_them_is_one_error(self, store: CheckpointStore) -> None:
        for n in (1, 2):
            (save(store, n) / "arrays.npz").write_bytes(b"")
        with pytest.raises(
            CheckpointError, match="no older one is whole: start anew in another dir"
        ):
            loaded(store)


def reseal(folder: Path) -> None:
    """Let the manifest agree with the files, as anybody can who may write there."""
    body = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    write_manifest(folder, body["meta"])


def compressed(path: Path) -> None:
    """Replace an array by one of 256 MB, in a few hundred kilobytes."""
    np.savez_compressed(path, table=np.zeros(2**25))


def overlapping(path: Path) -> None:
    """Let many members of the archive be the same bytes of the file."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (info,) = archive.infolist()
        start = archive.start_dir
    entry = content[start : content.index(b"PK\x05\x06")]
    assert info.filename.encode() in entry
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 99, 99, 99 * len(entry), start, 0)
    path.write_bytes(content[:start] + 99 * entry + tail)


class TestHostileFiles:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[" * 100_000,
            "null",
            '{"nodes": []}',
            '{"nodes": [{}], "pickled": []}',
            "9" * 5000,
        ],
    )
    def test_any_text_for_the_state(self, store: CheckpointStore, text: str) -> None:
        path = save(store, 3)
        (path / "state.json").write_text(text)
        reseal(path)
        with pytest.raises(CheckpointError, match=r"state\.json: its contents are not what was"):
            store.load({"mean": stats.Mean()})

    @pytest.mark.parametrize("damage", [compressed, overlapping])
    def test_arrays_take_no_more_memory_than_disk(
        self, store: CheckpointStore, damage: Callable[[Path], None]
    ) -> None:
        path = save(store, 3)
        damage(path / "arrays.npz")
        reseal(path)
        with pytest.raises(CheckpointError, match=r"arrays\.npz: its contents are not what was"):
            store.load({"mean": stats.Mean()})

    @pytest.mark.parametrize("name", FILES)
    def test_pipes_and_devices_are_not_read(self, store: CheckpointStore, name: str) -> None:
        path = save(store, 3)
        (path / name).rename(path.parent / name)
        os.mkfifo(path / name)
        with pytest.raises(CheckpointError, match=f"{name}: Is no regular file"):
            store.verify()
        (path / name).unlink()
        (path / name).symlink_to("/dev/zero")
        with pytest.raises(CheckpointError, match=f"{name}: Is no regular file"):
            store.verify()
        assert len(store.list()) == 1

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_behind_a_link_is_exported_as_itself(
        self, store: CheckpointStore, tmp_path: Path, name: str
    ) -> None:
        path = save(store, 3)
        (path / name).rename(tmp_path / name)
        (path / name).symlink_to(tmp_path / name)
        store.verify()
        with tarfile.open(store.export(None, tmp_path / "whole.tar")) as archive:
            assert all(member.isreg() for member in archive)
            found = archive.extractfile(f"{path.name}/{name}")
            assert found is not None
            assert found.read() == (tmp_path / name).read_bytes()

    @pytest.mark.parametrize(
        "change",
        [
            {"created": None},
            {"created": "x"},
            {"meta": []},
            {"versions": [1]},
            {"versions": {"river": 1}},
            {"files": {"state.json": 3}},
            {"files": {"state.json": {"bytes": "3", "sha256": ""}}},
            {"format": "2"},
            {"format": None},
        ],
    )
    def test_a_manifest_of_other_types(
        self, store: CheckpointStore, change: dict[str, Any]
    ) -> None:
        path = save(store, 3) / "manifest.json"
        body = {**json.loads(path.read_text()), **change}
        del body["sha256"]
        path.write_bytes(_text(body))
        with pytest.raises(CheckpointError, match=r"manifest\.json: its contents are not what was"):
            store.verify()
        assert [info.size for info in store.list()] == [0]

    def test_records_that_are_no_number(self, store: CheckpointStore) -> None:
        store.save({"mean": stats.Mean()}, {"records": "many"})
        assert "records" not in str(store.list()[0])

    def test_what_a_user_keeps_beside_the_checkpoints_stays(self, tmp_path: Path) -> None:
        for name in (".new-project", ".old-photos"):
            (tmp_path / name).mkdir()
        (tmp_path / "20261127").write_text("a log of that day")
        (tmp_path / "champion").symlink_to("../elsewhere/00000001")
        with CheckpointStore(tmp_path) as store:
            assert save(store, 1).name == "00000001"
            assert store.aliases() == {}
            with pytest.raises(ConfigError, match="champion is no alias"):
                store.alias("champion")
        assert {path.name for path in tmp_path.iterdir()} == {
            ".lock",
            ".new-project",
            ".old-photos",
            "00000001",
            "20261127",
            "champion",
        }


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write more than `size` bytes into any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestDisk:
    def test_a_refused_write_leaves_nothing_behind(self, store: CheckpointStore) -> None:
        sizes = [path.stat().st_size for path in save(store, 1).iterdir()]
        for size in range(0, max(sizes), 40):
            with largest_file(size), pytest.raises(CheckpointError) as error:
                save(store, 2)
            assert isinstance(error.value.__cause__, OSError)
            assert error.value.__cause__.errno == errno.EFBIG
            assert str(error.value) == (
                f"{store.directory / '00000002'} cannot be written: File too large"
            )
            assert sorted(p.name for p in store.directory.iterdir()) == [".lock", "00000001"]
        assert loaded(store) == 1
        assert save(store, 2).name == "00000002"

    def test_a_refused_export_leaves_nothing_behind(
        self, store: CheckpointStore, tmp_path: Path
    ) -> None:
        save(store, 1)
        target = tmp_path / "model.tar"
        with largest_file(1000), pytest.raises(CheckpointError, match="written: File too large"):
            store.export(None, target)
        assert not target.exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_directory_that_may_not_be_written(self, store: CheckpointStore) -> None:
        save(store, 1)
        store.directory.chmod(0o500)
        try:
            with pytest.raises(CheckpointError, match="cannot be written: Permission denied"):
                save(store, 2)
            assert loaded(store) == 1
        finally:
            store.directory.chmod(0o700)

    def test_a_file_in_the_place_of_the_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(CheckpointError, match="Not a directory|File exists"):
                CheckpointStore(place).open()
        with pytest.raises(CheckpointError, match="Not a directory"):
            CheckpointStore(tmp_path / "file").latest()

    def test_all_is_on_the_disk_before_anyone_relies_on_it(
        self, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(store, 1)
        done = []
        fsync, rename = os.fsync, os.rename

        def traced_fsync(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            done.append(path.relative_to(store.directory).as_posix())

        def traced_rename(source: Path, target: Path) -> None:
            rename(source, target)
            done.append(f"{source.name} -> {target.name}")

        monkeypatch.setattr(os, "fsync", traced_fsync)
        monkeypatch.setattr(os, "rename", traced_rename)
        save(store, 2)
        new = done[0].partition("/")[0]
        assert new.startswith(".new-00000002")
        assert sorted(done[:4]) == [f"{new}/{name}" for name in FILES]
        assert done[3] == f"{new}/manifest.json"
        assert done[4:] == [new, f"{new} -> 00000002", "."]

    def test_a_full_disk_and_one_that_turns_read_only(self, tmp_path: Path) -> None:
        """On a file system of its own, which any user may mount in a name space of its own."""
        inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
        mount = f"mount -t tmpfs -o size=256k none {tmp_path}"
        if subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a file system")
        command = f"{mount} && {sys.executable} {__file__} full {tmp_path}"
        done = subprocess.run([*inside, command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class TestSuddenDeath:
    def test_at_every_step(self, tmp_path: Path) -> None:
        """Kill a save before every other of its lines, and of those that remove directories."""
        command = [sys.executable, __file__, "lines", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        killed, kept, new = map(int, done.stdout.split())
        assert killed > 60
        assert min(kept, new) > 5
        assert kept + new == killed

    def test_in_the_middle_of_every_file(self, tmp_path: Path) -> None:
        """Kill a save when a file grows beyond a size."""
        command = [sys.executable, __file__, "sizes", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        killed, kept, new = map(int, done.stdout.split())
        assert killed > 15
        assert (kept, new) == (killed, 0)


def kill_saves(how: str, directory: Path) -> None:
    """Kill one save after another, each a bit later, and look at what it leaves behind."""
    import signal

    here = (
        str(Path(sys.modules[CheckpointStore.__module__].__file__ or "").parent),
        shutil.__file__,
    )

    def die_at_line(last: int) -> None:
        count = 0

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal count
            if not frame.f_code.co_filename.startswith(here):
                return None
            count += event == "line"
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)

    def die_at_size(last: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (last, last))

    deadly, step = (die_at_line, 2) if how == "lines" else (die_at_size, 31)
    left = []
    for last in range(1, 100_000, step):
        shutil.rmtree(directory, ignore_errors=True)
        with CheckpointStore(directory, keep=1) as store:
            save(store, 1)
        if (child := os.fork()) == 0:
            deadly(last)
            save(CheckpointStore(directory, keep=1), 2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        with CheckpointStore(directory, keep=1) as store:
            # Whatever is called a checkpoint is a whole one.
            assert all(store.verify(info.name) for info in store.list())
            left.append(loaded(store))
            assert loaded(store) in {1, 2}
            save(store, 3)
            assert loaded(store) == 3
        names = sorted(path.name for path in directory.iterdir())
        assert names == [".lock", store.list()[0].name], names
    print(len(left), left.count(1), left.count(2))  # noqa: T201 - the parent reads it


def fill_disk(directory: Path) -> None:
    """Fill the file system of `directory`, then make it read-only."""
    with CheckpointStore(directory / "checkpoints") as store:
        save(store, 1)
        filler = directory / "filler"
        with pytest.raises(OSError, match="No space left on device"):
            filler.write_bytes(bytes(2**20))
        with pytest.raises(CheckpointError, match="cannot be written: No space left") as error:
            save(store, 9)
        assert isinstance(error.value.__cause__, OSError)
        assert [info.name for info in store.list()] == ["00000001"]
        filler.unlink()
        assert save(store, 2).name == "00000002"
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    with pytest.raises(CheckpointError, match="checkpoints: Read-only file system"):
        save(store, 9)
    assert loaded(store) == 2


if __name__ == "__main__":
    how, where = sys.argv[1], Path(sys.argv[2])
    fill_disk(where) if how == "full" else kill_saves(how, where)
