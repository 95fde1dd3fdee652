"""What a file name says: which modality or mask a file is, in the spellings of every year."""

from __future__ import annotations

import re
from typing import NamedTuple

MR_MODALITIES = ("t1n", "t1c", "t2w", "t2f")
"""The four MR modalities of brain-tumour imaging, in the order of the channels."""
MASK = "mask"
BRAIN_MASK = "brain mask"

_SPELLINGS = {
    "t1n": ("t1", "t1n", "t1w", "t1native", "t1pre"),
    "t1c": ("t1c", "t1ce", "t1gd", "t1cw", "t1post", "t1contrast", "t1km", "ct1"),
    "t2w": ("t2", "t2w"),
    "t2f": ("flair", "t2f", "t2flair", "fla"),
    MASK: (
        *("mask", "seg", "segm", "segmentation", "label", "labels", "ot", "otmulticlass", "gt", "groundtruth", "truth"),
        *("glistrboost", "gtv"),
    ),
    BRAIN_MASK: ("brainmask", "brainseg", "brainsegmentation"),
}
_MEANING = {spelling: meaning for meaning, spellings in _SPELLINGS.items() for spelling in spellings}
_CONTRAST = ("c", "ce", "gd", "gad", "post", "contrast")
_WORD = re.compile(r"[A-Za-z0-9]+")


class NameReading(NamedTuple):
    """What was read from a file's name.

    Attributes:
        meaning: a modality of MR_MODALITIES, MASK, BRAIN_MASK, or None.
        spelling: the word that says so, lower case.
        prefix: what stands before that word, without separators at the end.
        suffix: what stands behind it.
    """

    meaning: str | None
    spelling: str
    prefix: str
    suffix: str


def read_name(stem: str) -> NameReading:
    """Read the last word of a file name (without its image suffix) that names a modality or a mask."""
    words = list(_WORD.finditer(stem))
    for index in range(len(words) - 1, -1, -1):
        word = words[index].group().lower()
        before = words[index - 1].group().lower() if index else ""
        start = words[index].start()
        meaning = _MEANING.get(word)
        if word in _CONTRAST and before in ("t1", "t1w"):
            meaning, word, start = "t1c", before + word, words[index - 1].start()
        elif meaning == "t2f" and before == "t2":
            start = words[index - 1].start()
        elif meaning == MASK and before in ("brain", *_MEANING):
            meaning = BRAIN_MASK if before == "brain" else MASK
            start = words[index - 1].start() if before == "brain" else start
        elif meaning == MASK and before in ("tumor", "tumour", "approx"):
            start = words[index - 1].start()
        if meaning:
            return NameReading(meaning, word, stem[:start].rstrip("_-. "), stem[words[index].end() :].lstrip("_-. "))
    return NameReading(None, "", stem, "")


def canonical_modality(name: str) -> str | None:
    """The MR modality that a channel's or column's name means (``FLAIR`` is t2f), else None."""
    words = [word.lower() for word in _WORD.findall(name)]
    words = [word for word in words if word not in ("mr", "mri", "image", "path", "file")]
    meaning = _MEANING.get("".join(words))
    return meaning if meaning in MR_MODALITIES else None


def modality_order(names: set[str] | list[str]) -> list[str]:
    """Modalities in the order of the channels: the four of MR first, others as they come (a set: sorted)."""
    others = sorted(names) if isinstance(names, set) else list(dict.fromkeys(names))
    return [name for name in MR_MODALITIES if name in names] + [name for name in others if name not in MR_MODALITIES]
