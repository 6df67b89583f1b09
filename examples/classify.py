"""Classify a stream row by row: predict, compare with the truth, learn.

The stream is one of River's generators, SEA: whether the sum of two numbers is below a
threshold. The threshold changes after 2,000 rows, and a tenth of the labels are wrong.
Nothing announces either to the model.
"""

from itertools import chain

from river import metrics
from river.datasets import synth

from fenchel_stream import FenchelClassifier

ROWS, CHANGE = 4_000, 2_000


def main() -> None:
    """Print the accuracy over the last 500 rows, and over all rows, every 500 rows."""
    before = synth.SEA(variant=1, noise=0.1, seed=1).take(CHANGE)
    after = synth.SEA(variant=2, noise=0.1, seed=2).take(ROWS - CHANGE)
    model = FenchelClassifier()
    recent, overall = metrics.Accuracy(), metrics.Accuracy()

    for number, (x, y) in enumerate(chain(before, after), start=1):
        prediction = model.predict_one(x)  # None before the first row is learnt
        if prediction is not None:
            recent.update(y, prediction)
            overall.update(y, prediction)
        model.learn_one(x, y)
        if number % 500 == 0:
            note = "<- the threshold changes" if number == CHANGE else ""
            print(f"{number:5,} rows: last 500 {recent.get():.3f}, all {overall.get():.3f}", note)
            recent = metrics.Accuracy()

    print("probabilities of the last row:", model.predict_proba_one(x))


if __name__ == "__main__":
    main()
