"""Who died and who was still alive: columns of events, whatever 1 and 0 mean in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from autobrats.dataset.clinical.column_choice import Column
from autobrats.dataset.clinical.column_map import OPTION
from autobrats.dataset.clinical.columns import MEANS_ALIVE, MEANS_DEAD
from autobrats.dataset.clinical.values import is_missing, read_yes_no
from autobrats.errors import UserError

_DEAD = r"dead|died|death|deceased|expired|event"
_ALIVE = r"alive|living|censor\w*|survivor|lost"
_DEAD_WORD, _ALIVE_WORD = re.compile(_DEAD, re.I), re.compile(_ALIVE, re.I)
_TOKEN = re.compile(rf"(?<!\d)\d(?!\d)|{_DEAD}|{_ALIVE}", re.I)


def word_of_event(text: str) -> bool | None:
    """True for ``dead``, ``1:DECEASED``, ...; False for ``alive``, ``censored``, ...; None if there is no such word.

    Raises:
        ValueError: if the text says both, or denies it.
    """
    dead, alive = _DEAD_WORD.search(text), _ALIVE_WORD.search(text)
    if (dead and alive) or ((dead or alive) and re.search(r"\b(not|no|non)\b", text, re.I)):
        raise ValueError(f"'{text}' does not say clearly whether the patient died")
    return True if dead else False if alive else None


def read_event(text: str, meaning: dict[int, bool]) -> bool | None:
    """Whether the patient died; None if that is not known.

    Args:
        text: a word, or a number whose meaning is in ``meaning``; yes and no are 1 and 0.
        meaning: whether the patient died, by number.

    Raises:
        ValueError: if it is anything else.
    """
    if is_missing(text):
        return None
    if (word := word_of_event(text)) is not None:
        return word
    code = _code(text)
    if code not in meaning:
        raise ValueError(f"'{text}' does not say whether the patient died")
    return meaning[code]


def event_meaning(column: Column, texts: Iterable[str], file: str) -> tuple[dict[int, bool], str]:
    """Whether the patient died, by the number in a column of events, and the words of why.

    What the user says comes first (``died=HEADER:dead`` or ``:alive``: what a 1 means), then pairs in the header
    (``1-dead 0-alive``), then its words (``censored``: 1 is alive), then R's custom of 1 for alive and 2 for dead if there
    are twos; else 1 is dead and 0 is alive.

    Raises:
        UserError: if the header says both without saying which number is which, and there are numbers.
    """
    codes = {code for text in texts if not is_missing(text) and (code := _code(text)) is not None}
    if column.unit in (MEANS_DEAD, MEANS_ALIVE):
        return _one_is(column.unit == MEANS_DEAD), f"1 is {column.unit}, as you said"
    pairs = _pairs(column.header)
    if pairs:
        return pairs, "what the numbers mean is in the header"
    dead, alive = _DEAD_WORD.search(column.header), _ALIVE_WORD.search(column.header)
    if dead and alive and codes:
        raise UserError(
            f"{file}: '{column.header}' does not say whether 1 is dead or alive; "
            f"say it with {OPTION} died='{column.header}':dead (1 is dead) or :alive."
        )
    if alive:
        return _one_is(False), "1 is alive or censored, as the header says"
    if 2 in codes and codes <= {1, 2}:
        return {1: False, 2: True}, "1 is alive and 2 is dead, as R has it"
    return _one_is(True), "1 is dead" + (", as the header says" if dead else ", as is the custom")


def _pairs(header: str) -> dict[int, bool]:
    """``{1: True, 0: False}`` of ``1-dead 0-alive`` or ``status (0: alive, 1: dead)``; of a single pair, its opposite too."""
    tokens = _TOKEN.findall(header)
    first_number = next((index for index, token in enumerate(tokens) if token.isdigit()), None)
    if first_number is None:
        return {}
    # An odd rest begins with the second half of a pair: "dead=1, alive=0", unlike "death (1=dead, 0=alive)".
    odd = (len(tokens) - first_number) % 2
    rest = tokens[max(0, first_number - odd) :]
    pairs = {}
    for left, right in zip(rest[::2], rest[1::2], strict=False):
        number, word = (left, right) if left.isdigit() else (right, left)
        if not number.isdigit() or word.isdigit():
            return {}
        pairs[int(number)] = _DEAD_WORD.fullmatch(word) is not None
    if len(pairs) == 1:
        ((number, died),) = pairs.items()
        if number in (0, 1):
            pairs[1 - number] = not died
    return pairs


def _one_is(dead: bool) -> dict[int, bool]:
    return {1: dead, 0: not dead}


def _code(text: str) -> int | None:
    if re.fullmatch(r"\d+(\.0+)?", text.strip()):
        return int(float(text))
    try:
        return int(read_yes_no(text))
    except ValueError:
        return None
