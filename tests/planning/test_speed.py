"""The measured speed of training steps."""

from __future__ import annotations

import torch

from autobrats.planning.network_sizes import standard_network
from autobrats.planning.speed import measure_standard_step


def test_the_standard_step_is_measured() -> None:
    measured = measure_standard_step(torch.device("cpu"), standard_network())
    assert measured.seconds > 0 and measured.device == "cpu"
    # Three convolutions at 16^3 voxels alone are more than 0.3 GFLOP a sample and pass.
    assert measured.gflop_per_s * measured.seconds > 3 * measured.batch_size * 0.3
