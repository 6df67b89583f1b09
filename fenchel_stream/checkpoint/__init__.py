"""Checkpoints: what a run knows, in one directory that is there completely or not at all.

A directory of checkpoints holds one numbered directory for each, newest last::

    checkpoints/00000042/manifest.json    when, of what, by which versions; size and sha256 of all
                         state.json       objects, numbers and text
                         arrays.npz       weights and other arrays, by name
                         NAME.pkl         only if the user allowed pickle and NAME needs it

Everything is written and synchronised under another name first and then renamed, so that a crash
leaves the old checkpoints or the old and the new one, but never half of one.
"""

from fenchel_stream.checkpoint.manifest import CheckpointInfo
from fenchel_stream.checkpoint.store import CheckpointStore

__all__ = ["CheckpointInfo", "CheckpointStore"]
