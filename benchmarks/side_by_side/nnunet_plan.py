"""nnU-Net's plans and dataset.json for the rows' datasets, as its own planner writes them. The standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTHS = [32, 64, 128, 256, 320, 320]
"""Channels of the network that nnU-Net plans for BraTS."""
STRIDES = [[1, 1, 1]] + [[2, 2, 2]] * 5
CONFIGURATION = "3d_fullres"
BRATS_LABELS = {"background": 0, "WT": [1, 2, 4], "TC": [1, 4], "ET": [4]}
"""Regions, in the integers of BraTS 2021."""
BRATS_CLASS_ORDER = [2, 1, 4]
"""What is written for WT, TC and ET, in this order."""
BRATS_FILES = ["t1", "t1ce", "t2", "flair"]
BRATS_SUFFIX = ".nii.gz"


def plans(patch: Sequence[int], batch: int, channels: int = 4, within_brain: bool = True) -> dict[str, Any]:
    """plans.json for one configuration of 1 mm voxels.

    Args:
        patch: voxels along (z, y, x).
        batch: patches in a batch.
        channels: modalities.
        within_brain: whether intensities are z-scored inside the brain only.
    """
    return {
        "dataset_name": "Dataset001_Benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": list(patch),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: _configuration(patch, batch, channels, within_brain)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(channel): {} for channel in range(channels)},
    }


def brats_dataset() -> dict[str, Any]:
    """dataset.json of four modalities and three regions."""
    return dataset({str(index): name for index, name in enumerate(BRATS_FILES)}, BRATS_LABELS, BRATS_CLASS_ORDER)


def dataset(
    channels: Mapping[str, str], labels: Mapping[str, Any], class_order: Sequence[int] | None = None
) -> dict[str, Any]:
    """dataset.json."""
    content = {"channel_names": dict(channels), "labels": dict(labels), "numTraining": 1, "file_ending": BRATS_SUFFIX}
    return content if class_order is None else {**content, "regions_class_order": list(class_order)}


def brats_images(study: Path) -> list[Path]:
    """The study's images in the order of the channels."""
    return [study / f"{study.name}_{name}{BRATS_SUFFIX}" for name in BRATS_FILES]


def brats_mask(study: Path) -> Path:
    """The study's segmentation."""
    return study / f"{study.name}_seg{BRATS_SUFFIX}"


def write(folder: Path, plans: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Write plans.json and dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=1))


def _configuration(patch: Sequence[int], batch: int, channels: int, within_brain: bool) -> dict[str, Any]:
    stages = len(WIDTHS)
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch,
        "patch_size": list(patch),
        "median_image_size_in_voxels": [float(side) for side in patch],
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [within_brain] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": WIDTHS,
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * stages,
                "strides": STRIDES,
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
