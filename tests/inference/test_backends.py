"""Other libraries give torch's logits, or torch goes on; what was converted is kept; and nothing is sent anywhere."""

from __future__ import annotations

import importlib
import linecache
import logging
import os
import subprocess
import sys

import pytest
import torch
from real_studies import prepared_study

from autobrats.errors import UserError
from autobrats.inference.backends import (
    ChosenNetwork,
    KeptModels,
    OpenVinoNetwork,
    Probes,
    TorchNetwork,
    converted_network,
    library_version,
    openvino_network,
    with_backend,
)
from autobrats.inference.backends.arrangements import Arrangement
from autobrats.inference.backends.onnx_network import OnnxNetwork
from autobrats.inference.backends.probe import Probe
from autobrats.inference.sliding_window import predict_volume
from autobrats.networks.building import build_network
from autobrats.networks.output import NetworkOutput
from autobrats.networks.source_code import code_sha256

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
    assert isinstance(backend, ChosenNetwork) and backend.divisor == network.divisor
    with torch.inference_mode():
        for size in (16, 24, 16):
            images = torch.randn(1, 2, size, 16, 16)
            fast, exact = backend(images), network(images).logits
            assert not backend.converted["openvino"].failures, "this pass must be OpenVINO's"
            assert torch.allclose(fast, exact, atol=1e-3)
            backend.release()
    assert any(isinstance(module, torch.nn.GroupNorm) for module in network.modules()), "torch's network is as it was"


def test_a_patch_s_logits_do_not_depend_on_what_came_before():
    backend = OpenVinoNetwork(_network())
    images = torch.randn(1, 2, 16, 16, 16)
    with torch.inference_mode():
        first = backend(images)
        backend(torch.randn(1, 2, 16, 16, 16))
        backend.release()
        assert torch.equal(backend(images), first) and not backend.failures


@pytest.mark.parametrize(("streams", "batch"), [(1, 2), (2, 1), (2, 2)])
def test_batches_and_streams_change_nothing(streams, batch):
    network = _network()
    backend, images = OpenVinoNetwork(network), torch.randn(5, 2, 16, 16, 16)
    with torch.inference_mode():
        found = backend.run(images, Arrangement(backend="openvino", streams=streams, batch=batch))
        assert not backend.failures and torch.allclose(found, network(images).logits, atol=1e-3)


def test_onnx_gives_the_logits_of_torch(tmp_path):
    pytest.importorskip("onnxruntime")
    network = Grouped(3).eval()
    for kept in (KeptModels(), KeptModels(tmp_path, "grouped")):
        backend, images = OnnxNetwork(network, kept), torch.randn(3, 2, 8, 12, 8)
        with torch.inference_mode():
            found = backend.run(images, Arrangement(backend="onnx", batch=2))
            assert not backend.failures and torch.allclose(found, network(images).logits, atol=1e-3)
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".onnx"]


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


def test_a_failure_while_computing_costs_the_arrangement_and_then_the_backend(monkeypatch):
    monkeypatch.setattr(Probe, "_pays", lambda *_: True)
    compiled, broken = openvino_network._CompiledByOpenVino, {4}
    compute = compiled.__call__

    def sometimes(self, images):
        if len(images) in broken:
            raise RuntimeError("out of memory")
        return compute(self, images)

    network, images = _network(), torch.randn(4, 2, 16, 16, 16)
    probes = Probes(["torch", "openvino"])
    backend = with_backend(network, "auto", CPU, probes=probes)
    probe, openvino = probes.of((2, 16, 16, 16), network), backend.converted["openvino"]
    monkeypatch.setattr(openvino, "_check", lambda *_: 0.0)
    monkeypatch.setattr(compiled, "__call__", sometimes)
    with torch.inference_mode():
        exact = network(images).logits
        while probe.chosen is None:
            assert torch.allclose(backend(images), exact, atol=1e-3)
        assert {arrangement.images for _, arrangement in openvino.failures} == {4} and not openvino.failed
        broken |= {1, 2}
        monkeypatch.setattr(probe, "chosen", Arrangement(backend="openvino"))
        assert torch.allclose(backend(images), exact, atol=1e-3)
    assert openvino.failed and probe.next(1, 1).backend == "torch"


def test_the_version_of_a_library_in_another_package(monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise library_version.PackageNotFoundError(name)
        return "1.20"

    monkeypatch.setattr(library_version, "version", version)
    monkeypatch.setattr(library_version, "packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert library_version.library_version("onnxruntime") == "onnxruntime-gpu 1.20"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert library_version.library_version("onnxruntime") == "not installed"


def test_the_code_of_a_network_is_that_of_all_its_layers(tmp_path, monkeypatch):
    def code(layer):
        (tmp_path / "my_layers.py").write_text(f"import torch\nclass Layer(torch.nn.Module):\n    value = {layer}\n")
        linecache.clearcache()
        importlib.invalidate_caches()
        sys.modules.pop("my_layers", None)
        return code_sha256(torch.nn.Sequential(torch.nn.ReLU(), importlib.import_module("my_layers").Layer()))

    monkeypatch.syspath_prepend(tmp_path)
    first, without = code(1), code_sha256(torch.nn.ReLU())
    assert len({first, code(2), without}) == 3 and code(1) == first
    assert code_sha256(type("Typed", (torch.nn.ReLU,), {"__module__": "nowhere"})()) != first


def test_the_choice_of_a_backend(monkeypatch):
    assert isinstance(with_backend(_network(), "torch", CPU), TorchNetwork)
    assert isinstance(with_backend(_network(), "auto", CPU, needs_slices=True), TorchNetwork)
    with pytest.raises(UserError, match="runs on the CPU"):
        with_backend(_network(), "openvino", torch.device("meta"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'autobrats\[onnx\]'"):
        with_backend(_network(), "onnx", CPU)


@pytest.fixture
def conversions(monkeypatch):
    """What is converted, and what is compared with torch, from now on."""
    done = []
    convert, check = openvino_network._convert, converted_network.ConvertedNetwork._check
    monkeypatch.setattr(openvino_network, "_convert", lambda *given: done.append("convert") or convert(*given))
    monkeypatch.setattr(
        converted_network.ConvertedNetwork, "_check", lambda *given: done.append("check") or check(*given)
    )
    return done


def test_a_network_is_converted_and_checked_once(tmp_path, conversions):
    network, images = _network(), torch.randn(1, 2, 16, 16, 16)

    def logits(folder, weights="a"):
        backend = OpenVinoNetwork(network, KeptModels(folder, weights))
        with torch.inference_mode():
            result = backend(images)
        assert not backend.failures
        return result

    folder = tmp_path / "converted"
    first = logits(folder)
    assert conversions == ["convert", "check"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".bin", ".json", ".xml"]
    assert torch.equal(logits(folder), first) and conversions == ["convert", "check"]
    logits(folder, "other weights")
    assert conversions == ["convert", "check"] * 2
    for damaged in folder.glob("*.bin"):
        damaged.write_bytes(damaged.read_bytes()[:-4] + b"abcd")
    for damaged in folder.glob("*.json"):
        assert torch.equal(logits(folder), first)
        damaged.write_text("{")
    assert torch.equal(logits(folder), first) and conversions.count("convert") == 4
    (tmp_path / "no folder").write_text("")
    assert torch.equal(logits(tmp_path / "no folder"), first)


def test_only_some_shapes_are_kept_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("autobrats.inference.backends.kept_models.SHAPES_ON_DISK", 2)
    kept = KeptModels(tmp_path, "a")
    for number in range(3):
        files = kept.keep(f"openvino-{number}", (".xml",), lambda path: path.write_text("model"))
        assert kept.find(f"openvino-{number}", (".xml",)) == files
    assert len(list(tmp_path.iterdir())) == 4 and kept.find("openvino-0", (".xml",)) is None


def test_what_a_killed_process_left_is_deleted_after_a_day(tmp_path):
    kept = KeptModels(tmp_path, "a")
    for name in (
        ".converting-old/model.xml",
        ".converting-new/model.xml",
        ".1234.tmp.choice.json",
        "openvino-lost.bin",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
        if "new" not in name:
            for old in (path, path.parent):
                os.utime(old, (0, 0))
    kept.keep("openvino-0", (".bin",), lambda path: path.write_text("model"))
    kept.keep("openvino-1", (".bin",), lambda path: path.write_text("model"))
    assert [path.name for path in tmp_path.glob(".*")] == [".converting-new"]
    assert len(list(tmp_path.iterdir())) == 1 + 2 * 2, "and two models with their records"


def test_a_folder_that_cannot_be_entered_is_no_error(tmp_path, monkeypatch):
    KeptModels(tmp_path, "a").keep("openvino-0", (".xml",), lambda path: path.write_text("model"))

    def denied(*_, **__):
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.stat", denied)
    monkeypatch.setattr("pathlib.Path.open", denied)
    monkeypatch.setattr("builtins.open", denied)
    assert KeptModels(tmp_path, "a").find("openvino-0", (".xml",)) is None
    assert Probe([Arrangement(backend="torch"), Arrangement(backend="onnx")], tmp_path / "choice.json").chosen is None


def test_a_second_load_does_not_measure_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Probe, "_pays", lambda *_: True)
    images = torch.randn(2, 24, 24, 24)

    def predicted():
        probes = Probes(["torch", "openvino"], tmp_path, "small")
        backend = with_backend(_network(), "auto", CPU, probes=probes, kept=KeptModels(tmp_path, "a"))
        result = predict_volume(
            backend, images, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid, mirror_axes=(0, 1, 2)
        )
        assert not backend.converted["openvino"].failures
        return result.probabilities, probes.of((2, 16, 16, 16), backend.network)

    first, probe = predicted()
    assert list(tmp_path.glob("choice-*.json")) and set(probe.candidates) == set(probe.timings)
    second, again = predicted()
    assert again.chosen == probe.chosen is not None
    assert {done: set(times) for done, times in again.timings.items()} == {
        done: {min(times)} for done, times in probe.timings.items()
    }, "what the first measured, and nothing new"
    plain = predict_volume(
        _network(), images, patch_size=(16, 16, 16), to_probabilities=torch.sigmoid, mirror_axes=(0, 1, 2)
    ).probabilities
    assert torch.allclose(first, plain, atol=1e-4) and torch.allclose(second, plain, atol=1e-4)


def test_what_is_slower_does_not_stay_compiled(monkeypatch):
    monkeypatch.setattr(Probe, "_pays", lambda *_: True)
    probes = Probes(["torch", "openvino"])
    backend = with_backend(_network(), "auto", CPU, probes=probes)
    image = torch.randn(1, 2, 16, 16, 16)
    backend.expect(100)
    with torch.inference_mode():
        backend(image), backend(image)
        (compiled,) = [converted._compiled for converted in backend.converted.values()]
        assert compiled
        probe = probes.of((2, 16, 16, 16), backend.network)
        probe.timings = {candidate: [1.0 + (candidate.backend != "torch")] * 2 for candidate in probe.candidates}
        backend(image)
    assert probe.lost() == {"openvino"} and not compiled


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
        "assert not backend.converted['openvino'].failed, 'OpenVINO was not used'\n"
        "assert 'openvino' in sys.modules and sys.modules.get('openvino_telemetry') is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.realdata
def test_every_backend_predicts_a_real_study_alike(realdata, tmp_path, monkeypatch):
    monkeypatch.setattr(Probe, "_pays", lambda *_: True)
    images = prepared_study(realdata)[:, :32, :48, :48]
    torch.manual_seed(0)
    options = {"channels": [6, 8, 12], "blocks": [1, 1, 1], "strides": [(1, 1, 1), (2, 2, 2), (2, 2, 2)]}
    network = build_network("residual_encoder_unet", options, 4, 3).eval()

    def predicted(backend):
        computing = with_backend(network, backend, CPU, kept=KeptModels(tmp_path, "small"))
        probabilities = predict_volume(
            computing, images, patch_size=(32, 32, 32), to_probabilities=torch.sigmoid, mirror_axes=(2,)
        ).probabilities
        if isinstance(computing, ChosenNetwork):
            assert not any(converted.failures for converted in computing.converted.values())
        return probabilities

    exact = predicted("torch")
    assert exact.std() > 0.01
    for backend in ("openvino", "auto"):
        assert float((predicted(backend) - exact).abs().max()) < 5e-4
