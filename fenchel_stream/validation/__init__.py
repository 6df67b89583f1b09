"""The check of each row before a model sees it: which rows can be learnt, and their values."""

from fenchel_stream.validation.positive_class import PositiveClass
from fenchel_stream.validation.row_check import CheckedRows, Kind, RowCheck, reject_row

__all__ = ["CheckedRows", "Kind", "PositiveClass", "RowCheck", "reject_row"]
