"""How the texts in clinical tables are read; None is a value that is not known, ValueError a text that says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autobrats.dataset.clinical.columns import DAYS
from autobrats.dataset.clinical.record import Resection

_MISSING = frozenset(
    (
        *(
            "",
            "-",
            "--",
            "?",
            ".",
            "*",
            "na",
            "n/a",
            "n. a.",
            "nan",
            "none",
            "null",
            "nil",
            "missing",
            "unknown",
            "unk",
        ),
        *("not available", "not applicable", "not known", "not reported", "not specified", "no data", "nr"),
        *("not determined", "not done", "not tested", "not evaluated", "not assessed", "nd", "undetermined"),
        *("indeterminate", "inconclusive", "uncertain", "nos", "nec", "nos/nec"),
        *("#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"),
    )
)
_YES = ("yes", "y", "true", "t", "1", "positive", "pos")
_NO = ("no", "n", "false", "f", "0", "negative", "neg")
_NOT = r"\b(?:un|non|not|no)[ -]*"
_IDH = (
    rf"{_NOT}mutat\w*|{_NOT}mutant|wild[ -]*type|\bwt\b|\bintact",
    r"mutat|mutant|\bmut\b|\b(?:r|arg)1(?:32|40|72)|\bp\.\w",
)
_MGMT = (rf"{_NOT}meth\w*|\bunmeth\w*", r"\b(?:hyper)?meth(?:ylat\w*)?\b")
_CODELETION = (rf"{_NOT}co[ -]*del\w*|{_NOT}deleted|\bintact|\bretained", r"\bco[ -]*del|^deleted$")
_RELATIVE = re.compile(r"\b(relative|partial|incomplete)\b")
_RESECTIONS: tuple[tuple[Resection, str], ...] = (
    ("biopsy", r"biops|\bbx\b"),
    ("STR", r"\bstr\b|\bsub[ -]*total|\bpartial|\bnear[ -]*total|\bntr\b|\bincomplete|\bdebulk"),
    ("GTR", r"\bgtr\b|\bgross\b|\btotal\b|\bcomplete"),
)
_GRADES = {"2": 2, "3": 3, "4": 4, "ii": 2, "iii": 3, "iv": 4, "hgg": 4, "lgg": 2, "gbm": 4, "glioblastoma": 4}
COARSE_GRADES = frozenset(("hgg", "lgg"))
"""Texts that tell no more than high grade (read as 4) or low grade (read as 2)."""

_QUANTITY = re.compile(
    r"(?P<open>[<>≤≥]=?)?\s*(?P<number>[+-]?\d[\d.,]*(?:e[+-]?\d+)?)\s*(?P<unit>[a-z]+)?\s*(?P<after>\+)?", re.I
)
_UNITS = {letter: unit for unit in DAYS for letter in (unit[0], unit[:-1], unit)} | {
    **dict.fromkeys(("mo", "mos"), "months"),
    **dict.fromkeys(("yr", "yrs", "yo"), "years"),
    **dict.fromkeys(("wk", "wks"), "weeks"),
}


@dataclass(frozen=True)
class Quantity:
    """A number with what stands around it.

    Attributes:
        number: as written.
        unit: days, weeks, months or years, where the text says it.
        bound: ``>`` if the truth is at least the number (``>89``, ``365+``), ``<`` if at most.
    """

    number: float
    unit: str | None = None
    bound: str = ""


def is_missing(text: str) -> bool:
    """Whether a text says that the value is not known: empty, NA, Not Available, #DIV/0!, NOS/NEC, ..."""
    return text.strip().strip("[]()").strip().lower() in _MISSING


def read_number(text: str, decimal_comma: bool = False) -> float:
    """A finite number.

    Args:
        text: ``66.5`` or ``66,5``; ``1e3`` is one as well.
        decimal_comma: whether the table is one in which the comma is the decimal sign (it separates no columns).

    Raises:
        ValueError: if it is none, or if its comma may part thousands.
    """
    text = text.strip()
    if "," in text:
        if not decimal_comma and re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text):
            raise ValueError(f"'{text}' may be {text.replace(',', '')} or a decimal fraction")
        text = text.replace(",", ".")
    if not re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d{1,2})?", text, re.I):
        raise ValueError(f"'{text}' is no number")
    return float(text)


def read_quantity(text: str, decimal_comma: bool = False) -> Quantity:
    """A number, perhaps with a unit (``18 months``, ``063Y``) or as a bound (``>89``, ``365+``).

    Raises:
        ValueError: if it is anything else.
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = (match["unit"] or "").lower() if match else ""
    if match is None or (unit and unit not in _UNITS):
        raise ValueError(f"'{text}' is no number")
    bound = ">" if match["after"] or (match["open"] or "")[:1] in (">", "≥") else "<" if match["open"] else ""
    return Quantity(read_number(match["number"], decimal_comma), _UNITS.get(unit), bound)


def read_yes_no(text: str) -> bool:
    """Yes or no, 1 or 0, true or false, positive or negative.

    Raises:
        ValueError: if it is anything else.
    """
    word = re.sub(r"\.0+$", "", text.strip().lower())
    if word in _YES + _NO:
        return word in _YES
    raise ValueError(f"'{text}' is neither yes nor no")


def read_male(text: str, one_is_male: bool = False) -> bool | None:
    """The sex, by its first letter or word.

    Args:
        text: ``M``, ``male``, ``F``, ``female``, ...
        one_is_male: whether the column asks "male?", so that 1 and yes are answers.

    Raises:
        ValueError: for anything else; numbers do not say which sex is meant.
    """
    word = text.strip().lower()
    if is_missing(word) or word in ("o", "other", "x"):
        return None
    if word in ("m", "male", "man"):
        return True
    if word in ("f", "female", "w", "woman"):
        return False
    if one_is_male:
        return read_yes_no(text)
    raise ValueError(f"'{text}' does not say which sex is meant")


def read_idh(text: str) -> bool | None:
    """Whether IDH is mutated: ``wildtype``, ``Mutated``, ``IDH1 p.R132H``, ..."""
    return _read_two_ways(text, *_IDH)


def read_mgmt(text: str) -> bool | None:
    """Whether MGMT is methylated: ``Unmethylated``, ``positive``, ``indeterminate`` (not known), ..."""
    return _read_two_ways(text, *_MGMT)


def read_codeletion(text: str) -> bool | None:
    """Whether 1p and 19q are both deleted: ``intact``, ``co-deletion``, ...; a relative or partial one is not known."""
    return None if _RELATIVE.search(text.lower()) else _read_two_ways(text, *_CODELETION)


def read_resection(text: str, yes_is_gross_total: bool = False) -> Resection | None:
    """The extent of resection: ``GTR``, ``subtotal``, ``biopsy``, ...

    Args:
        text: of the cell.
        yes_is_gross_total: whether the column asks "gross total?"; no is then read as STR.

    Raises:
        ValueError: if it says nothing of the kind.
    """
    if is_missing(text):
        return None
    for resection, pattern in _RESECTIONS:
        if re.search(pattern, text.lower()):
            return resection
    if yes_is_gross_total:
        return "GTR" if read_yes_no(text) else "STR"
    raise ValueError(f"'{text}' is no extent of resection")


def read_grade(text: str) -> int | None:
    """The WHO grade: ``4``, ``IV``, ``WHO grade III``, ``HGG`` (4), ``LGG`` (2), ...

    Raises:
        ValueError: if it is none of 2 to 4.
    """
    if is_missing(text):
        return None
    word = coarse_word(text) or re.sub(r"\.0+$", "", re.sub(r"\b(who|cns|grade)\b|\bg(?=\d)|[\s,_-]", "", text.lower()))
    if word not in _GRADES:
        raise ValueError(f"'{text}' is no grade from 2 to 4")
    return _GRADES[word]


def coarse_word(text: str) -> str | None:
    """``hgg`` or ``lgg`` if a text says no more of the grade than that."""
    word = {"high grade": "hgg", "low grade": "lgg"}.get(
        re.sub(r"[\s_-]+", " ", text.strip().lower()), text.strip().lower()
    )
    return word if word in COARSE_GRADES else None


def _read_two_ways(text: str, negative: str, positive: str) -> bool | None:
    """What a text says of a marker, by patterns of its absence (which are looked for first) and of its presence.

    Raises:
        ValueError: if it says neither, or both.
    """
    if is_missing(text):
        return None
    lower = text.strip().lower()
    rest = re.sub(negative, " ", lower)
    absent, present = rest != lower, re.search(positive, rest) is not None
    if absent != present:
        return present
    if absent:
        raise ValueError(f"'{text}' says both")
    return read_yes_no(text)
