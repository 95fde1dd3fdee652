"""Training in bfloat16 beside float32, on real lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autobrats import registry
from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_case_mask, read_study
from autobrats.networks.building import build_network
from autobrats.plan import Preprocessing
from autobrats.planning.network_sizes import standard_network
from autobrats.preprocessing.transform import preprocess


def batch_of(lesions: Path, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, z-scored, and regions of the first cases."""
    dataset, _ = read_dataset(lesions, name="lesions")
    images, regions = [], []
    for case in dataset.cases[:size]:
        study = read_study(case, dataset.modalities)
        plan = Preprocessing(crop_to_brain=False, spacing_mm=study.spacing_mm, normalisation={})
        images.append(preprocess(study.images, study.present, study.spacing_mm, plan, dataset.modalities).images)
        regions.append(dataset.convention.to_regions(read_case_mask(case, dataset.modalities)))
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(regions))


@pytest.mark.realdata
def test_gradients_of_real_lesions_in_bfloat16(realdata: Path) -> None:
    """A mantissa of 8 bits instead of 24: the loss differs by less than 0.5 %, the gradient by less than 5 % of its length."""
    images, regions = batch_of(realdata / "brats2020_lesions", 4)
    torch.manual_seed(0)
    size = standard_network()
    network = build_network(size.name, size.options, 4, 3).train()
    loss = registry.build("loss", "dice_cross_entropy", {}, output="regions", channel_weights=torch.ones(3))

    def gradient(bfloat16: bool) -> tuple[float, torch.Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            output = network(images)
        value = loss(output, regions)
        value.backward()
        return value.item(), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    exact, gradient_of_exact = gradient(False)
    rounded, gradient_of_rounded = gradient(True)
    assert rounded == pytest.approx(exact, rel=0.005)
    assert 0 < (gradient_of_rounded - gradient_of_exact).norm() < 0.05 * gradient_of_exact.norm()
