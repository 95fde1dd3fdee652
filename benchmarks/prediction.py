"""What a whole study costs: OpenVINO beside torch, and our sliding window beside MONAI's, with one network.

    python benchmarks/prediction.py [--channels 16 32 64 128] [--patch 64] [--box 96 128 96]

The network is the default one with random weights, the volume random voxels of the size of a brain's box; no mirroring.
Every line is one run of the whole volume in this process; conversion to OpenVINO is in its time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from monai.inferers import sliding_window_inference

from autobrats.devices import PeakMemory, core_count
from autobrats.inference.backends import with_backend
from autobrats.inference.sliding_window import predict_volume, window_starts
from autobrats.networks.building import build_network

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--box", type=int, nargs=3, default=[96, 128, 96])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(core_count())
    patch = (arguments.patch,) * 3
    images = torch.randn(4, *arguments.box)
    stages = len(arguments.channels)
    network = build_network(
        "residual_encoder_unet",
        {
            "channels": arguments.channels,
            "blocks": [1] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        },
        4,
        3,
    ).eval()
    windows = len(window_starts(arguments.box, patch, 0.5))
    print(
        f"{arguments.channels}, patch {patch}, volume {tuple(arguments.box)}, {windows} windows, {core_count()} cores"
    )

    def ours(backend: str) -> Callable[[], torch.Tensor]:
        return lambda: (
            predict_volume(
                with_backend(network, backend, CPU), images, patch_size=patch, to_probabilities=torch.sigmoid
            ).probabilities
        )

    def monai() -> torch.Tensor:
        with torch.inference_mode():
            return sliding_window_inference(
                images[None], patch, 1, lambda x: torch.sigmoid(network(x).logits), overlap=0.5, mode="gaussian"
            )[0]

    results = {}
    times = {}
    for name, run in {
        "MONAI": monai,
        "torch": ours("torch"),
        "auto": ours("auto"),
        "openvino": ours("openvino"),
    }.items():
        started = time.perf_counter()
        with PeakMemory(CPU) as peak:
            results[name] = run()
        times[name] = time.perf_counter() - started
        difference = float((results[name] - results["MONAI"]).abs().max())
        print(
            f"{name:9} {times[name]:7.1f} s  {times['MONAI'] / times[name]:5.2f} x MONAI's speed  "
            f"peak +{peak.gib:.2f} GiB  largest difference of a probability to MONAI {difference:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
