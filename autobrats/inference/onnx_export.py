"""A model folder as ONNX files that run without autobrats, with what has to be done around them, and a proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from autobrats.errors import UserError
from autobrats.files import write_json, write_text
from autobrats.inference.backends.onnx_network import check_onnx_is_installed, write_onnx
from autobrats.inference.model_folder import Member, ModelFolder, read_model_folder, swapped_in
from autobrats.inference.network_loading import load_network, logits_of
from autobrats.inference.onnx_description import describe
from autobrats.inference.postprocessor import Postprocessor
from autobrats.networks.building import divisor_of

DESCRIPTION = "preprocessing.json"
INPUTS = "check.npz"
SCRIPT = "check.py"


def export_onnx(folder: Path, output: Path, *, replace: bool = False) -> tuple[ModelFolder, dict[str, float]]:
    """Write one ONNX file a network, and beside them what surrounds the networks and a script that compares with torch.

    The networks take batches and windows of any size, if tracing leaves their sizes open; else windows of the plan's size,
    and the description says so. All are compared with torch before the folder takes its place.

    Args:
        folder: a model folder.
        output: the folder to write.
        replace: an older export in that place.

    Returns:
        The model folder, and the largest difference to torch's logits by file (relative to the largest logit, at least 1).

    Raises:
        UserError: if the packages onnx or onnxruntime are missing, the output holds something else, the postprocessing asks
            a network for more than logits, or a network cannot be written so that ONNX Runtime gives torch's logits.
    """
    check_onnx_is_installed()
    from autobrats.inference import onnx_check

    output = Path(output).absolute()
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        if not (output / DESCRIPTION).is_file():
            raise UserError(f"{output} is not an ONNX export and is not replaced; choose another place with -o.")
        if not replace:
            raise UserError(f"{output} exists already; choose another place with -o, or replace it with --force.")
    model = read_model_folder(Path(folder))
    with swapped_in(output) as new:
        networks: dict[str, list[dict[str, Any]]] = {}
        divisors: dict[str, tuple[int, int, int]] = {}
        stored: dict[str, np.ndarray] = {}
        for member in model.best_config.members:
            network = load_network(model, member)
            name = member.configuration
            _refuse_slices(model, name, network)
            divisors[name] = divisor_of(network)
            said, arrays = _export_network(model, member, network, new)
            networks.setdefault(name, []).append(said)
            stored.update(arrays)
        write_json(new / DESCRIPTION, describe(model, networks, divisors))
        np.savez_compressed(new / INPUTS, allow_pickle=False, **stored)
        write_text(new / SCRIPT, Path(onnx_check.__file__).read_text(encoding="utf-8"))
        write_text(new / "README.md", _readme(model, networks))
        differences = onnx_check.check(new)
    return model, differences


def _export_network(
    model: ModelFolder, member: Member, network: nn.Module, folder: Path
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write a network; what the description says of it, and the inputs and logits that prove it."""
    from autobrats.inference.onnx_check import TOLERANCE

    name = member.configuration
    configuration = model.plan.configurations[name]
    file = f"{name}_fold_{member.fold}.onnx"
    modalities, divisor = len(configuration.modalities), divisor_of(network)
    least = [2 * side for side in divisor]
    window = list(configuration.inference.patch_size)
    reason = ""
    for sizes, shapes in (
        ("any", [(1, modalities, *least), (2, modalities, least[0], least[1] + divisor[1], least[2])]),
        ("fixed", [(1, modalities, *window)]),
    ):
        random = np.random.default_rng(0)
        inputs = [random.standard_normal(shape, np.float32) for shape in shapes]
        try:
            expected = [logits_of(network, images) for images in inputs]
            write_onnx(network, torch.from_numpy(inputs[0]), folder / file)
            difference = _difference(folder / file, inputs, expected)
        except Exception as error:  # of the network, its tracing or ONNX Runtime
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            continue
        reason = f"ONNX Runtime's logits differ from torch's by {difference:.2g} of the largest"
        if difference <= TOLERANCE:
            arrays = {f"{file}/images_{number}": images for number, images in enumerate(inputs)}
            arrays |= {f"{file}/logits_{number}": logits for number, logits in enumerate(expected)}
            said = {
                "file": file,
                "fold": member.fold,
                "weight": member.weight,
                "sha256_of_weights": member.sha256,
                "input": "images: float32, (batch, channel, z, y, x)",
                "output": "logits: float32, (batch, logit, z, y, x)",
                "window_sizes": "any multiples" if sizes == "any" else f"{window} only, one at a time",
            }
            return said, arrays
    raise UserError(f"The network of {name} fold {member.fold} cannot be written as ONNX: {reason.rstrip('.')}.")


def _refuse_slices(model: ModelFolder, name: str, network: nn.Module) -> None:
    """UserError if the configuration's postprocessing asks the slice-classification branch, which an ONNX file has not."""
    steps = model.plan.configurations[name].postprocessing
    postprocessor = Postprocessor(steps, model.plan.convention, getattr(network, "slice_axis", None))
    if postprocessor.needs_slices:
        raise UserError(
            f"{name} cannot be written as ONNX: its postprocessing ({', '.join(postprocessor.names)}) asks the network's "
            "slice-classification branch, and the files give logits only; export the model without --onnx."
        )


def _difference(file: Path, inputs: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest relative difference."""
    from autobrats.inference.backends.onnx_network import INPUT, OUTPUT, onnx_session
    from autobrats.inference.onnx_check import largest_difference

    session = onnx_session(file, torch.get_num_threads())
    return max(
        largest_difference(session.run([OUTPUT], {INPUT: images})[0], logits)
        for images, logits in zip(inputs, expected, strict=True)
    )


def _readme(model: ModelFolder, networks: dict[str, list[dict[str, Any]]]) -> str:
    files = "\n".join(
        f"| `{network['file']}` | {name}, fold {network['fold']} | {network['weight']:g} | {network['window_sizes']} |"
        for name, of in networks.items()
        for network in of
    )
    return f"""# {model.plan.dataset}: networks for ONNX Runtime

Networks that autobrats trained, for any program that runs ONNX. They give logits of single windows; everything before and
after them is written down in `{DESCRIPTION}`, with all numbers: channels, cropping, normalisation, spacing, windows, weights,
mirroring, averaging, thresholds, labels and postprocessing. Steps of postprocessing are given by their names and options in
autobrats, where they are described.

| file | network | weight in the average | sizes of windows |
|---|---|---|---|
{files}

`python {SCRIPT}` runs every network on the random inputs stored in `{INPUTS}` and compares with the logits that torch gave. It
needs numpy and onnxruntime. With `--model MODEL_FOLDER` torch's logits are computed anew, which needs autobrats.

The networks were trained for research. They are no medical device.
"""
