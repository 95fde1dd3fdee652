"""What a finished planning was made from, so that the same command sees at once that nothing changed.

Neither torch nor any volume is read for it: files are known by their sizes and times, as in preprocessing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autobrats import __version__
from autobrats.dataset.reading import find_cases
from autobrats.dataset.tables import add_tables
from autobrats.dataset.volumes import files_of
from autobrats.devices import machine_marks
from autobrats.files import file_sha256, read_json, write_json
from autobrats.planning.recipes import recipes_folder
from autobrats.workspace import DatasetFolder

_RECORD = ".planned.json"


def state_before(source: Path, layout: str | None, options: Mapping[str, Any]) -> str:
    """Hash of all that a planning depends on: options, machine, versions, recipes and the source's files.

    Args:
        source: the folder of studies, or a CSV file.
        layout: as the user named it; None recognises it.
        options: all others that change what is decided.

    Raises:
        UserError: if there are no studies in the source.
    """
    found = find_cases(source, layout)
    faults = found.faults + (add_tables(Path(source).resolve(), found.cases) if found.layout != "csv" else [])
    images = [file for case in found.cases for file in (*case.images.values(), case.mask) if file is not None]
    facts = {
        "version": [__version__, importlib.metadata.version("torch")],
        "machine": machine_marks(),
        "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "options": {name: str(value) for name, value in options.items()},
        "source": [str(Path(source).resolve()), found.layout, found.modalities, str(found.convention)],
        "cases": [case.model_dump(mode="json") for case in found.cases],
        "faults": [str(fault) for fault in faults],
        "files": [_size_and_time(path) for image in images for path in files_of(image.path)],
        "recipes": {file.name: file_sha256(file) for file in recipes_folder().glob("*.json")},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_as_planned(folder: DatasetFolder, before: str) -> bool:
    """Whether a planning that began in that state ended well, and what it wrote is still there as it was."""
    record = folder.path / _RECORD
    return record.is_file() and read_json(record) == {"before": before, "written": _written(folder)}


def remember_planned(folder: DatasetFolder, before: str) -> None:
    """Note that the planning that began in that state ended well."""
    write_json(folder.path / _RECORD, {"before": before, "written": _written(folder)})


def _written(folder: DatasetFolder) -> dict[str, str | None]:
    files = (folder.dataset_file, folder.fingerprint_file, folder.faults_file, folder.plan_file, folder.splits_file)
    return {file.name: file_sha256(file) if file.is_file() else None for file in files}


def _size_and_time(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
