"""A whole command, measured from outside with all processes that it starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

GIB = 1024**3
SAMPLE_SHARE, SHORTEST_WAIT_S = 0.02, 0.05
"""Sampling takes at most this share of one processor, as asking for the memory of a large process is slow."""


def measure_command(
    command: Sequence[str | Path], environment: dict[str, str] | None = None, exit_codes: Sequence[int] = (0,)
) -> dict[str, float]:
    """Wall seconds, processor seconds and peak memory of a command.

    ``peak_gib`` is that of all its processes together, sampled every 50 ms or, for large processes, less often; pages that
    processes share are counted once (PSS) where the system says so.

    Args:
        command: the program and its arguments.
        environment: variables beside those of this process.
        exit_codes: with which it may end.

    Raises:
        RuntimeError: if it ends with another, with the last lines of what it printed.
    """
    with tempfile.TemporaryFile() as printed:
        started = time.perf_counter()
        process = psutil.Popen(
            [str(part) for part in command],
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )
        peak, seconds_of = 0, dict[int, float]()
        while process.poll() is None:
            together, asked = 0, time.process_time()  # not the wall's: a machine that stands still asks nothing
            for one in (process, *_children(process)):
                try:
                    together += _bytes(one)
                    times = one.cpu_times()
                    seconds_of[one.pid] = times.user + times.system
                except psutil.Error:
                    continue
            peak = max(peak, together)
            wait_s = max(SHORTEST_WAIT_S, (time.process_time() - asked) / SAMPLE_SHARE)
            with contextlib.suppress(psutil.TimeoutExpired):  # not asleep when it ends: that would count as its time
                process.wait(timeout=wait_s)
        wall = time.perf_counter() - started
        if process.returncode not in exit_codes:
            printed.seek(0)
            last = printed.read().decode(errors="replace").splitlines()[-8:]
            raise RuntimeError(f"{command[0]} ended with exit code {process.returncode}: " + "\n".join(last))
    return {"seconds": wall, "cpu_seconds": sum(seconds_of.values()), "peak_gib": peak / GIB}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _bytes(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return getattr(memory, "pss", memory.rss)
