"""Label maps that somebody predicted, as cases to tune on."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tuning.made_up_source import BRATS, SHAPE, SPACING_MM, sharp

from autobrats.errors import UserError
from autobrats.evaluation.cases import score_case
from autobrats.tuning.label_maps import label_map_source
from autobrats.tuning.postprocessing_search import SearchJob, run_search
from autobrats.tuning.search_space import UNCHANGED
from autobrats.tuning.tuning_case import TuningCase, default_choice

NAMES = [f"BraTS2021_{number:05d}" for number in range(3)]


def write(path: Path, labels: np.ndarray) -> None:
    """Labels of (z, y, x) as a file with BraTS' axes."""
    z, y, x = SPACING_MM
    affine = np.diag([-x, -y, z, 1.0])
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), affine), path)


def labels_of(levels: np.ndarray) -> np.ndarray:
    return BRATS.to_labels(levels > 127)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references of three studies."""
    for name, case in zip(NAMES, sharp(3).cases.values(), strict=True):
        write(tmp_path / "predictions" / f"{name}.nii.gz", labels_of(case.variants[UNCHANGED]))
        write(tmp_path / "references" / f"{name}_seg.nii.gz", case.reference)
    return tmp_path / "predictions", tmp_path / "references"


def test_pairs_become_cases_on_their_grid(folders: tuple[Path, Path]) -> None:
    source, told = label_map_source(*folders)
    assert list(source.pairs) == list(source.patients) == NAMES and not source.graded
    assert told[0].startswith("3 pairs; convention brats")
    for name, made_up in zip(NAMES, sharp(3).cases.values(), strict=True):
        case = source.load(name)
        assert case.spacing_mm == pytest.approx(SPACING_MM)
        assert np.array_equal(case.reference, made_up.reference)
        levels = case.variants[UNCHANGED]
        assert levels.dtype == np.uint8 and levels.shape == (3, *SHAPE) and set(np.unique(levels)) == {0, 255}
        predicted = labels_of(made_up.variants[UNCHANGED])
        assert np.array_equal(levels > 0, source.convention.to_regions(predicted).astype(bool))
        fast = TuningCase(case.variants, case.reference, source.convention, case.spacing_mm, margin_mm=8.0)
        scores = score_case(predicted, case.reference, source.convention, case.spacing_mm)
        expected = [[scores[region]["dice"], scores[region]["hd95"]] for region in source.convention.regions]
        np.testing.assert_allclose(fast.scores(default_choice(source.convention)), expected, rtol=1e-5)


def test_predictions_in_another_year_s_integers(folders: tuple[Path, Path]) -> None:
    """ET is 3 in the predictions and 4 in the references."""
    before = label_map_source(*folders)[0].load(NAMES[0]).variants[UNCHANGED]
    for name, case in zip(NAMES, sharp(3).cases.values(), strict=True):
        labels = labels_of(case.variants[UNCHANGED])
        write(folders[0] / f"{name}.nii.gz", np.where(labels == 4, 3, labels).astype(np.uint8))
    source, told = label_map_source(*folders)
    assert any("brats2023" in sentence for sentence in told)
    assert np.array_equal(source.load(NAMES[0]).variants[UNCHANGED], before)


def test_what_has_no_partner_is_left_out_and_named(folders: tuple[Path, Path]) -> None:
    (folders[0] / f"{NAMES[1]}.nii.gz").unlink()
    source, told = label_map_source(*folders)
    assert list(source.pairs) == [NAMES[0], NAMES[2]] == list(source.patients)
    assert f"1 have no partner and are left out: {NAMES[1]}." in told


def test_the_key_changes_with_the_files(folders: tuple[Path, Path]) -> None:
    before = label_map_source(*folders)[0].key
    assert label_map_source(*folders)[0].key == before
    file = folders[0] / f"{NAMES[0]}.nii.gz"
    facts = file.stat()
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert label_map_source(*folders)[0].key != before


def test_nothing_to_pair_is_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="nothing"):
        label_map_source(tmp_path / "nothing", folders[1])


def test_a_search_moves_borders_in_mm(folders: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = label_map_source(*folders)
    outcome = run_search(SearchJob(tmp_path / "study", "s", source, tuple(NAMES), (), trials=13))
    names = {name for trial in outcome.trials for name in trial.params}
    assert any(name.endswith(".grow_mm") for name in names) and not any("threshold" in name for name in names)


@pytest.mark.realdata
def test_the_real_pairs(realdata: Path) -> None:
    source, told = label_map_source(realdata / "real_predictions", realdata / "real_predictions")
    assert told[0].startswith("61 pairs") and len(set(source.patients.values())) == 61
    name = list(source.pairs)[7]
    case = source.load(name)
    assert case.reference.shape == case.variants[UNCHANGED].shape[1:] == (128, 128, 128)
    assert list(source.convention.regions) == ["WT", "TC", "ET"]
