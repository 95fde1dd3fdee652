"""A file that a person edited is told from one that autobrats wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.files import read_json, write_json
from autobrats.planning.generated_files import is_edited, write_generated


def test_only_a_change_of_content_is_an_edit(tmp_path: Path) -> None:
    plan, splits = tmp_path / "plan.json", tmp_path / "splits.json"
    assert not is_edited(plan)
    write_generated(plan, {"a": 1})
    write_generated(splits, [])
    assert not is_edited(plan) and not is_edited(splits)
    plan.write_text(plan.read_text().replace("1", "2"))
    assert is_edited(plan) and not is_edited(splits)
    write_generated(plan, {"a": 3})
    assert not is_edited(plan) and read_json(plan) == {"a": 3}


@pytest.mark.parametrize("others", [False, True])
def test_a_file_that_we_did_not_write_is_a_persons(tmp_path: Path, others: bool) -> None:
    if others:
        write_generated(tmp_path / "splits.json", [])
    write_json(tmp_path / "plan.json", {"a": 1})
    assert is_edited(tmp_path / "plan.json")
