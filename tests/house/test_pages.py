"""The code of the README, of CONTRIBUTING and of the documentation runs; links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from fenchel_stream.errors import ConfigError
from tests.house.pages import ROOT, run_page

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
# Sphinx checks the links of docs/.
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
