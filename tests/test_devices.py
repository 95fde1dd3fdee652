from __future__ import annotations

import logging
import platform
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from autobrats import devices
from autobrats.devices import (
    PeakMemory,
    choose_device,
    computes_bfloat16,
    describe_device,
    gpu_memory_gib,
    machine_facts,
)
from autobrats.errors import UserError

CPU = torch.device("cpu")


def test_a_device_is_found() -> None:
    device = choose_device(None)
    assert torch.zeros(3, device=device).sum().item() == 0
    assert describe_device(device)
    assert (gpu_memory_gib(device) is None) == (device.type == "cpu")


def test_a_missing_device_gives_way_to_the_cpu_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_device("cuda:63") == CPU
    assert "cuda:63" in caplog.text
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("nonsense", ["gpu", "cuda:x", "", "xla", "meta"])
def test_nonsense_is_refused(nonsense: str) -> None:
    with pytest.raises(UserError, match="choose cuda"):
        choose_device(nonsense)


def test_machine_facts_are_plausible_and_survive_json(tmp_path: Path) -> None:
    machine = machine_facts(tmp_path / "not" / "yet")
    assert machine.cores >= 1
    assert 0 < machine.available_ram_gib <= machine.ram_gib
    assert machine.free_disk_gib > 0
    assert type(machine).model_validate_json(machine.model_dump_json()) == machine


def test_a_control_group_with_a_limit_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in {
        "memory.max": str(2 << 30),
        "memory.current": str(1 << 30),
        "memory.stat": f"anon 5\ninactive_file {512 << 20}",
    }.items():
        (tmp_path / name).write_text(text)
    numbers = devices._read_group(tmp_path, "memory.max", "memory.current", "inactive_file")
    assert numbers == (2 << 30, 512 << 20)
    monkeypatch.setattr(devices, "_cgroup_memory", lambda: [(1 << 30, 512 << 20)])
    assert devices.available_ram_gib() == pytest.approx(0.5)


@pytest.mark.parametrize("kernel", [True, False])
def test_peak_memory_of_a_block(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel:
        monkeypatch.setattr(devices, "_reset_high_water_mark", lambda: False)
    with PeakMemory(CPU) as peak:
        block = np.ones(256 << 20, np.uint8)
        block.sum()
        del block
    assert peak.gib == pytest.approx(0.25, abs=0.05)
    with PeakMemory(CPU) as peak:
        pass
    assert peak.gib < 0.02


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be asked")
def test_freed_memory_is_given_back() -> None:
    process = psutil.Process()
    blocks = [np.ones(64 << 10, np.uint8) for _ in range(2000)]  # small ones, which the allocator keeps
    between = blocks[1::2]
    del blocks
    before = process.memory_info().rss
    devices.give_back_freed_memory()
    assert before - process.memory_info().rss > 40 << 20
    assert len(between) == 1000


def test_giving_memory_back_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda _: object())
    devices.give_back_freed_memory()

    def on_windows(_: None) -> None:
        raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setattr(devices.ctypes, "CDLL", on_windows)
    devices.give_back_freed_memory()


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({"amx_bf16": True}, True), ({"avx512_bf16": True}, False), ({}, False)]
)
def test_a_cpu_computes_bfloat16_with_amx(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert computes_bfloat16(torch.device("cpu")) is expected
    assert not computes_bfloat16(torch.device("mps"))


def test_an_older_torch_that_knows_no_capabilities_stays_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_bfloat16(torch.device("cpu"))
