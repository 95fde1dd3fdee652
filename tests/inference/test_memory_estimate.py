"""What the estimate of a prediction's memory says, and that it is not worked out twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autobrats.files import read_json
from autobrats.inference.backends import memory_estimate
from autobrats.inference.backends.memory_estimate import Activations, estimate_memory_gib


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv3d(2, 6, 5, padding=2), torch.nn.Conv3d(6, 3, 3, padding=1))


def test_it_grows_with_the_window_and_the_batch(network) -> None:
    sizes = [(16, 1), (64, 1), (64, 2)]
    small, large, two = (
        estimate_memory_gib([network], (64, 64, 64), modalities=2, regions=3, window=(side,) * 3, batch_size=batch)
        for side, batch in sizes
    )
    assert 0 < small < large < two < 1
    assert next(network.parameters()).device.type == "cpu"


def test_activations_are_those_of_the_layers(network) -> None:
    """Of 8^3 voxels, six and three channels of four bytes: twice both together, and both as kept ones."""
    layers = [4 * 6 * 8**3, 4 * 3 * 8**3]
    assert Activations().bytes_of(network, (2, 8, 8, 8)) == 3 * sum(layers)


def test_they_are_kept_by_architecture_and_size(network, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "converted"
    found = Activations(folder, "a").bytes_of(network, (2, 8, 8, 8))
    asked = []
    monkeypatch.setattr(memory_estimate, "_activation_bytes", lambda *given: asked.append(given) or 1)
    assert Activations(folder, "a").bytes_of(network, (2, 8, 8, 8)) == found and not asked
    for number, (architecture, side) in enumerate([("b", 8), ("a", 16)], 1):
        for _ in range(2):
            assert Activations(folder, architecture).bytes_of(network, (2, 8, 8, side)) == 1
        assert len(asked) == number
    monkeypatch.setattr(memory_estimate, "MOST_KEPT", 2)
    Activations(folder, "c").bytes_of(network, (2, 8, 8, 8))
    assert len(read_json(folder / "activations.json")["bytes"]) == 2


def test_a_damaged_file_or_a_folder_that_cannot_be_written_does_no_harm(network, tmp_path) -> None:
    (tmp_path / "activations.json").write_text('{"bytes": 1')
    found = Activations(tmp_path).bytes_of(network, (2, 8, 8, 8))
    assert list(read_json(tmp_path / "activations.json")["bytes"].values()) == [found]
    (tmp_path / "file").write_text("")
    assert Activations(tmp_path / "file").bytes_of(network, (2, 8, 8, 8)) == found


def test_what_is_kept_spares_the_import_of_torch_s_compiler(tmp_path: Path) -> None:
    code = f"""
import sys, torch
from pathlib import Path
from autobrats.inference.backends.memory_estimate import Activations
network = torch.nn.Sequential(torch.nn.Conv3d(2, 6, 3), torch.nn.InstanceNorm3d(6), torch.nn.LeakyReLU())
print(Activations(Path({str(tmp_path)!r})).bytes_of(network, (2, 8, 8, 8)), "torch._dynamo" in sys.modules)
"""
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert told[0][0] == told[1][0] and told[1][1] == "False"
