"""What the documentation says exists: commands and their options, make targets, pages and pictures."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "documentation").glob("*.md"))]
COMMANDS = {
    **{name: name for name in ("plan", "train", "tune", "find_best_config", "predict", "evaluate", "demo")},
    **{"export": "export_model", "import": "import_model", "quantise": "quantise"},
    **{name: name for name in ("survival_train", "survival_predict", "survival_evaluate")},
}
"""The modules by command."""
PAGES_OF = {"import": "autobrats_export.md", "demo": "demo.md"}
"""Where the page is not called like the command."""


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.ArgumentParser]:
    """The real parsers, taken where each command hands its own to the runner."""
    found = {}
    for name in COMMANDS.values():
        module = importlib.import_module(f"autobrats.commands.{name}")
        monkeypatch.setattr(module, "run", lambda parser, *_, **__: found.update({parser.prog: parser}) or 0)
        module.main([])
    return found


def code_lines(text: str) -> Iterator[str]:
    """Lines of fenced and of indented code; a line that ends with a backslash is joined with the next."""
    fenced = False
    text = text.replace("\\\n", " ")
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip().removeprefix("$ ")


def shown_commands(text: str) -> list[str]:
    """Commands in code that could be typed; the synopsis of a page, with its brackets, could not."""
    return [line for line in code_lines(text) if re.match(r"autobrats_\w+( |$)", line) and "[" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_accepted(page: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    for line in shown_commands(page.read_text(encoding="utf-8")):
        name, *arguments = shlex.split(line, comments=True)
        assert name in parsers, f"{page.name}: {line}"
        try:
            parsers[name].parse_args(arguments)
        except SystemExit as end:
            assert end.code == 0, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_named_exists(page: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    for span in re.findall(r"`(autobrats_\w+ [^`]*)`", page.read_text(encoding="utf-8")):
        name, *words = span.split()
        options = {option for action in parsers[name]._actions for option in action.option_strings}
        for word in words:
            option = word.strip("[],.").partition("=")[0]
            assert not option.startswith("-") or option in options, f"{page.name}: {span}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z-]+)`", text) + [
        line.split()[1] for line in code_lines(text) if re.match(r"make [a-z]", line)
    ]
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_that_the_index_names(
    command: str, parsers: dict[str, argparse.ArgumentParser]
) -> None:
    index = (ROOT / "documentation" / "index.md").read_text(encoding="utf-8")
    page = PAGES_OF.get(command, f"autobrats_{command}.md")
    assert f"({page})" in index
    text = (ROOT / "documentation" / page).read_text(encoding="utf-8")
    for action in parsers[f"autobrats_{command}"]._actions:
        options = action.option_strings
        if options and options[-1] not in ("--help", "--version", "--debug"):
            named = [option for option in options if re.search(rf"(?<![\w-]){option}(?![\w-])", text)]
            assert named, f"{page} does not say what {options[-1]} does"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "documentation" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page.name != "index.md" and f"({page.name})" not in index] == []


def test_the_package_is_described_by_its_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = shown_commands(text)[:5]
    usual = ("demo", "plan", "train", "find_best_config", "predict")
    assert [line.split()[0] for line in first] == [f"autobrats_{name}" for name in usual]
    assert "make test" in text and "Apache" in text
