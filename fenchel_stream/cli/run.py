"""``fenchel-stream run``: learn a stream."""

from __future__ import annotations

import argparse
import sys

from fenchel_stream.cli.configuration import configuration
from fenchel_stream.cli.terminal import show
from fenchel_stream.runner.group import Group
from fenchel_stream.runner.learner import Learner

STDOUT = {"-", "jsonl:-", "/dev/stdout", "jsonl:/dev/stdout"}


def execute(options: argparse.Namespace) -> None:
    """Run the learner of a configuration, or a member of a group, and print a summary."""
    config = configuration(options)
    if config.run.group:
        Group(config).run()
        return
    learner = Learner(config, filter(None, [options.config]))
    result = learner.run()
    # Predictions on standard output must not be mixed with the summary.
    file = sys.stderr if config.output.predictions in STDOUT else sys.stdout
    if learner.records > learner.first:
        show(result, file)
    elif learner.stopped:
        show(result.figures, file)
    else:
        show(f"no new records: {result.figures}", file)
