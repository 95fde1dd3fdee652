"""A machine of known speed, so that plans do not depend on what else runs here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autobrats.planning import network_search
from autobrats.planning.speed import forward_flops


@pytest.fixture
def machine_of_flops(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list]:
    """Let a training step take what its arithmetic says at so many operations a second; the steps asked for are listed."""

    def of_flops(flops: float) -> list:
        asked: list = []

        def step_s(network, loss, in_channels, out_channels, patch_size, batch_size, device) -> float:
            asked.append((patch_size, batch_size))
            return 3 * batch_size * forward_flops(network, in_channels, patch_size) / flops

        monkeypatch.setattr(network_search, "measure_step_s", step_s)
        return asked

    return of_flops
