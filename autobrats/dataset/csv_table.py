"""The cells of a CSV file, as they stand there."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from autobrats.errors import UserError

_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")


@dataclass(frozen=True)
class CsvTable:
    """A table of texts.

    Attributes:
        file: where it was read.
        header: of the columns, stripped; a name may be empty or occur twice.
        rows: stripped cells; a row may have fewer or more cells than the header. Empty rows are left out.
        delimiter: ``,``, ``;`` or a tab.
    """

    file: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    delimiter: str

    def column(self, index: int) -> list[str]:
        """The cells of a column; empty where a row is too short."""
        return [row[index] if index < len(row) else "" for row in self.rows]


def read_csv_table(file: Path) -> CsvTable:
    """Read a CSV file: comma, semicolon or tab, whichever the header has most of; UTF-8, UTF-16 with a mark, or Latin-1.

    Raises:
        UserError: if it cannot be read or has no header.
    """
    text = _decoded(Path(file))
    first = io.StringIO(text, newline=None).readline()
    if not first.strip():
        raise UserError(f"{file} is empty; its first line must name the columns.")
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [
            tuple(cell.strip() for cell in row)
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        ]
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV table ({error}).") from None
    return CsvTable(Path(file), rows[0], tuple(row for row in rows[1:] if any(row)), delimiter)


def _decoded(file: Path) -> str:
    if file.suffix.lower() in _SPREADSHEETS:
        raise UserError(f"{file} is a spreadsheet; save it as CSV.")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} does not exist.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); a CSV table is needed.") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
