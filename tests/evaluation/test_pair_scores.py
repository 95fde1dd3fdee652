"""Pairs on disk: grids and orientations, the worst scores, failures, workers."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autobrats.dataset.known_conventions import KNOWN
from autobrats.errors import UserError
from autobrats.evaluation.cases import ABSENT_MM, score_case
from autobrats.evaluation.label_meaning import LabelMeaning
from autobrats.evaluation.lesions import LESION_RULES
from autobrats.evaluation.pair_scores import Scoring, score_pairs, worst_scores
from autobrats.evaluation.pairing import Pair

BRATS = KNOWN["brats2017"]
SCORING = Scoring(LabelMeaning(BRATS, BRATS))
AFFINE = np.diag([-1.0, -1.5, 2.0, 1.0])


@pytest.fixture
def tumour() -> np.ndarray:
    """A tumour off the middle in a volume of 12 x 10 x 8 (x, y, z)."""
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[2:8, 2:7, 1:6] = 2
    labels[3:6, 3:6, 2:5] = 1
    labels[3:5, 3:5, 2:4] = 4
    return labels


def write(path: Path, labels: np.ndarray, affine: np.ndarray = AFFINE, placed: bool = True) -> Path:
    image = nibabel.Nifti1Image(labels, affine)
    image.set_sform(affine, int(placed))
    image.set_qform(affine, int(placed))
    nibabel.save(image, path)
    return path


def one(prediction: Path | None, reference: Path, scoring: Scoring = SCORING):
    return score_pairs("p", [Pair("case", "case", reference, prediction)], scoring)


def test_scores_are_those_of_the_arrays(tmp_path: Path, tumour: np.ndarray) -> None:
    moved = np.roll(tumour, 1, axis=0)
    scores = one(write(tmp_path / "p.nii.gz", moved), write(tmp_path / "r.nii.gz", tumour)).metrics.cases["case"]
    expected = score_case(moved.T, tumour.T, BRATS, (2.0, 1.5, 1.0))
    for region, values in expected.items():
        for metric, value in values.items():
            assert scores.regions[region][metric] == pytest.approx(value), (region, metric)


def test_another_orientation_of_the_same_grid_is_the_same(tmp_path: Path, tumour: np.ndarray) -> None:
    image = nibabel.Nifti1Image(tumour, AFFINE)
    turned = image.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    nibabel.save(turned, tmp_path / "p.nii.gz")
    result = one(tmp_path / "p.nii.gz", write(tmp_path / "r.nii.gz", tumour))
    assert not result.failures
    assert all(scores["dice"] == 1 for scores in result.metrics.cases["case"].regions.values())


@pytest.mark.parametrize("unplaced", ["prediction", "reference"])
def test_a_side_without_a_position_lies_where_the_other_does(tmp_path: Path, tumour: np.ndarray, unplaced: str) -> None:
    files = [
        write(tmp_path / f"{side}.nii.gz", tumour, placed=side != unplaced) for side in ("prediction", "reference")
    ]
    assert one(*files).metrics.summary["ET"]["dice"].mean == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda path, labels: write(path, labels[1:]), "11"),
        (lambda path, labels: write(path, labels, AFFINE * [[1, 1, 2, 1]]), "a spacing of"),
        (lambda path, labels: write(path, labels, AFFINE + [[0, 0, 0, 9]] * 3 + [[0, 0, 0, 0]]), "corners"),
        (lambda path, labels: write(path, labels.astype(np.float32) / 3), "not whole"),
        (lambda path, labels: write(path, np.where(labels == 4, 3, labels).astype(np.uint8)), "the label 3"),
        (lambda path, labels: path.write_bytes(b"nothing"), "cannot be read"),
    ],
)
def test_an_unusable_prediction_is_the_worst_and_says_why(tmp_path, tumour, change, sentence) -> None:
    if sentence == "corners":
        shifted = AFFINE.copy()
        shifted[0, 3] = 9
        write(tmp_path / "p.nii.gz", tumour, shifted)
    else:
        change(tmp_path / "p.nii.gz", tumour)
    result = one(tmp_path / "p.nii.gz", write(tmp_path / "r.nii.gz", tumour))
    (failure,) = result.failures
    assert failure.case == "case" and sentence in failure.reason and "p.nii.gz" in failure.reason
    assert all(scores["dice"] == 0 for scores in result.metrics.cases["case"].regions.values())


def test_a_missing_prediction_is_the_worst_in_every_region(tmp_path: Path) -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    empty[1, 1, 1] = 2
    scoring = Scoring(LabelMeaning(BRATS, BRATS), lesions=LESION_RULES["metastases"])
    result = one(None, write(tmp_path / "r.nii.gz", empty, np.eye(4)), scoring)
    assert [failure.reason for failure in result.failures] == ["there is no prediction of this case"]
    for scores in result.metrics.cases["case"].regions.values():
        assert all(value is not None for value in scores.values())
        assert (
            scores["dice"]
            == scores["nsd"]
            == scores["specificity"]
            == scores["lesion_dice"]
            == scores["lesion_f1"]
            == 0
        )
        assert scores["hd95"] == scores["hd"] == pytest.approx(373.12866, abs=1e-5)
        assert scores["lesion_hd95"] == 374 and scores["volume_ml"] == 0
    assert result.metrics.cases["case"].regions["WT"]["reference_volume_ml"] == 0.001


@pytest.mark.parametrize("absent", ["infinite", "excluded"])
def test_the_worst_distance_follows_the_rule_for_absent_regions(absent) -> None:
    reference = np.full((2, 2, 2), 4, np.uint8)
    scores = worst_scores(reference, (1, 1, 1), Scoring(LabelMeaning(BRATS, BRATS), absent=absent))
    assert scores["ET"]["hd95"] == pytest.approx(ABSENT_MM[absent], nan_ok=True)
    assert not math.isfinite(scores["ET"]["hd95"])


def test_a_bad_reference_is_not_scored_and_does_not_stop_the_others(tmp_path: Path, tumour: np.ndarray) -> None:
    good = write(tmp_path / "good.nii.gz", tumour)
    bad = write(tmp_path / "bad.nii.gz", np.where(tumour == 4, 9, tumour).astype(np.uint8))
    pairs = [Pair(name, name, file, good) for name, file in (("bad", bad), ("good", good))]
    result = score_pairs("p", pairs, SCORING)
    assert list(result.metrics.cases) == ["good"] and "the label 9" in result.failures[0].reason
    with pytest.raises(UserError, match="None of the 1 cases could be scored"):
        score_pairs("p", pairs[:1], SCORING)


def test_workers_find_the_same(tmp_path: Path, tumour: np.ndarray) -> None:
    reference = write(tmp_path / "r.nii.gz", tumour)
    files = [write(tmp_path / f"p{n}.nii.gz", np.roll(tumour, n, axis=1)) for n in range(3)]
    pairs = [Pair(file.name, file.name, reference, file) for file in files] + [Pair("none", "none", reference, None)]
    reported: list[tuple[int, int]] = []
    alone = score_pairs("p", pairs, SCORING, on_progress=lambda done, total: reported.append((done, total)))
    assert reported == [(number, 4) for number in range(5)]
    assert score_pairs("p", pairs, SCORING, workers=2) == alone
    assert alone.metrics.summary["WT"]["dice"].n == 4
