"""The classification branch: against NumPy in double precision, slices along every axis, any number of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from autobrats.networks.slice_axis import in_plane_dimensions, slice_dimension
from autobrats.networks.slice_classifier import SliceClassifier

AXES = {"axial": 2, "coronal": 3, "sagittal": 4}


def branch(**options) -> SliceClassifier:
    torch.manual_seed(0)
    classifier = SliceClassifier(
        **{"in_channels": 6, "regions": 3, "features": 4, "lstm_layers": 2, "dropout": 0.0} | options
    )
    for parameter in classifier.parameters():  # away from ones and zeros, so that every one of them counts
        torch.nn.init.normal_(parameter, std=0.5)
    return classifier


def weights_of(classifier: SliceClassifier) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in classifier.state_dict().items()}


def normalised(x: np.ndarray, groups: int, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Group normalisation of (batch, channel, ...)."""
    grouped = x.reshape(x.shape[0], groups, -1)
    grouped = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
    affine = (1, -1) + (1,) * (x.ndim - 2)
    return grouped.reshape(x.shape) * weight.reshape(affine) + bias.reshape(affine)


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A 3 x 3 x 3 convolution of (batch, channel, z, y, x), zeros around."""
    z, y, across = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)))
    result = np.zeros((x.shape[0], kernel.shape[0], z, y, across))
    for i, j, k in itertools.product(range(3), repeat=3):
        result += np.einsum("bczyx,oc->bozyx", padded[:, :, i : i + z, j : j + y, k : k + across], kernel[..., i, j, k])
    return result


def lstm(x: np.ndarray, w: dict[str, np.ndarray], suffix: str) -> np.ndarray:
    """One direction of one layer (Hochreiter and Schmidhuber, 1997, with forget gates) of (batch, slice, feature)."""
    features = w[f"lstm.weight_hh_{suffix}"].shape[1]
    state, cell = np.zeros((x.shape[0], features)), np.zeros((x.shape[0], features))
    result = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ w[f"lstm.weight_ih_{suffix}"].T + w[f"lstm.bias_ih_{suffix}"]
        gates += state @ w[f"lstm.weight_hh_{suffix}"].T + w[f"lstm.bias_hh_{suffix}"]
        into, forget, new, out = np.split(gates, 4, 1)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-into))
        state = np.tanh(cell) / (1 + np.exp(-out))
        result.append(state)
    return np.stack(result, 1)


def expected(
    classifier: SliceClassifier, x: np.ndarray, axis: int, groups: int, layers: int, doubles: bool
) -> np.ndarray:
    """The whole branch in float64."""
    w = weights_of(classifier)
    features = normalised(
        convolved(x, w["convolution.0.weight"]), groups, w["convolution.1.weight"], w["convolution.1.bias"]
    )
    slices = np.maximum(features, 0).mean(tuple({2, 3, 4} - {axis}))
    if doubles:
        kernel, count = w["doubling.0.weight"], slices.shape[2]
        spread = np.zeros((*slices.shape[:1], kernel.shape[1], 2 * count + 2))
        for tap in range(3):  # slice i reaches 2 i - 1, 2 i and 2 i + 1; shifted by one here
            spread[:, :, tap : tap + 2 * count : 2] += np.einsum("bcs,co->bos", slices, kernel[:, :, tap])
        slices = normalised(spread[:, :, 1:-1], groups, w["doubling.1.weight"], w["doubling.1.bias"]).clip(min=0)
    series = slices.transpose(0, 2, 1)
    for layer in range(layers):
        back = lstm(series[:, ::-1], w, f"l{layer}_reverse")[:, ::-1]
        series = np.concatenate([lstm(series, w, f"l{layer}"), back], 2)
    return np.einsum("bsf,rf->brs", series, w["logits.weight"][:, :, 0]) + w["logits.bias"][:, None]


@pytest.mark.parametrize("slice_axis", AXES)
@pytest.mark.parametrize("doubles", [False, True])
@pytest.mark.parametrize(("features", "groups", "layers"), [(4, 4, 2), (9, 3, 1), (16, 8, 3)])
def test_the_branch_is_what_the_tables_say(
    slice_axis: str, doubles: bool, features: int, groups: int, layers: int
) -> None:
    options = {"features": features, "lstm_layers": layers, "doubles_slices": doubles, "slice_axis": slice_axis}
    classifier = branch(**options).double()
    x = torch.randn(2, 6, 3, 5, 4, generator=torch.Generator().manual_seed(1)).double()
    logits = classifier(x).detach().numpy()
    axis = AXES[slice_axis]
    assert logits.shape == (2, 3, x.shape[axis] * (2 if doubles else 1))
    np.testing.assert_allclose(
        logits, expected(classifier, x.numpy(), axis, groups, layers, doubles), rtol=1e-9, atol=1e-9
    )


def test_doubling_is_the_papers_transposed_convolution_of_pooled_features() -> None:
    classifier = branch(doubles_slices=True)
    pooled = torch.randn(2, 4, 7)
    kernel = torch.randn(4, 4, 3, 3, 3)  # only its middle, within the plane, may count
    kernel[..., 1, 1] = classifier.doubling[0].weight.detach()
    stride, more = (2, 1, 1), (1, 0, 0)
    in_three = functional.conv_transpose3d(
        pooled[..., None, None], kernel, stride=stride, padding=1, output_padding=more
    )
    torch.testing.assert_close(classifier.doubling[0](pooled), in_three[..., 0, 0])


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("doubles", [False, True])
def test_any_number_of_slices(count: int, doubles: bool) -> None:
    classifier = branch(in_channels=1, regions=1, doubles_slices=doubles)
    assert classifier(torch.randn(3, 1, count, 4, 6)).shape == (3, 1, 2 * count if doubles else count)


def test_a_slice_is_judged_with_those_before_and_behind() -> None:
    classifier = branch(lstm_layers=1).double()
    x = torch.randn(1, 6, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    for index in (0, 7):
        (gradient,) = torch.autograd.grad(classifier(x)[0, :, index].sum(), x)
        assert (gradient.abs().amax((0, 1, 3, 4)) > 0).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_is_behind_every_lstm_layer_and_only_in_training(layers: int) -> None:
    classifier, x = branch(lstm_layers=layers, dropout=0.5), torch.randn(1, 6, 4, 4, 4)
    assert not torch.equal(classifier(x), classifier(x))
    assert torch.equal(classifier.eval()(x), classifier(x))
    assert classifier.lstm.dropout == (0.5 if layers > 1 else 0) and classifier.dropout.p == 0.5


@pytest.mark.parametrize("doubles", [False, True])
def test_gradients_reach_every_parameter(doubles: bool) -> None:
    classifier = branch(doubles_slices=doubles, dropout=0.1)
    classifier(torch.randn(2, 6, 6, 4, 8)).square().sum().backward()
    for name, parameter in classifier.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_bfloat16_is_close() -> None:
    torch.manual_seed(0)
    classifier, x = SliceClassifier(8, 3, 16, 2, 0.1, True).eval(), torch.randn(2, 8, 6, 4, 8)
    with torch.no_grad():
        exact = torch.sigmoid(classifier(x))
        with torch.autocast("cpu", torch.bfloat16):
            coarse = classifier(x)
    assert (torch.sigmoid(coarse.float()) - exact).abs().max() < 0.02


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lstm_layers": 0}, "lstm_layers must be at least 1, not 0"),
        ({"dropout": 1.5}, r"dropout .* 1\.5"),
        ({"features": 0}, "at least 1 feature, not 0"),
        ({"slice_axis": "z"}, "axial, coronal, sagittal, not 'z'"),
    ],
)
def test_wrong_options_are_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        branch(**options)


def test_planes_have_names() -> None:
    assert {name: slice_dimension(name) for name in AXES} == AXES
    assert [in_plane_dimensions(name) for name in AXES] == [(3, 4), (2, 4), (2, 3)]
