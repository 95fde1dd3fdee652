"""Instance normalisation with a leaky ReLU, and the convolution block that they make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Triple = tuple[int, int, int]

SLOPE = 0.01
"""Of the leaky ReLU, for negative values."""


class InstanceNormalisation(nn.GroupNorm):
    """Instance normalisation with weight and bias.

    As groups of one channel its forward pass is three times as fast on a CPU as torch's own instance normalisation. In
    training on a CPU in the memory format ``channels_last_3d``, for which torch has only a slow backward pass,
    :class:`_ChannelsLast` takes its place.

    Args:
        channels: of the input, (batch, channel, z, y, x).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        if trains_in_channels_last(x):
            return _ChannelsLast.apply(x, self.weight, self.bias, self.eps, None)
        return super().forward(x)


class ConvolutionBlock(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU; keeps the size, or divides it by the stride.

    Args:
        in_channels, out_channels: feature maps.
        kernel: sides (z, y, x): odd ones; with a stride, also the stride and two more.
        stride: (z, y, x).
        bias: of the convolution; without an effect, because the normalisation takes it away.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Triple = (3, 3, 3),
        stride: Triple = (1, 1, 1),
        bias: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, kernel, stride, padding(kernel), bias=bias),
            InstanceNormalisation(out_channels),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm, activation = self
        x = convolution(x)
        if isinstance(norm, InstanceNormalisation) and trains_in_channels_last(x):
            return _ChannelsLast.apply(x, norm.weight, norm.bias, norm.eps, SLOPE)
        return activation(norm(x))


def padding(kernel: Triple) -> Triple:
    """What keeps the size at stride 1 (and divides it by the stride for a kernel of stride + 2)."""
    z, y, x = ((side - 1) // 2 for side in kernel)
    return (z, y, x)


def trains_in_channels_last(x: Tensor) -> bool:
    """Whether these are feature maps in ``channels_last_3d`` on a CPU of which gradients are wanted."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and x.is_contiguous(memory_format=torch.channels_last_3d)
        and not x.is_contiguous()
        and x.dtype in (torch.float32, torch.float64, torch.bfloat16)
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )


class _ChannelsLast(torch.autograd.Function):
    """Instance normalisation, and leaky ReLU if there is a slope, in few passes over the memory.

    The instance normalisation of one sample is its batch normalisation, and for that torch has kernels that run along the
    channels, forwards and backwards.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float | None) -> Tensor:
        y = torch.empty_like(x)
        statistics = weight.new_empty(len(x), 2, weight.numel())  # mean and inverse standard deviation
        for source, target, (mean, scale) in zip(x.split(1), y.split(1), statistics, strict=True):
            torch.ops.aten.native_batch_norm.out(
                source, weight, bias, None, None, True, 0.0, eps, out=target, save_mean=mean, save_invstd=scale
            )
        if slope is not None:
            nn.functional.leaky_relu_(y, slope)
        # The sign of the result is that of the activation's input, which need not be kept.
        ctx.save_for_backward(x, weight, statistics, None if slope is None else y)
        ctx.eps, ctx.slope = eps, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, statistics, y = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        of_x, of_parameters = torch.empty_like(x), []
        for sample, (mean, scale) in enumerate(statistics):
            here = slice(sample, sample + 1)
            part = gradient[here]
            if y is not None:
                part = torch.ops.aten.leaky_relu_backward.grad_input(
                    part, y[here], ctx.slope, True, grad_input=of_x[here]
                )
            through, *parameters = torch.ops.aten.native_batch_norm_backward(
                part, x[here], weight, None, None, mean, scale, True, ctx.eps, [True, True, True]
            )
            of_x[here].copy_(through)
            of_parameters.append(torch.stack(parameters))
        of_weight, of_bias = torch.stack(of_parameters).sum(0)
        return of_x, of_weight, of_bias, None, None
