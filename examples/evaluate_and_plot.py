"""Evaluate two models on one stream, and plot how well they do.

Each batch is predicted before it is learnt. The question is whether a flight from New
York City will arrive late (see data/README.md). The script takes the first 10,000
flights and writes a picture of the accuracy as the stream goes on.

    python examples/evaluate_and_plot.py [PICTURE]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
from river import linear_model, metrics

from fenchel_stream import FenchelClassifier, evaluate
from fenchel_stream.preprocessing import OneHot, Standardize

FLIGHTS = Path(__file__).parent / "data" / "flights.csv.gz"


def main(picture: Path) -> None:
    """Evaluate both models, print their results and write the picture."""
    flights = pl.read_csv(FLIGHTS, n_rows=10_000).with_columns(pl.col("late") == 1)
    categories = OneHot(columns=("carrier", "origin", "dest"))
    models = {
        "fenchel-stream": FenchelClassifier(),
        "logistic regression": Standardize() | linear_model.LogisticRegression(),
    }
    _, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, model in models.items():
        result = evaluate(
            categories.clone() | model,
            flights,
            metrics.Accuracy(),
            target="late",
            batch_size=50,
            window=1_000,
            progress=False,
        )
        print(f"{name:20} {result}")
        axes.plot(result.curve["row"], result.curve["Accuracy"], marker=".", label=name)
    axes.set(xlabel="rows learnt", ylabel="accuracy over the last 1,000 rows")
    axes.grid(alpha=0.3)
    axes.legend()
    plt.savefig(picture, dpi=150)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("accuracy.png"))
