"""Runs a configuration: `load` or `parse` reads it, and a `Learner` carries it out."""

from fenchel_stream.runner.config import Config, load, parse
from fenchel_stream.runner.learner import Learner

__all__ = ["Config", "Learner", "load", "parse"]
