"""A report tells of the survival model if the dataset has one."""

from __future__ import annotations

from pathlib import Path

from autobrats.ensembling.report import survival_story
from autobrats.reporting.page.survival_data import SurvivalStory, write_story
from autobrats.workspace import DatasetFolder


def test_the_story_beside_the_survival_model_is_found(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path)
    assert survival_story(folder) is None
    story = SurvivalStory(chosen=["Age alone."])
    write_story(tmp_path / "survival" / "story.json", story)
    assert survival_story(folder) == story
