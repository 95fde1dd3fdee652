"""The three parts of a glioma that features are computed of, from a label map in any of its conventions."""

from __future__ import annotations

import numpy as np

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import glioma_labels
from autobrats.errors import UserError
from autobrats.evaluation.label_meaning import integers_in


def part_integers(convention: Convention) -> dict[str, set[int]]:
    """The integers of each part: ET is the region ET, NCR the rest of the region TC, ED the rest of the region WT.

    So NCR takes up the non-enhancing tumour and the cysts of conventions that tell them apart, and the resection cavity
    is in no part.

    Raises:
        UserError: if the convention does not have these regions and its labels are not named like them either.
    """
    known = convention if {"WT", "TC", "ET"} <= convention.regions.keys() else glioma_labels(convention.labels)
    if known is None:
        raise UserError(
            f"The features of a glioma need its oedema, core and enhancing tumour; the convention {convention.name} has "
            f"{', '.join(convention.labels) or 'no labels'}. If the masks are those of a BraTS year, say its convention."
        )
    whole, core, enhancing = (set(known.regions[region]) for region in ("WT", "TC", "ET"))
    return {"NCR": core - enhancing, "ED": whole - core, "ET": enhancing}


def tumour_parts(labels: np.ndarray, convention: Convention) -> dict[str, np.ndarray]:
    """The masks of NCR, ED and ET, boolean (z, y, x), of a label map, uint8 (z, y, x).

    Raises:
        UserError: if the convention is not that of a glioma, or the label map holds an integer that it does not know.
    """
    integers = part_integers(convention)
    if unknown := sorted(integers_in(labels) - set(convention.labels.values())):
        raise UserError(
            f"The mask holds the label{'s' * (len(unknown) > 1)} {', '.join(map(str, unknown))}, which {convention.name} "
            f"does not have (it has {', '.join(map(str, sorted(convention.labels.values())))}); say the right convention."
        )
    parts = {part: np.zeros(labels.shape, bool) for part in integers}
    for part, mask in parts.items():
        for integer in integers[part]:
            mask |= labels == integer
    return parts
