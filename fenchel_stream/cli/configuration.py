"""The configuration that the flags of a command line describe."""

from __future__ import annotations

import argparse

from fenchel_stream.cli.parser import FLAGS
from fenchel_stream.errors import ConfigError
from fenchel_stream.runner.config import Config, load, setting


def configuration(options: argparse.Namespace) -> Config:
    """Return the configuration of a file. The flags replace its values.

    Raises
    ------
    ConfigError
        The file or a flag is wrong, a flag contradicts ``--set``, or both file and flags are
        missing.
    """
    settings = dict(map(setting, options.set))
    for flag, (key, _, _) in FLAGS.items():
        value = getattr(options, flag[2:].replace("-", "_"))
        if value is not None:
            if str(settings.setdefault(key, value)) != str(value):
                raise ConfigError(
                    f"{flag} says {value!r}, and --set {key} says {settings[key]!r}: remove one"
                )
            settings[key] = value
    if options.config is None and not settings:
        raise ConfigError(
            "no stream to learn is given: name a TOML file, or use flags, as in "
            "--source csv:flights.csv --target late"
        )
    if options.log_format == "json":
        settings["run.progress"] = False  # a progress bar is not JSON
    return load(options.config, settings)
