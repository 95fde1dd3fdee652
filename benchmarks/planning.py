"""How long autobrats_plan takes on a dataset of the Decathlon, and how much memory, beside nnU-Net's quoted figures.

    python benchmarks/planning.py FOLDER

FOLDER is Dataset004_Hippocampus in nnU-Net's layout (208 cases). The peak is that of all processes together, sampled
every 50 ms; pages that processes share are counted once (PSS) where the system says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from autobrats.devices import GIB
from autobrats.reporting.tables import print_table

NNUNET = ["nnU-Net 2.8.1 (quoted)", "68.6", "104", "1.95"]
"""Plan and preprocess of the same dataset on two cores, measured once by itself."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-hours", default="0.17")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as workspace:
        row = measure([*map(str, ["-i", arguments.folder, "-w", workspace, "--max-hours", arguments.max_hours])])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    title = f"plan and preprocess {arguments.folder.name}, load average of the machine {load:.1f}"
    print_table(["program", "wall s", "CPU s", "peak GiB"], [["autobrats", *row], NNUNET], title=title)


def measure(arguments: list[str]) -> list[str]:
    """Wall seconds, CPU seconds and peak GiB of one run of autobrats_plan."""
    code = "import sys; from autobrats.commands.plan import main; sys.exit(main(sys.argv[1:]))"
    started = time.perf_counter()
    process = psutil.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    peak, cpu = 0, {}
    while process.poll() is None:
        sizes = 0
        for one in [process, *_children(process)]:
            try:
                sizes += _bytes(one)
                times = one.cpu_times()
                cpu[one.pid] = times.user + times.system
            except psutil.Error:
                continue
        peak = max(peak, sizes)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"autobrats_plan ended with exit code {process.returncode}")
    return [f"{time.perf_counter() - started:.1f}", f"{sum(cpu.values()):.0f}", f"{peak / GIB:.2f}"]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _bytes(process: psutil.Process) -> int:
    if psutil.LINUX:
        return process.memory_full_info().pss
    return process.memory_info().rss


if __name__ == "__main__":
    main()
