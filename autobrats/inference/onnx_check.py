"""Does ONNX Runtime give the logits that torch gave? Needs numpy and onnxruntime only.

    python check.py                            every network here, on the small random inputs stored in check.npz
    python check.py --model MODEL_FOLDER       and torch's logits computed anew, with autobrats

Prints the largest difference of every network. Exit code 0 if none is above the tolerance, else 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

TOLERANCE = 1e-3
"""Relative to the largest logit of an input, at least 1."""


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest expected logit, at least 1; infinite if the shapes differ or a logit is no number."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def stored_pairs(stored: Mapping[str, np.ndarray], file: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stored images of a network, (batch, channel, z, y, x), and the logits that torch gave."""
    number = 0
    while f"{file}/images_{number}" in stored:
        yield stored[f"{file}/images_{number}"], stored[f"{file}/logits_{number}"]
        number += 1


def check(folder: Path, torch_logits: Any = None) -> dict[str, float]:
    """The largest difference by file.

    Args:
        folder: with preprocessing.json, check.npz and the networks.
        torch_logits: from (configuration, fold, images) to torch's logits; the stored ones if None.
    """
    onnxruntime.disable_telemetry_events()
    description = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    result = {}
    with np.load(folder / "check.npz", allow_pickle=False) as stored:
        for name, configuration in description["configurations"].items():
            for network in configuration["networks"]:
                file = network["file"]
                session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
                result[file] = 0.0
                for images, expected in stored_pairs(stored, file):
                    if torch_logits is not None:
                        expected = torch_logits(name, network["fold"], images)
                    (logits,) = session.run(["logits"], {"images": images})
                    result[file] = max(result[file], largest_difference(logits, expected))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Check, print, and tell by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="default: where this file is")
    parser.add_argument("--model", type=Path, help="the autobrats model folder that was exported")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help=f"default: {TOLERANCE:g}")
    arguments = parser.parse_args(argv)
    torch_logits = None
    if arguments.model is not None:
        from autobrats.inference.network_loading import TorchLogits

        torch_logits = TorchLogits(arguments.model)
    differences = check(arguments.folder, torch_logits)
    for file, difference in differences.items():
        verdict = "equal" if difference <= arguments.tolerance else "DIFFERENT"
        print(f"{file}: {verdict}, largest relative difference of a logit {difference:.2g}")
    return 0 if differences and max(differences.values()) <= arguments.tolerance else 1


if __name__ == "__main__":
    raise SystemExit(main())
