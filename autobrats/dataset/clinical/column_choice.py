"""The columns of a table that are read, and those that are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autobrats.dataset.clinical.column_map import OPTION, find_mapped
from autobrats.dataset.clinical.columns import PATIENT, is_alias, is_nameless, is_patient, other_id_rank, role_of
from autobrats.dataset.clinical.findings import shortened
from autobrats.dataset.csv_table import CsvTable
from autobrats.errors import UserError


@dataclass(frozen=True)
class Column:
    """A column that is read.

    Attributes:
        index: from 0.
        header: its name in the table.
        unit: of its numbers, where the user or the header says it.
    """

    index: int
    header: str
    unit: str | None = None


@dataclass(frozen=True)
class ColumnChoice:
    """What every column of a table is for.

    Attributes:
        ids: the patients' ids; where the first is empty, the next counts, and the others are aliases.
        values: by role.
        ignored: names of columns that are not read.
        nameless: indices of columns without a name.
    """

    ids: tuple[Column, ...]
    values: Mapping[str, Column]
    ignored: tuple[str, ...]
    nameless: tuple[int, ...]


def choose_columns(table: CsvTable, columns: Mapping[str, str]) -> ColumnChoice:
    """Find out what every column is; what the user says in ``columns`` wins.

    Raises:
        UserError: if there are no ids, nothing clinical, or two columns that could be the same thing.
    """
    mapped = find_mapped(str(table.file), table.header, columns)
    taken = {index for index, _ in mapped.values()}
    free = [(index, name) for index, name in enumerate(table.header) if index not in taken and not is_nameless(name)]
    ids = _id_columns(table, mapped, free)
    values = {role: Column(i, table.header[i], unit) for role, (i, unit) in mapped.items() if role != PATIENT.name}
    values |= _known_columns(
        table, columns, [(index, name) for index, name in free if index not in {c.index for c in ids}]
    )
    if not values:
        raise UserError(
            f"{table.file} has no clinical column that is known; its columns are {shortened(table.header, 10)}: "
            f"name them, as in {OPTION} age_years=HEADER survival_days=HEADER:months."
        )
    used = {column.index for column in (*ids, *values.values())}
    return ColumnChoice(
        ids=ids,
        values=values,
        ignored=tuple(name for index, name in free if index not in used),
        nameless=tuple(i for i, name in enumerate(table.header) if is_nameless(name) and i not in used),
    )


def _id_columns(
    table: CsvTable, mapped: Mapping[str, tuple[int, str | None]], free: Sequence[tuple[int, str]]
) -> tuple[Column, ...]:
    aliases = sorted(
        (Column(index, name) for index, name in free if is_alias(name)),
        key=lambda column: -sum(map(_is_id, table.column(column.index))),
    )
    if PATIENT.name in mapped:
        index = mapped[PATIENT.name][0]
        return Column(index, table.header[index]), *aliases
    patients = [Column(index, name) for index, name in free if is_patient(name)]
    if len(patients) > 1:
        raise UserError(_ambiguous(table, PATIENT.name, patients))
    others = [(rank, Column(i, name)) for i, name in free if (rank := other_id_rank(name)) is not None]
    first = patients or [column for _, column in sorted(others, key=lambda other: other[0])[:1]] or aliases[:1]
    if not first:
        raise UserError(
            f"{table.file} has no column of patients' ids; its columns are {shortened(table.header, 10)}: "
            f"name it with {OPTION} patient=HEADER."
        )
    return first[0], *(column for column in aliases if column != first[0])


def _known_columns(table: CsvTable, said: Mapping[str, str], free: Sequence[tuple[int, str]]) -> dict[str, Column]:
    by_role: dict[str, list[Column]] = {}
    for index, name in free:
        found = role_of(name)
        if found is not None and found[0].name not in said:
            by_role.setdefault(found[0].name, []).append(Column(index, name, found[1]))
    for role, several in by_role.items():
        if len(several) > 1:
            raise UserError(_ambiguous(table, role, several))
    return {role: several[0] for role, several in by_role.items()}


def _ambiguous(table: CsvTable, role: str, columns: Sequence[Column]) -> str:
    names = [column.header for column in columns]
    return (
        f"{table.file} has {len(names)} columns that could be {role}: {', '.join(names)}; "
        f"say which, as in {OPTION} {role}='{names[0]}'."
    )


def _is_id(text: str) -> bool:
    return text.upper() not in ("", "NA", "N/A", "NAN", "NONE")
