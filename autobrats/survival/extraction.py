"""Features of many cases: in parallel, only what was not computed before, and going on past a bad case."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autobrats import __version__
from autobrats.dataset.cases import Case
from autobrats.dataset.volumes import WORKER_BYTES, read_mask, read_study, read_volume
from autobrats.errors import UserError
from autobrats.survival.brain import brain_mask
from autobrats.survival.feature_cache import CaseFeatures, FeatureCache, content_key
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.survival_cases import SurvivalCase
from autobrats.survival.tumour_features import TUMOUR_FEATURE_NAMES, tumour_features
from autobrats.survival.tumour_parts import part_integers, tumour_parts
from autobrats.workers import default_workers, map_in_workers

if TYPE_CHECKING:
    from autobrats.survival.radiomics.feature_sets import FeatureSet
    from autobrats.survival.radiomics.settings import RadiomicsSettings

CACHE_VERSION = 1
"""Raised when a feature changes its meaning between releases, so that cached ones are computed again."""

_BYTES_A_VOXEL, _BYTES_A_VOXEL_OF_AN_IMAGE = 16, 8
"""What a worker takes beside itself: for the mask and the brain, and for each image.

A study of 240 x 240 x 155 voxels with four images took 0.41 GiB in all with the 1022 radiomic features, 0.41 without.
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extraction:
    """The features of all cases.

    Attributes:
        features: a row a case, in the order of the cases and under its name, without those that failed.
        notes: by case, sentences on what is missing; cases without any are left out.
        failures: by case, why it has no features.
    """

    features: FeatureTable
    notes: dict[str, list[str]]
    failures: dict[str, str]


def extract_features(
    cases: Sequence[SurvivalCase],
    *,
    radiomics: Sequence[FeatureSet] | None = None,
    settings: RadiomicsSettings | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Compute the features of every case: those of ``tumour_features``, and radiomics if sets of them are given.

    The columns are always the same; a modality or a region that a case lacks gives NaN and a note. Interrupted, it keeps
    the cases that are done, if there is a cache.

    Args:
        cases: each name once.
        radiomics: sets of radiomic features; None computes none. Sets of intensities need images.
        settings: of radiomics; None takes the default.
        workers: processes; 0 works in this one, None takes as many as there are cores and memory for.
        cache: a folder for what was computed, found again by the content of the files; None stores nothing.
        on_progress: called with (cases done, cases in all), at once and after each case.

    Raises:
        UserError: if there are no cases, two of the same name, or a convention that is not a glioma's.
    """
    if not cases:
        raise UserError("There are no cases to compute features of.")
    counts = Counter(case.name for case in cases)
    if doubles := sorted(name for name, count in counts.items() if count > 1):
        raise UserError(f"Two cases are called {doubles[0]}; give them different names.")
    for convention in {case.convention.model_dump_json(): case.convention for case in cases}.values():
        part_integers(convention)
    work = partial(case_features, radiomics=radiomics, settings=settings, cache=cache)
    if workers is None:
        workers = default_workers(memory_gib(cases))
    report = on_progress or (lambda done, total: None)
    report(0, len(cases))
    columns = columns_of(radiomics)
    found: dict[str, np.ndarray] = {}  # with the names of its thousand numbers, each would take many times as much
    notes: dict[str, list[str]] = {}
    failures: dict[str, str] = {}
    for number, done in enumerate(map_in_workers(work, cases, workers=workers, describe=_name), 1):
        if done.result is not None:
            found[done.item.name] = np.array([done.result.values[column] for column in columns], np.float64)
            notes[done.item.name] = done.result.notes
        else:
            failures[done.item.name] = done.error or "unknown"
            _log.debug("%s: %s", done.item.name, done.traceback)
        report(number, len(cases))
    rows = [name for name in counts if name in found]
    values = np.array([found[name] for name in rows], np.float64)
    return Extraction(
        FeatureTable(tuple(rows), columns, values.reshape(len(rows), len(columns))),
        {name: notes[name] for name in rows if notes[name]},
        {name: failures[name] for name in counts if name in failures},
    )


def columns_of(radiomics: Sequence[FeatureSet] | None) -> tuple[str, ...]:
    """The names of the features, in order."""
    if radiomics is None:
        return TUMOUR_FEATURE_NAMES
    from autobrats.survival.radiomics.feature_sets import feature_names

    return (*TUMOUR_FEATURE_NAMES, *feature_names(radiomics))


def case_features(
    case: SurvivalCase,
    *,
    radiomics: Sequence[FeatureSet] | None = None,
    settings: RadiomicsSettings | None = None,
    cache: Path | None = None,
) -> CaseFeatures:
    """The features of one case, from the cache if they are there.

    Raises:
        UserError: naming the case, if a file cannot be read, the segmentation lies on another grid than the images, or it
            holds integers that its convention does not know.
    """
    try:
        key = content_key(case, _facts(radiomics, settings)) if cache is not None else ""
        stored = FeatureCache(cache).get(key) if cache is not None else None
        if stored is not None and set(stored.values) == set(columns_of(radiomics)):
            return stored
        features = _compute(case, radiomics, settings)
    except UserError as error:
        message = str(error)
        raise UserError(message if message.startswith("Case ") else f"Case {case.name}: {message}") from None
    if cache is not None:
        FeatureCache(cache).put(key, features)
    return features


def memory_gib(cases: Sequence[SurvivalCase]) -> float:
    """About how much memory a worker takes, by the first case that can be read."""
    for case in cases:
        try:
            voxels = read_volume(case.mask).voxels.size
        except UserError:
            continue
        images = max(len(case.images) for case in cases)
        return (voxels * (_BYTES_A_VOXEL + images * _BYTES_A_VOXEL_OF_AN_IMAGE) + WORKER_BYTES) / 2**30
    return WORKER_BYTES / 2**30


def _compute(
    case: SurvivalCase, radiomics: Sequence[FeatureSet] | None, settings: RadiomicsSettings | None
) -> CaseFeatures:
    images: dict[str, np.ndarray] = {}
    geometry = None
    if case.images:
        modalities = list(case.images)
        study = read_study(Case(name=case.name, patient=case.patient, images=case.images), modalities)
        images, geometry = dict(zip(modalities, study.images, strict=True)), study.geometry
    if geometry is None:
        geometry = read_volume(case.mask).geometry
    masks = tumour_parts(read_mask(case.mask, geometry), case.convention)
    measured = tumour_features(masks, geometry.spacing_mm, brain_mask(images))
    values, notes = dict(measured.values), list(measured.notes)
    if radiomics is not None:
        from autobrats.survival.radiomics.settings import RadiomicsSettings
        from autobrats.survival.radiomics.study_features import radiomic_features

        computed = radiomic_features(images, masks, geometry.spacing_mm, radiomics, settings or RadiomicsSettings())
        values |= computed.values
        notes += [note for note in computed.notes if note not in notes]
    return CaseFeatures({name: value if math.isfinite(value) else math.nan for name, value in values.items()}, notes)


def _facts(radiomics: Sequence[FeatureSet] | None, settings: RadiomicsSettings | None) -> dict[str, Any]:
    """What features depend on beside a case's files."""
    facts: dict[str, Any] = {"autobrats": __version__, "version": CACHE_VERSION}
    if radiomics is not None:
        from radiomics import __version__ as pyradiomics

        from autobrats.survival.radiomics.settings import RadiomicsSettings

        facts["pyradiomics"] = pyradiomics
        facts["columns"] = list(columns_of(radiomics))
        facts["settings"] = (settings or RadiomicsSettings()).model_dump(mode="json")
    return facts


def _name(case: SurvivalCase) -> str:
    return case.name
