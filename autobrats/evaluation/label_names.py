"""What the file name of a label map says: the case, and whether it is a prediction, a reference or neither."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from autobrats.dataset.modality_names import BRAIN_MASK, MASK, read_name

Kind = Literal["prediction", "reference", "mask", "plain", "image", "other"]
"""``mask``: a segmentation of either side (CASE_seg); ``plain``: the name says nothing (CASE); ``image``: a modality;
``other``: probabilities and brain masks."""

_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys(("pred", "preds", "predicted", "prediction", "predictions"), "prediction"),
    **dict.fromkeys(("ref", "reference", "references", "gt", "groundtruth", "ground_truth", "truth"), "reference"),
    **dict.fromkeys(("prob", "probs", "probability", "probabilities", "softmax", "logits"), "other"),
}
_LAST_WORD = re.compile(r"(?:^|[_\-. ])(ground[_\-. ]truth|[A-Za-z]+)$", re.I)


class LabelName(NamedTuple):
    """What was read from a file's name.

    Attributes:
        kind: what the file is.
        case: the name without the words that say so; empty if nothing else is left (``seg.nii.gz``).
    """

    kind: Kind
    case: str


def read_label_name(stem: str) -> LabelName:
    """Read the words at the end of a file's name (without its image suffix) that say what the file is.

    ``CASE_seg``, ``CASE-mask`` and the like are read as :func:`autobrats.dataset.modality_names.read_name` reads them;
    several words may follow each other (``CASE_pred_seg``), and the one that names a side decides.
    """
    kind: Kind = "plain"
    case = stem
    while True:
        word = _LAST_WORD.search(case)
        if word and (ending := _ENDINGS.get(re.sub(r"[-. ]", "_", word[1].lower()))):
            kind, case = ending if kind in ("plain", "mask") else kind, case[: word.start()].rstrip("_-. ")
            continue
        reading = read_name(case)
        if reading.suffix or reading.meaning is None:
            return LabelName(kind, case)
        if reading.meaning == BRAIN_MASK:
            return LabelName("other", reading.prefix)
        if reading.meaning != MASK:
            # A modality before "seg" belongs to the case's name; alone it says that this is an image.
            return LabelName("image", reading.prefix) if kind == "plain" else LabelName(kind, case)
        kind, case = "mask" if kind == "plain" else kind, reading.prefix
