"""A CSV as the dataset: case, patient, one column a modality, mask, and any clinical columns."""

from __future__ import annotations

from pathlib import Path

from autobrats.dataset.brats_layout import patient_of
from autobrats.dataset.cases import Case, ImageFile
from autobrats.dataset.faults import Fault
from autobrats.dataset.layout import Found
from autobrats.dataset.modality_names import canonical_modality, modality_order
from autobrats.dataset.tables import clinical_name, find_column, read_table
from autobrats.dataset.volumes import image_suffix
from autobrats.errors import UserError

_MASK_COLUMNS = ("mask", "seg", "segmentation", "label")


def read_csv(file: Path) -> Found | None:
    """The cases of a CSV; paths are relative to it. None if it has no column with images.

    Raises:
        UserError: if it has no column 'case', a case twice or no rows.
    """
    table = read_table(file)
    if not table:
        raise UserError(f"{file} has no rows.")
    mask_column = find_column(table[0], *_MASK_COLUMNS)
    columns = _image_columns(table, mask_column)
    if not columns:
        return None
    case_column = find_column(table[0], "case", "name", "id")
    if case_column is None:
        raise UserError(f"{file} has no column 'case'; it needs: case, patient, one column a modality, mask.")
    found = Found("csv", modalities=modality_order(list(columns.values())))
    found.spellings = {column.lower() for column in columns}
    seen = set()
    for row in table:
        name = row[case_column]
        if not name or name in seen:
            raise UserError(f"{file} has {'a row without a case' if not name else f'the case {name} twice'}.")
        if Path(name).name != name or name.startswith("."):
            raise UserError(
                f"{file} has a case called '{name}'; a name is part of file names: without / and no dot first."
            )
        seen.add(name)
        images = {}
        for column, modality in columns.items():
            if path := _path(file, name, row.get(column, ""), found.faults):
                images[modality] = ImageFile(path=path)
        mask = _path(file, name, row.get(mask_column, ""), found.faults) if mask_column else None
        patient, timepoint = patient_of(name)
        patient_column, timepoint_column = find_column(row, "patient"), find_column(row, "timepoint")
        special = {case_column, mask_column, patient_column, timepoint_column, *columns}
        if images:
            found.cases.append(
                Case(
                    name=name,
                    patient=(row[patient_column] if patient_column else "") or patient,
                    timepoint=(row[timepoint_column] if timepoint_column else "") or timepoint,
                    images={modality: images[modality] for modality in found.modalities if modality in images},
                    mask=ImageFile(path=mask) if mask else None,
                    clinical={clinical_name(key): value for key, value in row.items() if key not in special and value},
                )
            )
    return found


def _image_columns(table: list[dict[str, str]], mask_column: str | None) -> dict[str, str]:
    """Modality by column: columns that are named after one, and others that hold image files."""
    columns = {}
    for column in table[0]:
        values = [row[column] for row in table if not _is_empty(row.get(column, ""))]
        named = canonical_modality(column) is not None and any(image_suffix(Path(value)) for value in values)
        if column == mask_column or not values or not (named or all(image_suffix(Path(value)) for value in values)):
            continue
        columns[column] = canonical_modality(column) or column
    if len(set(columns.values())) < len(columns):
        raise UserError(f"Several columns name the same modality: {', '.join(columns)}; keep one of them.")
    return columns


def _is_empty(value: str) -> bool:
    return value.strip().lower() in ("", "na", "n/a", "nan", "none")


def _path(file: Path, case: str, value: str, faults: list[Fault]) -> Path | None:
    if _is_empty(value):
        return None
    path = (file.parent / value).resolve()
    if path.is_file():
        return path
    faults.append(
        Fault(
            "error",
            case,
            path,
            "missing_file",
            f"{file.name} names it, but it does not exist",
            "correct the path (relative to the table), or leave the field empty",
        )
    )
    return None
