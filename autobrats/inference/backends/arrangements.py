"""How the passes of a window are laid over a CPU: by which library, how many at a time, how many in one batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CpuBackend = Literal["torch", "bf16x3", "openvino", "onnx"]
"""``bf16x3`` is OpenVINO as well, with every product of float32 made of three of bfloat16."""
Shape = tuple[int, ...]
"""Of one image: (modality, z, y, x)."""

MOST_VOXELS = 128**3
"""Computed at a time: a larger window gives every core enough to do by itself, and several would only take memory."""
TORCH_BATCH_VOXELS = 64**3
"""Torch's batches are smaller: it keeps more of the layers in memory."""


class Arrangement(BaseModel):
    """One way of computing passes.

    Attributes:
        backend: the library.
        streams: batches that are computed at the same time, each by its share of the cores.
        batch: images of a batch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: CpuBackend
    streams: int = Field(default=1, gt=0)
    batch: int = Field(default=1, gt=0)

    @property
    def images(self) -> int:
        """How many images are computed at a time."""
        return self.streams * self.batch

    def __str__(self) -> str:
        return f"{self.backend}, {self.streams} x {self.batch}"


def arrangements(
    backends: Sequence[CpuBackend], shape: Shape, cores: int, fits: Callable[[int], bool]
) -> list[Arrangement]:
    """The arrangements worth measuring; the plainest of a backend comes before its others.

    Args:
        backends: libraries to choose from.
        shape: of one image, (modality, z, y, x).
        cores: threads that compute.
        fits: whether so many images have room in memory at the same time.
    """
    voxels = math.prod(shape[1:])
    plain = {"torch": max(1, TORCH_BATCH_VOXELS // voxels)}
    found = []
    for backend in backends:
        found.append(Arrangement(backend=backend, batch=plain.get(backend, 1)))
        if backend not in ("bf16x3", "openvino"):
            continue
        more = [(1, 2), (1, 4)] + ([(2, 1), (2, 2)] if cores > 1 else [])
        found += [
            Arrangement(backend=backend, streams=streams, batch=batch)
            for streams, batch in more
            if streams * batch * voxels <= MOST_VOXELS and fits(streams * batch)
        ]
    return found
