"""The demo of topics: stopped by Ctrl-C, and gone on with by the same command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.apache.jars import obstacle
from tests.brokers import Broker, free_port
from tests.runs import PATIENCE, read_lines, saved, until


def test_it_is_stopped_and_goes_on(root: Path, tmp_path: Path) -> None:
    folder, port = tmp_path / "build" / "demo-kafka", free_port()
    ports = ["--port", str(port), "--metrics-port", str(free_port())]
    done = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", "examples.topics", *ports],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as demo:
            try:
                until(partial(_beyond, folder, done + 1000), lambda: demo.poll() is None)
                demo.send_signal(signal.SIGINT)
                out, err = demo.communicate(timeout=PATIENCE)
            finally:
                demo.kill()
        assert demo.returncode == 0, err
        assert "stopping: the same command resumes from here" in err
        assert "accuracy 0." in err
        assert "lag" in err
        assert "Accuracy 0." in out
        assert "plot: " in out
        with socket.socket() as probe:  # the broker has ended too
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        assert saved(folder) > done + 1000
        done = saved(folder)
    places = [one["where"] for one in read_lines(folder / "predictions.jsonl")]
    assert places == [f"flights:0:{number}" for number in range(len(places))]
    assert (folder / "accuracy.png").stat().st_size > 0


@pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "it can be started")
def test_it_plays_on_a_cluster_of_the_users_own(root: Path, tmp_path: Path) -> None:
    with Broker("apache", tmp_path) as broker:
        command = [sys.executable, "-m", "examples.topics", "--bootstrap", broker.bootstrap]
        with subprocess.Popen(
            [*command, "--metrics-port", str(free_port())],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as demo:
            try:
                folder = tmp_path / "build" / "demo-kafka-cluster"
                until(partial(_beyond, folder, 1000), lambda: demo.poll() is None)
                demo.send_signal(signal.SIGINT)
                _, err = demo.communicate(timeout=PATIENCE)
            finally:
                demo.kill()
        assert demo.returncode == 0, err
        with broker.admin() as admin:
            assert {"flights", "arrivals"} <= set(admin.list_topics())


def _beyond(folder: Path, records: int) -> bool:
    return saved(folder) > records
