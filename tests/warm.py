"""Imported once by the server that tests fork processes off: what every run would load anew."""

from __future__ import annotations

import numpy as np

from fenchel_stream import FenchelClassifier, LiftedNetwork

# Compiled loops are loaded when they are first called. Nothing here may touch polars, whose
# threads do not survive a fork.
LiftedNetwork.dense([2, 2, 2], loss="cross_entropy").learn_batch(np.eye(2), np.arange(2))
model = FenchelClassifier(hidden=(2,))
for label in ("a", "b"):
    model.learn_one({"x": 1.0}, label)
