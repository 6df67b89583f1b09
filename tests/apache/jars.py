"""The jars of Apache Kafka: of the user's own distribution, or fetched once by Maven.

``KAFKA_HOME`` names an unpacked distribution. Without it, the jars of `VERSION` are kept in the
user's cache folder, never in the repository. Needed wherever a test starts Apache Kafka.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

VERSION = "4.3.1"

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

HOME = os.environ.get("KAFKA_HOME")


def obstacle() -> str:
    """Return why Apache Kafka cannot be started on this machine; empty if it can."""
    if shutil.which("java") is None:
        return "Apache Kafka needs java, which is not installed"
    if HOME is None and not _cached().is_dir() and shutil.which("mvn") is None:
        return "Apache Kafka needs mvn, or KAFKA_HOME that names an unpacked distribution"
    return ""


@cache
def classpath() -> str:
    """Return the class path of the broker; fetch the jars if they are not there yet."""
    if HOME is not None:
        return f"{HOME}/libs/*"
    folder = _cached()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not folder.is_dir():
            _fetch(folder)
    return f"{folder}/*"


def _cached() -> Path:
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "fenchel-stream" / f"kafka-{VERSION}"


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        pom = Path(__file__).with_name("pom.xml")
        command = ["mvn", "-q", "-B", "-f", str(pom), f"-Dkafka.version={VERSION}", PLUGIN]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={place}/jars"]
        subprocess.run([*command, *options], check=True, capture_output=True)
        Path(place, "jars").rename(folder)  # all of them, or none
