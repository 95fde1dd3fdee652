"""What a survival model learns from or predicts: features, made from images or read from a table, and clinical data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autobrats.dataset.cases import Dataset
from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.combining import combine_tables
from autobrats.dataset.clinical.reading import clinical_of_cases, read_clinical
from autobrats.dataset.modality_names import MR_MODALITIES
from autobrats.dataset.reading import read_studies
from autobrats.errors import UserError
from autobrats.survival.extraction import columns_of, extract_features
from autobrats.survival.feature_files import read_features
from autobrats.survival.feature_table import FeatureTable, family_of
from autobrats.survival.radiomics.feature_sets import PUBLISHED_SETS, FeatureSet, feature_names
from autobrats.survival.radiomics.settings import RadiomicsSettings
from autobrats.survival.survival_cases import FoundCases, SurvivalCase, cases_of_dataset, cases_of_folders

CACHE_FOLDER = "features"
"""In the folder of a survival model."""


@dataclass(frozen=True)
class Sources:
    """Where features and clinical data come from; the paths that a user gave.

    Attributes:
        features: a table of ready features.
        studies: images, in any layout.
        segmentations: label maps, in any layout.
        dataset: of the workspace, where neither features nor studies nor segmentations alone are given.
        cases: that were found already.
        clinical: tables of patients, of which the first leads; without any, what came with the cases counts.
        columns: a user's word on the clinical table's columns, by role.
        convention: of the label maps, by name.
    """

    features: Path | None = None
    studies: Path | None = None
    segmentations: Path | None = None
    dataset: Dataset | None = None
    cases: Sequence[SurvivalCase] = ()
    clinical: Sequence[Path] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    convention: str | None = None


@dataclass(frozen=True)
class SurvivalInputs:
    """What was read.

    Attributes:
        features: a row a case or patient; None if there is clinical data alone.
        patients: the patient of each case, where it is known.
        clinical: the patients' records, and what was noticed about their table.
        notes: sentences on features.
        failures: by case, why it has no features.
    """

    features: FeatureTable | None
    patients: dict[str, str]
    clinical: ClinicalTable
    notes: list[str]
    failures: dict[str, str]


def read_inputs(
    sources: Sources,
    *,
    cache: Path | None,
    radiomics: bool = True,
    wanted: Sequence[str] | None = None,
    settings: RadiomicsSettings | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    check: Callable[[SurvivalInputs], object] | None = None,
) -> SurvivalInputs:
    """Read tables, and compute the features of cases.

    Args:
        sources: where from.
        cache: a folder for computed features.
        radiomics: whether radiomic features are computed beside volumes and places. Of cases without images these are the
            shapes alone.
        wanted: names of the features that are needed; only sets that have one of them are computed. None: all.
        settings: of radiomics.
        workers: processes for features.
        on_progress: called with (cases done, cases in all).
        check: called before features are computed, with a row a case and no columns: if the cases are of no use, that is
            said before hours of work.

    Raises:
        UserError: if a file cannot be read, or nothing is given.
    """
    clinical = clinical_of(sources)
    if sources.features is not None:
        table = read_features(sources.features)
        return SurvivalInputs(table.features, {}, clinical, list(table.notes), {})
    found = _cases(sources)
    if found is None:
        return SurvivalInputs(None, {}, clinical, [], {})
    patients = {case.name: case.patient for case in found.cases}
    notes = []
    if found.unused:
        notes.append(f"{len(found.unused)} segmentations have no study, such as {found.unused[0]}.")
    names = tuple(patients)
    bare = SurvivalInputs(FeatureTable(names, (), np.empty((len(names), 0))), patients, clinical, notes, found.left_out)
    if check is not None:
        check(bare)
    if wanted is not None and all(family_of(name) == "clinical" for name in wanted):
        return bare
    sets = needed_sets(found.cases, wanted) if radiomics else None
    extraction = extract_features(
        found.cases, radiomics=sets, settings=settings, workers=workers, cache=cache, on_progress=on_progress
    )
    notes += _by_sentence(extraction.notes)
    return SurvivalInputs(extraction.features, patients, clinical, notes, found.left_out | extraction.failures)


def needed_sets(cases: Sequence[SurvivalCase], wanted: Sequence[str] | None) -> tuple[FeatureSet, ...] | None:
    """The published sets of radiomic features that these cases can have and that are wanted; None for none."""
    images = any(case.images for case in cases)
    sets = tuple(it for it in PUBLISHED_SETS if images or it.kind == "shape")
    if wanted is not None:
        missing = set(wanted) - set(columns_of(None))
        sets = tuple(it for it in sets if missing & set(feature_names([it])))
    return sets or None


def _by_sentence(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Each sentence once, with how many cases it is about."""
    cases: dict[str, list[str]] = {}
    for case, sentences in notes.items():
        for sentence in sentences:
            cases.setdefault(sentence, []).append(case)
    return [
        f"{names[0]}: {sentence}" if len(names) == 1 else f"{len(names)} cases, such as {names[0]}: {sentence}"
        for sentence, names in cases.items()
    ]


def clinical_of(sources: Sources) -> ClinicalTable:
    """The clinical tables that were given, else what came with the cases.

    Raises:
        UserError: if a file cannot be read.
    """
    if sources.clinical:
        first, *others = sources.clinical
        tables = [read_clinical(first, sources.columns), *(read_clinical(table) for table in others)]
        return combine_tables(tables) if others else tables[0]
    if sources.dataset is not None:
        return clinical_of_cases(sources.dataset.cases, sources.dataset.root)
    if sources.studies is not None:
        return clinical_of_cases(read_studies(sources.studies, MR_MODALITIES)[0], sources.studies)
    return ClinicalTable([], [])


def _cases(sources: Sources) -> FoundCases | None:
    if sources.cases:
        return FoundCases(list(sources.cases))
    if sources.dataset is not None:
        found = cases_of_dataset(sources.dataset, sources.segmentations)
    elif sources.studies is not None or sources.segmentations is not None:
        found = cases_of_folders(sources.studies, sources.segmentations, sources.convention)
    else:
        return None
    if not found.cases:
        raise UserError("None of the studies has a segmentation, so there is no tumour to measure.")
    return found
