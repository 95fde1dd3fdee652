"""A model folder of autobrats with the weights and the sliding window of nnU-Net's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ours_network import brats_network, network_part
from ours_plan import plan_like_nnunet
from safetensors.torch import save_file

from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from benchmarks.side_by_side.nnunet_plan import CONFIGURATION
from benchmarks.side_by_side.protocol import serve


def prepare(options: dict[str, Any]) -> None:
    folder = Path(options["model"])
    weights = folder.with_name("ours.safetensors")
    save_file(brats_network(Path(options["weights"])).state_dict(), weights)
    plan = plan_like_nnunet(options["patch"], 2, network_part(deep_supervision=False))
    write_model_folder(folder, plan, [TrainedNetwork(CONFIGURATION, 0, weights)])


if __name__ == "__main__":
    serve(prepare, lambda _: {})
