"""Numbers as the report writes them: with their interval, and no more digits than mean something."""

from __future__ import annotations

import math

MISSING = "–"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def decimal(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """``0.912``; with a sign, and a true minus, if ``signed``; a dash for no value."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")


def spread(low: float | None, high: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """``0.903–0.920``, or ``−0.1 to 0.4`` where a sign could be taken for the dash; empty without values."""
    if low is None or high is None:
        return ""
    if not signed and low >= 0:
        return f"{decimal(low, digits)}–{decimal(high, digits)}"
    return f"{decimal(low, digits, signed=signed)} to {decimal(high, digits, signed=signed)}"


def with_interval(
    mean: float | None, low: float | None, high: float | None, digits: int = 3, *, signed: bool = False
) -> str:
    """``0.912 (0.903–0.920)``; the mean alone where there is no interval."""
    shown = decimal(mean, digits, signed=signed)
    between = spread(low, high, digits, signed=signed)
    return f"{shown} ({between})" if between and shown != MISSING else shown


def count(number: int) -> str:
    """``1 234 567``."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def percent(share: float, digits: int = 0) -> str:
    """``83 %``; ``< 1 %`` for what is there but rounds to nothing."""
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"<{NARROW_SPACE}{smallest:.{digits}f}{NARROW_SPACE}%"
    return f"{100 * share:.{digits}f}{NARROW_SPACE}%"


def significant(value: float, digits: int = 3) -> str:
    """``1234``, ``12.3``, ``0.0123``: so many significant digits, never a power of ten for sizes people meet."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else MISSING
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}" if places <= 6 else f"{value:.{digits - 1}e}"
    return text.replace("-", "\N{MINUS SIGN}")


def plural(number: int, noun: str) -> str:
    """``1 case``, ``326 cases``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def listed(names: list[str]) -> str:
    """``WT, TC and ET``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
