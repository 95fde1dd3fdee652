"""From logits on the network's grid to a mask file on the study's grid, of WT its largest component, by nnU-Net."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.postprocessing.remove_connected_components import (
    apply_postprocessing,
    remove_all_but_largest_component_from_segmentation,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Read what is known of the study, and do it once."""
    image = sitk.ReadImage(options["image"])
    plans = PlansManager(options["plans"])
    state = options | {
        "manager": plans,
        "configuration": plans.get_configuration(options["configuration"]),
        "labels": plans.get_label_manager(options["dataset"]),
        "properties": options["properties"]
        | {
            "sitk_stuff": {
                "spacing": image.GetSpacing(),
                "origin": image.GetOrigin(),
                "direction": image.GetDirection(),
            }
        },
    }
    repeat(state)
    return state


def repeat(state: dict[str, Any]) -> dict[str, Any]:
    """The whole way; the logits are in memory when it begins."""
    logits = [torch.from_numpy(np.load(state["logits"]))]
    _, figures = measured(lambda: _export(state, logits.pop()))
    return figures


def _export(state: dict[str, Any], logits: torch.Tensor) -> None:
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        state["manager"],
        state["configuration"],
        state["labels"],
        state["properties"],
        num_threads_torch=torch.get_num_threads(),
    )
    del logits
    whole = {"labels_or_regions": [tuple(state["dataset"]["labels"]["WT"])]}
    labels = apply_postprocessing(labels, [remove_all_but_largest_component_from_segmentation], [whole])
    SimpleITKIO().write_seg(labels, state["output"], state["properties"])


if __name__ == "__main__":
    serve(prepare, repeat)
