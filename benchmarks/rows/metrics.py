"""Dice, HD95 and NSD of three regions: ours in one pass, beside MONAI's and medpy's functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import zoom

from autobrats.dataset.known_conventions import KNOWN
from benchmarks.side_by_side.comparison import Comparison, Figures, Row, Setting, alternately
from benchmarks.side_by_side.side import Side

BRATS = KNOWN["brats2017"]
TOLERANCE_MM = 1.0
WHOLE = (155, 240, 240)
NAMES = ("Dice", "HD95", "NSD")
Spacing = tuple[float, float, float]
Pair = tuple[np.ndarray, np.ndarray, Spacing]
"""Labels of prediction and reference, (z, y, x), and spacing in mm."""


@dataclass(frozen=True)
class Peer:
    """Whom we are compared with.

    Attributes:
        name, script: of the library and of its side.
        metrics: what it computes; ours always computes all.
        percentile: its definition of HD95.
        goal: how many times as fast we want to be.
    """

    name: str
    script: str
    metrics: tuple[str, ...]
    percentile: str
    goal: float


PEERS = (
    Peer("MONAI", "monai_metrics", NAMES[:2], "directed", 5),
    Peer("MONAI", "monai_metrics", NAMES, "directed", 5),
    Peer("medpy", "medpy_metrics", NAMES[:2], "pooled", 50),
)


def run(setting: Setting) -> list[Comparison]:
    """A real pair as a whole study; with --full a small and a large tumour, 100 lesions, and all 61 pairs as they are."""
    pairs = read_pairs(setting.data / "real_predictions")
    by_size = sorted(pairs, key=lambda pair: np.count_nonzero(pair[1]))
    chosen = {"median tumour": by_size[len(by_size) // 2]}
    if setting.full:
        chosen |= {"small tumour": by_size[len(by_size) // 10], "large tumour": by_size[-1 - len(by_size) // 10]}
    groups = {f"240x240x155, {name}": [whole_study(pair)] for name, pair in chosen.items()}
    if setting.full:
        groups["240x240x155, 100 small lesions"] = [hundred_lesions()]
        groups[f"{len(pairs)} pairs of 128x128x128"] = pairs
    lines = []
    for number, (name, group) in enumerate(groups.items()):
        labels = _saved(group, setting.scratch / f"labels_{number}", as_regions=False)
        regions = _saved(group, setting.scratch / f"regions_{number}", as_regions=True)
        repeats = setting.repeats if len(group) == 1 else 1  # all pairs are there for the agreement
        lines += [_compare(setting, peer, name, labels, regions, repeats) for peer in PEERS]
    return lines


def read_pairs(folder: Path) -> list[Pair]:
    """All pairs CASE_prediction.nii.gz and CASE_reference.nii.gz of a folder."""
    pairs = []
    for file in sorted(folder.glob("*_prediction.nii.gz")):
        prediction = nibabel.load(file)
        reference = nibabel.load(file.with_name(file.name.replace("_prediction.", "_reference.")))
        x, y, z = (float(size) for size in reference.header.get_zooms()[:3])
        labels = (np.asarray(image.dataobj).T.astype(np.uint8) for image in (prediction, reference))
        pairs.append((*labels, (z, y, x)))
    return pairs


def whole_study(pair: Pair) -> Pair:
    """The pair on the grid of a whole study, 1 mm (nearest neighbour)."""
    factors = np.divide(WHOLE, pair[0].shape)
    return zoom(pair[0], factors, order=0), zoom(pair[1], factors, order=0), (1.0, 1.0, 1.0)


def hundred_lesions() -> Pair:
    """A whole study of up to 100 balls with radii of 1 to 5 mm; the prediction moves them a little and misses some."""
    random = np.random.default_rng(0)
    prediction, reference = np.zeros((2, *WHOLE), np.uint8)
    offsets = np.indices((13, 13, 13)) - 6
    for _ in range(100):
        ball = (offsets**2).sum(0) <= random.uniform(1, 5) ** 2
        centre = random.integers(8, np.subtract(WHOLE, 8))
        reference[tuple(slice(c - 6, c + 7) for c in centre)][ball] = 4
        if random.random() < 0.85:
            moved = centre + random.integers(-1, 2, 3)
            prediction[tuple(slice(c - 6, c + 7) for c in moved)][ball] = 4
    return prediction, reference, (1.0, 1.0, 1.0)


def _saved(pairs: list[Pair], folder: Path, *, as_regions: bool) -> list[tuple[str, Spacing]]:
    folder.mkdir()
    files = []
    for number, (prediction, reference, spacing) in enumerate(pairs):
        path = folder / f"{number}.npy"
        both = (prediction, reference)
        np.save(path, np.stack([BRATS.to_regions(labels) for labels in both] if as_regions else both))
        files.append((str(path), spacing))
    return files


def _compare(setting: Setting, peer: Peer, name: str, labels: list, regions: list, repeats: int) -> Comparison:
    ours = {"pairs": labels, "convention": BRATS.model_dump(), "percentile": peer.percentile}
    theirs = {"pairs": regions, "nsd": "NSD" in peer.metrics}
    common = {"tolerance_mm": TOLERANCE_MM}
    with (
        Side(setting.ours, "ours_metrics", ours | common) as our_side,
        Side(setting.peer, peer.script, theirs | common) as their_side,
    ):
        our, their = alternately(our_side.repeat, their_side.repeat, repeats)
    return Comparison.of(
        our,
        their,
        work=f"Dice, HD95 and NSD of {name}, three regions",
        against=f"{peer.name} ({', '.join(peer.metrics)})",
        goal=peer.goal,
        agreement=_agreement(our[-1], their[-1], peer.metrics),
    )


def _agreement(our: Figures, their: Figures, metrics: tuple[str, ...]) -> str:
    """The largest differences; a region that one of the two lacks has no finite distance, and is not compared."""
    one, other = np.array(our["scores"]), np.array(their["scores"])
    difference = np.where(np.isfinite(other), np.abs(one[..., : len(metrics)] - other), 0).max((0, 1))
    units = {"HD95": " mm"}
    return "largest difference: " + ", ".join(
        f"{metric} {value:.1e}{units.get(metric, '')}" for metric, value in zip(metrics, difference, strict=True)
    )


ROW = Row("metrics", run, needs=["real_predictions"])
