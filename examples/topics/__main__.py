"""``python -m examples.topics``: a broker, a player, a learner, and the figures of the learner.

Ctrl-C ends all three in order at any time. The same command resumes from where they ended.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from tqdm import tqdm

from examples.topics.broker import Broker
from examples.topics.player import EVENTS, LABELS, Player
from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.runner.config import Config, load

CONFIG = Path(__file__).with_name("demo.toml")
FOLDER = Path("build/demo-kafka")
CLUSTER_FOLDER = Path("build/demo-kafka-cluster")
"""Where a run on the user's own cluster keeps its state: its offsets mean other records."""

RECENT = 2000
"""Number of predictions over which the "recent" figures are computed."""


class Figures:
    """The figures of a run, in total and over its recent predictions.

    Parameters
    ----------
    url
        URL of its metrics.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.now: dict[str, float] = {}
        self._past: deque[tuple[float, float, float]] = deque()

    def look(self) -> bool:
        """Read the figures; return whether the run answered."""
        try:
            with urlopen(self.url, timeout=5) as answer:  # noqa: S310 - a URL on loopback
                page = answer.read().decode()
        except (URLError, OSError):
            return False
        self.now = {
            ",".join((one.name.removeprefix("fenchel_stream_"), *one.labels.values())): one.value
            for family in text_string_to_metric_families(page)
            for one in family.samples
        }
        names = ("predictions_total", "predictions_correct_total", "loss_sum_total")
        scored, correct, loss = (self.now[name] for name in names)
        self._past.append((scored, correct, loss))
        while len(self._past) > 1 and self._past[1][0] < scored - RECENT:
            self._past.popleft()
        return True

    def __str__(self) -> str:
        scored, correct, loss = self._past[-1]
        before = self._past[0]
        recent = scored - before[0]
        if not recent:
            return "no label yet"
        drift = (loss - before[2]) / recent - loss / scored
        waiting = self.now.get("label_join,pending", 0)
        return (
            f"accuracy {correct / scored:.3f}, recent {(correct - before[1]) / recent:.3f}; "
            f"drift {drift:+.3f}; awaiting labels {waiting:,.0f}"
        )


def watch(learner: subprocess.Popen[str], player: Player, config: Config, first: int) -> None:
    """Show the figures of a run until it ends."""
    figures = Figures(f"http://127.0.0.1:{config.metrics.port}/metrics")
    with tqdm(total=player.total, initial=first, unit=" records", unit_scale=True) as bar:
        while learner.poll() is None:
            time.sleep(0.2)
            if figures.look():
                done = first + int(figures.now["records_total"])
                bar.set_postfix_str(f"{figures}; lag {player.sent - done:,}", refresh=False)
                bar.update(done - bar.n)


def main() -> int:
    """Learn to the end of the topics, or until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.topics", description=__doc__)
    parser.add_argument("--rate", type=float, default=2000, help="messages a second to play")
    parser.add_argument("--port", type=int, default=19092, help="of the demo's own broker")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="play on this cluster instead")
    parser.add_argument("--metrics-port", type=int, default=9109, help="of the learner's metrics")
    options = parser.parse_args()
    bootstrap = options.bootstrap or f"127.0.0.1:{options.port}"
    folder = CLUSTER_FOLDER if options.bootstrap else FOLDER
    settings = {
        "checkpoint.directory": str(folder / "checkpoints"),
        "output.predictions": str(folder / "predictions.jsonl"),
        "output.rejects": str(folder / "rejects.jsonl"),
        "output.plot": str(folder / "accuracy.png"),
        "source.url": f"kafka://{bootstrap}/{EVENTS}",
        "labels.source": f"kafka://{bootstrap}/{LABELS}",
        "metrics.port": options.metrics_port,
    }
    # A background job of a shell ignores SIGINT unless it sets a handler.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    config = load(CONFIG, settings)
    checkpoints = CheckpointStore(folder / "checkpoints")
    newest = checkpoints.latest()
    first = 0 if newest is None else newest.meta["records"]
    broker = nullcontext() if options.bootstrap else Broker(folder / "broker", options.port)
    with broker:
        player = Player(bootstrap, options.rate, replicas=-1 if options.bootstrap else 1)
        if first >= player.total:
            print(f"all records are learnt; to begin anew: rm -r {folder}")
            return 0
        command = [str(Path(sys.executable).with_name("fenchel-stream")), "run", str(CONFIG)]
        # Late labels count as records too.
        command += ["--limit", str(player.total)]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        learner = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        player.start()
        try:
            watch(learner, player, config, first)
        except KeyboardInterrupt:
            print("\nstopping: the same command resumes from here", file=sys.stderr)
            learner.send_signal(signal.SIGTERM)
        finally:
            player.stop()
            summary, _ = learner.communicate()
    print(summary, end="")
    if learner.returncode == 0:
        print(f"plot:        {config.output.plot}")
        program = Path(sys.executable).with_name("fenchel-stream")
        print(f"checkpoints: {program} status {checkpoints.directory}")
    return learner.returncode


if __name__ == "__main__":
    sys.exit(main())
