"""A plan of autobrats that does the same work as nnU-Net's (benchmarks/side_by_side/nnunet_plan.py)."""

from __future__ import annotations

from collections.abc import Sequence

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN
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
from benchmarks.side_by_side.nnunet_plan import CONFIGURATION

BRATS = ["t1n", "t1c", "t2w", "t2f"]


def plan_like_nnunet(
    patch: Sequence[int],
    batch: int,
    network: Part,
    modalities: Sequence[str] = BRATS,
    convention: Convention = KNOWN["brats2017"],
    augmentation: Augmentation | None = None,
    mixed_precision: bool = True,
) -> Plan:
    """Voxels of 1 mm, z-scored; batches, loss, optimiser and sliding window as nnU-Net's trainer and predictor have them.

    Args:
        patch: voxels along (z, y, x).
        batch: patches in a batch.
        network: of the one configuration.
        augmentation: of training; autobrats' own if None.
        mixed_precision: of training; only devices with units for bfloat16 compute in it.
    """
    z, y, x = patch
    configuration = Configuration(
        recipe="default",
        modalities=list(modalities),
        output="regions",
        pool=[PatchBatch(patch_size=(z, y, x), batch_size=batch)],
        network=network,
        loss=Part(name="dice_cross_entropy", options={"batch_dice": False, "smooth": 1e-5}),
        region_weights={},
        sampler=Part(name="foreground"),
        augmentation=augmentation or Augmentation(),
        optimiser=Part(name="sgd", options={"learning_rate": 1e-2, "weight_decay": 3e-5, "momentum": 0.99}),
        schedule=Part(name="polynomial"),
        trainer=Part(name="trainer"),
        hooks=[],
        training=Training(
            iterations=250_000, iterations_per_epoch=250, gradient_clip_norm=12.0, mixed_precision=mixed_precision
        ),
        inference=Inference(patch_size=(z, y, x), overlap=0.5, mirror_axes=[0, 1, 2], mirror_average="logits"),
    )
    return Plan(
        dataset="benchmark",
        modalities=list(modalities),
        convention=convention,
        preprocessing=Preprocessing(
            crop_to_brain=True,
            spacing_mm=(1.0, 1.0, 1.0),
            normalisation={modality: Normalisation() for modality in modalities},
        ),
        configurations={CONFIGURATION: configuration},
    )
