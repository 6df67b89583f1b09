"""Every module can be imported alone, and documents its public names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cached_property
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from textwrap import dedent

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fenchel_connectors
import fenchel_stream

PACKAGES = (fenchel_stream, fenchel_connectors)
EXTRAS = "avro|json-schema|plots|protobuf|torch"
NEEDS_AN_EXTRA = re.compile(
    r"fenchel_connectors\.formats\.(avro|json_schema|protobuf|protobuf_schema)"
)
"""The modules of formats. A configuration that names one imports it."""
PROPERTIES = (classmethod, cached_property, property, staticmethod)


def modules() -> list[str]:
    """Return the name of every module that users install, except those that are commands."""
    return [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith("__main__")
    ]


def run_python(program: str, root: Path) -> str:
    """Return what a program prints in a process where a warning is an error."""
    # kafka-python itself causes these on Python 3.11 and 3.12.
    known = [f"ignore:{name}_text is deprecated:DeprecationWarning" for name in ("open", "read")]
    flags = ["-W", "error", *(word for one in known for word in ("-W", one))]
    command = [sys.executable, *flags, "-c", dedent(program)]
    # A directory from which the packages are found only if they are installed.
    process = subprocess.run(
        command, cwd=root / "tests", capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_every_module_can_be_the_first_that_is_imported(root: Path) -> None:
    program = f"""
        import importlib, sys
        ours = {tuple(package.__name__ for package in PACKAGES)}
        for name in {modules()}:
            for loaded in [key for key in sys.modules if key.startswith(ours)]:
                del sys.modules[loaded]
            importlib.import_module(name)
    """
    run_python(program, root)


def test_no_import_needs_the_package_of_an_extra(root: Path) -> None:
    light = [name for name in modules() if not NEEDS_AN_EXTRA.fullmatch(name)]
    program = f"""
        import importlib, sys
        for name in {light}:
            importlib.import_module(name)
        print(*{{name.partition(".")[0] for name in sys.modules}})
    """
    loaded = set(run_python(program, root).split())
    requirements = list(map(Requirement, requires("fenchel-stream") or []))
    always = {canonicalize_name(one.name) for one in requirements if one.marker is None}
    extra = {
        canonicalize_name(one.name) for one in requirements if re.search(EXTRAS, str(one.marker))
    }
    packages = {
        package
        for package, providers in packages_distributions().items()
        if set(map(canonicalize_name, providers)) & (extra - always)
    }
    assert packages >= {"fastavro", "grpc_tools", "jsonschema_rs", "matplotlib"}
    assert not packages & loaded


@pytest.mark.parametrize("module", modules())
def test_every_public_name_has_a_docstring_of_its_own_or_inherited(module: str) -> None:
    loaded = importlib.import_module(module)
    own = {
        name: value
        for name, value in vars(loaded).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    }
    methods = {
        f"{name}.{method}": getattr(value, method)
        for name, value in own.items()
        if isinstance(value, type)
        for method, kind in vars(value).items()
        if not method.startswith("_") and (callable(kind) or isinstance(kind, PROPERTIES))
    }
    public = {**own, **methods}
    assert [name for name, value in public.items() if not inspect.getdoc(value)] == []
