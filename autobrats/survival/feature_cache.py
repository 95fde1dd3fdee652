"""Computed features of cases on disk, found by the content of the files that they were computed from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.survival.survival_cases import SurvivalCase


@dataclass(frozen=True)
class CaseFeatures:
    """The features of one case.

    Attributes:
        values: by name; NaN where a feature has no meaning.
        notes: sentences on what is missing.
    """

    values: dict[str, float]
    notes: list[str]


class _Stored(BaseModel):
    """A file of the cache; JSON has no NaN."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, float | None]
    notes: list[str]


class FeatureCache:
    """A folder with one small JSON file a case; it may be deleted at any time.

    Several processes may read and write it at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def get(self, key: str) -> CaseFeatures | None:
        """What was stored; None if nothing was, or the file is damaged."""
        try:
            stored = read_model(self._file(key), _Stored)
        except (UserError, OSError):
            return None
        values = {name: math.nan if value is None else value for name, value in stored.values.items()}
        return CaseFeatures(values, stored.notes)

    def put(self, key: str, features: CaseFeatures) -> None:
        """Store features, whose values are finite or NaN."""
        values = {name: None if math.isnan(value) else value for name, value in features.values.items()}
        write_json(self._file(key), _Stored(values=values, notes=features.notes))

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def content_key(case: SurvivalCase, settings: Mapping[str, Any]) -> str:
    """The hash of everything that a case's features depend on: its files' content, their meaning, and the settings.

    Names and places of the files do not matter.

    Args:
        case: its files are read whole.
        settings: plain data: versions, and what is computed how.

    Raises:
        UserError: if a file cannot be read.
    """
    hashes: dict[Path, str] = {}
    for image in (case.mask, *case.images.values()):
        if image.path not in hashes:
            try:
                hashes[image.path] = hashlib.sha256(image.path.read_bytes()).hexdigest()
            except OSError as error:
                raise UserError(f"{image.path} cannot be read ({error.strerror}).") from None
    facts = {
        "settings": settings,
        "convention": case.convention.model_dump(mode="json"),
        "mask": [hashes[case.mask.path], case.mask.channel],
        "images": {name: [hashes[image.path], image.channel] for name, image in case.images.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
