"""The scores of pairs of label maps on disk, in parallel, and what failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from autobrats.dataset.cases import ImageFile
from autobrats.dataset.geometry import Geometry
from autobrats.dataset.volumes import as_labels, read_volume
from autobrats.errors import UserError
from autobrats.evaluation.cases import ABSENT_MM, Absent, score_case
from autobrats.evaluation.directions import HIGHER_IS_BETTER
from autobrats.evaluation.label_meaning import LabelMeaning, check_integers, translation_table
from autobrats.evaluation.lesions import LesionRules
from autobrats.evaluation.metrics_file import CaseMetrics, Metrics, build_metrics, case_metrics
from autobrats.evaluation.pairing import Pair
from autobrats.evaluation.surface import Percentile
from autobrats.workers import map_in_workers

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Scoring:
    """How pairs are scored; see :func:`autobrats.evaluation.cases.score_case`."""

    meaning: LabelMeaning
    absent: Absent = "brats"
    percentile: Percentile = "directed"
    tolerance_mm: float = 1.0
    lesions: LesionRules | None = None


@dataclass(frozen=True)
class Failure:
    """A case that could not be scored, or was given the worst scores, and one sentence of why."""

    case: str
    reason: str


@dataclass(frozen=True)
class PairScores:
    """The scores of one set of predictions.

    Attributes:
        metrics: of every case whose reference could be read.
        failures: by case; those that are in ``metrics`` as well count there as the worst that is possible.
    """

    metrics: Metrics
    failures: list[Failure]


def score_pairs(
    name: str,
    pairs: Sequence[Pair],
    scoring: Scoring,
    *,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
) -> PairScores:
    """Score every pair; each worker holds one pair in memory at a time.

    A case without a prediction, or whose prediction cannot be used, has the worst scores in every region; one whose
    reference cannot be used has none.

    Args:
        name: of the predictions.
        workers: so many processes; 0 scores in this one.
        on_progress: called with (pairs done, pairs in all), at once and after each pair.
        seed: of the intervals.

    Raises:
        UserError: if the predictions' labels cannot be written in the references' convention, or no pair was scored.
    """
    report = on_progress or (lambda done, total: None)
    work = partial(_score, scoring, translation_table(scoring.meaning))
    cases: dict[str, CaseMetrics] = {}
    failures: list[Failure] = []
    report(0, len(pairs))
    for number, done in enumerate(map_in_workers(work, pairs, workers=workers, describe=_case), 1):
        scores, reason = done.result or (None, done.error)
        if scores is not None:
            cases[done.item.case] = case_metrics(done.item.patient, scores)
        if reason is not None:
            failures.append(Failure(done.item.case, reason))
        report(number, len(pairs))
    failures.sort(key=lambda failure: failure.case)
    if not cases:
        raise UserError(f"None of the {len(pairs)} cases could be scored; the first: {failures[0].reason}")
    return PairScores(build_metrics(name, cases, seed=seed), failures)


def worst_scores(reference: np.ndarray, spacing_mm: tuple[float, float, float], scoring: Scoring) -> Scores:
    """The scores of a case that was not predicted, also in regions that its reference, shape (z, y, x), does not have.

    What is best at 1 is 0, distances are those of an absent region, and nothing was found; volumes and counts are those
    of an empty prediction.
    """
    scores = _score_arrays(np.zeros_like(reference), reference, spacing_mm, scoring)
    worst = dict.fromkeys(HIGHER_IS_BETTER, 0.0) | dict.fromkeys(("hd95", "hd"), ABSENT_MM[scoring.absent])
    if scoring.lesions is not None:
        worst["lesion_hd95"] = scoring.lesions.penalty_mm
    return {region: {key: worst.get(key, value) for key, value in of.items()} for region, of in scores.items()}


def _score(scoring: Scoring, translation: np.ndarray | None, pair: Pair) -> tuple[Scores, str | None]:
    """Scores of one pair, and why they are the worst if they are.

    Raises:
        UserError: if the reference cannot be used.
    """
    reference, geometry = read_reference(pair, scoring.meaning)
    try:
        prediction = read_prediction(pair, geometry, scoring.meaning, translation)
    except UserError as error:
        return worst_scores(reference, geometry.spacing_mm, scoring), str(error)
    return _score_arrays(prediction, reference, geometry.spacing_mm, scoring), None


def read_reference(pair: Pair, meaning: LabelMeaning) -> tuple[np.ndarray, Geometry]:
    """Labels, uint8 (z, y, x), and where they lie; without a position of their own they lie where the prediction does.

    Raises:
        UserError: if the file cannot be read, or holds integers that its convention does not have.
    """
    volume = read_volume(ImageFile(path=pair.reference))
    if not volume.geometry.placed and pair.prediction is not None:
        try:
            like = read_volume(ImageFile(path=pair.prediction)).geometry
        except UserError:
            like = None
        volume = read_volume(ImageFile(path=pair.reference), like)
    labels = as_labels(volume.voxels, pair.reference)
    check_integers(labels, meaning.reference, pair.reference)
    return labels, volume.geometry


def read_prediction(
    pair: Pair, geometry: Geometry, meaning: LabelMeaning, translation: np.ndarray | None
) -> np.ndarray:
    """Labels in the references' integers, uint8 (z, y, x).

    Args:
        geometry: of the reference.
        translation: of :func:`translation_table`.

    Raises:
        UserError: if there is no file, it cannot be read, lies on another grid, or holds unknown integers.
    """
    if pair.prediction is None:
        raise UserError("there is no prediction of this case")
    volume = read_volume(ImageFile(path=pair.prediction), geometry)
    if difference := geometry.mismatch(volume.geometry):
        raise UserError(f"{pair.prediction} does not lie on the reference's grid: it has {difference}; resample it.")
    labels = as_labels(volume.voxels, pair.prediction)
    check_integers(labels, meaning.prediction, pair.prediction)
    return labels if translation is None else translation[labels]


def _score_arrays(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float], scoring: Scoring
) -> Scores:
    return score_case(
        prediction,
        reference,
        scoring.meaning.reference,
        spacing_mm,
        absent=scoring.absent,
        percentile=scoring.percentile,
        tolerance_mm=scoring.tolerance_mm,
        lesions=scoring.lesions,
    )


def _case(pair: Pair) -> str:
    return pair.case
