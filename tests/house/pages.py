"""Run the code of a Markdown page: its Python, its configurations, its commands.

The blocks of a page run in order, in one namespace and one directory, as a reader would run them.
The directory begins with a copy of ``examples/data`` and of ``examples/*.toml``.

- ``python`` is executed.
- ``toml`` must be TOML. A configuration of a run, or a part of one, must also be accepted by the
  runner.
- ``console`` holds commands after ``$``. A command ``fenchel-stream`` is run and must return 0.
  One that names a broker or a PLACEHOLDER is only parsed. The target of ``make`` must exist.

An HTML comment before a block changes what happens to it::

    <!-- no test: it needs a GPU -->        the block is not run; the reason is required
    <!-- file: stream.toml -->              the block is also written to that file
"""

from __future__ import annotations

import linecache
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from markdown_it import MarkdownIt

from fenchel_stream.cli import main
from fenchel_stream.cli.configuration import configuration
from fenchel_stream.cli.parser import make_parser
from fenchel_stream.runner.config import Config, parse

ROOT = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"<!--\s*(no test|file)\s*:?(.*?)-->", re.DOTALL)
PLACEHOLDER = re.compile(r"[A-Z][A-Z_-]+(/[A-Z_-]+)*|.*://.*")
# A run in a test is short, and leaves the fixed port of a configuration to others.
QUICK = {
    "--limit": "run.limit=200",
    "--metrics-port": "metrics.port=0",
    "--progress": "run.progress=false",
}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    page
        The file that the block stands in.
    line
        Number of the line before the first line of code.
    language
        First word after the fence.
    code
        The text between the fences.
    reason
        Why the block is not run; None if it is run.
    file
        Name of the file that the block is written to, None for no file.
    """

    page: Path
    line: int
    language: str
    code: str
    reason: str | None = None
    file: str | None = None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page, also those inside a directive of MyST."""
    return list(_blocks(page, page.read_text(encoding="utf-8"), 0))


def _blocks(page: Path, text: str, first_line: int) -> Iterator[Block]:
    comments: dict[str, str] = {}
    for token in MarkdownIt().parse(text):
        if token.type == "html_block":
            comments |= {name: value.strip() for name, value in COMMENT.findall(token.content)}
            continue
        if token.type == "fence" and token.map is not None:
            line = first_line + token.map[0] + 1
            language, *_ = [*token.info.split(), ""]
            if language.startswith("{code"):
                raise AssertionError(f"{page}:{line}: write ```LANGUAGE, which is tested")
            if language.startswith("{"):
                yield from _blocks(page, token.content, line)
            elif comments.get("no test") == "":
                raise AssertionError(f"{page}:{line}: say why there is no test")
            else:
                reason, file = comments.get("no test"), comments.get("file")
                yield Block(page, line, language, token.content, reason, file)
        if not token.hidden:
            comments = {}


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Run the blocks of a page in a folder and return the names that its Python defines.

    Raises
    ------
    Exception
        Whatever a block raises, with a note that names the page and the line of the block.
    """
    shutil.copytree(ROOT / "examples/data", folder / "examples/data", dirs_exist_ok=True)
    for config in ROOT.glob("examples/*.toml"):
        shutil.copy(config, folder / "examples")
    # A module of its own, which dataclasses and the like look up by its name.
    module = ModuleType(re.sub(r"\W", "_", f"page_{page.stem}"))
    sys.modules[module.__name__] = module
    try:
        with chdir(folder):
            for block in blocks(page):
                if block.file is not None:
                    Path(block.file).write_text(block.code, encoding="utf-8")
                if block.reason is None:
                    _run(block, vars(module))
    finally:
        del sys.modules[module.__name__]
    return vars(module)


def _run(block: Block, names: dict[str, Any]) -> None:
    try:
        if block.language == "python":
            _run_python(block, names)
        elif block.language == "toml":
            _check_toml(block.code)
        elif block.language == "console":
            for command in commands(block.code):
                _run_command(command)
    except (Exception, SystemExit) as error:
        note = f"in the block after line {block.line} of {block.page}"
        if isinstance(error, SystemExit):  # argparse ends so on a wrong argument
            raise AssertionError(f"exit code {error.code} {note}") from error
        error.add_note(note)
        raise


def _run_python(block: Block, names: dict[str, Any]) -> None:
    # Tracebacks show the lines of the page.
    linecache.checkcache(str(block.page))
    exec(compile("\n" * block.line + block.code, block.page, "exec"), names)


def _check_toml(code: str) -> None:
    tables = tomllib.loads(code)
    known = {field.name for field in msgspec.structs.fields(Config)}
    if known & tables.keys():
        source = {"url": "csv:rows.csv", "target": "label"} | tables.get("source", {})
        parse({**tables, "source": source})


def commands(code: str) -> list[list[str]]:
    """Return the words of each command of a console block."""
    lines = re.sub(r"\\\n\s*", " ", code).splitlines()
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


def _run_command(words: list[str]) -> None:
    while words and re.fullmatch(r"\w+=.*", words[0]):  # settings of the environment
        words = words[1:]
    match words:
        case ["make", *_] if shutil.which("make"):
            dry = ["make", "--dry-run", *words[1:]]
            subprocess.run(dry, cwd=ROOT, check=True, capture_output=True)
        case [command, *arguments] if Path(command).name == "fenchel-stream":
            _run_ours(arguments)
        case [python, "-m", "fenchel_stream", *arguments] if "python" in python:
            _run_ours(arguments)


def _run_ours(arguments: list[str]) -> None:
    if any(PLACEHOLDER.fullmatch(word) for word in arguments):
        options = make_parser().parse_args(arguments)
        configured = arguments[0] in {"run", "check"}
        if configured and (options.config is None or options.config.exists()):
            configuration(options)
        return
    if arguments[0] == "run":
        # A flag of the command itself stays as it is.
        settings = [setting for flag, setting in QUICK.items() if flag not in arguments]
        arguments = [*arguments, *(word for one in settings for word in ("--set", one))]
    code = main(arguments)
    assert code == 0, f"fenchel-stream {shlex.join(arguments)} returned {code}"
