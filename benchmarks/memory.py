"""The estimated memory of a training step beside the measured peak, for several networks, patches and batches.

    python benchmarks/memory.py [--device cuda]

Each is measured in a fresh process. On a CPU the peak is that of the whole process; on CUDA it is what torch allocated,
and the estimate is compared without what the libraries take.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys

import psutil
import torch

from autobrats import registry
from autobrats.devices import GIB, PeakMemory, choose_device, computes_bfloat16, describe_device
from autobrats.networks.building import build_network
from autobrats.planning.memory import RUNTIME_GIB, estimate_training_memory_gib
from autobrats.planning.network_sizes import LADDER, network_part
from autobrats.reporting.tables import print_table

MODALITIES, REGIONS, STEPS = 4, 3, 2
ON_CPU = [
    (4, 32, 8),
    (4, 64, 4),
    (4, 96, 1),
    (4, 96, 2),
    (3, 64, 2),
    (3, 64, 4),
    (3, 96, 1),
    (2, 64, 1),
    (2, 64, 2),
    (1, 48, 2),
]
ON_CUDA = [(4, 96, 4), (3, 96, 4), (2, 96, 4), (2, 128, 2), (1, 96, 2), (1, 128, 2), (0, 96, 2), (0, 128, 2)]
"""(rung of the ladder, side of the patch, batch size)."""


def main() -> None:
    """Print a line for each network, patch and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device")
    parser.add_argument(
        "--only", nargs=3, type=int, metavar=("RUNG", "SIDE", "BATCH"), help="measure one, in this process"
    )
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    if arguments.only:
        print(json.dumps(measure(*arguments.only, device)))
        return
    rows = []
    for rung, side, batch in ON_CUDA if device.type == "cuda" else ON_CPU:
        command = [sys.executable, __file__, "--device", device.type, "--only", str(rung), str(side), str(batch)]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        measured, estimated = json.loads(result.stdout)
        error = f"{100 * (estimated / measured - 1):+.0f} %"
        rows.append([LADDER[rung].name, f"{side}^3", batch, f"{estimated:.2f}", f"{measured:.2f}", error])
        print(*rows[-1], file=sys.stderr, flush=True)
    title = f"GiB of a training step on {describe_device(device)}, torch {torch.__version__}"
    print_table(["network", "patch", "batch", "estimated", "measured", "error"], rows, title=title)


def measure(rung: int, side: int, batch: int, device: torch.device) -> tuple[float, float]:
    """(measured, estimated) peak in GiB."""
    part = network_part(LADDER[rung], (side, side, side), (1.0, 1.0, 1.0))
    network = functools.partial(build_network, part.name, part.options, MODALITIES, REGIONS)
    weights = torch.ones(REGIONS)
    loss = functools.partial(
        registry.build, "loss", "dice_cross_entropy", {}, output="regions", channel_weights=weights
    )
    before = psutil.Process().memory_info().rss / GIB if device.type == "cpu" else 0.0
    with PeakMemory(device) as peak:
        _train(network, loss, side, batch, device)
    sizes = (MODALITIES, REGIONS, (side, side, side), batch)
    estimated = estimate_training_memory_gib(network, loss, *sizes, device.type, True)
    return before + peak.gib, estimated - (0.0 if device.type == "cpu" else RUNTIME_GIB[device.type])


def _train(network, loss, side: int, batch: int, device: torch.device) -> None:
    model, criterion = network().to(device).train(), loss().to(device)
    average = torch.optim.swa_utils.AveragedModel(model)
    optimiser = torch.optim.AdamW(model.parameters())
    images = torch.randn(batch, MODALITIES, side, side, side, device=device)
    target = (torch.rand(batch, REGIONS, side, side, side, device=device) > 0.9).to(torch.uint8)
    for _ in range(STEPS):
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_bfloat16(device)):
            output = model(images)
        criterion(output, target).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update_parameters(model)


if __name__ == "__main__":
    main()
