"""Labels that come later than their events, on a stream of their own, joined by key."""

from fenchel_stream.late_labels.interleaved import Interleaved
from fenchel_stream.late_labels.join import LabelJoin, Matched
from fenchel_stream.late_labels.labels import Labels, PromptLabels
from fenchel_stream.late_labels.late_labels import LateLabels

__all__ = [
    "Interleaved",
    "LabelJoin",
    "Labels",
    "LateLabels",
    "Matched",
    "PromptLabels",
]
