"""A broker that goes away: runs wait for it, say so once, and are not ready meanwhile."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

from tests.brokers import Broker
from tests.chaos.asking import ask, figure
from tests.connectors.test_kafka_source import DETERMINISTIC, fill
from tests.runs import Process, kept, read_lines, start

BEGINS, ENDS = "waits until the topic can be used again", "can be used again, after"


def test_a_run_waits_and_says_so_once(own_broker: Broker, tmp_path: Path) -> None:
    """The only broker of the partitions stops in order, twice, in deterministic order."""
    own_broker.needs("restart", "long poll")
    topic = own_broker.topic(partitions=2)
    fill(own_broker, topic, 100)
    url = f"kafka://{own_broker.bootstrap}/"
    changes: dict[str, Any] = {
        "source": DETERMINISTIC,
        "metrics": {"port": 0},
        "kafka": {"metadata_max_age_ms": 500, "group_id": topic},
    }
    with start(tmp_path, url + topic, **changes) as process:
        for outage in (1, 2):
            process.checkpoint_after(100 * outage)
            assert ask(process, "/readyz")[0] == 200
            own_broker.stop()
            process.until(partial(_logged, process, BEGINS, outage))
            assert ask(process, "/livez")[0] == 200
            process.until(lambda: figure(process, "outage_seconds") > 1)
            own_broker.start()
            process.until(partial(_logged, process, ENDS, outage))
            process.until(lambda: figure(process, "outage_seconds") == 0)
            fill(own_broker, topic, 100)
        process.checkpoint_after(300)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.err.read_text()
        log = process.err.read_text()
    assert log.count(BEGINS) == log.count(ENDS) == 2, log
    assert "Traceback" not in log
    assert len(log.splitlines()) < 80, log
    places = [record["where"] for record in read_lines(tmp_path / "predictions.jsonl")]
    assert len(set(places)) == len(places) > 250


def _logged(process: Process, words: str, times: int) -> bool:
    return process.err.read_text().count(words) == times


def test_a_run_that_resumes_waits_for_its_broker(own_broker: Broker, tmp_path: Path) -> None:
    own_broker.needs("restart")
    topic, predictions = own_broker.topic(), own_broker.topic()
    fill(own_broker, topic, 40, partitions=1)
    url = f"kafka://{own_broker.bootstrap}/"
    changes: dict[str, Any] = {
        "output": {"predictions": url + predictions},
        "kafka": {"bootstrap_timeout_ms": 1000},
        "metrics": {"port": 0},
    }
    with start(tmp_path, url + topic, "--limit", "40", **changes) as process:
        assert process.wait() == 0, process.err.read_text()
    own_broker.stop()
    with start(tmp_path, url + topic, **changes) as process:
        process.until(partial(_logged, process, "waits until", 1))
        process.signal(signal.SIGTERM)
        assert process.wait() in {0, 3}, process.err.read_text()
    with start(tmp_path, url + topic, **changes) as process:
        process.until(partial(_logged, process, "waits until", 1))
        assert ask(process, "/livez")[0] == 200
        own_broker.start()
        fill(own_broker, topic, 40, partitions=1)
        process.checkpoint_after(80)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.err.read_text()
    assert kept(tmp_path).meta["position"]["offsets"] == {"0": 80}
    # Those of the run, one for each record that could be learnt.
    assert len(own_broker.read(predictions, 78)) == 78
