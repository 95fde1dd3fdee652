"""Networks whose convolutions OpenVINO computes in numbers of fewer digits: bfloat16, 8-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autobrats.inference.backends.arrangements import Arrangement
from autobrats.inference.backends.converted_network import Compiled
from autobrats.inference.backends.kept_models import KeptModels, digest
from autobrats.inference.backends.openvino_network import OpenVinoNetwork
from autobrats.inference.int8 import Range, quantise_convolutions

FARTHEST = 0.25
"""Standard deviation of the difference of the logits, relative to that of the logits, above which something is broken."""


class RoundedNetwork(OpenVinoNetwork):
    """A network in fewer digits; torch goes on in its place where a processor gets its numbers wrong."""

    def check_name(self, arrangement: Arrangement) -> str:
        return f"{super().check_name(arrangement)} as {self.title}"

    def _check(self, compiled: Compiled, images: Tensor, arrangement: Arrangement) -> float:
        """Far coarser than in float32: whether masks suffer is what autobrats_quantise checks."""
        rounded = compiled(images[: arrangement.batch])
        compiled.release()
        exact = torch.cat([self.network(image[None]).logits for image in images[: arrangement.batch]])
        difference = float((rounded - exact).std() / exact.std().clamp(min=1e-6))
        if not difference <= FARTHEST:
            raise ValueError(f"its logits are off by {difference:.0%} of their spread")
        return difference


class Bfloat16Network(RoundedNetwork):
    """A network in bfloat16, the layers between the convolutions included; sums are float32."""

    title = "OpenVINO in bfloat16"
    hint = "bf16"


class Int8Network(RoundedNetwork):
    """A network in 8 bits.

    Args:
        network: on any device; it is moved to the CPU.
        ranges: of its convolutions' inputs, as :class:`~autobrats.inference.int8.ActivationRanges` measured them.
        kept: where the converted model, which is in float32, is kept.
    """

    title = "OpenVINO in 8 bits"

    def __init__(self, network: nn.Module, ranges: Mapping[str, Range], kept: KeptModels | None = None) -> None:
        super().__init__(network, kept)
        self._ranges = ranges

    def _adapt(self, model: Any) -> None:
        rounded = quantise_convolutions(model, self._ranges)
        if rounded < len(self._ranges) or not rounded:
            raise ValueError(f"{rounded} of its {len(self._ranges)} convolutions are found in the converted network")

    def check_name(self, arrangement: Arrangement) -> str:
        return f"{super().check_name(arrangement)}, ranges {digest(**self._ranges)}"
