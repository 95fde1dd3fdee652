"""A user's word on which column is what: ``survival_days=OS:months``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autobrats.dataset.clinical.columns import PATIENT, ROLES, Role
from autobrats.errors import UserError

OPTION = "--columns"
NO_COLUMN = "-"
"""Stands for the header where no column is to be read as that role."""


def parse_column_map(words: Sequence[str]) -> dict[str, str]:
    """Read ``role=Header``, ``role=Header:unit`` or ``role=-`` (no column is that), one a word.

    Returns:
        What stands right of ``=``, by role. Whether a ``:`` belongs to the header is decided with the table at hand.

    Raises:
        UserError: if a word has no ``=``, the role is not known or is named twice, or the header is empty.
    """
    columns: dict[str, str] = {}
    for word in words:
        role, sign, header = (part.strip() for part in word.partition("="))
        if not sign or not header:
            raise UserError(f"{OPTION} {word}: write ROLE=HEADER or ROLE=HEADER:UNIT; roles are {', '.join(ROLES)}.")
        check_role(role)
        if role in columns:
            raise UserError(f"{OPTION} names {role} twice: {columns[role]} and {header}; keep one.")
        columns[role] = header
    return columns


def check_role(role: str) -> None:
    """Raise UserError for a role that does not exist."""
    if role not in ROLES:
        raise UserError(f"{OPTION} {role}=...: there is no role '{role}'; roles are {', '.join(ROLES)}.")


def find_mapped(file: str, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, tuple[int, str | None]]:
    """The column (its index in ``header``) and the unit, if one is named, of every role in ``columns``.

    Raises:
        UserError: if there is no such role or column, or the header occurs twice.
    """
    found = {}
    for role, text in columns.items():
        check_role(role)
        if text.strip() != NO_COLUMN or ROLES[role] is PATIENT:
            found[role] = _find(file, header, ROLES[role], text.strip())
    return found


def _find(file: str, header: Sequence[str], role: Role, text: str) -> tuple[int, str | None]:
    name, _, unit = (part.strip() for part in text.rpartition(":"))
    choices: list[tuple[str, str | None]] = [(text, None)]
    if name and unit.lower() in role.units:
        choices.append((name, unit.lower()))
    for wanted, said in choices:
        exact = [index for index, it in enumerate(header) if it == wanted]
        places = exact or [index for index, it in enumerate(header) if it.lower() == wanted.lower()]
        if len(places) > 1:
            raise UserError(f"{file} has {len(places)} columns '{wanted}'; rename all but one.")
        if places:
            return places[0], said
    if name in header:
        units = f"units of {role.name} are {', '.join(role.units)}" if role.units else f"{role.name} has no units"
        raise UserError(f"{OPTION} {role.name}={text}: {units}.")
    there = ", ".join(it for it in header if it)
    raise UserError(f"{OPTION} {role.name}={text}: {file} has no column '{text}'; its columns are {there}.")
