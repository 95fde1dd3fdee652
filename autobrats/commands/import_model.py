"""autobrats_import: unpack a model that somebody exported, after everything in it was checked."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autobrats.commands.running import new_parser, run

if TYPE_CHECKING:
    from autobrats.evaluation.summary import Summary
    from autobrats.inference.model_folder import ModelFolder

_EPILOG = """\
examples:
  autobrats_import glioma.zip                       into ./glioma
  autobrats_import glioma.zip -o models/glioma
  autobrats_import glioma.zip --force               replaces the model that is in ./glioma

Only files of a model are unpacked, and none of them can hold code. An archive that is damaged, changed, too
large, or made by a newer autobrats is refused, and nothing of it stays on the disk.
"""


def new_import_parser() -> argparse.ArgumentParser:
    """The arguments of autobrats_import."""
    parser = new_parser(
        "autobrats_import", "Check and unpack a model that autobrats_export wrote, for autobrats_predict.", _EPILOG
    )
    parser.add_argument("archive", metavar="FILE.zip", type=Path, help="the archive")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="the model folder to write (default: ./FILE)"
    )
    parser.add_argument("--force", action="store_true", help="replace a model folder that is there already")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return run(new_import_parser(), _import, argv, goes_on=False)


def _import(arguments: argparse.Namespace) -> int:
    from autobrats.inference.model_archive import import_model

    folder = arguments.output or Path(arguments.archive.stem)
    model = import_model(arguments.archive, folder, replace=arguments.force)
    members = model.best_config.members
    print(
        f"{folder}: a model of the dataset '{model.best_config.dataset}' by autobrats "
        f"{model.best_config.autobrats_version}, {len(members)} network{'s'[: len(members) != 1]}"
    )
    print(f"It sees: {', '.join(_modalities(model))}.{_cost_of_missing(model)}")
    dice = _expected_dice(model)
    if dice:
        from autobrats.reporting.tables import with_interval

        print(
            "Expected Dice on patients like those it was trained on (mean, 95 % interval): "
            + ", ".join(f"{name} {with_interval(summary)}" for name, summary in dice.items())
            + "."
        )
    else:
        print("What to expect of it was not measured, or is not said.")
    print(
        "These are its author's words: the checks keep code out, not bad models. Look at masks of your own studies first."
    )
    print(
        f"Segment new studies with:\n  autobrats_predict -i NEW_STUDIES -o SEGMENTATIONS -m {shlex.quote(str(folder))}"
    )
    return 0


def _modalities(model: ModelFolder) -> list[str]:
    """What any of the networks sees, in the plan's order."""
    plan = model.plan
    seen = {
        name for member in model.best_config.members for name in plan.configurations[member.configuration].modalities
    }
    return [modality for modality in plan.modalities if modality in seen]


def _cost_of_missing(model: ModelFolder) -> str:
    """A sentence of what each missing modality costs, if that was measured."""
    measured = model.best_config.missing_modality_dice or {}
    complete = measured.get("complete")
    if complete is None:
        return ""
    losses = ", ".join(f"{name} {dice - complete:+.3f}" for name, dice in measured.items() if name != "complete")
    return f" Mean Dice changes when one is missing: {losses} (from {complete:.3f})." if losses else ""


def _expected_dice(model: ModelFolder) -> dict[str, Summary]:
    """Dice by region and in the mean, as far as best_config.json says it in the form that is known here."""
    from pydantic import TypeAdapter, ValidationError

    from autobrats.evaluation.summary import Summary

    expected = model.best_config.expected
    try:
        regions = TypeAdapter(dict[str, dict[str, Summary]]).validate_python(expected.get("regions", {}))
        mean = TypeAdapter(Summary).validate_python(expected.get("mean_dice"))
    except ValidationError:
        return {}
    dice = {region: metrics["dice"] for region, metrics in regions.items() if "dice" in metrics}
    return {name: summary for name, summary in {**dice, "mean": mean}.items() if summary.mean is not None}
