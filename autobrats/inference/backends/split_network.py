"""A network whose convolutions OpenVINO computes as products of bfloat16 that together are nearly float32's."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from autobrats.inference.backends.arrangements import Shape
from autobrats.inference.backends.float32_marks import flatten_concatenations, save_marked, write_in_lasting_layers
from autobrats.inference.backends.openvino_network import SUFFIXES, OpenVinoNetwork
from autobrats.inference.backends.split_convolutions import SPLIT, split_convolutions


class SplitNetwork(OpenVinoNetwork):
    """BF16x3: with AMX up to twice as fast as OpenVINO's float32."""

    backend = "bf16x3"
    title = "OpenVINO with three products of bfloat16"
    hint = "bf16"
    instead = "float32 is multiplied as such"
    tolerance = 1e-3
    failure_level = logging.INFO

    def kept_name(self, shape: Shape) -> str:
        return super().kept_name(shape).replace(OpenVinoNetwork.backend, self.backend, 1)

    def _model(self, core: Any, image: Tensor) -> Any:
        name = self.kept_name(tuple(image.shape[1:]))
        files = self.kept.find(name, SUFFIXES)
        if files is not None:
            return core.read_model(*files)
        model = self.float32_model(core, image)
        write_in_lasting_layers(model)
        split_convolutions(model)
        flatten_concatenations(model)
        files = self.kept.keep(name, SUFFIXES, lambda path: save_marked(model, path, SPLIT))
        if files is not None:
            return core.read_model(*files)
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model.xml"
            save_marked(model, path, SPLIT)
            return core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
