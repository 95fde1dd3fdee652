"""A model folder for tests, whose network is so simple that its masks are known beforehand."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autobrats import registry
from autobrats.dataset.known_conventions import KNOWN
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from autobrats.networks.output import NetworkOutput
from autobrats.plan import (
    Augmentation,
    Configuration,
    Inference,
    Normalisation,
    Part,
    PatchBatch,
    Plan,
    Preprocessing,
    Training,
)

MODALITIES = ["t1n", "t1c", "t2w", "t2f"]


class Bright(torch.nn.Module):
    """WT where FLAIR, TC where T2, ET where T1c are above ``threshold`` standard deviations; WT holds TC holds ET."""

    divisor = (4, 4, 4)

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.tensor(1.0))
        assert (in_channels, out_channels) == (4, 3)

    def forward(self, images):
        et, tc, wt = ((images[:, i : i + 1] - self.threshold) * 50 for i in (1, 2, 3))
        tc = torch.maximum(tc, et)
        return NetworkOutput(torch.cat([torch.maximum(wt, tc), tc, et], 1))


def write_bright_model(folder: Path, monkeypatch: pytest.MonkeyPatch, folds=(0, 1), **options) -> Path:
    """A model folder of brats2017 labels whose networks are :class:`Bright`."""
    monkeypatch.setitem(registry._OUR_PARTS["network"], "bright", f"{__name__}:Bright")
    plan = Plan(
        dataset="glioma",
        modalities=MODALITIES,
        convention=KNOWN["brats2017"],
        preprocessing=Preprocessing(
            crop_to_brain=True, spacing_mm=(1, 1, 1), normalisation={m: Normalisation() for m in MODALITIES}
        ),
        configurations={
            "3d_fullres": Configuration(
                recipe="default",
                modalities=MODALITIES,
                output="regions",
                pool=[PatchBatch(patch_size=(32, 32, 32), batch_size=1)],
                network=Part(name="bright"),
                loss=Part(name="dice_cross_entropy"),
                region_weights={"WT": 1, "TC": 1, "ET": 1},
                sampler=Part(name="foreground"),
                augmentation=Augmentation(),
                optimiser=Part(name="adamw"),
                schedule=Part(name="cosine"),
                trainer=Part(name="trainer"),
                training=Training(iterations=1, iterations_per_epoch=1),
                inference=Inference(patch_size=(32, 32, 32), mirror_axes=[0, 1, 2]),
            )
        },
    )
    networks = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    for fold in folds:
        weights = folder.parent / f"fold_{fold}.safetensors"
        save_file(Bright(4, 3).state_dict(), weights)
        networks.append(TrainedNetwork("3d_fullres", fold, weights))
    write_model_folder(folder, plan, networks, **options)
    return folder


def write_study(folder: Path, seed: int = 0, shape=(44, 40, 36), affine=None, without=()) -> Path:
    """A study like BraTS 2021's, of random tissue: shape (x, y, z)."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    affine = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]) if affine is None else affine
    for spelling in ("t1", "t1ce", "t2", "flair"):
        if spelling in without:
            continue
        voxels = np.zeros(shape, np.int16)
        inner = tuple(slice(4, size - 5) for size in shape)
        voxels[inner] = random.normal(500, 100, voxels[inner].shape).clip(1)
        image = nibabel.Nifti1Image(voxels, affine)
        image.set_qform(affine, 1)
        image.set_sform(affine, 2)
        nibabel.save(image, folder / f"{folder.name}_{spelling}.nii.gz")
    return folder


def bright_mask(study: Path, without=()) -> np.ndarray:
    """What :class:`Bright` finds in a study, computed from its files alone, on the files' own axes."""
    masks = {}
    for spelling in ("flair", "t2", "t1ce"):
        if spelling in without:
            masks[spelling] = None
            continue
        file = next(path for path in study.iterdir() if path.name.endswith(f"_{spelling}.nii.gz"))
        voxels = np.asarray(nibabel.load(file).dataobj).astype(np.float64)
        brain = voxels[voxels != 0]
        masks[spelling] = (voxels != 0) & (voxels > brain.mean() + brain.std())
    labels = np.zeros(next(mask for mask in masks.values() if mask is not None).shape, np.uint8)
    for spelling, integer in (("flair", 2), ("t2", 1), ("t1ce", 4)):
        if masks[spelling] is not None:
            labels[masks[spelling]] = integer
    return labels
