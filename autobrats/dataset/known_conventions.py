"""The conventions of the BraTS years and tasks, plain labels, and conventions read from label names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from autobrats.dataset.conventions import Convention
from autobrats.errors import UserError

KNOWN = {
    convention.name: convention
    for convention in (
        Convention(
            name="brats2012",
            labels={"NCR": 1, "ED": 2, "NET": 3, "ET": 4},
            regions={"WT": [1, 2, 3, 4], "TC": [1, 3, 4], "ET": [4]},
            paint=[("WT", 2), ("TC", 1), ("ET", 4)],
        ),
        Convention(
            name="brats2017",
            labels={"NCR": 1, "ED": 2, "ET": 4},
            regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
            paint=[("WT", 2), ("TC", 1), ("ET", 4)],
        ),
        Convention(
            name="brats2023",
            labels={"NCR": 1, "ED": 2, "ET": 3},
            regions={"WT": [1, 2, 3], "TC": [1, 3], "ET": [3]},
            paint=[("WT", 2), ("TC", 1), ("ET", 3)],
        ),
        Convention(
            name="brats2024",
            labels={"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4},
            regions={"WT": [1, 2, 3], "TC": [1, 3], "ET": [3], "RC": [4]},
            paint=[("RC", 4), ("WT", 2), ("TC", 1), ("ET", 3)],
        ),
        Convention(
            name="brats_ped",
            labels={"ET": 1, "NET": 2, "CC": 3, "ED": 4},
            regions={"WT": [1, 2, 3, 4], "TC": [1, 2, 3], "ET": [1], "CC": [3]},
            paint=[("WT", 4), ("TC", 2), ("CC", 3), ("ET", 1)],
        ),
    )
}
"""By name; documentation/conventions.md says where they are used."""

_ALIASES = {
    **{f"brats{year}": "brats2012" for year in (2013, 2014, 2015, 2016)},
    **{f"brats{year}": "brats2017" for year in (2018, 2019, 2020, 2021, 2022)},
    "brats2025": "brats2024",
    "brats_peds": "brats_ped",
}


def convention_named(name: str, values: Iterable[int] = ()) -> Convention:
    """The known convention of that name (``brats2021`` and the like are accepted), or ``plain`` labels of ``values``.

    Raises:
        UserError: if there is none of that name.
    """
    key = name.lower().replace("-", "_")
    key = _ALIASES.get(key, key)
    if key == "plain":
        return plain_labels({f"label_{value}": value for value in sorted(set(values) - {0})})
    if key not in KNOWN:
        raise UserError(f"There is no convention '{name}'; known: {', '.join([*KNOWN, 'plain'])}.")
    return KNOWN[key]


def plain_labels(labels: Mapping[str, int]) -> Convention:
    """The convention in which each label is its own region."""
    return Convention(
        name="plain",
        labels=dict(labels),
        regions={name: [value] for name, value in labels.items()},
        paint=[(name, value) for name, value in labels.items()],
    )


def glioma_labels(labels: Mapping[str, int]) -> Convention | None:
    """WT, TC and ET from labels whose names are those of a glioma's parts (oedema, enhancing, necrotic), else None."""
    parts: dict[str, list[int]] = {"oedema": [], "core": [], "enhancing": []}
    for name, value in labels.items():
        text = re.sub(r"[^a-z]+", " ", name.lower()).strip()
        if re.search(r"\b(o?edema|ed|snfh)\b", text):
            parts["oedema"].append(value)
        elif re.search(r"\b(non ?enhanc\w*|necro\w*|ncr|netc?|non enhancing)\b", text):
            parts["core"].append(value)
        elif re.search(r"\b(enhanc\w*|et|active)\b", text):
            parts["enhancing"].append(value)
        else:
            return None
    if any(len(values) != 1 for values in parts.values()):
        return None
    (oedema,), (core,), (enhancing,) = parts.values()
    return Convention(
        name="glioma_labels",
        labels=dict(labels),
        regions={"WT": sorted((oedema, core, enhancing)), "TC": sorted((core, enhancing)), "ET": [enhancing]},
        paint=[("WT", oedema), ("TC", core), ("ET", enhancing)],
    )


def labels_lost(convention: Convention) -> dict[int, int]:
    """The integers that do not come back when a mask is turned into regions and painted again, and what they become."""
    integers = np.array([0, *convention.labels.values()], np.uint8)
    painted = convention.to_labels(convention.to_regions(integers))
    return {int(before): int(after) for before, after in zip(integers, painted, strict=True) if before != after}
