"""README.md says what is so: its code runs, its tables and names are those of the project."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fenchel_connectors.monitoring.prometheus import PrometheusExporter
from fenchel_stream.cli import main
from fenchel_stream.cli.parser import EXIT_CODES
from fenchel_stream.errors import FenchelStreamError
from fenchel_stream.runner.config import Config


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def first_cells(readme: str, head: str) -> list[str]:
    """Return the first cell of each row of the table whose first line begins with `head`."""
    _, _, rest = readme.partition(f"\n{head}")
    table = rest.partition("\n\n")[0].splitlines()[2:]
    return [line.split("|")[1].strip() for line in table]


def test_its_python_runs(
    readme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(code, names)
    assert names["result"].rows == 1250
    assert names["result"].metrics["Accuracy"] > 0.85  # the larger class has 0.56
    printed, learnt = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert printed == f"open\n{names['result']}"
    assert float(learnt) > 0.9


def test_its_table_of_keys_is_the_configuration(readme: str) -> None:
    tables = {field.name: field.type for field in msgspec.structs.fields(Config)}
    free = {"kafka", "model"}  # what these take is known elsewhere
    for name in ("checkpoint", "labels"):
        tables[name] = tables[name].__args__[0]
    keys = {
        f"{name}.{field.name}": field.default
        for name, table in tables.items()
        if name not in free
        for field in msgspec.structs.fields(table)
    }
    _, _, rest = readme.partition("\n| key | default |")
    rows = [line.split(" | ") for line in rest.partition("\n\n")[0].splitlines()[2:]]
    stated = {row[0].strip("|` "): row[1] for row in rows}
    assert stated.keys() - free == keys.keys()
    for key, default in keys.items():
        found = stated[key].strip("`")
        if isinstance(default, (bool, int, float)) or key in {"metrics.host", "source.kind"}:
            assert tomllib.loads(f"x = {found}")["x"] == default, key


def test_its_command_line_is_one(readme: str, tmp_path: Path, root: Path) -> None:
    (command,) = re.findall(r"\$ fenchel-stream (run --source .*?)\n```", readme, re.DOTALL)
    words = command.replace("\\\n", " ").replace("csv:", f"csv:{root}/")
    setting = re.search(r"'(features\.one_hot=.*?)'", words)
    assert setting is not None
    arguments = [
        setting[1] if word == "ONE_HOT" else word
        for word in words.replace(setting[0], "ONE_HOT").split()
    ]
    quick = ["--set", "run.limit=200", "--set", "run.progress=false"]
    rejects = tmp_path / "rejects.jsonl"
    assert main([*arguments, *quick, "--rejects", str(rejects)]) == 0
    assert rejects.read_text() == ""


def test_its_figures_are_those_of_the_benchmarks(readme: str, root: Path) -> None:
    results = root / "examples/benchmarks/results"
    for name in ("drift.md", "rows.md"):
        assert (results / name).read_text() in readme, name
    _, real_streams, _ = (results / "suite.md").read_text().split("\n\n", 2)
    assert real_streams in readme


def test_its_exit_codes_are_those_of_the_errors(readme: str) -> None:
    stated = {int(code) for code in first_cells(readme, "| code | meaning |")}
    own = {FenchelStreamError.exit_code}
    own.update(error.exit_code for error in FenchelStreamError.__subclasses__())
    assert stated == own | {0, 130}
    assert stated == {int(code) for code in re.findall(r"\d+", EXIT_CODES)}


def test_its_metrics_are_those_that_are_served(readme: str) -> None:
    stated = {
        name
        for cell in first_cells(readme, "| name | what |")
        for name in re.findall(r"`(\w+)[`{]", cell)
    }
    doc = PrometheusExporter.__doc__ or ""
    documented = {
        name
        for line in doc.splitlines()
        if line.startswith("    ``")
        for name in re.findall(r"``(\w+)(?:``|\{)", line)
    }
    assert stated == documented
    with PrometheusExporter(port=0) as exporter:
        counters = {exporter.records, exporter.predictions, exporter.correct, exporter.loss}
    served = {f"{found.name}_total" for c in counters for found in c.collect()}
    (promql,) = re.findall(r"```promql\n(.*?)```", readme, re.DOTALL)
    assert set(re.findall(r"fenchel_stream_\w+", promql)) <= served


def test_its_links_lead_somewhere(readme: str, root: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)(.*?)\)", readme):
        path, _, anchor = link.partition("#")
        assert (root / path).exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)", (root / path).read_text(), re.MULTILINE)
            assert anchor in {title.lower().replace(" ", "-") for title in titles}, link


def test_its_table_cells_hold_no_bar(readme: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", readme, re.MULTILINE):
        widths = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(widths)) == 1, json.dumps(table.splitlines()[0])
