"""Predictions and references of the same case, and what has no partner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autobrats.errors import UserError
from autobrats.evaluation.label_maps import LabelMaps


@dataclass(frozen=True)
class Pair:
    """A reference, and the prediction of the same case if there is one."""

    case: str
    patient: str
    reference: Path
    prediction: Path | None


@dataclass(frozen=True)
class Pairing:
    """Every reference with its prediction.

    Attributes:
        pairs: one a reference, by the case's name.
        without_reference: the predictions, by case, that cannot be scored.
    """

    pairs: list[Pair]
    without_reference: dict[str, Path]

    @property
    def without_prediction(self) -> list[str]:
        """The cases that have a reference only."""
        return [pair.case for pair in self.pairs if pair.prediction is None]


def pair_label_maps(predictions: LabelMaps, references: LabelMaps) -> Pairing:
    """Pair label maps by case name; two single files are a pair whatever they are called.

    Where one side is a single file, it says which case is meant: the others of the other side are left alone.

    Raises:
        UserError: if no prediction has the name of a reference, or a file would be compared with itself.
    """
    predicted, referred = dict(predictions.files), dict(references.files)
    if predictions.is_one_file and references.is_one_file:
        predicted = dict(zip(referred, predicted.values(), strict=True))
    elif predictions.is_one_file:
        referred = {case: file for case, file in referred.items() if case in predicted}
    elif references.is_one_file:
        predicted = {case: file for case, file in predicted.items() if case in referred}
    shared = sorted(predicted.keys() & referred.keys())
    if not shared:
        raise UserError(
            f"No prediction in {predictions.root} has the name of a reference in {references.root}: the predictions are "
            f"called {_examples(predictions)}, the references {_examples(references)}; name them alike."
        )
    for case in shared:
        if predicted[case].resolve() == referred[case].resolve():
            raise UserError(
                f"The prediction and the reference of {case} are the same file, {predicted[case]}; "
                "give two folders, or name the files CASE_prediction and CASE_reference."
            )
    pairs = [Pair(case, references.patients[case], referred[case], predicted.get(case)) for case in sorted(referred)]
    return Pairing(pairs, {case: predicted[case] for case in sorted(predicted.keys() - referred.keys())})


def _examples(maps: LabelMaps) -> str:
    """The first names, for a message."""
    names = sorted(maps.files)
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
