"""The numbers that a CPU's convolutions are computed in."""

from typing import Literal

RoundedPrecision = Literal["bf16", "int8"]
"""Fewer digits than float32: faster where the processor has units for them, and a choice that a model has to earn."""
Precision = Literal["float32", RoundedPrecision]

IN_WORDS: dict[RoundedPrecision, str] = {"bf16": "bfloat16", "int8": "8 bits"}
