"""The optimisers against their formulas in NumPy (double precision), and their way through a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autobrats.training.checkpoints import load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from autobrats.training.optimisers import adam, adamw, ranger21, sgd

PEAK_RATE, DECAY = 0.05, 0.3
SHAPES = [(3, 2, 2, 1, 2), (4, 3), (5,), (2,), ()]  # a convolution, a matrix, biases, a factor


def factor(step: int) -> float:
    """A learning rate that changes at every step, as a schedule's does."""
    return 1 - 0.05 * (step % 7)


def tensors(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0.3, 1, shape) for shape in SHAPES]


def gradients(step: int) -> list[np.ndarray]:
    """Rows of very different sizes, so that only some are clipped."""
    rng = np.random.default_rng(100 + step)
    return [
        rng.normal(0.5, 1, shape) * 10.0 ** rng.uniform(-4, 0, (*shape[:1], *[1] * (len(shape) - 1)))
        for shape in SHAPES
    ]


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tensors = nn.ParameterList([nn.Parameter(torch.tensor(values)) for values in tensors(0)])


def run_steps(build: Callable[..., torch.optim.Optimizer], steps: int, **options: object) -> list[np.ndarray]:
    """The weights after some steps whose rate is set as the trainer sets it."""
    network = Weights()
    optimiser = build(network, learning_rate=PEAK_RATE, weight_decay=DECAY, **options)
    for step in range(1, steps + 1):
        for parameter, gradient in zip(network.tensors, gradients(step), strict=True):
            parameter.grad = torch.tensor(gradient)
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * factor(step)
        optimiser.step()
    return [parameter.detach().numpy() for parameter in network.tensors]


def test_adam_follows_its_formula() -> None:
    """Algorithm 1 of Kingma and Ba; the weight decay is added to the gradient of kernels."""
    weights, beta1, beta2 = tensors(0), 0.8, 0.99
    first, second = [0 * w for w in weights], [0 * w for w in weights]
    for step in range(1, 5):
        for i, gradient in enumerate(gradients(step)):
            if weights[i].ndim > 1:
                gradient = gradient + DECAY * weights[i]
            first[i] = beta1 * first[i] + (1 - beta1) * gradient
            second[i] = beta2 * second[i] + (1 - beta2) * gradient**2
            update = first[i] / (1 - beta1**step) / (np.sqrt(second[i] / (1 - beta2**step)) + 1e-8)
            weights[i] = weights[i] - PEAK_RATE * factor(step) * update
    for ours, expected in zip(run_steps(adam, 4, betas=(beta1, beta2)), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10)


def row_norms(x: np.ndarray) -> np.ndarray:
    """Euclidean norm of each output channel; of the whole for vectors (Brock et al., 2021, section 4)."""
    return np.sqrt((x**2).sum(tuple(range(1, x.ndim)) if x.ndim > 1 else None, keepdims=x.ndim > 1))


def without_mean(g: np.ndarray) -> np.ndarray:
    """The gradient less the mean of each output channel (Yong et al., 2020)."""
    return g - g.mean(tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else g


def of_unit_deviation(g: np.ndarray) -> np.ndarray:
    return g / (g.std(ddof=1) + 1e-8) if g.size > 2 else g


def ranger21_in_numpy(steps: int, betas: tuple[float, float], without: Collection[str] = ()) -> list[np.ndarray]:
    """Ranger21 by its formulas, for the weights, gradients and rates above."""
    weights, (beta1, beta2), beta0 = tensors(0), betas, 0.9
    slow = [w.copy() for w in weights]
    positive, negative = [0 * w for w in weights], [0 * w for w in weights]
    second, largest = [0 * w for w in weights], [0 * w for w in weights]
    for step in range(1, steps + 1):
        rate, ready = PEAK_RATE * factor(step), []
        for w, g in zip(weights, gradients(step), strict=True):
            if "clipping" not in without:
                limit, size = 1e-2 * np.maximum(row_norms(w), 1e-3), row_norms(g)
                g = np.where(size > limit, g * limit / size, g)
            if "centralisation" not in without:
                g = without_mean(g)
            if "normalisation" not in without:
                g = of_unit_deviation(g)
            ready.append(g)
        second = [beta2 * v + (1 - beta2) * g**2 for v, g in zip(second, ready, strict=True)]
        total = 1 + sum(v.sum() for v in second) / (1 - beta2**step)  # the library counts from 1
        spread = np.sqrt(total / sum(v.size for v in second))
        positive, negative = negative, positive
        for i, g in enumerate(ready):
            if "normalisation" not in without:
                g = of_unit_deviation(g)  # the library does it once for each moment, which differs by the 1e-8
            if "stable weight decay" not in without and g.ndim > 1:
                weights[i] = weights[i] * (1 - rate * DECAY / spread)
            if "norm loss" not in without:
                weights[i] = weights[i] * (1 - rate * 2e-4 * (1 - 1 / row_norms(weights[i])))
            largest[i] = second[i] if "largest second moment" in without else np.maximum(largest[i], second[i])
            size = np.sqrt(largest[i] / (1 - beta2**step)) + 1e-8
            if "softplus" not in without:
                size = np.log1p(np.exp(50 * size)) / 50
            if "positive-negative momentum" in without:
                positive[i] = beta1 * negative[i] + (1 - beta1) * g
                momentum = positive[i]
            else:
                positive[i] = beta1**2 * positive[i] + (1 - beta1**2) * g
                momentum = ((1 + beta0) * positive[i] - beta0 * negative[i]) / np.hypot(1 + beta0, beta0)
            weights[i] = weights[i] - rate / (1 - beta1**step) * momentum / size
        if step % 5 == 0 and "lookahead" not in without:
            slow = [(s + w) / 2 for s, w in zip(slow, weights, strict=True)]
            weights = [s.copy() for s in slow]
    return weights


@pytest.mark.parametrize("steps", [1, 2, 5, 13])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.7, 0.8)])
def test_ranger21_follows_its_formulas(steps: int, betas: tuple[float, float]) -> None:
    for ours, expected in zip(run_steps(ranger21, steps, betas=betas), ranger21_in_numpy(steps, betas), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "part",
    [
        "clipping", "centralisation", "normalisation", "positive-negative momentum", "largest second moment",
        "stable weight decay", "norm loss", "softplus", "lookahead",
    ],
)  # fmt: skip
def test_every_part_of_ranger21_is_at_work(part: str) -> None:
    betas = (0.7, 0.8)  # beta_2 this small lets the second moment fall
    ours, lacking = run_steps(ranger21, 13, betas=betas), ranger21_in_numpy(13, betas, without={part})
    assert max(np.abs(a - b).max() for a, b in zip(ours, lacking, strict=True)) > 2e-5


def test_ranger21_takes_its_rate_from_the_schedule_alone() -> None:
    """A rate of 0 changes nothing, first step or last: no warm-up, warm-down or least rate of its own."""
    network = Weights()
    optimiser = ranger21(network, learning_rate=PEAK_RATE)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    for step in range(1, 4):
        for parameter, gradient in zip(network.tensors, gradients(step), strict=True):
            parameter.grad = torch.tensor(gradient)
        optimiser.step()
    for parameter, start in zip(network.tensors, tensors(0), strict=True):
        assert np.array_equal(parameter.detach().numpy(), start)


def test_ranger21_does_not_learn_single_weights_nor_short_biases() -> None:
    """What its description warns of, beside what learns."""
    model = nn.Sequential(nn.Conv3d(1, 8, 1), nn.Conv3d(8, 4, 1), nn.Conv3d(4, 1, 1))
    nn.init.zeros_(model[2].get_parameter("bias"))
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimiser = ranger21(model, learning_rate=0.01, weight_decay=0.0)
    for seed in range(10):
        optimiser.zero_grad(set_to_none=True)
        (
            model(torch.randn(1, 1, 3, 3, 3, generator=torch.Generator().manual_seed(seed))) - 5
        ).square().mean().backward()
        optimiser.step()
    moved = {name: (parameter - start[name]).abs().max().item() for name, parameter in model.named_parameters()}
    assert moved["0.weight"] < 1e-4 and moved["2.bias"] < 1e-3
    assert moved["0.bias"] > 1e-2 and moved["1.weight"] > 1e-2 and moved["2.weight"] > 1e-2


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(2, 4, 3), nn.GroupNorm(4, 4), nn.LeakyReLU(), nn.Conv3d(4, 3, 1))


def train(model: nn.Module, optimiser: torch.optim.Optimizer, steps: range) -> None:
    """Steps whose rate is set as the trainer sets it: a factor on what the first step found."""
    for step in steps:
        torch.manual_seed(step)
        optimiser.zero_grad(set_to_none=True)
        model(torch.randn(2, 2, 5, 4, 6)).square().mean().backward()
        for group in optimiser.param_groups:
            group.setdefault("peak_rate", group["lr"])
            group["lr"] = group["peak_rate"] * factor(step)
        optimiser.step()


@pytest.mark.parametrize("build", [adam, adamw, sgd, ranger21])
@pytest.mark.parametrize("before", [1, 3, 5, 7])
def test_a_resumed_training_equals_the_unbroken_one(tmp_path: Path, build: Callable, before: int) -> None:
    """Broken before, at and after Ranger21's merge, at odd and even steps; everything goes through a file."""
    unbroken = network()
    train(unbroken, build(unbroken, learning_rate=0.01), range(2 * before))

    broken = network()
    optimiser = build(broken, learning_rate=0.01)
    train(broken, optimiser, range(before))
    save_tensors(tmp_path / "optimiser.safetensors", *optimiser_tensors(optimiser))
    resumed = build(broken, learning_rate=0.5)
    restore_optimiser(resumed, *load_tensors(tmp_path / "optimiser.safetensors"))
    train(broken, resumed, range(before, 2 * before))
    for a, b in zip(unbroken.parameters(), broken.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_from_before_optimisers_had_own_entries_is_read() -> None:
    model = network()
    optimiser = adamw(model, learning_rate=0.01)
    train(model, optimiser, range(2))
    saved, plain = optimiser_tensors(optimiser)
    del plain["own"]
    restore_optimiser(adamw(model, learning_rate=0.5), saved, plain)


@pytest.mark.parametrize("build", [adam, adamw, sgd, ranger21])
def test_the_loss_falls_and_only_kernels_decay(build: Callable) -> None:
    model = network()
    optimiser = build(model, learning_rate=0.01, weight_decay=0.3)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.3, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.weight": 0.3, "3.bias": 0.0,
    }  # fmt: skip
    x = torch.randn(2, 2, 5, 4, 6, generator=torch.Generator().manual_seed(9))
    start = model(x).square().mean().item()
    train(model, optimiser, range(30))
    assert model(x).square().mean().item() < 0.7 * start


@pytest.mark.parametrize("build", [adam, adamw, sgd, ranger21])
@pytest.mark.parametrize("option", [{"learning_rate": -0.1}, {"learning_rate": 0.1, "weight_decay": -2.0}])
def test_negative_options_are_refused(build: Callable, option: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        build(network(), **option)


@pytest.mark.parametrize("build", [adam, ranger21])
def test_a_beta_of_1_is_refused(build: Callable) -> None:
    with pytest.raises(ValueError, match="beta"):
        build(network(), learning_rate=0.1, betas=[0.9, 1.0])
