"""What every layout's reader returns, and the walk over a folder that they share."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from autobrats.dataset.cases import Case
from autobrats.dataset.conventions import Convention
from autobrats.dataset.faults import Fault
from autobrats.dataset.volumes import image_suffix

MAXIMUM_DEPTH = 5
"""Folders are searched so many levels below the one given."""


@dataclass
class Found:
    """A dataset as a layout's reader found it, before any voxel is read.

    Attributes:
        layout: ``brats``, ``flat``, ``nnunet``, ``msd`` or ``csv``.
        cases: those with at least one image.
        modalities: the order of the channels.
        spellings: of the modalities in file names, lower case.
        convention: where the layout itself says what the integers mean, else None.
        faults: of the files' belonging together.
    """

    layout: str
    cases: list[Case] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)
    spellings: set[str] = field(default_factory=set)
    convention: Convention | None = None
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Folder:
    """A folder with its image files and sub-folders, sorted."""

    path: Path
    images: tuple[Path, ...]
    folders: tuple[Path, ...]


def list_folder(path: Path) -> Folder:
    """List a folder without hidden entries; of ``x.nii`` and ``x.nii.gz`` only the compressed one."""
    images: dict[str, Path] = {}
    folders = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(Path(entry.path))
            elif suffix := image_suffix(Path(entry.name)):
                stem = entry.name[: -len(suffix)] + ("" if suffix.startswith(".nii") else suffix)
                if suffix != ".nii" or stem not in images:
                    images[stem] = Path(entry.path)
    return Folder(path, tuple(images.values()), tuple(folders))


def what_is_there(root: Path) -> str:
    """A folder's content for an error message: ``12 files (.png: 10, .txt: 2), 3 folders``."""
    files: Counter[str] = Counter()
    folders = 0
    for entry in os.scandir(root):
        if entry.is_dir():
            folders += 1
        else:
            name = entry.name.lower()
            files[image_suffix(Path(name)) or Path(name).suffix or "no suffix"] += 1
    kinds = ", ".join(f"{kind}: {count}" for kind, count in files.most_common(5))
    return f"{files.total()} files ({kinds}) and {folders} folders" if files else f"no files and {folders} folders"
