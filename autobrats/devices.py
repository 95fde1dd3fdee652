"""Which device computes, how much memory there is, and how much was used at most."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
import shutil
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from autobrats.errors import UserError

if TYPE_CHECKING:
    import torch

GIB = 1024**3
_log = logging.getLogger(__name__)


class Gpu(BaseModel):
    """A graphics card and its memory."""

    model_config = ConfigDict(extra="forbid")

    name: str
    memory_gib: float


class Machine(BaseModel):
    """What this computer offers to this process."""

    model_config = ConfigDict(extra="forbid")

    cores: int
    ram_gib: float
    available_ram_gib: float
    gpus: list[Gpu]
    free_disk_gib: float
    """On the disk of the folder that was asked about."""
    platform: str
    processor: str
    python: str
    torch: str


def choose_device(request: str | None = None) -> torch.device:
    """The device to compute on: by default CUDA if there is any, else Apple's MPS, else the CPU.

    Args:
        request: ``cuda``, ``cuda:1``, ``mps``, ``cpu`` or None. A device that this machine does not have gives way to
            the CPU, with a warning.

    Raises:
        UserError: if the request names no kind of device.
    """
    import torch

    if request is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(request)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cuda", "mps", "cpu"):
        raise UserError(f"There is no device '{request}'; choose cuda, cuda:0, cuda:1, ..., mps or cpu.")
    available = {
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if not available[device.type]:
        _log.warning("Torch %s finds no device '%s' on this machine; the CPU is used.", torch.__version__, request)
        return torch.device("cpu")
    return device


def describe_device(device: torch.device) -> str:
    """The device as a person would call it, for example ``NVIDIA A100 (40 GiB)`` or ``CPU (2 cores)``."""
    if device.type == "cuda":
        import torch

        return f"{torch.cuda.get_device_name(device)} ({gpu_memory_gib(device):.0f} GiB)"
    if device.type == "mps":
        return f"Apple GPU ({gpu_memory_gib(device):.0f} GiB)"
    cores = core_count()
    return f"CPU ({cores} core{'s'[: cores != 1]})"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has units for products of bfloat16: NVIDIA's cards from Ampere on, CPUs with AMX.

    There, and only there, training computes convolutions in it (autocast) unless the plan says ``mixed_precision: false``.
    CPUs that have the instructions of AVX-512 alone, and Apple's GPUs, stay with float32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "get_capabilities", None)  # from torch 2.9 on
    return device.type == "cpu" and ask is not None and bool(ask().get("amx_bf16"))


def gpu_memory_gib(device: torch.device) -> float | None:
    """All memory of a GPU in GiB (on Apple machines, what the system recommends at most); None for the CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / GIB
    if device.type == "mps":
        return torch.mps.recommended_max_memory() / GIB
    return None


def machine_facts(folder: Path) -> Machine:
    """What this computer offers; the disk is that of ``folder``, or of its nearest parent that exists."""
    import torch

    folder = Path(folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gpus.append(Gpu(name=properties.name, memory_gib=round(properties.total_memory / GIB, 2)))
    elif torch.backends.mps.is_available():
        gpus.append(Gpu(name="Apple MPS", memory_gib=round(torch.mps.recommended_max_memory() / GIB, 2)))
    return Machine(
        cores=core_count(),
        ram_gib=round(_ram_bytes() / GIB, 2),
        available_ram_gib=round(available_ram_gib(), 2),
        gpus=gpus,
        free_disk_gib=round(shutil.disk_usage(existing).free / GIB, 2),
        platform=platform.platform(),
        processor=_processor_name(),
        python=platform.python_version(),
        torch=torch.__version__,
    )


def machine_marks() -> list[str]:
    """What tells this machine from others, and a change of it; torch is not needed for it."""
    drivers = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    # The other lines have what changes from boot to boot, and numbers that are unknown until a card is first used.
    models = [line for file in drivers for line in _lines(file) if line.startswith("Model")]
    devices = sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))
    ram = f"{round(_ram_bytes() / GIB)} GiB"
    return [platform.node(), _processor_name(), str(core_count()), ram, *devices, *models]


@cache
def core_count() -> int:
    """The cores that this process may use: affinity and container quotas are respected."""
    import loky

    return loky.cpu_count()


def give_back_freed_memory() -> None:
    """Give the system what this process freed and its allocator keeps; nothing where that is not glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # the last on Windows, which wants a library's name
        ctypes.CDLL(None).malloc_trim(0)


def available_ram_gib() -> float:
    """The memory that this process can still take without swapping: containers' limits are respected."""
    import psutil

    free = [limit - used for limit, used in _cgroup_memory()]
    return max(0, min([psutil.virtual_memory().available, *free])) / GIB


def _ram_bytes() -> int:
    """The memory that this process could have: containers' limits are respected."""
    import psutil

    return min([psutil.virtual_memory().total, *(limit for limit, _ in _cgroup_memory())])


def _cgroup_memory() -> list[tuple[int, int]]:
    """(limit, used without the page cache) in bytes of every control group with a limit above this process."""
    root = Path("/sys/fs/cgroup")
    found = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = Path(os.path.normpath(top / path.lstrip("/")))
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            numbers = _read_group(folder, *names)
            if numbers:
                found.append(numbers)
    return found


def _read_group(folder: Path, limit_name: str, used_name: str, cache_name: str) -> tuple[int, int] | None:
    try:
        limit = (folder / limit_name).read_text().strip()
        used = int((folder / used_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    # Version 1 writes "no limit" as almost 2^63.
    if limit == "max" or int(limit) >= 1 << 60:
        return None
    return int(limit), used - int(statistics.get(cache_name, 0))


def _processor_name() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    """Of a file; none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


class PeakMemory:
    """How much more memory than at its start a block takes at its peak.

    On CUDA this is what torch allocated; elsewhere the resident memory of the process, exact on Linux (the kernel's
    high-water mark) and sampled every 5 ms on other systems.

    Example:
        >>> with PeakMemory(torch.device("cpu")) as peak:
        ...     block = torch.ones(1024, 1024, 256)
        >>> peak.gib
        1.0
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.gib = 0.0
        """The peak above the start, in GiB; known after the block."""

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
            return self
        import psutil

        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self._kernel_measures = _reset_high_water_mark()
        if not self._kernel_measures:
            self._highest = self._start
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
            peak = torch.cuda.max_memory_allocated(self.device)
        elif self._kernel_measures:
            peak = _high_water_mark()
        else:
            self._stop.set()
            self._thread.join()
            peak = max(self._highest, self._process.memory_info().rss)
        self.gib = max(0, peak - self._start) / GIB

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            self._highest = max(self._highest, self._process.memory_info().rss)


def _reset_high_water_mark() -> bool:
    """Ask the Linux kernel to count VmHWM anew from now (proc(5), clear_refs); False where it cannot."""
    try:
        before = _high_water_mark()
        Path("/proc/self/clear_refs").write_text("5")
        return _high_water_mark() <= before
    except (OSError, ValueError):
        return False


def _high_water_mark() -> int:
    """The highest resident memory of this process so far in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError("/proc/self/status has no VmHWM")
