"""The house keeps its own promises: packaging, pins, image, layout."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from functools import cached_property
from importlib.metadata import distribution, entry_points, packages_distributions
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fenchel_connectors
import fenchel_stream
from fenchel_connectors.monitoring.prometheus import PrometheusExporter

NAME = "fenchel-stream"
PROPERTIES = (classmethod, cached_property, property, staticmethod)
TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "connectors",
    "constraints.txt",
    "examples",
    "fenchel_stream",
    "pyproject.toml",
    "tests",
}


def modules() -> list[str]:
    """Return the name of every module that is shipped, but for those that run when imported."""
    return [
        found.name
        for package in (fenchel_stream, fenchel_connectors)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith("__main__")
    ]


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command printed; a failure shows both of its streams."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[str]:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    return run("git", "ls-files", cwd=root).splitlines()


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text().splitlines()
    stated = [line for line in lines if line and not line.startswith("#")]
    malformed = [line for line in stated if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)]
    assert not malformed, "only NAME==VERSION: no local build, no address, no path"
    return {name: version for name, _, version in (line.partition("==") for line in stated)}


@pytest.fixture(scope="module")
def make(root: Path) -> Path:
    found = shutil.which("make")
    if found is None:
        pytest.skip("make is not installed")
    return Path(found)


def test_every_module_imports_first_and_without_warnings(root: Path) -> None:
    ours = (fenchel_stream.__name__, fenchel_connectors.__name__)
    program = f"""
        import importlib, sys
        for name in {modules()}:
            for loaded in [key for key in sys.modules if key.startswith({ours})]:
                del sys.modules[loaded]
            importlib.import_module(name)
    """
    # kafka-python's own, on Python 3.11 and 3.12.
    known = [f"ignore:{name}_text is deprecated:DeprecationWarning" for name in ("open", "read")]
    allowed = [part for one in known for part in ("-W", one)]
    run(sys.executable, "-W", "error", *allowed, "-c", dedent(program), cwd=root / "tests")


@pytest.mark.parametrize("module", modules())
def test_every_public_name_has_a_docstring_of_its_own_or_inherited(module: str) -> None:
    loaded = importlib.import_module(module)
    own = {
        name: thing
        for name, thing in vars(loaded).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module
    }
    methods = {
        f"{name}.{method}": getattr(thing, method)
        for name, thing in own.items()
        if isinstance(thing, type)
        for method, kind in vars(thing).items()
        if not method.startswith("_") and (callable(kind) or isinstance(kind, PROPERTIES))
    }
    named = {**own, **methods}
    assert [name for name, thing in named.items() if not inspect.getdoc(thing)] == []


def test_the_learner_knows_no_connector(root: Path) -> None:
    forbidden = re.compile(r"^\s*(from|import)\s+(fenchel_connectors|kafka)\b", re.MULTILINE)
    learner = (root / "fenchel_stream").rglob("*.py")
    assert [path for path in learner if forbidden.search(path.read_text())] == []


def test_every_package_that_is_imported_is_required(root: Path) -> None:
    pattern = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
    sources = [*root.glob("fenchel_stream/**/*.py"), *root.glob("connectors/**/*.py")]
    imported = {name for path in sources for name in pattern.findall(path.read_text())}
    ours = {fenchel_stream.__name__, fenchel_connectors.__name__}
    providers = packages_distributions()
    needed = {
        canonicalize_name(provider)
        for name in imported & providers.keys() - ours
        for provider in providers[name]
    }
    stated = [Requirement(line) for line in distribution(NAME).requires or []]
    extras = ("", "avro", "json-schema", "plots", "protobuf")
    shipped = [
        requirement
        for requirement in stated
        if (marker := requirement.marker) is None
        or any(marker.evaluate({"extra": extra}) for extra in extras)
    ]
    assert needed <= {canonicalize_name(requirement.name) for requirement in shipped}


def test_the_installed_entry_points_are_those_of_the_project(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    scripts = {"console_scripts": project["scripts"]}
    for group, declared in {**scripts, **project["entry-points"]}.items():
        installed = {point.name: point for point in entry_points(group=group)}
        stale = {name for name in declared if installed[name].value != declared[name]}
        assert not stale, "install again: the metadata is older than pyproject.toml"
        assert all(callable(installed[name].load()) for name in declared)


def test_the_constraints_pin_all_that_is_installed_for_us(pins: dict[str, str]) -> None:
    todo, seen = [Requirement(f"{NAME}[dev]")], set()
    versions = {}
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(requirement.name)
        if key[0] != NAME:
            versions[key[0]] = found.version.partition("+")[0]
        for line in found.requires or []:
            child = Requirement(line)
            extras = requirement.extras | {""}
            if child.marker is None or any(child.marker.evaluate({"extra": e}) for e in extras):
                todo.append(child)
    assert {name: pins.get(name) for name in versions} == versions


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
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", tmp_path, source, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected
    assert held >= {"fenchel_stream/py.typed", "fenchel_connectors/py.typed"}


def test_the_top_level_holds_what_the_floor_plan_says(tracked: list[str]) -> None:
    top = {name.split("/")[0] for name in tracked}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_no_file_names_a_path_of_one_machine(tracked: list[str], root: Path) -> None:
    private = re.compile(r"(?<![\w.:/~$}*-])/(?:root|work|home/\w+|Users/\w+|tmp/\w+)\b")
    named = []
    for name in tracked:
        content = (root / name).read_bytes() if (root / name).is_file() else b""
        if b"\0" not in content:
            lines = enumerate(content.decode().splitlines(), 1)
            named += [f"{name}:{number}" for number, line in lines if private.search(line)]
    assert not named


def test_make_installs_once(make: Path, root: Path, tmp_path: Path) -> None:
    for target in ("test", "demo"):
        variables = f"VENV={tmp_path / target}"
        plan = run(make, "--dry-run", target, variables, cwd=root)
        assert f"{tmp_path / target}/bin/pip install -c constraints.txt -e" in plan
        for name in ("bin/pip", ".demo", ".dev"):
            stamp = tmp_path / target / name
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
        assert "pip install" not in run(make, "--dry-run", target, variables, cwd=root)


def test_the_cpu_build_of_torch_may_have_its_own_index(make: Path, root: Path) -> None:
    variables = ("VENV=v", "TORCH_INDEX=INDEX")
    # Below `make test`, make would tell of the directories it goes through.
    plan = run(make, "--no-print-directory", "--dry-run", "install", *variables, cwd=root)
    assert plan.splitlines()[-2:] == [
        "v/bin/pip install -c constraints.txt --no-deps --index-url INDEX torch",
        "v/bin/pip install -c constraints.txt .",
    ]


def test_ci_runs_what_a_developer_runs(root: Path) -> None:
    script = (root / ".ci/run").read_text().splitlines()
    assert [line for line in script if line.startswith("make")] == ["make lint", "make test"]
    assert ".ci/run" in (root / ".github/workflows/ci.yml").read_text()


def test_the_hooks_are_those_of_make_lint(make: Path, root: Path) -> None:
    hooks = (root / ".pre-commit-config.yaml").read_text()
    plan = run(make, "--dry-run", "lint", "VENV=.venv", cwd=root)
    for tool in (".venv/bin/ruff check", ".venv/bin/ruff format", ".venv/bin/mypy"):
        assert tool in hooks
        assert tool in plan


@pytest.fixture(scope="module")
def steps(root: Path) -> list[tuple[str, str]]:
    """Return the image's instructions: what kind, and the rest of the line."""
    text = (root / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [(kind, " ".join(rest)) for kind, *rest in lines]


class TestImage:
    def test_it_installs_with_the_makefile(self, steps: list[tuple[str, str]]) -> None:
        runs = [rest for kind, rest in steps if kind == "RUN"]
        packages = [rest for rest in runs if rest.startswith("apt-get update && apt-get install")]
        (rest,) = [rest for rest in runs if rest not in packages]
        assert rest == "make install VENV=/opt/fenchel-stream TORCH_INDEX=$TORCH_INDEX"
        assert not re.search(r"\bpip\b", " ".join(runs)), "the Makefile knows how to install"

    def test_what_it_copies_exists_and_is_not_ignored(
        self, steps: list[tuple[str, str]], root: Path
    ) -> None:
        copies = [rest.split()[:-1] for kind, rest in steps if kind == "COPY"]
        names = [name for copy in copies for name in copy if not copy[0].startswith("--from")]
        kept = (root / ".dockerignore").read_text().splitlines()
        for name in names:
            assert (root / name).exists(), name
            assert f"!{name}" in kept, name

    def test_it_does_not_run_as_root(self, steps: list[tuple[str, str]]) -> None:
        last_stage = steps[max(i for i, (kind, _) in enumerate(steps) if kind == "FROM") :]
        assert [rest for kind, rest in last_stage if kind == "USER"] == ["fenchel"]

    def test_its_health_check_asks_the_metrics(
        self, steps: list[tuple[str, str]], root: Path
    ) -> None:
        (check,) = [rest for kind, rest in steps if kind == "HEALTHCHECK"]
        python, flag, code = json.loads(check.partition("CMD ")[2])
        assert (python, flag) == ("python", "-c")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert ":9109/metrics" in code
        command = [sys.executable, flag, code.replace("9109", str(port))]
        with PrometheusExporter(port):
            run(*command, cwd=root)
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0


class TestDemoData:
    def test_it_is_what_its_readme_says(self, root: Path) -> None:
        folder = root / "examples/data"
        packed = (folder / "flights.csv.gz").read_bytes()
        assert len(packed) <= 2_000_000
        readme = (folder / "README.md").read_text()
        assert f"{hashlib.sha256(packed).hexdigest()}  flights.csv.gz" in readme
        assert f"{hashlib.sha256(gzip.decompress(packed)).hexdigest()}  flights.csv\n" in readme
        for column in pl.read_csv(folder / "flights.csv.gz", n_rows=1).columns:
            assert f"`{column}`" in readme

    def test_it_equals_another_preparation_of_its_source(
        self, root: Path, shared_data: Path
    ) -> None:
        other = pl.read_csv(shared_data / "flights_nyc13.csv.gz").rename({"label": "late"})
        ours = pl.read_csv(root / "examples/data/flights.csv.gz")
        assert ours.equals(other.select(ours.columns))
