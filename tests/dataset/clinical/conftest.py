"""Clinical tables on disk, made for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autobrats.dataset.clinical.clinical_table import ClinicalTable
from autobrats.dataset.clinical.reading import read_clinical

ReadText = Callable[..., ClinicalTable]


@pytest.fixture
def read_text(tmp_path: Path) -> ReadText:
    """Read a table that is given as text, or as bytes."""

    def read(text: str | bytes, **columns: str) -> ClinicalTable:
        file = tmp_path / "clinical.csv"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_clinical(file, columns)

    return read
