"""Which files of a dataset's folder autobrats wrote itself, and which a person has edited since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autobrats.files import file_sha256, read_json, write_json
from autobrats.workspace import DatasetFolder

TRAINED = "trainings were begun with it"
"""A reason to keep a file that goes away with the runs."""
_RECORD = ".generated.json"


def write_generated(path: Path, content: Any) -> None:
    """Write JSON and remember its hash."""
    write_json(path, content)
    record = path.parent / _RECORD
    hashes = read_json(record) if record.is_file() else {}
    write_json(record, {**hashes, path.name: file_sha256(path)})


def is_edited(path: Path) -> bool:
    """Whether the file exists and is not as :func:`write_generated` left it."""
    if not path.is_file():
        return False
    record = path.parent / _RECORD
    return not record.is_file() or read_json(record).get(path.name) != file_sha256(path)


def reason_to_keep(folder: DatasetFolder, file: Path) -> str:
    """Why a file that is there is not to be decided anew; empty if nothing speaks against it."""
    if not file.is_file():
        return ""
    if is_edited(file):
        return "it was edited"
    return TRAINED if folder.runs.is_dir() and any(folder.runs.iterdir()) else ""
