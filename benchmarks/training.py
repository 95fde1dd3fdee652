"""Dice on a fold's held-back cases after the same minutes of training: autobrats beside a plain U-Net of MONAI.

    python benchmarks/training.py -w WORKSPACE --fold 0 --minutes 10

The fold must have been trained with autobrats_train. MONAI's network is trained here on the same preprocessed cases, for the
minutes given: channels 16, 32, 64, 128, two residual units, instance norm, AdamW with 2e-3 and polynomial decay,
Dice + focal loss, batches of 8, flips along every axis; it is predicted by a sliding window without mirroring and scored on
the preprocessed grid. The fold of autobrats is scored as autobrats_train did it, on the study's own grid, which is the same
where nothing was cropped and resampled (the lesions of BraTS 2020).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceFocalLoss
from monai.networks.nets import UNet

from autobrats.dataset.cases import Dataset
from autobrats.dataset.conventions import Convention
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.metrics_file import Metrics, build_metrics, case_metrics, read_metrics
from autobrats.files import read_model
from autobrats.plan import Plan
from autobrats.planning.splits import read_splits
from autobrats.preprocessing.store import CaseStore
from autobrats.reporting.tables import print_table
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder, Workspace

BATCH, RATE = 8, 2e-3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("-d", "--dataset")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--patch", type=int, nargs=3, help="of MONAI's network (default: the plan's)")
    arguments = parser.parse_args()
    folder = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    ours = read_metrics(RunDirectory(folder.run("3d_fullres", arguments.fold)).metrics_file)
    iterations, peer = train_and_score(folder, arguments.fold, 60 * arguments.minutes, arguments.patch)
    rows = [_row("autobrats", ours), _row(f"MONAI U-Net, {iterations} iterations", peer)]
    title = f"{folder.name}, fold {arguments.fold}: Dice of {len(ours.cases)} held-back cases"
    print_table(["", *ours.summary, "mean"], rows, title=title)


def train_and_score(folder: DatasetFolder, fold: int, seconds: float, patch: list[int] | None) -> tuple[int, Metrics]:
    """MONAI's iterations and its scores."""
    dataset, plan = read_model(folder.dataset_file, Dataset), read_model(folder.plan_file, Plan)
    split = read_splits(folder.splits_file, {case.name: case.patient for case in dataset.cases}).folds[fold]
    store, convention = CaseStore(folder.preprocessed), plan.convention
    patch = patch or list(plan.configurations["3d_fullres"].pool[0].patch_size)
    cases = [_load(store, name, convention, patch) for name in split.train]
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network = UNet(3, len(dataset.modalities), len(convention.regions), (16, 32, 64, 128), (2, 2, 2), num_res_units=2)
    optimiser = torch.optim.AdamW(network.parameters(), RATE)
    loss = DiceFocalLoss(sigmoid=True)
    started, iteration = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - elapsed / seconds) ** 0.9
        drawn = [_crop(*cases[index], patch, random) for index in random.choice(len(cases), BATCH)]
        images, regions = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*drawn, strict=True))
        loss(network(images), regions).backward()
        optimiser.step()
        optimiser.zero_grad()
        iteration += 1
        if iteration % 100 == 0:
            print(f"MONAI: iteration {iteration}, {elapsed:.0f} of {seconds:.0f} s", flush=True)
    network.eval()
    scored = {}
    for name in split.val:
        images, reference = store.load(name)
        assert reference is not None
        with torch.inference_mode():
            given = torch.from_numpy(images.astype(np.float32))[None]
            logits = sliding_window_inference(given, patch, 4, network, overlap=0.5, mode="gaussian")
        labels = convention.decide(torch.sigmoid(logits)[0].numpy())
        scores = score_case(labels, reference, convention, store.properties(name).spacing_mm)
        scored[name] = case_metrics(name, scores, fold)
    return iteration, build_metrics("monai", scored)


def _load(store: CaseStore, name: str, convention: Convention, patch: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and regions, padded to the patch."""
    images, mask = store.load(name)
    assert mask is not None
    short = [max(0, side - extent) for side, extent in zip(patch, mask.shape, strict=True)]
    padding = [(0, 0), *((width // 2, width - width // 2) for width in short)]
    regions = convention.to_regions(mask).astype(np.float32)
    return np.pad(images.astype(np.float32), padding), np.pad(regions, padding)


def _crop(
    images: np.ndarray, regions: np.ndarray, patch: list[int], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random patch, randomly mirrored."""
    starts = [random.integers(extent - side + 1) for extent, side in zip(images.shape[1:], patch, strict=True)]
    where = (slice(None), *(slice(start, start + side) for start, side in zip(starts, patch, strict=True)))
    axes = [axis for axis in (1, 2, 3) if random.random() < 0.5]
    return np.flip(images[where], axes).copy(), np.flip(regions[where], axes).copy()


def _row(name: str, metrics: Metrics) -> list[str]:
    means = [f"{summary['dice'].mean:.3f}" for summary in metrics.summary.values()]
    return [name, *means, f"{metrics.mean_dice.mean:.3f}"]


if __name__ == "__main__":
    main()
