"""Label maps that somebody predicted, as a source of cases to tune on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from autobrats.dataset.conventions import Convention
from autobrats.evaluation.label_maps import find_label_maps
from autobrats.evaluation.label_meaning import LabelMeaning, find_meaning, reference_convention, translation_table
from autobrats.evaluation.pair_scores import read_prediction, read_reference
from autobrats.evaluation.pairing import Pair, pair_label_maps
from autobrats.tuning.search_space import UNCHANGED
from autobrats.tuning.sources import SourceCase, file_facts


@dataclass(frozen=True)
class LabelMapSource:
    """Pairs of label maps on one grid.

    Attributes:
        pairs: by case, each with a prediction.
        meaning: of their integers.
    """

    pairs: dict[str, Pair]
    meaning: LabelMeaning
    variants: list[str] = field(default_factory=list)
    graded: bool = False

    @property
    def convention(self) -> Convention:
        return self.meaning.reference

    @property
    def patients(self) -> dict[str, str]:
        return {name: pair.patient for name, pair in self.pairs.items()}

    @cached_property
    def key(self) -> str:
        """A hash of the files' names, sizes and times, and of what their integers mean."""
        meaning = (self.meaning.reference.model_dump_json(), self.meaning.prediction.model_dump_json())
        digest = hashlib.sha256(repr(meaning).encode())
        for name, pair in sorted(self.pairs.items()):
            files = [file for file in (pair.prediction, pair.reference) if file is not None]
            digest.update(repr((name, [file_facts(file) for file in files])).encode())
        return digest.hexdigest()

    def load(self, name: str) -> SourceCase:
        """Read both label maps.

        Raises:
            UserError: if one cannot be read, or they are not on one grid.
        """
        pair = self.pairs[name]
        reference, geometry = read_reference(pair, self.meaning)
        predicted = read_prediction(pair, geometry, self.meaning, translation_table(self.meaning))
        return SourceCase({UNCHANGED: self.convention.to_regions(predicted) * 255}, reference, geometry.spacing_mm)


def label_map_source(
    predictions: Path, references: Path, convention: str | None = None
) -> tuple[LabelMapSource, list[str]]:
    """Pair the label maps of two folders, as ``autobrats_evaluate`` does; the source, and sentences of what was found.

    Raises:
        UserError: if nothing can be paired, or the integers cannot be understood.
    """
    predicted, referred = find_label_maps(predictions, "prediction"), find_label_maps(references, "reference")
    pairing = pair_label_maps(predicted, referred)
    found, evidence = reference_convention(referred, convention)
    meaning = find_meaning(found, predicted)
    pairs = {pair.case: pair for pair in pairing.pairs if pair.prediction is not None}
    told = [f"{len(pairs)} pairs; convention {found.name} ({evidence}).", *meaning.notes]
    if alone := [*pairing.without_prediction, *pairing.without_reference]:
        told.append(
            f"{len(alone)} have no partner and are left out: {', '.join(alone[:5])}{' ...' * (len(alone) > 5)}."
        )
    return LabelMapSource(pairs, meaning), told
