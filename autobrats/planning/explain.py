"""The plan, told as a person would tell it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from autobrats.plan import Configuration, Normalisation, Part, Plan

WIDTH = 100
"""Characters of a line."""


def explain(plan: Plan) -> str:
    """Plain text: what was decided, and why, in paragraphs."""
    regions = [f"{name} ({_labels(members)})" for name, members in plan.convention.regions.items()]
    told = [
        _paragraph(
            f"The plan of {plan.dataset}. "
            f"A study is its {_listed(plan.modalities)}. The model finds {_listed(regions)}; masks are read and written in "
            f"the convention {plan.convention.name}."
        )
    ]
    facts = {
        "folds": "",
        "crop_to_brain": "",
        "spacing_mm": f"The network sees {_by(plan.preprocessing.spacing_mm)} mm (z, y, x).",
        "normalisation": _normalisation(plan.preprocessing.normalisation),
    }
    told += _told(facts, plan.why)
    for name, configuration in plan.configurations.items():
        told += [f"{name} (recipe {configuration.recipe})", *_told(_facts(configuration), configuration.why)]
    return "\n\n".join(told)


def summarise(plan: Plan) -> str:
    """Plain text: each configuration's decisions in a few lines, without the reasons."""
    lines = []
    for name, configuration in plan.configurations.items():
        training = configuration.training
        lines += [
            f"{name}: (autobrats_plan --explain tells why)",
            f"  network      {_network(configuration.network)}",
            f"  patches      {_pool(configuration)}",
            f"  fitting      {configuration.loss.name}, {configuration.optimiser.name}, {configuration.schedule.name} "
            "schedule",
            f"  training     {training.iterations:,} iterations, {training.iterations_per_epoch} an epoch"
            f"{_limit(configuration)}",
        ]
    return "\n".join(lines)


_TITLES = {
    "folds": "Folds",
    "crop_to_brain": "Cropping",
    "spacing_mm": "Spacing",
    "normalisation": "Intensities",
    "network": "Network",
    "pool": "Patches",
    "output": "Output",
    "region_weights": "Weights of the regions",
    "loss": "Loss",
    "sampler": "Sampling",
    "augmentation": "Augmentation",
    "mirror_axes": "Mirroring",
    "optimiser": "Optimiser",
    "schedule": "Learning rate",
    "iterations": "Length",
    "average_decay": "Averaging",
    "inference": "Prediction",
}


def _facts(configuration: Configuration) -> dict[str, str]:
    """What was decided, one sentence (or none, where the reason says it all) a decision, in the order of telling."""
    training, inference = configuration.training, configuration.inference
    weights = ", ".join(f"{name} {weight:g}" for name, weight in configuration.region_weights.items())
    epochs = f"epoch{'s' * (training.iterations != training.iterations_per_epoch)}"
    mirrored = (
        _listed([("z", "y", "x")[axis] for axis in inference.mirror_axes]) if inference.mirror_axes else "no axis"
    )
    return {
        "network": f"{_network(configuration.network)}.",
        "pool": f"{_pool(configuration)}.",
        "output": "",
        "region_weights": f"{weights}.",
        "loss": f"{configuration.loss.name}.",
        "sampler": f"{configuration.sampler.name}.",
        "augmentation": "",
        "mirror_axes": "",
        "optimiser": f"{_part(configuration.optimiser)}.",
        "schedule": f"{configuration.schedule.name}.",
        "iterations": (
            f"{training.iterations:,} iterations, {training.iterations / training.iterations_per_epoch:.3g} {epochs} of "
            f"{training.iterations_per_epoch}{_limit(configuration)}."
        ),
        "average_decay": "",
        "inference": f"Windows of {_by(inference.patch_size)} voxels, mirrored along {mirrored}.",
    }


def _told(facts: dict[str, str], why: dict[str, str]) -> list[str]:
    """A paragraph a decision: its title, the fact, the reason; reasons that a recipe adds come last."""
    keys = [*facts, *(key for key in why if key not in facts)]
    paragraphs = []
    for key in keys:
        sentences = " ".join(filter(None, [facts.get(key, ""), why.get(key, "")]))
        if sentences:
            paragraphs.append(_paragraph(f"{_TITLES.get(key, key.replace('_', ' ').capitalize())}: {sentences}"))
    return paragraphs


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _network(part: Part) -> str:
    """``residual_encoder_unet, 3 stages of 16, 32, 64 channels and 1, 1, 2 blocks, at half the resolution``."""
    channels = part.options.get("channels")
    if not isinstance(channels, Sequence) or isinstance(channels, str) or not channels:
        return part.name
    told = f"{part.name}, {len(channels)} stages of {', '.join(map(str, channels))} channels"
    if blocks := part.options.get("blocks"):
        told += f" and {', '.join(map(str, blocks))} blocks"
    strides = part.options.get("strides")
    return told + (", at half the resolution" if strides and max(strides[0]) > 1 else "")


def _pool(configuration: Configuration) -> str:
    """``40 x 48 x 40 voxels (z, y, x), 3 a batch, about 0.49 GiB``, and the further entries."""
    entries = []
    for entry in configuration.pool:
        memory = "" if entry.memory_gib is None else f", about {entry.memory_gib:.2g} GiB"
        entries.append(f"{_by(entry.patch_size)} voxels (z, y, x), {entry.batch_size} a batch{memory}")
    return "; or ".join(entries)


def _part(part: Part) -> str:
    """``adamw (learning rate 0.002, weight decay 0.01)``."""
    options = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in part.options.items())
    return part.name + (f" ({options})" if options else "")


def _limit(configuration: Configuration) -> str:
    hours = configuration.training.max_hours
    return "" if hours is None else f", at most {duration(hours)} a fold"


def _normalisation(by_modality: dict[str, Normalisation]) -> str:
    methods = {how.method for how in by_modality.values()}
    if len(methods) == 1:
        return f"{methods.pop()}."
    return f"{', '.join(f'{modality} {how.method}' for modality, how in by_modality.items())}."


def duration(hours: float) -> str:
    """``45 seconds``, ``12 minutes``, ``1 hour``, ``24 hours``; ``2.4 hours`` where the half counts."""
    for unit, length in (("hour", 1.0), ("minute", 1 / 60)):
        if hours >= length * (1 if unit == "hour" else 1.5):
            number = f"{hours / length:.3g}" if unit == "hour" else f"{hours / length:.0f}"
            return f"{number} {unit}{'s' * (number != '1')}"
    return f"{3600 * hours:.0f} seconds"


def _labels(members: list[int]) -> str:
    return f"label{'s' * (len(members) > 1)} {_listed(list(map(str, members)))}"


def _by(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
