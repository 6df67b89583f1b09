"""``fenchel-stream run``: learn a stream."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fenchel_stream.errors import ConfigError
from fenchel_stream.runner.config import Config, load, setting
from fenchel_stream.runner.group.group import Group
from fenchel_stream.runner.learner import Learner

FLAGS = {
    "--source": ("source.url", "URL", "rows to learn, as csv:flights.csv or river:Phishing"),
    "--target": ("source.target", "COLUMN", "column to predict"),
    "--kind": ("source.kind", "KIND", "classification, regression or multi-target"),
    "--positive": ("source.positive", "CLASS", "class that becomes True, all others False"),
    "--batch-size": ("run.batch_size", "ROWS", "records per mini-batch"),
    "--limit": ("run.limit", "ROWS", "stop after so many records"),
    "--checkpoint": ("checkpoint.directory", "DIR", "where state is kept; resumes what is there"),
    "--from": ("checkpoint.start", "DIR/NAME", "begin from that checkpoint while DIR has none"),
    "--predictions": ("output.predictions", "FILE", "write predictions there, as JSON lines"),
    "--rejects": ("output.rejects", "FILE", "write records that cannot be learnt there"),
    "--plot": ("output.plot", "FILE", "draw the windowed metrics there at the end"),
    "--metrics-port": ("metrics.port", "PORT", "serve Prometheus metrics on loopback"),
}
STDOUT = {"-", "jsonl:-", "/dev/stdout", "jsonl:/dev/stdout"}
NUMBERS = {"ROWS", "PORT"}


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = commands.add_parser("run", help="learn a stream")
    add_configuration(parser)
    parser.set_defaults(command=_run)


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add what a configuration is made of: a file, and flags that go over it."""
    parser.add_argument("config", nargs="?", type=Path, help="TOML file; flags go over it")
    for flag, (key, metavar, text) in FLAGS.items():
        kind = int if metavar in NUMBERS else str
        parser.add_argument(flag, metavar=metavar, type=kind, help=f"{text} ({key})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="any other key of the configuration, its value in TOML",
    )


def configuration(options: argparse.Namespace) -> Config:
    """Return the configuration that the command line spells."""
    settings = dict(map(setting, options.set))
    for flag, (key, _, _) in FLAGS.items():
        value = getattr(options, flag[2:].replace("-", "_"))
        if value is not None:
            if str(settings.setdefault(key, value)) != str(value):
                raise ConfigError(
                    f"{flag} says {value!r}, and --set {key} says {settings[key]!r}: leave one out"
                )
            settings[key] = value
    if options.config is None and not settings:
        raise ConfigError(
            "nothing is named to learn: give a TOML file, or flags, as in "
            "--source csv:flights.csv --target late"
        )
    if options.log_format == "json":
        settings["run.progress"] = False  # a bar is no JSON
    return load(options.config, settings)


def _run(options: argparse.Namespace) -> None:
    config = configuration(options)
    if config.run.group:
        Group(config).run()
        return
    learner = Learner(config)
    result = learner.run()
    new = learner.records > learner.first
    # Where predictions go to standard output, nothing else should.
    said = sys.stderr if config.output.predictions in STDOUT else sys.stdout
    # Who was stopped does not know whether there would have been more.
    old = result.figures if learner.stopped else f"nothing new: {result.figures}"
    print(result if new else old, file=said)
