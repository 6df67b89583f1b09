"""Runs that share the partitions of one stream."""

from fenchel_stream.runner.group.group import Group

__all__ = ["Group"]
