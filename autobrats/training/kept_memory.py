"""Memory that is given back stays with the process, so that a step need not ask the system for it again."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Generator

import torch

from autobrats.devices import give_back_freed_memory

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Of mallopt(3)."""
_LARGEST_MMAP_THRESHOLD = 32 * 1024**2
_USUAL_MMAP_MAX = 65536


@contextlib.contextmanager
def memory_is_kept(device: torch.device) -> Generator[None, None, None]:
    """Within this, the C library of Linux keeps freed memory, if the device is a CPU; then it is given back.

    Otherwise every tensor above 32 MiB is mapped anew, and the system fills all of its pages with zeros before the
    first use: for feature maps of 64^3 voxels that takes longer than the normalisation that writes them.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        give_back_freed_memory()
