"""Test-then-train: predictions, metrics, curves."""
