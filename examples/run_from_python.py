"""A run from Python: a configuration as a dict, checkpoints, and the model afterwards.

The stream is the data set Phishing, which comes with River. The second run goes on
where the first one has ended, as it would after a crash.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.runner import Learner, parse


def configuration(folder: Path, limit: int) -> dict[str, Any]:
    """Return what a TOML file would say."""
    return {
        "source": {"url": "river:Phishing", "target": "target"},
        "metrics": {"names": ["Accuracy", "ROCAUC"]},
        "run": {"batch_size": 50, "limit": limit, "progress": False},
        "checkpoint": {"directory": str(folder / "checkpoints"), "every": 5},
        "output": {"predictions": str(folder / "predictions.jsonl")},
    }


def main(folder: Path) -> None:
    """Run twice into `folder`, then predict with the model of the last checkpoint."""
    for limit in (500, 1_250):
        result = Learner(parse(configuration(folder, limit))).run()
        print(f"after {limit:5,} records: {result.figures}")

    predictions = (folder / "predictions.jsonl").read_text().splitlines()
    print(f"{len(predictions):,} predictions, each once; the last: {predictions[-1][:50]}...")

    learner = Learner(parse(configuration(folder, 1_250)))
    CheckpointStore(folder / "checkpoints").load({"test": learner.test})
    model = learner.test.model.model
    prediction = model.predict_one({"https": 0.0, "is_popular": 1.0})
    print("the model of the checkpoint says", prediction)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
