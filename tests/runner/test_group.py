"""Runs that share a topic, on real brokers."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fenchel_stream import files
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.checkpoint.manifest import write_manifest
from fenchel_stream.cli import main
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.group.group import Group
from fenchel_stream.runner.group.membership import Membership
from fenchel_stream.runner.learner import Learner
from tests.brokers import Broker
from tests.chaos.groups import churn
from tests.runs import (
    SEA,
    Process,
    assert_same,
    kept,
    pipe,
    rows,
    start,
    tables,
    to_toml,
    write_jsonl,
)


def test_members_come_and_go(broker: Broker, tmp_path: Path) -> None:
    report = churn(broker, tmp_path, changes=6, rng=Random(2), pace=0.5)
    assert (report.lost, report.doubled, report.different) == (0, 0, [])
    assert report.joins > 1
    assert report.leaves + report.kills > 0
    assert report.moves > 1


def test_a_stale_owner_cannot_write(tmp_path: Path) -> None:
    """Even one whose lock was taken from it."""
    state = {"counts": {"a": 1}}
    with CheckpointStore(tmp_path) as stale:
        stale.save(state, {"owner": "first"})
        (tmp_path / ".lock").unlink()
        with CheckpointStore(tmp_path) as new:
            new.save(state, {"owner": "second"})
            with pytest.raises(CheckpointError, match="another process has written checkpoint"):
                stale.save(state, {"owner": "first, stale"})
            new.save(state, {"owner": "second"})
    assert [info.meta["owner"] for info in new.list()] == ["first", "second", "second"]


def test_a_stale_owner_leaves_what_the_next_one_has_half_written_alone(tmp_path: Path) -> None:
    state = {"counts": {"a": 1}}
    with CheckpointStore(tmp_path) as stale:
        stale.save(state, {"owner": "first"})
        (tmp_path / ".lock").unlink()
        with CheckpointStore(tmp_path) as new:
            with new._numbered.writing(tmp_path / "00000002") as half:
                with pytest.raises(CheckpointError, match="another process has taken the right"):
                    stale.save(state, {"owner": "first, stale"})
                write_manifest(half, {"owner": "second"})
            assert new.verify("00000002").meta["owner"] == "second"
            new.confirm()


def run_without_locks_of_files(arguments: list[str]) -> int:
    """Run on a file system that has forgotten the locks of outputs, as one of a network may."""
    files.lock = lambda descriptor: None
    return main(arguments)


def test_a_stale_owner_appends_nothing_to_a_file(tmp_path: Path) -> None:
    """It waits for more, and does not know that another one has gone on in its place."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    data = tmp_path / "data.jsonl"
    write_jsonl(data, rows(200))
    lines = data.read_text().splitlines(keepends=True)
    forgetful = run_without_locks_of_files
    with (
        pipe(tmp_path) as stdin,
        start(folder, "jsonl:-", stdin=stdin, command=forgetful) as stale,
    ):
        stdin.write_text("".join(lines[:100]))
        stale.checkpoint_after(100)
        (folder / "checkpoints" / ".lock").unlink()
        beside = tmp_path / "beside"
        beside.mkdir()
        with Process(beside, "run", str(folder / "run.toml"), stdin=data) as new:
            assert new.wait() == 0, new.err.read_text()
        stdin.write_text("".join(lines[100:]))
        assert stale.wait() == CheckpointError.exit_code
        assert "another process has taken the right to write there" in stale.err.read_text()
    with start(whole, "jsonl:-", stdin=data) as process:
        assert process.wait() == 0, process.err.read_text()
    assert_same(kept(folder), kept(whole))


def test_one_that_was_paused_amid_a_checkpoint_leaves_that_of_the_next_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"counts": {"a": 1}}
    with CheckpointStore(tmp_path) as stale, ExitStack() as later:
        stale.save(state, {"owner": "first"})

        def pause(folder: Path, meta: Any) -> None:
            (tmp_path / ".lock").unlink()
            new = later.enter_context(CheckpointStore(tmp_path))
            half = later.enter_context(new._numbered.writing(tmp_path / "00000002"))
            later.callback(write_manifest, half, {"owner": "second"})
            write_manifest(folder, meta)

        monkeypatch.setattr("fenchel_stream.checkpoint.store.write_manifest", pause)
        with pytest.raises(CheckpointError, match="cannot be written"):
            stale.save(state, {"owner": "first, stale"})
    owners = [CheckpointStore(tmp_path).verify(name).meta["owner"] for name in (None, "00000001")]
    assert owners == ["second", "first"]


def test_quotas_add_up(tmp_path: Path) -> None:
    with Membership(tmp_path) as one, Membership(tmp_path) as two, Membership(tmp_path) as three:
        quotas = [member.quota(7) for member in (one, two, three)]
        assert sorted(quotas) == [2, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_was_killed_does_not_count(tmp_path: Path) -> None:
    with Membership(tmp_path) as one:
        child = os.fork()
        if not child:
            Membership(tmp_path).__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(list(tmp_path.iterdir())) == 2
        assert one.names() == [one.name]


def test_a_check_looks_at_each_part(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic(partitions=2)
    values = [json.dumps(row).encode() for row in rows(40)]
    broker.send(topic, [{"value": one, "partition": n % 2} for n, one in enumerate(values)])
    run = {"group": True, "limit": 20}
    settings = tables(tmp_path, f"kafka://{broker.bootstrap}/{topic}", run=run)
    Learner(Group(parse(settings)).configs()["partition-1"]).run()
    (tmp_path / "run.toml").write_text(to_toml(settings))
    assert main(["check", str(tmp_path / "run.toml")]) == 0
    output = capsys.readouterr().out
    assert "partition-0: none yet, a run begins anew" in output
    assert re.search(r"partition-1/\d+: a run resumes from it, after 20 records", output)


def test_what_a_group_needs(tmp_path: Path) -> None:
    settings = tables(tmp_path, SEA)
    with pytest.raises(ConfigError, match="has no partitions to share"):
        Group(parse(settings))
    del settings["checkpoint"]
    with pytest.raises(ConfigError, match="run.group needs"):
        Group(parse(settings))
