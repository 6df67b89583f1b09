"""Formats of the values in a topic: JSON, those of schema registries, a function of the user's."""

from fenchel_connectors.formats.choice import choose_format
from fenchel_connectors.formats.format import Decoded, Format

__all__ = ["Decoded", "Format", "choose_format"]
