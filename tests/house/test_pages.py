"""The code of the README, of CONTRIBUTING and of the documentation runs; links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from fenchel_connectors.monitoring.prometheus import PrometheusExporter
from fenchel_stream.cli.parser import EXIT_CODES
from fenchel_stream.errors import ConfigError, FenchelStreamError
from tests.house.pages import ROOT, run_page

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
# Sphinx checks the links of docs/.
OPERATING = ROOT / "docs/operating.md"
SUFFIX = {"counter": "_total", "info": "_info"}
LINKING = [*ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_code_runs(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_its_links_lead_somewhere(page: Path) -> None:
    tokens = MarkdownIt().enable("table").parse(page.read_text())
    parts = [part for token in tokens for part in token.children or []]
    links = [str(part.attrs.get("href", part.attrs.get("src", ""))) for part in parts]
    for link in links:
        path, _, anchor = link.partition("#")
        if link and not re.match(r"https?:", link):
            place = page.parent / path if path else page
            assert place.exists(), link
            if anchor:
                titles = re.findall(r"^#+ (.*)", place.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in titles}
                assert anchor in anchors, link


def first_cells(page: Path, head: str) -> list[str]:
    """Return the first cell of each row of the table whose first line is `head`."""
    _, _, rest = page.read_text().partition(f"\n{head}\n")
    return [line.split("|")[1].strip() for line in rest.partition("\n\n")[0].splitlines()[1:]]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    stated = {int(code) for code in first_cells(OPERATING, "| code | meaning |")}
    own = {FenchelStreamError.exit_code}
    own.update(error.exit_code for error in FenchelStreamError.__subclasses__())
    assert stated == own | {0, 130}
    assert stated == {int(code) for code in re.findall(r"\d+", EXIT_CODES)}


def test_the_metrics_are_those_that_are_served() -> None:
    stated = {
        name
        for cell in first_cells(OPERATING, "| name | what |")
        for name in re.findall(r"`(\w+)[`{]", cell)
    }
    with PrometheusExporter(port=0) as exporter:
        served = {
            sample.name.removeprefix("fenchel_stream_").removesuffix("_created")
            for metric in exporter.registry.collect()
            for sample in metric.samples
        }
        names = {
            f"{metric.name}{SUFFIX.get(metric.type, '')}".removeprefix("fenchel_stream_")
            for metric in exporter.registry.collect()
        }
    assert stated == names
    (promql,) = re.findall(r"```promql\n(.*?)```", OPERATING.read_text(), re.DOTALL)
    assert set(re.findall(r"fenchel_stream_(\w+)", promql)) <= served


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    text, results = (ROOT / "README.md").read_text(), ROOT / "examples/benchmarks/results"
    _, real_streams, _ = (results / "suite.md").read_text().split("\n\n", 2)
    assert real_streams in text
    speeds = [line.split("|")[-2] for line in (results / "rows.md").read_text().splitlines()]
    rows = [int(speed.replace(",", "")) for speed in speeds if speed.strip()[0].isdigit()]
    stated = re.search(
        r"learns: ([\d,]+) that are predicted and\s+learnt one by one, or ([\d,]+)", text
    )
    assert stated is not None
    assert [int(n.replace(",", "")) for n in stated.groups()] == [
        round(rows[0], -2),
        round(rows[4], -2),
    ]


def fence(language: str, code: str, comment: str = "") -> str:
    return f"Text.\n\n{comment}\n```{language}\n{code}\n```\n"


class TestTool:
    """A page that is wrong is noticed."""

    def run(self, tmp_path: Path, *parts: str) -> dict[str, object]:
        page = tmp_path / "page.md"
        page.write_text("\n".join(parts))
        return run_page(page, tmp_path)

    def test_python_blocks_share_names_and_a_folder(self, tmp_path: Path) -> None:
        first = fence("python", "from pathlib import Path\nPath('x').write_text('1')")
        second = fence("python", "x = int(Path('x').read_text())")
        assert self.run(tmp_path, first, second)["x"] == 1

    def test_a_failure_names_the_line(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            self.run(tmp_path, fence("python", "x = 0"), fence("python", "y = 2\n1 / x"))
        assert caught.traceback[-1].lineno + 1 == 13
        assert caught.value.__notes__ == [f"in the block after line 11 of {tmp_path}/page.md"]

    def test_a_block_inside_a_directive_is_run(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            self.run(tmp_path, "````{note}\n```python\n1 / 0\n```\n````\n")
        with pytest.raises(AssertionError, match="which is tested"):
            self.run(tmp_path, "```{code-block} python\n1 / 0\n```\n")

    def test_a_block_without_a_test_has_a_reason(self, tmp_path: Path) -> None:
        skipped = fence("python", "1 / 0", "<!-- no test: it divides by zero -->")
        assert "x" in self.run(tmp_path, skipped, fence("python", "x = 1"))
        with pytest.raises(AssertionError, match="say why"):
            self.run(tmp_path, fence("python", "1 / 0", "<!-- no test -->"))
        with pytest.raises(ZeroDivisionError):  # the comment is for one block
            self.run(tmp_path, skipped, fence("python", "1 / 0"))

    @pytest.mark.parametrize(
        "code",
        [
            "[source]\nurl = 'river:Phishing'\ntarget = 'y'\ntargte = 'y'",
            "[run]\nbatch_size = 'many'",
        ],
    )
    def test_a_configuration_must_be_one(self, tmp_path: Path, code: str) -> None:
        with pytest.raises(ConfigError):
            self.run(tmp_path, fence("toml", code))
        self.run(tmp_path, fence("toml", "[run]\nbatch_size = 5"))
        self.run(tmp_path, fence("toml", "[project]\nname = 'mine'"))

    def test_a_command_runs(self, tmp_path: Path) -> None:
        config = "[source]\nurl = 'river:Phishing'\ntarget = 'target'"
        command = (
            "$ fenchel-stream run my.toml \\\n    --predictions out.jsonl  # a comment\nOutput"
        )
        file = "<!-- file: my.toml -->"
        self.run(tmp_path, fence("toml", config, file), fence("console", command))
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 200

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("fenchel-stream run nowhere.toml", "returned 2"),
            ("fenchel-stream run --sauce kafka://HOST:9092/topic", "exit code 2"),
            (
                "fenchel-stream run --source kafka://HOST/t --target y --set run.size=3",
                "run: unknown key `size`",
            ),
            ("python -m fenchel_stream checkpoint rollbak DIRECTORY", "exit code 2"),
            ("make no-such-target", "returned non-zero"),
        ],
    )
    def test_a_command_that_cannot_work_is_noticed(
        self, tmp_path: Path, command: str, message: str
    ) -> None:
        expected = (AssertionError, ConfigError, subprocess.CalledProcessError)
        with pytest.raises(expected, match=message):
            self.run(tmp_path, fence("console", f"$ {command}"))

    def test_other_commands_are_not_run(self, tmp_path: Path) -> None:
        ours = "fenchel-stream run --source kafka://HOST/t --target y --set run.batch_size=3"
        self.run(tmp_path, fence("console", f"$ {ours}\n$ make demo\n$ no-such-command"))
