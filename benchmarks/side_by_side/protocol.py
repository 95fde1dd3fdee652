"""What a side says to the benchmark: lines of JSON. The standard library only, so that both environments can import it.

A side is a script that prepares its work once, warm-up included, and repeats it when it is asked::

    def prepare(options: dict) -> State: ...
    def repeat(state: State) -> dict: ...   # {"seconds": ..., anything else that JSON has}

    if __name__ == "__main__":
        serve(prepare, repeat)
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIB = 1024**3


def serve(prepare: Callable[[dict[str, Any]], Any], repeat: Callable[[Any], dict[str, Any]]) -> None:
    """Answer the requests on standard input until it is closed. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state: Any = None
    for line in sys.stdin:
        options = json.loads(line)
        if options is None:
            answer = repeat(state)
        else:
            state, answer = prepare(options), {}
        print(json.dumps(answer), file=answers, flush=True)


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The result, and its wall seconds, the process' seconds on its processors, and its peak memory.

    ``peak_gib`` is the most that the process held, ``added_gib`` how much more than when the work began, both exact on
    Linux (the kernel's high-water mark) and absent elsewhere.
    """
    _give_back_freed_memory()
    before = _reset_high_water_mark()
    started, on_processor = time.perf_counter(), time.process_time()
    result = work()
    figures = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - on_processor}
    if before is not None:
        peak = _status("VmHWM")
        figures |= {"peak_gib": peak / GIB, "added_gib": max(0, peak - before) / GIB}
    return result, figures


def _give_back_freed_memory() -> None:
    """Else what was freed before, and is kept by the process, would not count when it is used again (glibc only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset_high_water_mark() -> int | None:
    """Resident bytes now, the kernel counting its high-water mark anew (proc(5), clear_refs); None where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, ValueError):
        return None


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {key}")
