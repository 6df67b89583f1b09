"""A run: a configuration, and the learner that it describes."""

from fenchel_stream.runner.config import Config, load, parse
from fenchel_stream.runner.learner import Learner

__all__ = ["Config", "Learner", "load", "parse"]
