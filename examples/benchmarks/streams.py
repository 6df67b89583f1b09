"""The streams of the suite: real ones, River's bundled ones, generated ones and images.

A stream loads as a frame of raw features and a list of targets. Real ones have two halves: defaults
may be chosen on the first, the second decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from river import datasets
from river.datasets import synth

CONCEPT = 2_000
"""Images from one permutation to the next."""


ABRUPT, GRADUAL = 0.003, 0.2
"""Share of the rows that a change takes. River's sigmoid overflows if it is much shorter."""


@dataclass(frozen=True)
class Data:
    """Rows of a stream.

    Attributes
    ----------
    features
        As the stream has them, categories included.
    targets
        One per row; floats for regression, anything else for classes.
    """

    features: pl.DataFrame
    targets: list[Any]

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.targets)


@dataclass(frozen=True)
class Stream:
    """Where rows come from and what they are.

    Attributes
    ----------
    group
        real, bundled, synth or image.
    read
        Return the rows for a folder of data sets, a number of rows and a seed. Streams that are
        read from a file may return more rows than were asked for.
    categories
        Features that hold categories.
    kind
        classification or regression.
    """

    name: str
    group: str
    read: Callable[[Path, int, int], Data]
    categories: tuple[str, ...] = ()
    kind: str = "classification"

    @property
    def has_halves(self) -> bool:
        """Whether the stream ends, so that it has a second half to keep for last."""
        return self.group in {"real", "image"}

    def load(self, folder: Path, rows: int, *, half: str = "", seed: int = 0) -> Data:
        """Return the first `rows` rows, of one half (first or second) or of the whole stream."""
        found = self.read(folder, rows, seed)
        middle = found.count // 2
        start, end = {"": (0, None), "first": (0, middle), "second": (middle, None)}[half]
        chosen = slice(start, min(start + rows, end or found.count))
        targets = found.targets[chosen]
        if self.kind == "regression":
            targets = list(map(float, targets))
        return Data(found.features[chosen], targets)


def _csv(name: str, columns: tuple[str, ...], folder: Path, rows: int, seed: int) -> Data:
    frame = pl.read_csv(folder / name)
    features = frame.select(columns) if columns else frame.drop("label")
    return Data(features, frame["label"].to_list())


def _covertype(folder: Path, rows: int, seed: int) -> Data:
    with np.load(folder / "covertype.npz") as data:
        names = [str(name) for name in data["columns"]]
        return Data(pl.DataFrame(data["x"], names), data["label"].tolist())


def _images(name: str, what: str, folder: Path, rows: int, seed: int) -> Data:
    with np.load(folder / name) as data:
        x, y = data["x_train"].reshape(len(data["y_train"]), -1), data["y_train"]
    rng = np.random.default_rng(seed)
    for start in range(0, len(x), CONCEPT):
        part = slice(start, start + CONCEPT)
        if what == "labels":
            y[part] = rng.permutation(10)[y[part]]
        else:
            x[part] = x[part][:, rng.permutation(x.shape[1])]
    return Data(pl.DataFrame(x, [f"pixel_{i}" for i in range(x.shape[1])]), y.tolist())


def _river(make: Callable[[int, int], Any], folder: Path, rows: int, seed: int) -> Data:
    x, y = zip(*make(rows, seed), strict=True)
    frame = pl.DataFrame([{str(name): value for name, value in row.items()} for row in x])
    return Data(frame, list(y))


def _first(make: Callable[[int, int], Any], rows: int, seed: int) -> Any:
    return make(rows, seed).take(rows)


def _changed(
    make: Callable[[int, int], Any], share: float, rows: int, seed: int
) -> synth.ConceptDriftStream:
    """Go from one concept to the next in the middle, over a `share` of all rows."""
    old, new = make(0, seed), make(1, seed)
    return synth.ConceptDriftStream(
        old, new, position=rows // 2, width=round(share * rows), seed=seed
    )


class _Swapped(synth.Waveform):
    """Waveform whose features change places: it has no second concept of its own."""

    def __iter__(self) -> Any:
        for x, y in synth.Waveform.__iter__(self):
            yield dict(zip(x, reversed(x.values()), strict=True)), y


# Each makes concept 0 or 1.
CONCEPTS: dict[str, Callable[[int, int], Any]] = {
    "SEA": lambda i, seed: synth.SEA(variant=(0, 2)[i], noise=0.1, seed=seed + i),
    "Hyperplane": lambda i, seed: synth.Hyperplane(seed=seed + 100 * i, n_drift_features=0),
    "RandomRBF": lambda i, seed: synth.RandomRBF(
        seed_model=seed + 100 * i, seed_sample=seed, n_classes=4
    ),
    "LED": lambda i, seed: synth.LEDDrift(
        seed=seed + i, noise_percentage=0.1, irrelevant_features=True, n_drift_features=7 * i
    ),
    "Agrawal": lambda i, seed: synth.Agrawal((0, 3)[i], seed=seed + i, perturbation=0.05),
    "RandomTree": lambda i, seed: synth.RandomTree(
        seed_tree=seed + 100 * i, seed_sample=seed + i, n_classes=3
    ),
    "Waveform": lambda i, seed: (synth.Waveform, _Swapped)[i](seed=seed + i, has_noise=True),
}

CATEGORIES = {
    "Agrawal": ("elevel", "car", "zipcode"),
    "RandomTree": tuple(f"x_cat_{i}" for i in range(5)),
}

# The world moves with every row; a stationary one has none of these.
MOVING: dict[str, Callable[[int, int], Any]] = {
    "Hyperplane-moving": lambda _, seed: synth.Hyperplane(
        seed=seed, n_drift_features=10, mag_change=0.001
    ),
    "RandomRBF-moving": lambda _, seed: synth.RandomRBFDrift(
        seed_model=seed, seed_sample=seed, n_classes=4, change_speed=0.001
    ),
}


def _generated(
    name: str, make: Callable[[int, int], Any], of: str = "", kind: str = "classification"
) -> Stream:
    return Stream(
        name, "synth", partial(_river, partial(_first, make)), CATEGORIES.get(of, ()), kind
    )


def _synthetic() -> list[Stream]:
    found = [_generated(name, make) for name, make in MOVING.items()]
    for name, make in CONCEPTS.items():
        found += [
            _generated(name, partial(_stationary, make), name),
            _generated(f"{name}-abrupt", partial(_changed, make, ABRUPT), name),
            _generated(f"{name}-gradual", partial(_changed, make, GRADUAL), name),
        ]
    for kind, what in {"lea": "local", "gra": "abrupt", "gsg": "gradual"}.items():
        make = partial(_friedman, kind)
        found.append(_generated(f"Friedman-{what}", make, kind="regression"))
    return found


def _stationary(make: Callable[[int, int], Any], rows: int, seed: int) -> Any:
    return make(0, seed)


def _friedman(kind: str, rows: int, seed: int) -> synth.FriedmanDrift:
    places = {"lea": (1, 2, 3), "gra": (1, 2), "gsg": (1, 2)}[kind]
    position = tuple(rows * place // 4 for place in places)
    return synth.FriedmanDrift(kind, position, transition_window=rows // 10, seed=seed)


def _bundled(name: str, make: Callable[[], Any], *categories: str, **more: Any) -> Stream:
    return Stream(name, "bundled", partial(_river, lambda rows, seed: make()), categories, **more)


FLIGHTS = ("month", "day", "weekday", "sched_dep_time", "sched_arr_time", "distance")

STREAMS = {
    stream.name: stream
    for stream in [
        Stream("electricity", "real", partial(_csv, "electricity.csv.gz", ())),
        Stream("weather", "real", partial(_csv, "weather.csv.gz", ())),
        Stream("covertype", "real", _covertype),
        Stream(
            "flights",
            "real",
            partial(_csv, "flights_nyc13.csv.gz", (*FLIGHTS, "carrier", "origin", "dest")),
            ("weekday", "carrier", "origin", "dest"),
        ),
        Stream(
            "bikes",
            "real",
            partial(_csv, "bikes.csv.gz", ()),
            ("season", "mth", "hr", "weekday", "weathersit"),
            "regression",
        ),
        _bundled("Phishing", datasets.Phishing),
        _bundled("Bananas", datasets.Bananas),
        _bundled("ImageSegments", datasets.ImageSegments),
        _bundled("ChickWeights", datasets.ChickWeights, "diet", kind="regression"),
        _bundled("TrumpApproval", datasets.TrumpApproval, kind="regression"),
        *_synthetic(),
        *(
            Stream(f"{title}-{what}", "image", partial(_images, file, what))
            for title, file in {"Fashion": "fashion_mnist.npz", "MNIST": "mnist.npz"}.items()
            for what in ("labels", "pixels")
        ),
    ]
}
