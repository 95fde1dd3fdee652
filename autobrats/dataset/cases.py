"""Cases and datasets: what belongs together, before any voxel is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from autobrats.dataset.conventions import Convention


class Strict(BaseModel):
    """A model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid")


class ImageFile(Strict):
    """An image on disk: a 3D file, or one channel of a 4D file."""

    path: Path
    channel: int | None = None


class Case(Strict):
    """One study at one time point."""

    name: str
    patient: str
    timepoint: str | None = None
    images: dict[str, ImageFile]
    """By modality, for example ``{"t1c": ImageFile(path=...)}``; a modality may be missing."""
    mask: ImageFile | None = None
    clinical: dict[str, str] = Field(default_factory=dict)
    """What tables or folder names say: grade, age, ... as text."""


class Dataset(Strict):
    """A folder of cases, read where it lies. Stored as dataset.json; paths are absolute."""

    name: str
    root: Path
    layout: str
    """``brats``, ``flat``, ``nnunet``, ``msd`` or ``csv``."""
    modalities: list[str]
    """The order of the channels everywhere after this point."""
    convention: Convention
    convention_evidence: str = ""
    """The sentence of why that convention was taken."""
    cases: list[Case]

    def case(self, name: str) -> Case:
        """The case of that name (KeyError if there is none)."""
        for case in self.cases:
            if case.name == name:
                return case
        raise KeyError(name)
