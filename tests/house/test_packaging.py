"""What is installed: the wheel, its requirements and their pins, the entry points, the image."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, entry_points, packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fenchel_connectors.monitoring.prometheus import PrometheusExporter

NAME = "fenchel-stream"
RUNTIME_EXTRAS = {"avro", "json-schema", "plots", "protobuf", "torch"}


def required(name: str, extras: set[str]) -> Iterator[Requirement]:
    """Yield what an installed package requires on this Python, with some of its extras."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": one}) for one in extras | {""}):
            yield requirement


def installed(extras: set[str]) -> dict[str, Version]:
    """Return the version of each package that the project needs, directly or not."""
    waiting, visited = [Requirement(f"{NAME}[{','.join(sorted(extras))}]")], set()
    versions: dict[str, Version] = {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        node = (name, frozenset(requirement.extras))
        if node not in visited:
            visited.add(node)
            versions[name] = Version(Version(distribution(name).version).public)
            # What torch requires on one operating system only belongs to its CUDA build, and torch
            # says which versions fit.
            waiting += [
                child
                for child in required(name, requirement.extras)
                if name != "torch" or "platform_system" not in str(child.marker)
            ]
    del versions[NAME]
    return versions


def test_the_constraints_pin_every_installed_version(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    ours = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    extras = {"dev"} | ({"torch"} if find_spec("torch") else set())
    versions = {name: f"=={version}" for name, version in installed(extras).items()}
    pinned = {str(canonicalize_name(pin.name)): str(pin.specifier) for pin in ours}
    assert {name: pinned.get(name) for name in versions} == versions


def test_a_pin_is_a_name_and_a_version(root: Path) -> None:
    """No local build, address or path, which other machines would not have."""
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line.partition(";")[0].strip() for line in lines if line and line[0] != "#"]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)] == []


def test_the_image_copies_what_exists_and_does_not_run_as_root(root: Path) -> None:
    steps = (root / "Dockerfile").read_text().splitlines()
    copied = [
        name
        for step in steps
        if step.startswith("COPY") and "--from" not in step
        for name in step.split()[1:-1]
    ]
    kept = {
        line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert set(copied) == kept
    assert [name for name in copied if not (root / name).exists()] == []
    users = [step.split()[1] for step in steps if step.startswith("USER")]
    assert users
    assert users[-1] not in {"root", "0"}


def test_every_package_that_is_imported_is_required(root: Path) -> None:
    pattern = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
    sources = [*root.glob("fenchel_stream/**/*.py"), *root.glob("connectors/**/*.py")]
    imported = {name for path in sources for name in pattern.findall(path.read_text())}
    providers = packages_distributions()
    needed = {
        canonicalize_name(provider)
        for name in imported & providers.keys()
        for provider in providers[name]
    }
    stated = {canonicalize_name(one.name) for one in required(NAME, RUNTIME_EXTRAS)}
    assert needed - {NAME} <= stated


def test_the_installed_entry_points_are_those_of_the_project(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    scripts = {"console_scripts": project["scripts"]}
    for group, declared in {**scripts, **project["entry-points"]}.items():
        points = {point.name: point for point in entry_points(group=group)}
        stale = {name for name in declared if points[name].value != declared[name]}
        assert not stale, "install again: the metadata is older than pyproject.toml"
        assert all(callable(points[name].load()) for name in declared)


def test_the_wheel_holds_both_packages_and_nothing_else(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    compiled = shutil.ignore_patterns("__pycache__")
    for folder in ("fenchel_stream", "connectors"):
        shutil.copytree(root / folder, source / folder, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    expected = {
        path.relative_to(base).as_posix()
        for base in (source, source / "connectors")
        for package in ("fenchel_stream", "fenchel_connectors")
        for path in (base / package).rglob("*")
        if path.is_file()
    }
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert names >= {"fenchel_stream/py.typed", "fenchel_connectors/py.typed"}


def test_the_health_check_of_the_image_asks_the_metrics(root: Path) -> None:
    dockerfile = (root / "Dockerfile").read_text()
    (command,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", dockerfile, re.MULTILINE)
    _, flag, code = json.loads(command)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert ":9109/" in code
    check = [sys.executable, flag, code.replace(":9109/", f":{port}/")]
    with PrometheusExporter(port):
        subprocess.run(check, check=True)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(check, check=True, capture_output=True)


def test_no_file_names_a_path_of_one_machine(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    private = re.compile(r"(?<![\w.:/~$}*-])/(?:root|work|home/\w+|Users/\w+|tmp/\w+)\b")
    listing = subprocess.run(["git", "ls-files"], cwd=root, check=True, stdout=subprocess.PIPE)
    places = []
    for name in listing.stdout.decode().splitlines():
        content = (root / name).read_bytes() if (root / name).is_file() else b""
        if b"\0" not in content:
            lines = enumerate(content.decode().splitlines(), 1)
            places += [f"{name}:{number}" for number, line in lines if private.search(line)]
    assert not places
