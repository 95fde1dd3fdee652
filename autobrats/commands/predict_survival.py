"""What autobrats_predict --survival adds: survival of the patients whose studies it has segmented."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.survival_sources import add_clinical_argument, print_some
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.dataset.cases import Case
    from autobrats.dataset.conventions import Convention
    from autobrats.inference.predictor import Predictor
    from autobrats.survival.survival_inputs import Sources
    from autobrats.survival.survival_predictor import SurvivalPredictor

SURVIVAL_FILE = "survival.csv"


def add_survival_arguments(result: argparse.ArgumentParser) -> None:
    """The options of survival."""
    result.add_argument(
        "--survival", action="store_true", help=f"also OUT/{SURVIVAL_FILE}: how long the patients are expected to live"
    )
    add_clinical_argument(
        result,
        "with --survival: CSVs with age and what else is known of the patients (default: tables beside the studies)",
    )
    result.add_argument(
        "--survival-model",
        type=Path,
        metavar="FOLDER",
        help="with --survival: of autobrats_survival_train (default: that in the workspace)",
    )


def load_survival_model(arguments: argparse.Namespace) -> SurvivalPredictor | None:
    """The survival model that was asked for; None if survival was not.

    Raises:
        UserError: if there is no model, or its options are given without --survival.
    """
    if not arguments.survival:
        if arguments.clinical or arguments.survival_model:
            raise UserError("--clinical and --survival-model are for survival; add --survival.")
        return None
    from autobrats.commands.survival_sources import found_model
    from autobrats.survival.survival_predictor import SurvivalPredictor

    for table in arguments.clinical:
        if not table.is_file():
            raise UserError(f"{table} does not exist; give the clinical table with --clinical.")
        if table.resolve() == (arguments.output / SURVIVAL_FILE).resolve():
            raise UserError(f"{table} would be overwritten; choose another output folder.")
    return SurvivalPredictor.load(arguments.survival_model or found_model(arguments, "--survival-model"))


def check_patients(
    arguments: argparse.Namespace, survival: SurvivalPredictor, predictor: Predictor, cases: Sequence[Case]
) -> None:
    """UserError, before the cases are segmented, if their survival cannot be predicted."""
    from autobrats.survival.tumour_parts import part_integers

    part_integers(predictor.model.plan.convention)
    survival.check(_clinical_sources(arguments, predictor, cases), {case.name: case.patient for case in cases})


def predict_survival(
    arguments: argparse.Namespace,
    survival: SurvivalPredictor,
    predictor: Predictor,
    cases: Sequence[tuple[Case, Path]],
    convention: Convention | None,
) -> dict[str, str]:
    """Write survival.csv for cases and their written masks; by case, what failed.

    Raises:
        UserError: if no survival can be predicted at all.
    """
    from autobrats.dataset.cases import ImageFile
    from autobrats.inference.prediction import writing_convention
    from autobrats.survival.survival_cases import SurvivalCase

    plan = predictor.model.plan

    def as_survival_case(case: Case, mask: Path) -> SurvivalCase:
        written, _ = writing_convention(case.name, plan.convention, convention, plan.convention_of_names)
        return SurvivalCase(case.name, case.patient, dict(case.images), ImageFile(path=mask), written)

    sources = _clinical_sources(arguments, predictor, [case for case, _ in cases])
    masks = [as_survival_case(case, mask) for case, mask in cases]
    inputs = survival.read(replace(sources, cases=masks), workers=arguments.workers)
    print_some(inputs.notes)
    predicted = survival.predict(inputs)
    print_some(predicted.warnings)
    predicted.write(arguments.output / SURVIVAL_FILE)
    print(f"survival of {len(predicted.predictions)} patients: {arguments.output / SURVIVAL_FILE}")
    return inputs.failures


def _clinical_sources(arguments: argparse.Namespace, predictor: Predictor, cases: Sequence[Case]) -> Sources:
    """The tables that were given, else what came with the cases."""
    from autobrats.dataset.cases import Dataset
    from autobrats.survival.survival_inputs import Sources

    if arguments.clinical:
        return Sources(clinical=tuple(arguments.clinical))
    studies = Dataset(
        name="studies",
        root=arguments.input,
        layout="studies",
        modalities=list(predictor.modalities),
        convention=predictor.model.plan.convention,
        cases=list(cases),
    )
    return Sources(dataset=studies)
