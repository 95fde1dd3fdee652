"""How long patients lived and what happened then: from a column of times, a column of events, or texts that say both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from autobrats.dataset.clinical.cells import Cells, ImpossibleValue, read_cells
from autobrats.dataset.clinical.column_choice import Column
from autobrats.dataset.clinical.column_map import OPTION
from autobrats.dataset.clinical.columns import DAYS
from autobrats.dataset.clinical.events import event_meaning, read_event, word_of_event
from autobrats.dataset.clinical.findings import Finding
from autobrats.dataset.clinical.values import is_missing, read_quantity
from autobrats.errors import UserError

LONGEST_DAYS = 100 * DAYS["years"]
SAME_DAY_DAYS = 1.0
"""The survival of who died on day 0; times must be above 0."""
_SHORT_MEDIAN_DAYS, _LONG_MEDIAN_DAYS = 60.0, 6000.0
"""Half of the patients live longer than the first and shorter than the second, with gliomas of any grade: else the unit is
most likely another one."""

_TIME = re.compile(r"(?P<state>[a-z]+\b)?[\s:;,(\[]*(?P<quantity>.*?)(\s*\blater)?[\s)\]]*", re.I)


@dataclass(frozen=True)
class _Time:
    days: float | None
    died: bool | None
    """None where the text says no more than a time."""


@dataclass(frozen=True)
class Survival:
    """Of one row: the days, and whether the patient died then; None for what is not known."""

    days: float | None = None
    died: bool | None = None


def read_survival(
    times: Column | None,
    events: Column | None,
    time_texts: Sequence[str],
    event_texts: Sequence[str],
    patients: Sequence[str],
    decimal_comma: bool,
    file: str,
) -> tuple[list[Survival], list[Finding]]:
    """The survival of every row.

    Args:
        times: the column of times, if there is one.
        events: the column that says who died, if there is one; without it, who has a time died then, unless the time says
            otherwise (``ALIVE (361 days later)``, ``365+``).
        time_texts, event_texts: the cells of both.
        patients: of the rows.
        decimal_comma: whether the comma is the decimal sign.
        file: for messages.

    Raises:
        UserError: if most of the times or events make no sense, so that the column must be something else.
    """
    findings: list[Finding] = []
    read_times: list[_Time | None] = [None] * len(patients)
    if times is not None:
        unit = times.unit or "days"
        cells = read_cells(times, time_texts, patients, lambda text: _read_time(text, unit, decimal_comma))
        _check(cells, "survival_days", f"times in {unit}", file)
        read_times = cells.values
        findings += cells.findings(
            f"survival_days, in {unit}" + ("" if times.unit else ", as the header names no unit")
        )
        findings += _unit_findings(times, read_times)
        if events is None:
            findings += _assumed_deaths(times, read_times, cells.missing.total())
    died: list[bool | None] = [None] * len(patients)
    if events is not None:
        meaning, why = event_meaning(events, event_texts, file)
        read_events = read_cells(events, event_texts, patients, lambda text: read_event(text, meaning))
        _check(read_events, "died", "events", file)
        died = read_events.values
        findings += read_events.findings(f"died; {why}")
    rows = [_joined(time, event, events is None) for time, event in zip(read_times, died, strict=True)]
    if times is not None:
        findings += _row_findings(times, events, rows, read_times, died, patients)
    return [_kept(row) for row in rows], findings


def _read_time(text: str, unit: str, decimal_comma: bool) -> _Time | None:
    """Read ``289``, ``14.5 months``, ``365+`` or ``ALIVE (361 days later)``."""
    if is_missing(text):
        return None
    match = _TIME.fullmatch(text.strip())
    state = word_of_event(match["state"]) if match and match["state"] else None
    if match is None or (match["state"] and state is None):
        raise ValueError(f"'{text}' is no time")
    if not match["quantity"]:
        return _Time(None, state)
    quantity = read_quantity(match["quantity"], decimal_comma)
    if quantity.bound == "<" or (quantity.bound and state):
        raise ValueError(f"'{text}' is no time")
    days = quantity.number * DAYS[quantity.unit or unit]
    if not 0 <= days <= LONGEST_DAYS:
        raise ImpossibleValue(f"'{text}' is not between 0 and {LONGEST_DAYS:.0f} days")
    return _Time(days, False if quantity.bound else state)


def _joined(time: _Time | None, event: bool | None, times_are_deaths: bool) -> Survival | None:
    """Both columns of a row in one; None if they contradict each other."""
    days, said = (time.days, time.died) if time else (None, None)
    if said is not None and event is not None and said != event:
        return None
    died = said if event is None else event
    if died is None and times_are_deaths and days is not None:
        died = True
    return Survival(days, died)


def _kept(row: Survival | None) -> Survival:
    """The row with a time above 0, or none."""
    if row is None:
        return Survival()
    if row.days == 0:
        return Survival(SAME_DAY_DAYS if row.died else None, row.died)
    return row


def _check(cells: Cells[Any], role: str, what: str, file: str) -> None:
    problems = cells.unreadable + cells.impossible
    if problems and cells.mostly(problems):
        header = cells.column.header
        units = f" or say the unit, as in '{header}':months" if role == "survival_days" else ""
        raise UserError(
            f"{file}: most values of '{header}' are no {what} ({problems[0][1]}); "
            f"name another column with {OPTION} {role}=HEADER{units}, or none with {role}=-."
        )


def _unit_findings(column: Column, times: Sequence[_Time | None]) -> list[Finding]:
    known = [time.days for time in times if time is not None and time.days is not None]
    if column.unit not in (None, "days"):
        message = f"{column.unit} are converted to days: 1 of them is {DAYS[column.unit]:g} days"
        found = [Finding("info", "unit", message, column.header, count=len(known))]
        if known and median(known) > _LONG_MEDIAN_DAYS:
            message = (
                f"half of the patients would have lived more than {median(known):.0f} days: are these {column.unit}?"
            )
            found.append(Finding("warning", "unit", message, column.header, count=len(known)))
        return found
    if column.unit is None and known and median(known) < _SHORT_MEDIAN_DAYS:
        message = (
            f"half of the patients would have lived less than {median(known):.3g} days: if these are months, say "
            f"{OPTION} survival_days='{column.header}':months"
        )
        return [Finding("warning", "unit", message, column.header, count=len(known))]
    return []


def _assumed_deaths(column: Column, times: Sequence[_Time | None], without: int) -> list[Finding]:
    """What is assumed of rows with a time, and of those without, where no column says who died."""
    dead = sum(time is not None and time.days is not None and time.died is None for time in times)
    message = "no column says who died: every patient with a time is taken to have died then"
    found = [Finding("info", "meaning", message, column.header, count=dead)]
    if without and dead:
        message = "rows without a time: those patients may have lived longer, and what is learned may be too short"
        found.append(Finding("warning", "meaning", message, column.header, count=without))
    return found


def _row_findings(
    times: Column,
    events: Column | None,
    rows: Sequence[Survival | None],
    read_times: Sequence[_Time | None],
    died: Sequence[bool | None],
    patients: Sequence[str],
) -> list[Finding]:
    """What is worth knowing of single rows."""
    columns = f"{times.header}, {events.header}" if events else times.header

    def those(chosen: Sequence[bool]) -> tuple[str, ...]:
        return tuple(patient for patient, it in zip(patients, chosen, strict=True) if it)

    contradictory = those([row is None for row in rows])
    dead_at_once = those([row is not None and row.days == 0 and row.died is True for row in rows])
    lost_at_once = those([row is not None and row.days == 0 and not row.died for row in rows])
    alive = those([time is not None and time.days is not None and time.died is False for time in read_times])
    unclear = those([row is not None and row.days is not None and row.died is None for row in rows])
    found = []
    for severity, kind, message, named in (
        ("info", "meaning", "the text says that the patient was alive then: censored", alive),
        ("info", "meaning", f"died on day 0: read as {SAME_DAY_DAYS:g} day", dead_at_once),
        ("warning", "impossible", "left out because nothing is known after day 0", lost_at_once),
        ("warning", "contradiction", "left out because the columns disagree on who died", contradictory),
        ("warning", "missing", "there is a time, but not what happened then: it cannot be used", unclear),
    ):
        if named:
            found.append(Finding(severity, kind, message, columns, named, len(named)))  # type: ignore[arg-type]
    return found
