"""What was trained: the finished folds of every configuration, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics, pool_metrics, read_metrics
from autobrats.files import read_json
from autobrats.inference.model_folder import TrainedNetwork
from autobrats.plan import Configuration, Plan
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

_DECIDES_THE_WEIGHTS = ("network", "output", "modalities", "intensities")
"""What of a configuration must not have changed since the training, or the weights do not fit the plan."""


@dataclass(frozen=True)
class Candidate:
    """A configuration that may become the model.

    Attributes:
        configuration: its name in the plan.
        weights: the weights file of each finished fold, by fold (0, 1, ...; not ``all``).
        all_weights: the weights of fold ``all``, if that is finished.
        missing: folds that are not finished.
        metrics: the out-of-fold scores of all finished folds; None if only fold ``all`` is finished.
        missing_modality_dice: mean Dice of validation cases by what was left out, and ``complete``; None if the
            validation did not test it.
        notes: sentences for the user about runs that cannot be used.
    """

    configuration: str
    weights: dict[int, Path]
    all_weights: Path | None
    missing: list[int]
    metrics: Metrics | None
    missing_modality_dice: dict[str, float] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def networks(self) -> list[TrainedNetwork]:
        """What a model is made of: the finished folds, or fold ``all`` if there is no other."""
        if self.weights:
            return [TrainedNetwork(self.configuration, fold, path) for fold, path in self.weights.items()]
        return [] if self.all_weights is None else [TrainedNetwork(self.configuration, "all", self.all_weights)]

    @property
    def is_trained(self) -> bool:
        """Whether there are weights that a model can be made of."""
        return bool(self.networks)

    def train_command(self, options: str = "") -> str | None:
        """The command that trains the missing folds, with ``options`` at its end; None if none is missing."""
        if not self.missing:
            return None
        return train_command(self.configuration, self.missing, options)


def train_command(configuration: str, folds: Sequence[int | str], options: str = "") -> str:
    """``autobrats_train CONFIGURATION FOLD ...`` with ``options`` (say ``-d NAME``) at its end."""
    return " ".join(["autobrats_train", configuration, *map(str, folds), *([options] if options else [])])


def collect_candidates(
    folder: DatasetFolder, plan: Plan, n_folds: int, configurations: Sequence[str] = ()
) -> list[Candidate]:
    """Every configuration of the plan (or those named) with what of it is finished, in the plan's order.

    Raises:
        UserError: for a configuration that the plan does not have.
    """
    for name in configurations:
        if name not in plan.configurations:
            raise UserError(f"The plan has no configuration '{name}'; it has: {', '.join(plan.configurations)}.")
    wanted = configurations or plan.configurations
    return [
        _candidate(folder, plan, name, configuration, n_folds)
        for name, configuration in plan.configurations.items()
        if name in wanted
    ]


def _candidate(folder: DatasetFolder, plan: Plan, name: str, configuration: Configuration, n_folds: int) -> Candidate:
    usable: dict[int | str, RunDirectory] = {}
    notes = []
    for fold in (*range(n_folds), "all"):
        run = RunDirectory(folder.run(name, fold))
        if not run.is_finished:
            continue
        changed = _changed_since(run, configuration, plan)
        if changed:
            notes.append(
                f"{name} fold {fold} was trained with another {changed} than the plan has now and is left out; train it "
                "again with --restart, or take the plan of that time."
            )
        else:
            usable[fold] = run
    folds = {fold: run for fold, run in usable.items() if isinstance(fold, int)}
    try:
        metrics = pool_metrics(read_metrics(run.metrics_file) for run in folds.values()) if folds else None
    except ValueError as error:
        raise UserError(
            f"The folds of {name} do not belong together ({error}): splits.json was changed between their trainings. "
            f"Train them again: {train_command(name, list(folds))} --restart"
        ) from None
    return Candidate(
        configuration=name,
        weights={fold: run.weights_file for fold, run in folds.items()},
        all_weights=usable["all"].weights_file if "all" in usable else None,
        missing=[fold for fold in range(n_folds) if fold not in folds],
        metrics=metrics,
        missing_modality_dice=_pool_missing_modalities(list(folds.values())),
        notes=notes,
    )


def _changed_since(run: RunDirectory, configuration: Configuration, plan: Plan) -> str | None:
    """The first key in which a run's manifest differs from the plan so that its weights do not fit."""
    manifest = run.read_manifest()
    trained: dict[str, Any] = manifest.get("configuration", {})
    now = configuration.model_dump(mode="json")
    for key, value in (("preprocessing", plan.preprocessing), ("convention", plan.convention)):
        if manifest.get(key, value.model_dump(mode="json")) != value.model_dump(mode="json"):
            return key
    return next((key for key in _DECIDES_THE_WEIGHTS if key in trained and trained[key] != now[key]), None)


def _pool_missing_modalities(runs: list[RunDirectory]) -> dict[str, float] | None:
    """Means over the folds' validation/missing_modalities.json, weighted by the cases in each."""
    parts = [read_json(run.missing_modalities_file) for run in runs if run.missing_modalities_file.is_file()]
    cases = sum(part["cases"] for part in parts)
    if not cases:
        return None
    rows = [({"complete": part["complete"], **part["without"]}, part["cases"] / cases) for part in parts]
    return {key: sum(row[key] * share for row, share in rows) for key in rows[0][0]}
