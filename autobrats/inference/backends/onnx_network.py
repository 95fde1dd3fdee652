"""A network run by ONNX Runtime on a CPU, and the ONNX file that it is given."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autobrats.errors import UserError
from autobrats.inference.backends.arrangements import Arrangement, Shape
from autobrats.inference.backends.converted_network import Compiled, ConvertedNetwork
from autobrats.inference.backends.kept_models import CONVERSION, digest
from autobrats.inference.backends.library_version import library_version
from autobrats.inference.backends.tracing import Logits, ready_for_tracing

OPSET = 17
"""Of the ONNX files; ONNX Runtime 1.12 and later read it."""
INPUT, OUTPUT = "images", "logits"


def missing_onnx_packages() -> list[str]:
    """What has to be installed before a network can be written as ONNX and run."""
    return [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]


def check_onnx_is_installed() -> None:
    """UserError unless the optional packages are there."""
    if missing := missing_onnx_packages():
        raise UserError(f"{' and '.join(missing)} missing: pip install 'autobrats[onnx]'.")


def write_onnx(network: nn.Module, image: Tensor, file: Path) -> None:
    """Write a network as one ONNX file, for batches and sizes of any number.

    Torch's older exporter writes it: it needs nothing but the package onnx, and its instance and group normalisations are
    right in 3D. A network that makes constants of its input's sizes can only be run at the sizes of ``image``.

    Args:
        network: gives a :class:`~autobrats.networks.output.NetworkOutput`; only its logits are written.
        image: what it is traced with, (1, modality, z, y, x).
        file: ``NAME.onnx``.
    """
    axes = {0: "batch", 2: "z", 3: "y", 4: "x"}
    said = io.StringIO()
    with ready_for_tracing(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        torch.onnx.export(
            Logits(network).eval(),
            (image.clone(),),
            str(file),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: axes},
            opset_version=OPSET,
            dynamo=False,
        )


def onnx_session(file: Path, threads: int) -> Any:
    """An ONNX Runtime session on the CPU; its telemetry is off."""
    onnxruntime = importlib.import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class OnnxNetwork(ConvertedNetwork):
    """A network run by ONNX Runtime; see :class:`~autobrats.inference.backends.converted_network.ConvertedNetwork`."""

    backend = "onnx"
    title = "ONNX Runtime"

    def kept_name(self, shape: Shape) -> str:
        facts = {"shape": list(shape), "conversion": CONVERSION, "opset": OPSET}
        return f"onnx-{digest(onnxruntime=library_version('onnxruntime'), torch=torch.__version__, **facts)}"

    def _compile(self, image: Tensor, arrangement: Arrangement) -> Compiled:
        name = self.kept_name(tuple(image.shape[1:]))
        files: Sequence[Path] | None = self.kept.find(name, (".onnx",))
        if files is None:
            files = self.kept.keep(name, (".onnx",), lambda path: write_onnx(self.network, image, path))
        if files is not None:
            return _CompiledByOnnxRuntime(onnx_session(files[0], torch.get_num_threads()), arrangement)
        with tempfile.TemporaryDirectory() as temporary:
            write_onnx(self.network, image, Path(temporary) / "model.onnx")
            session = onnx_session(Path(temporary) / "model.onnx", torch.get_num_threads())
        return _CompiledByOnnxRuntime(session, arrangement)


class _CompiledByOnnxRuntime(Compiled):
    def __init__(self, session: Any, arrangement: Arrangement) -> None:
        self._session, self._batch = session, arrangement.batch

    def __call__(self, images: Tensor) -> Tensor:
        parts = [
            torch.from_numpy(self._session.run([OUTPUT], {INPUT: batch.contiguous().numpy()})[0])
            for batch in images.split(self._batch)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
