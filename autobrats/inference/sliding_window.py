"""Prediction of a volume larger than the network's patch: overlapping windows, averaged with Gaussian weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from autobrats.inference.slice_votes import SliceVotes
from autobrats.networks.output import NetworkOutput
from autobrats.networks.slice_axis import SliceAxis, slice_dimension

Size = tuple[int, int, int]
Forward = Callable[[Tensor], "NetworkOutput | Tensor"]
"""A network: (batch, modality, z, y, x) to logits (batch, channel, z, y, x), with its slice logits or without."""


class VolumePrediction(NamedTuple):
    """What the networks say of a volume.

    Attributes:
        probabilities: float32, (region, z, y, x).
        slices: of networks with a slice-classification branch, the probability of every region in every slice, (region,
            slice); else None.
    """

    probabilities: Tensor
    slices: Tensor | None


Average = Literal["probabilities", "logits"]

SIGMA = 0.125
"""Standard deviation of the Gaussian weight, as a share of the window (nnU-Net, MONAI)."""
SMALLEST_WEIGHT = 1e-12
"""Below what the Gaussian has in the corners of a window: a voxel that only a corner covers has a weight to be divided by."""
VOXELS_TOGETHER = {"cpu": 64**3, "cuda": 128**3, "mps": 96**3}
"""Mirrorings of small windows go through the network in one batch of up to so many voxels."""
SLICES_TOGETHER = 16
"""Of averaged logits that become probabilities at a time, which takes memory beside them."""


def predict_volume(
    network: Forward | Sequence[Forward],
    images: Tensor,
    *,
    patch_size: Size,
    to_probabilities: Callable[[Tensor], Tensor],
    overlap: float = 0.5,
    mirror_axes: Sequence[int] = (),
    batch_size: int = 1,
    divisor: Size | None = None,
    device: torch.device | str = "cpu",
    average: Average = "probabilities",
    weights: Sequence[float] | None = None,
    on_window: Callable[[int, int], None] | None = None,
) -> VolumePrediction:
    """Region probabilities of a whole volume.

    Every window goes through all networks and all mirrorings before the next one is cut, so memory does not grow with
    their number. Windows in which every channel is zero are outside the brain and are skipped; their voxels get
    probability 0.

    Args:
        network: one network or several (folds), whose results are averaged. One with a method ``expect`` is told before how
            many images it is going to get, and one with ``images_together`` is asked how many it wants in a call.
        images: float, (modality, z, y, x), on any device.
        patch_size: of the windows along (z, y, x); an axis on which the volume is smaller uses the volume's size,
            rounded up to the networks' divisor.
        to_probabilities: from logits, (batch, channel, z, y, x), to region probabilities, (batch, region, z, y, x).
        overlap: share of a window that its neighbour covers at least, 0 <= overlap < 1.
        mirror_axes: axes, 0 for z to 2 for x, along which the windows are mirrored as well: 2^n passes.
        divisor: what the networks' input must be divisible by; their attribute ``divisor`` by default.
        device: on which the networks are; the windows travel to it.
        average: of mirrorings, networks and windows, over probabilities, or over logits before ``to_probabilities``
            (nnU-Net; Nguyen et al. 2020).
        weights: of the networks in the average; equal by default.
        on_window: called with (windows done, windows in all).

    Returns:
        The probabilities on ``images``' device.
    """
    networks = list(network) if isinstance(network, Sequence) else [network]
    shares = _shares(weights, len(networks))
    if divisor is None:
        divisor = common_divisor(networks)
    shape: Size = (images.shape[1], images.shape[2], images.shape[3])
    window = window_size(shape, patch_size, divisor)
    images, inner = _pad(images, window)
    importance = gaussian_importance(window).to(images.device)
    starts = [start for start in window_starts(images.shape[1:], window, overlap) if _has_signal(images, start, window)]
    flips = list(mirrorings(mirror_axes))

    slice_axis: SliceAxis | None = getattr(networks[0], "slice_axis", None)
    votes = None if slice_axis is None else SliceVotes(slice_dimension(slice_axis) - 2)
    total: Tensor | None = None
    weight = torch.zeros(images.shape[1:], device=images.device)
    # Over logits, the networks' outputs are taken as they are until all windows are averaged.
    of_patches = to_probabilities if average == "probabilities" else torch.nn.Identity()
    _expect(networks, len(starts) * len(flips))
    done = 0
    while done < len(starts):
        wanted = _images_together(networks, (len(images), *window))
        batch = starts[done : done + max(batch_size, wanted // len(flips))]
        patches = torch.stack([images[(slice(None), *_slices(start, window))] for start in batch])
        patches = patches.to(device, torch.float32, non_blocking=True)
        with torch.inference_mode():
            result, slices = _predict_patches(networks, shares, patches, flips, wanted, of_patches)
            result = result.to(images.device, torch.float32).mul_(importance)
        if total is None:
            total = torch.zeros((result.shape[1], *images.shape[1:]), device=images.device)
        for start, probabilities in zip(batch, result, strict=True):
            where = _slices(start, window)
            total[(slice(None), *where)] += probabilities
            weight[where] += importance
        if votes is not None and slices is not None:
            for start, probabilities in zip(batch, slices, strict=True):
                votes.add(start[votes.axis], probabilities, images.shape[1 + votes.axis])
        done += len(batch)
        if on_window is not None:
            on_window(done, len(starts))
    if total is None:
        total = torch.zeros((_count_regions(networks[0], images, window, to_probabilities, device), *shape))
    else:
        weight = weight[inner]
        total = total[(slice(None), *inner)].div_(weight.clamp(min=torch.finfo(torch.float32).tiny))
        if average == "logits":
            total = _probabilities(total, weight, to_probabilities)
    return VolumePrediction(total, None if votes is None else votes.result(inner[votes.axis], len(total)))


def _probabilities(logits: Tensor, weight: Tensor, to_probabilities: Callable[[Tensor], Tensor]) -> Tensor:
    """Region probabilities of averaged logits, (channel, z, y, x), and 0 where no window was.

    They overwrite the logits if there are as many regions as channels.
    """
    result: Tensor | None = None
    for first in range(0, logits.shape[1], SLICES_TOGETHER):
        slab = slice(first, first + SLICES_TOGETHER)
        part = to_probabilities(logits[None, :, slab])[0].masked_fill_(weight[slab] == 0, 0)
        if result is None:
            result = logits if len(part) == len(logits) else logits.new_empty((len(part), *logits.shape[1:]))
        result[:, slab] = part
    assert result is not None
    return result


def common_divisor(networks: Sequence[Forward]) -> Size:
    """The smallest size along (z, y, x) of which every network's input must be a multiple."""
    divisors = [getattr(network, "divisor", (1, 1, 1)) for network in networks]
    return (
        math.lcm(*(divisor[0] for divisor in divisors)),
        math.lcm(*(divisor[1] for divisor in divisors)),
        math.lcm(*(divisor[2] for divisor in divisors)),
    )


def window_size(shape: Sequence[int], patch_size: Sequence[int], divisor: Sequence[int]) -> Size:
    """The patch size, reduced along axes on which the volume, rounded up to the divisor, is smaller.

    It stays at least twice the divisor, so that the network's coarsest stage has voxels to normalise over.
    """
    sizes = [min(p, max(2, math.ceil(s / d)) * d) for s, p, d in zip(shape, patch_size, divisor, strict=True)]
    return (sizes[0], sizes[1], sizes[2])


def window_starts(shape: Sequence[int], window: Size, overlap: float) -> list[Size]:
    """The first voxels of the fewest windows, evenly spaced, that cover the volume with at least that overlap."""
    axes = []
    for size, width in zip(shape, window, strict=True):
        room = size - width
        step = max(1, int(width * (1 - overlap)))
        count = math.ceil(room / step) + 1
        axes.append([round(room * index / max(1, count - 1)) for index in range(count)])
    return [(z, y, x) for z, y, x in itertools.product(*axes)]


def mirrorings(axes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every combination of mirrored axes of a (batch, channel, z, y, x) tensor, beginning with none."""
    for count in range(len(axes) + 1):
        for combination in itertools.combinations(sorted(axes), count):
            yield tuple(axis + 2 for axis in combination)


@lru_cache(maxsize=8)
def gaussian_importance(window: Size) -> Tensor:
    """The weight of each voxel of a window: a Gaussian about its centre, at most 1 and above 0."""
    importance = torch.ones(())
    for width in window:
        offset = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
        importance = importance[..., None] * torch.exp(-0.5 * (offset / (SIGMA * width)) ** 2)
    return importance.clamp_(min=SMALLEST_WEIGHT)


def _predict_patches(
    networks: list[Forward],
    shares: list[float],
    patches: Tensor,
    flips: list[tuple[int, ...]],
    wanted: int,
    of_patches: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor | None]:
    """Averages over networks and mirrorings of ``of_patches`` of the logits, and of the slices, (batch, region, slice).

    Args:
        wanted: images that a network wants at a time, if it can get them.
    """
    total: Tensor | None = None
    slice_logits: Tensor | None = None
    together = max(1, VOXELS_TOGETHER.get(patches.device.type, 0) // math.prod((len(patches), *patches.shape[2:])))
    together = max(together, wanted // len(patches))
    for network, share in zip(networks, shares, strict=True):
        for first in range(0, len(flips), together):
            some = flips[first : first + together]
            mirrored = [patches.flip(flip) if flip else patches for flip in some]
            given = mirrored[0] if len(mirrored) == 1 else torch.cat(mirrored)
            with torch.autocast(patches.device.type, torch.float16, enabled=patches.device.type == "cuda"):
                output = network(given)
            logits = _logits(output).float()
            results = of_patches(logits)
            for flip, part in zip(some, results.chunk(len(some)), strict=True):
                part = part.flip(flip) if flip else part
                weighted = share / len(flips)
                total = part.mul_(weighted) if total is None else total.add_(part, alpha=weighted)
            if isinstance(output, NetworkOutput) and output.slices is not None:
                along = slice_dimension(network.slice_axis)  # type: ignore[attr-defined]
                for flip, part in zip(some, output.slices.float().chunk(len(some)), strict=True):
                    part = (part.flip(2) if along in flip else part) * (share / len(flips))
                    slice_logits = part if slice_logits is None else slice_logits.add_(part)
        if len(networks) > 1 and hasattr(network, "release"):
            network.release()
    assert total is not None
    slices = None if slice_logits is None else torch.sigmoid(slice_logits)
    return total, slices


def _expect(networks: Sequence[Forward], passes: int) -> None:
    """Tell networks that measure how they are fastest what is going to come."""
    for network in networks:
        if hasattr(network, "expect"):
            network.expect(passes)


def _images_together(networks: Sequence[Forward], shape: tuple[int, ...]) -> int:
    """How many images of (modality, z, y, x) the networks want at a time; 1 if they do not mind."""
    return max([1, *(network.images_together(shape) for network in networks if hasattr(network, "images_together"))])


def _count_regions(
    network: Forward,
    images: Tensor,
    window: Size,
    to_probabilities: Callable[[Tensor], Tensor],
    device: torch.device | str,
) -> int:
    with torch.inference_mode():
        return to_probabilities(_logits(network(torch.zeros((1, len(images), *window), device=device)))).shape[1]


def _logits(output: NetworkOutput | Tensor) -> Tensor:
    return output.logits if isinstance(output, NetworkOutput) else output


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    values = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(values) != count or min(values) < 0 or sum(values) <= 0:
        raise ValueError(f"{count} networks need as many weights that are not negative, not {values}")
    return [value / sum(values) for value in values]


def _pad(images: Tensor, window: Size) -> tuple[Tensor, tuple[slice, ...]]:
    padding: list[int] = []
    inner = []
    for size, width in zip(images.shape[1:], window, strict=True):
        missing = max(0, width - size)
        padding = [missing // 2, missing - missing // 2, *padding]
        inner.append(slice(missing // 2, missing // 2 + size))
    if any(padding):
        images = torch.nn.functional.pad(images, padding)
    return images, tuple(inner)


def _slices(start: Size, window: Size) -> tuple[slice, slice, slice]:
    return (
        slice(start[0], start[0] + window[0]),
        slice(start[1], start[1] + window[1]),
        slice(start[2], start[2] + window[2]),
    )


def _has_signal(images: Tensor, start: Size, window: Size) -> bool:
    return bool(images[(slice(None), *_slices(start, window))].any())
