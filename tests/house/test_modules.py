"""Every module can be imported alone, and documents its public names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cached_property
from importlib.metadata import requires
from pathlib import Path
from textwrap import dedent

import pytest
from packaging.requirements import Requirement

import fenchel_connectors
import fenchel_stream

PACKAGES = (fenchel_stream, fenchel_connectors)
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
    program = f"""
        import importlib, sys
        for name in {modules()}:
            importlib.import_module(name)
        print(*{{name.partition(".")[0] for name in sys.modules}})
    """
    loaded = run_python(program, root).split()
    requirements = map(Requirement, requires("fenchel-stream") or [])
    extra = {one.name for one in requirements if re.search("plots|torch", str(one.marker))}
    assert extra == {"matplotlib", "torch"}
    assert not extra & set(loaded)


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
