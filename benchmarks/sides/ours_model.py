"""A model folder of autobrats with the weights and the sliding window of nnU-Net's, which may also compute in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ours_network import brats_network, network_part
from ours_plan import plan_like_nnunet
from safetensors.torch import save_file

from autobrats.dataset.reading import read_dataset
from autobrats.ensembling.int8_check import check_int8
from autobrats.files import write_json
from autobrats.inference.int8_file import write_int8
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
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
    int8 = check_int8(model, dataset, Splits([fold]), len(fold.val))
    write_int8(model, int8)
    write_json(Path(options["check"]), int8.check)


if __name__ == "__main__":
    serve(prepare, lambda _: {})
