"""What is found in the runs folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_runs import finish_run, write_workspace

from autobrats.ensembling.candidates import collect_candidates
from autobrats.errors import UserError
from autobrats.files import read_model
from autobrats.plan import Plan
from autobrats.workspace import DatasetFolder


def collect(folder: DatasetFolder, *configurations: str):
    return collect_candidates(folder, read_model(folder.plan_file, Plan), 5, configurations)


def test_finished_folds_are_pooled_and_missing_ones_named(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    for fold in (0, 3):
        finish_run(folder, "3d_fullres", fold)
    finish_run(folder, "3d_fullres", 1, finished=False)
    (candidate,) = collect(folder)
    assert list(candidate.weights) == [0, 3] and all(path.is_file() for path in candidate.weights.values())
    assert candidate.missing == [1, 2, 4] and candidate.is_trained and candidate.all_weights is None
    assert candidate.metrics is not None and candidate.metrics.folds == [0, 3] and len(candidate.metrics.cases) == 8
    assert candidate.train_command() == "autobrats_train 3d_fullres 1 2 4"
    assert candidate.train_command("-d gliomas") == "autobrats_train 3d_fullres 1 2 4 -d gliomas"


def test_a_complete_configuration_needs_no_command(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    for fold in range(5):
        finish_run(folder, "3d_fullres", fold)
    assert collect(folder)[0].train_command() is None


def test_nothing_trained(tmp_path: Path) -> None:
    (candidate,) = collect(write_workspace(tmp_path))
    assert not candidate.is_trained and candidate.metrics is None and candidate.missing == [0, 1, 2, 3, 4]


def test_fold_all_alone_is_a_model_without_scores(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    finish_run(folder, "3d_fullres", "all")
    (candidate,) = collect(folder)
    assert candidate.is_trained and candidate.all_weights is not None and candidate.metrics is None


def test_missing_modalities_are_averaged_over_folds(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    finish_run(folder, "3d_fullres", 0, missing_t1c=0.5)
    finish_run(folder, "3d_fullres", 1, missing_t1c=0.7)
    (candidate,) = collect(folder)
    assert candidate.missing_modality_dice == pytest.approx(
        {"complete": 0.8, "t1n": 0.79, "t1c": 0.6, "t2w": 0.78, "t2f": 0.6}
    )


def test_weights_of_another_network_are_left_out_with_a_note(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    finish_run(folder, "3d_fullres", 0)
    finish_run(folder, "3d_fullres", 1, width=16)
    (candidate,) = collect(folder)
    assert list(candidate.weights) == [0] and candidate.missing == [1, 2, 3, 4]
    assert candidate.notes and "fold 1 was trained with another network" in candidate.notes[0]


def test_only_the_named_configurations(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, ("3d_fullres", "3d_fullres_paper"))
    assert [candidate.configuration for candidate in collect(folder)] == ["3d_fullres", "3d_fullres_paper"]
    assert [candidate.configuration for candidate in collect(folder, "3d_fullres_paper")] == ["3d_fullres_paper"]
    with pytest.raises(UserError, match="no configuration '2d'; it has: 3d_fullres, 3d_fullres_paper"):
        collect(folder, "2d")


def test_folds_of_different_splits_are_refused(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    one, other = (finish_run(folder, "3d_fullres", fold) for fold in (0, 1))
    other.metrics_file.write_bytes(one.metrics_file.read_bytes())
    with pytest.raises(
        UserError, match=r"case_00 was validated in two folds.*autobrats_train 3d_fullres 0 1 --restart"
    ):
        collect(folder)
