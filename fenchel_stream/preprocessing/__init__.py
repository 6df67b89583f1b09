"""Frames, categories and scales, before a model sees them."""
