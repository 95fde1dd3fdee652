"""A model folder of autobrats with the weights and the sliding window of nnU-Net's, in every precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from ours_network import brats_network, network_part
from ours_plan import plan_like_nnunet
from safetensors.torch import save_file

from autobrats.dataset.reading import read_dataset
from autobrats.ensembling.rounding_check import check_rounding
from autobrats.files import write_text
from autobrats.inference.backends import openvino_computes_bfloat16
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from autobrats.inference.precision import RoundedPrecision
from autobrats.inference.rounding_file import write_rounding
from autobrats.planning.splits import Fold, Splits
from benchmarks.side_by_side.nnunet_plan import CONFIGURATION
from benchmarks.side_by_side.protocol import serve


def prepare(options: dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    folder = Path(options["model"])
    weights = folder.with_name("ours.safetensors")
    save_file(brats_network(Path(options["weights"])).state_dict(), weights)
    plan = plan_like_nnunet(options["patch"], 2, network_part(deep_supervision=False))
    model = write_model_folder(folder, plan, [TrainedNetwork(CONFIGURATION, 0, weights)])
    dataset, _ = read_dataset(Path(options["studies"]), name="benchmark", layout=None, convention=None)
    fold = Fold(train=options["calibration"], val=options["held_back"])
    precisions: list[RoundedPrecision] = ["bf16", "int8"] if openvino_computes_bfloat16() else ["int8"]
    checked = check_rounding(model, dataset, Splits([fold]), precisions, len(fold.val))
    for precision, rounding in checked.items():
        model = write_rounding(model, precision, rounding)
    checks = {precision: rounding.check.model_dump() for precision, rounding in checked.items()}
    write_text(Path(options["checks"]), json.dumps(checks))


if __name__ == "__main__":
    serve(prepare, lambda _: {})
