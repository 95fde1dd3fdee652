"""Instance normalisation in channels_last_3d equals torch's own in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autobrats.networks.building import build_network
from autobrats.networks.instance_normalisation import _ChannelsLast, trains_in_channels_last
from autobrats.networks.output import NetworkOutput

LAST = torch.channels_last_3d


@pytest.mark.parametrize("slope", [None, 0.01])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_are_right_in_double_precision(slope: float | None, batch: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 3, 2, 3, 2, dtype=torch.float64).contiguous(memory_format=LAST).requires_grad_()
    weight, bias = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert trains_in_channels_last(x)
    y = _ChannelsLast.apply(x, weight, bias, 1e-5, slope)
    expected = nn.functional.instance_norm(x, weight=weight, bias=bias)
    torch.testing.assert_close(y, expected if slope is None else nn.functional.leaky_relu(expected, slope))
    assert y.is_contiguous(memory_format=LAST)
    assert torch.autograd.gradcheck(lambda *given: _ChannelsLast.apply(*given, 1e-5, slope), (x, weight, bias))


@pytest.mark.parametrize("slope", [None, 0.01])
def test_bfloat16_is_summed_in_float32(slope: float | None) -> None:
    torch.manual_seed(0)
    x = (3 + torch.randn(2, 4, 24, 24, 24)).bfloat16().contiguous(memory_format=LAST).requires_grad_()
    weight, bias = (torch.randn(4, requires_grad=True) for _ in range(2))
    assert trains_in_channels_last(x)
    y = _ChannelsLast.apply(x, weight, bias, 1e-5, slope)
    exact = x.detach().double().requires_grad_()
    parameters = [parameter.detach().double().requires_grad_() for parameter in (weight, bias)]
    expected = nn.functional.instance_norm(exact, weight=parameters[0], bias=parameters[1])
    expected = expected if slope is None else nn.functional.leaky_relu(expected, slope)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=LAST)
    torch.testing.assert_close(y.double(), expected, rtol=2**-7, atol=2**-7)
    direction = torch.randn(y.shape).bfloat16()
    y.backward(direction)
    expected.backward(direction.double())
    assert exact.grad is not None and x.grad is not None
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=2**-5, atol=2**-5)
    for given, right in zip((weight, bias), parameters, strict=True):
        torch.testing.assert_close(given.grad.double(), right.grad, rtol=1e-2, atol=1.0)


NETWORKS = {
    "plain_unet": {"channels": [8, 12, 16], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]},
    "residual_encoder_unet": {"channels": [8, 12, 16], "blocks": [1, 1, 1], "strides": [[2, 2, 2]] * 3},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradients_of_networks_do_not_depend_on_the_memory_format(name: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 4, 16, 16, 24)
    network = build_network(name, NETWORKS[name], 4, 3).train()
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.2)

    def answer(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        network.zero_grad()
        output: NetworkOutput = network(x)
        sum((logits - 1).square().mean() for logits in (output.logits, *output.deep)).backward()
        return output.logits.detach(), {name: p.grad.clone() for name, p in network.named_parameters()}

    logits, gradients = answer(images)
    network.to(memory_format=LAST)
    fast_logits, fast_gradients = answer(images.contiguous(memory_format=LAST))
    torch.testing.assert_close(fast_logits, logits, rtol=1e-5, atol=1e-5)
    for key, gradient in gradients.items():
        torch.testing.assert_close(fast_gradients[key], gradient, rtol=1e-3, atol=1e-5, msg=key)
