"""What can go wrong, by whose fault: each class carries the exit code of the command line."""

from __future__ import annotations


class FenchelStreamError(Exception):
    """Base of every error that the project raises on purpose.

    The message says what was wrong, where (file, row, offset, key), and what to do.
    """

    exit_code = 1


class ConfigError(FenchelStreamError):
    """The configuration asks for something that does not exist or cannot be."""

    exit_code = 2


class DataError(FenchelStreamError):
    """The stream holds something that cannot be learnt from, or too much of it."""

    exit_code = 3


class CheckpointError(FenchelStreamError):
    """A checkpoint is damaged, belongs to another model or source, or cannot be written."""

    exit_code = 4
