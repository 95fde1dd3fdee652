"""Our overlap and surface metrics beside MONAI's and medpy's: largest differences and ratio of times.

    python benchmarks/metrics.py FOLDER [--pairs N]

FOLDER holds pairs CASE_prediction.nii.gz and CASE_reference.nii.gz with BraTS labels 0, 1, 2, 4. Each pair is also
enlarged to a whole study of 240 x 240 x 155 voxels for the timing. One thread for everybody.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch
from medpy.metric import binary
from monai.metrics import DiceMetric, compute_hausdorff_distance
from scipy.ndimage import zoom

from autobrats.dataset.conventions import Convention
from autobrats.evaluation.cases import score_case

BRATS = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)
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
    return score_case(prediction, reference, BRATS, spacing)


def ours_pooled(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    return score_case(prediction, reference, BRATS, spacing, percentile="pooled")


def monai(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    predicted = torch.from_numpy(BRATS.to_regions(prediction))[None]
    referred = torch.from_numpy(BRATS.to_regions(reference))[None]
    dice = DiceMetric(reduction="none", ignore_empty=False)(predicted, referred)[0]
    hd95 = compute_hausdorff_distance(predicted, referred, include_background=True, percentile=95, spacing=spacing)[0]
    return {r: {"dice": float(d), "hd95": float(h)} for r, d, h in zip(BRATS.regions, dice, hd95, strict=True)}


def medpy(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> dict[str, dict[str, float]]:
    scores = {}
    for region, a, b in zip(BRATS.regions, BRATS.to_regions(prediction), BRATS.to_regions(reference), strict=True):
        present = a.any() and b.any()
        hd95 = binary.hd95(a, b, voxelspacing=spacing) if present else float("nan")
        scores[region] = {"dice": binary.dc(a, b), "hd95": float(hd95)}
    return scores


def largest_difference(one: dict[str, dict[str, float]], other: dict[str, dict[str, float]], metric: str) -> float:
    """Over regions; where the other has no finite value (an absent region) nothing is compared."""
    pairs_of = [(one[region][metric], other[region][metric]) for region in BRATS.regions]
    return max((abs(a - b) for a, b in pairs_of if np.isfinite(b)), default=0.0)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, help="compare only the first N pairs")
    parser.add_argument("--timed", type=int, default=3, help="time the first N pairs as whole studies")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    found = list(pairs(arguments.folder))[: arguments.pairs]
    worst = {"dice, MONAI": 0.0, "dice, medpy": 0.0, "HD95 directed, MONAI": 0.0, "HD95 pooled, medpy": 0.0}
    total = {"autobrats": 0.0, "MONAI": 0.0, "medpy": 0.0}
    apart = 0.0
    for _, prediction, reference, spacing in found:
        results = {}
        for name, function in (("autobrats", ours), ("MONAI", monai), ("medpy", medpy)):
            start = time.perf_counter()
            results[name] = function(prediction, reference, spacing)
            total[name] += time.perf_counter() - start
        pooled = ours_pooled(prediction, reference, spacing)
        for key, one, other, metric in (
            ("dice, MONAI", results["autobrats"], results["MONAI"], "dice"),
            ("dice, medpy", results["autobrats"], results["medpy"], "dice"),
            ("HD95 directed, MONAI", results["autobrats"], results["MONAI"], "hd95"),
            ("HD95 pooled, medpy", pooled, results["medpy"], "hd95"),
        ):
            worst[key] = max(worst[key], largest_difference(one, other, metric))
        apart = max(apart, largest_difference(results["autobrats"], pooled, "hd95"))
    print(f"{len(found)} pairs, three regions")
    for key, value in worst.items():
        print(f"  largest difference of {key}: {value:.2e}")
    print(f"  largest difference of the two definitions of HD95: {apart:.2f} mm")
    for name, value in total.items():
        print(f"  {name}: {value:.2f} s, {value / total['autobrats']:.1f} times ours")

    print("whole studies of 240 x 240 x 155, three regions, all metrics for us, Dice and HD95 for the others")
    for case, prediction, reference, _ in found[: arguments.timed]:
        large = (whole_study(prediction), whole_study(reference), (1.0, 1.0, 1.0))
        mine = seconds(lambda large=large: ours(*large), 3)
        theirs = seconds(lambda large=large: monai(*large), 2)
        slow = seconds(lambda large=large: medpy(*large), 1)
        print(
            f"  {case}: autobrats {mine:.3f} s, MONAI {theirs:.3f} s ({theirs / mine:.1f}x), "
            f"medpy {slow:.2f} s ({slow / mine:.1f}x)"
        )


if __name__ == "__main__":
    main()
