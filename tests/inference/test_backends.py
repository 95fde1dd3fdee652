"""OpenVINO gives torch's logits, or torch goes on; and nothing is sent anywhere."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from autobrats.errors import UserError
from autobrats.inference.backends import OpenVinoNetwork, TorchNetwork, with_backend
from autobrats.networks.building import build_network
from autobrats.networks.output import NetworkOutput

pytest.importorskip("openvino")
CPU = torch.device("cpu")


def _network(strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))):
    torch.manual_seed(0)
    options = {"channels": [6, 8, 12], "blocks": [1, 1, 1], "strides": strides}
    return build_network("residual_encoder_unet", options, 2, 3).eval()


class Grouped(torch.nn.Module):
    divisor = (1, 1, 1)

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv3d(2, 12, 3, padding=1), torch.nn.GroupNorm(groups, 12))

    def forward(self, images):
        return NetworkOutput(self.layers(images))


@pytest.mark.parametrize(
    "network",
    [_network(), _network(strides=[(2, 2, 2), (2, 2, 2), (1, 2, 2)]), Grouped(3), Grouped(12)],
    ids=["unet", "half resolution", "3 groups", "12 groups"],
)
def test_openvino_gives_the_logits_of_torch(network):
    backend = with_backend(network.eval(), "openvino", CPU)
    assert isinstance(backend, OpenVinoNetwork) and backend.divisor == network.divisor
    with torch.inference_mode():
        for size in (16, 24, 16):
            images = torch.randn(1, 2, size, 16, 16)
            fast, exact = backend(images), network(images).logits
            assert len(backend._compiled) > 0, "this pass must be OpenVINO's"
            assert torch.allclose(fast, exact, atol=1e-3)
            backend.release()
    assert any(isinstance(module, torch.nn.GroupNorm) for module in network.modules()), "torch's network is as it was"


def test_a_patch_s_logits_do_not_depend_on_what_came_before():
    backend = with_backend(_network(), "auto", CPU)
    images = torch.randn(1, 2, 16, 16, 16)
    with torch.inference_mode():
        first = backend(images)
        backend(torch.randn(1, 2, 16, 16, 16))
        backend.release()
        assert torch.equal(backend(images), first)


class Contrary(torch.nn.Module):
    """Gives a traced copy another answer than it gives otherwise."""

    divisor = (1, 1, 1)

    def forward(self, images):
        return NetworkOutput(images * (2 if torch.jit.is_tracing() else 1))


class Untraceable(torch.nn.Module):
    divisor = (1, 1, 1)

    def forward(self, images):
        if torch.jit.is_tracing():
            raise RuntimeError("cannot be traced")
        return NetworkOutput(images)


@pytest.mark.parametrize(("network", "reason"), [(Contrary(), "differ"), (Untraceable(), "cannot be traced")])
def test_torch_goes_on_where_openvino_fails(network, reason, caplog):
    backend = with_backend(network, "openvino", CPU)
    images = torch.ones(1, 1, 4, 4, 4)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        assert all(torch.equal(backend(images), images) for _ in range(3))
    assert len(caplog.records) == 1 and reason in caplog.text


def test_the_choice_of_a_backend():
    assert isinstance(with_backend(_network(), "torch", CPU), TorchNetwork)
    with pytest.raises(UserError, match="runs on the CPU"):
        with_backend(_network(), "openvino", torch.device("meta"))


def test_no_telemetry_is_imported():
    code = (
        "import sys, torch\n"
        "from autobrats.inference.backends import with_backend\n"
        "class Same(torch.nn.Module):\n"
        "    divisor = (1, 1, 1)\n"
        "    def forward(self, images):\n"
        "        from autobrats.networks.output import NetworkOutput\n"
        "        return NetworkOutput(images + 1)\n"
        "backend = with_backend(Same(), 'openvino', torch.device('cpu'))\n"
        "backend(torch.ones(1, 1, 4, 4, 4))\n"
        "assert backend._compiled, 'OpenVINO was not used'\n"
        "assert 'openvino' in sys.modules and sys.modules.get('openvino_telemetry') is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
