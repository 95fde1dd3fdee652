"""Our overlap, surface and lesion metrics beside MONAI's and medpy's: largest differences and ratios of times.

    python benchmarks/metrics.py FOLDER [--pairs N]

FOLDER holds pairs CASE_prediction.nii.gz and CASE_reference.nii.gz with BraTS labels 0, 1, 2, 4. A few pairs are also
enlarged to whole studies of 240 x 240 x 155 voxels for the timing, and a study with 100 small lesions is generated. One
thread for everybody. Times are of the processor, so that other programs disturb them little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import torch
from medpy.metric import binary
from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import zoom

from autobrats.dataset.conventions import Convention
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.lesions import LESION_RULES

BRATS = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)
TOLERANCE_MM = 1.0
Spacing = tuple[float, float, float]
Pair = tuple[str, np.ndarray, np.ndarray, Spacing]


def pairs(folder: Path) -> Iterator[Pair]:
    """Case, prediction and reference labels (z, y, x) and spacing in mm."""
    for file in sorted(folder.glob("*_prediction.nii.gz")):
        prediction = nibabel.load(file)
        reference = nibabel.load(file.with_name(file.name.replace("_prediction.", "_reference.")))
        x, y, z = (float(size) for size in reference.header.get_zooms()[:3])
        arrays = (
            np.ascontiguousarray(np.asarray(image.dataobj).T.astype(np.uint8)) for image in (prediction, reference)
        )
        yield file.name.split("_prediction")[0], *arrays, (z, y, x)


def whole_study(labels: np.ndarray) -> np.ndarray:
    """The label map on a grid of 155 x 240 x 240 (nearest neighbour)."""
    return zoom(labels, np.divide((155, 240, 240), labels.shape), order=0)


def ours(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    return score_case(prediction, reference, BRATS, spacing, tolerance_mm=TOLERANCE_MM)


def ours_by_lesion(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    return score_case(prediction, reference, BRATS, spacing, lesions=LESION_RULES["metastases"])


def ours_pooled(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    return score_case(prediction, reference, BRATS, spacing, percentile="pooled")


def monai(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    predicted = torch.from_numpy(BRATS.to_regions(prediction))[None]
    referred = torch.from_numpy(BRATS.to_regions(reference))[None]
    dice = DiceMetric(reduction="none", ignore_empty=False)(predicted, referred)[0]
    hd95 = compute_hausdorff_distance(predicted, referred, include_background=True, percentile=95, spacing=spacing)[0]
    return {r: {"dice": float(d), "hd95": float(h)} for r, d, h in zip(BRATS.regions, dice, hd95, strict=True)}


def monai_nsd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    predicted = torch.from_numpy(BRATS.to_regions(prediction))[None]
    referred = torch.from_numpy(BRATS.to_regions(reference))[None]
    tolerances = [TOLERANCE_MM] * len(BRATS.regions)
    nsd = compute_surface_dice(predicted, referred, tolerances, include_background=True, spacing=spacing)[0]
    return {region: {"nsd": float(value)} for region, value in zip(BRATS.regions, nsd, strict=True)}


def medpy(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    scores = {}
    for region, a, b in zip(BRATS.regions, BRATS.to_regions(prediction), BRATS.to_regions(reference), strict=True):
        present = a.any() and b.any()
        hd95 = binary.hd95(a, b, voxelspacing=spacing) if present else float("nan")
        scores[region] = {"dice": binary.dc(a, b), "hd95": float(hd95)}
    return scores


def hundred_lesions() -> tuple[np.ndarray, np.ndarray, Spacing]:
    """A whole study of up to 100 balls with radii of 1 to 5 mm; the prediction moves them a little and misses some."""
    random = np.random.default_rng(0)
    prediction, reference = np.zeros((2, 155, 240, 240), np.uint8)
    offsets = np.indices((13, 13, 13)) - 6
    for _ in range(100):
        ball = (offsets**2).sum(0) <= random.uniform(1, 5) ** 2
        centre = random.integers(8, (147, 232, 232))
        reference[tuple(slice(c - 6, c + 7) for c in centre)][ball] = 4
        if random.random() < 0.85:
            moved = centre + random.integers(-1, 2, 3)
            prediction[tuple(slice(c - 6, c + 7) for c in moved)][ball] = 4
    return prediction, reference, (1.0, 1.0, 1.0)


def largest_difference(one: dict[str, dict[str, float]], other: dict[str, dict[str, float]], metric: str) -> float:
    """Over regions; where the other has no finite value (an absent region) nothing is compared."""
    pairs_of = [(one[region][metric], other[region][metric]) for region in BRATS.regions]
    return max((abs(a - b) for a, b in pairs_of if np.isfinite(b)), default=0.0)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, help="compare only the first N pairs")
    parser.add_argument("--timed", type=int, default=3, help="time the first N pairs as whole studies")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    found = list(pairs(arguments.folder))[: arguments.pairs]
    names = ("dice, MONAI", "dice, medpy", "HD95 directed, MONAI", "HD95 pooled, medpy", "NSD, MONAI")
    worst = dict.fromkeys(names, 0.0)
    functions = {"autobrats": ours, "MONAI": monai, "MONAI's NSD": monai_nsd, "medpy": medpy}
    total = dict.fromkeys(functions, 0.0)
    apart = 0.0
    for _, prediction, reference, spacing in found:
        results = {}
        for name, function in functions.items():
            start = time.process_time()
            results[name] = function(prediction, reference, spacing)
            total[name] += time.process_time() - start
        pooled = ours_pooled(prediction, reference, spacing)
        for key, one, other, metric in (
            ("dice, MONAI", results["autobrats"], results["MONAI"], "dice"),
            ("dice, medpy", results["autobrats"], results["medpy"], "dice"),
            ("HD95 directed, MONAI", results["autobrats"], results["MONAI"], "hd95"),
            ("HD95 pooled, medpy", pooled, results["medpy"], "hd95"),
            ("NSD, MONAI", results["autobrats"], results["MONAI's NSD"], "nsd"),
        ):
            worst[key] = max(worst[key], largest_difference(one, other, metric))
        apart = max(apart, largest_difference(results["autobrats"], pooled, "hd95"))
    print(f"{len(found)} pairs, three regions")
    for key, value in worst.items():
        print(f"  largest difference of {key}: {value:.2e}")
    print(f"  largest difference of the two definitions of HD95: {apart:.2f} mm")
    for name, value in total.items():
        print(f"  {name}: {value:.2f} s, {value / total['autobrats']:.1f} times ours")

    print("whole studies of 240 x 240 x 155, three regions: all metrics for us, Dice and HD95 for the others")
    for case, prediction, reference, _ in found[: arguments.timed]:
        large = (whole_study(prediction), whole_study(reference), (1.0, 1.0, 1.0))
        taken = {name: seconds(partial(function, *large), 2) for name, function in functions.items()}
        mine = taken.pop("autobrats")
        others = ", ".join(f"{name} {value:.2f} s ({value / mine:.1f}x)" for name, value in taken.items())
        print(f"  {case}: autobrats {mine:.3f} s, {others}")
    lesions = hundred_lesions()
    plain, by_lesion = (seconds(partial(score, *lesions), 3) for score in (ours, ours_by_lesion))
    print(f"  a study with 100 small lesions, all metrics: {plain:.2f} s; lesion by lesion too: {by_lesion:.2f} s")


if __name__ == "__main__":
    main()
