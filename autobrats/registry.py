"""Parts by name: networks, losses, samplers and so on, our own and those of third parties.

A part is a class or function that a plan names. Our own are listed below; a third party adds one through a Python
entry point of the group ``autobrats.<kind>``, for example in its ``pyproject.toml``::

    [project.entry-points."autobrats.network"]
    my_unet = "my_package.my_unet:MyUNet"
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from autobrats.errors import UserError

_OUR_PARTS: dict[str, dict[str, str]] = {
    "network": {
        "residual_encoder_unet": "autobrats.networks.residual_encoder_unet:ResidualEncoderUNet",
        "dense_fcn": "autobrats.networks.dense_fcn:DenseFCN",
        "plain_unet": "autobrats.networks.plain_unet:PlainUNet",
        "unet": "autobrats.networks.unet:UNet",
        "bifpn": "autobrats.networks.bifpn:BiFPNSegmenter",
        "unet_plus_plus": "autobrats.networks.unet_plus_plus:UNetPlusPlus",
        "self_ensemble_unet": "autobrats.networks.self_ensemble_unet:SelfEnsembleUNet",
    },
    "loss": {
        "dice_cross_entropy": "autobrats.losses.dice_cross_entropy:DiceCrossEntropy",
        "dice_focal": "autobrats.losses.dice_focal:DiceFocal",
        "classification_branch": "autobrats.losses.classification_branch_loss:ClassificationBranchLoss",
        "multi_task": "autobrats.losses.multi_task:MultiTask",
    },
    "sampler": {
        "foreground": "autobrats.loading.foreground_sampler:ForegroundSampler",
        "best_of_several": "autobrats.loading.best_of_several_sampler:BestOfSeveralSampler",
        "rare_label": "autobrats.loading.rare_label_sampler:RareLabelSampler",
    },
    "optimiser": {
        "adamw": "autobrats.training.optimisers:adamw",
        "adam": "autobrats.training.optimisers:adam",
        "sgd": "autobrats.training.optimisers:sgd",
        "ranger21": "autobrats.training.optimisers:ranger21",
    },
    "schedule": {
        "polynomial": "autobrats.training.schedules:Polynomial",
        "cosine": "autobrats.training.schedules:Cosine",
        "explore_exploit": "autobrats.training.schedules:ExploreExploit",
        "plateau": "autobrats.training.schedules:Plateau",
    },
    "trainer": {"trainer": "autobrats.training.trainer:Trainer"},
    "hook": {
        "quick_validation": "autobrats.training.quick_validation:QuickValidation",
        "periodic_checkpoint": "autobrats.training.saving:PeriodicCheckpoint",
        "progress": "autobrats.training.progress:Progress",
        "hard_mining": "autobrats.training.hard_mining:HardMining",
    },
    "postprocessing": {
        "dense_crf": "autobrats.postprocessing.dense_crf:DenseCRF",
        "components": "autobrats.postprocessing.components:ConnectedComponents",
        "slice_gate": "autobrats.postprocessing.slice_gate:SliceGate",
        "region_rules": "autobrats.postprocessing.region_rules:RegionRules",
    },
    "validation": {"whole_volumes": "autobrats.training.validation:validate"},
}


def kinds() -> list[str]:
    """The kinds of part that exist."""
    return sorted(_OUR_PARTS)


def names(kind: str) -> list[str]:
    """The names of all parts of a kind, third parties' included."""
    return sorted({*_OUR_PARTS[kind], *(point.name for point in _entry_points(kind))})


def find(kind: str, name: str) -> Callable[..., Any]:
    """The part of that kind and name.

    Raises:
        UserError: if there is none, with the names that exist.
    """
    if name in _OUR_PARTS[kind]:
        module, _, attribute = _OUR_PARTS[kind][name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in _entry_points(kind):
        if point.name == name:
            return point.load()
    close = difflib.get_close_matches(name, names(kind), 1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise UserError(f"There is no {kind} '{name}'; known: {', '.join(names(kind))}.{hint}")


def build(kind: str, name: str, options: dict[str, Any], **given: Any) -> Any:
    """Call the part with what the framework gives it and the plan's options.

    Raises:
        UserError: if the part does not take an option, with the options it takes, if it needs one that the plan does not
            give, or if it refuses a value.
    """
    part = find(kind, name)
    parameters = inspect.signature(part).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        allowed = sorted(set(parameters) - set(given))
        for option in options:
            if option not in allowed:
                raise UserError(
                    f"The {kind} '{name}' has no option '{option}'; it takes: {', '.join(allowed) or 'none'}."
                )
    for parameter in parameters.values():
        is_any = parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        is_needed = parameter.default is parameter.empty and not is_any
        if is_needed and parameter.name not in {*options, *given}:
            raise UserError(f"The {kind} '{name}' needs the option '{parameter.name}', which the plan does not give.")
    try:
        return part(**given, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, TypeError) and not options:
            raise
        raise UserError(f"The {kind} '{name}' cannot be built with the plan's options {options}: {error}") from error


def _entry_points(kind: str) -> list[Any]:
    from importlib.metadata import entry_points

    return list(entry_points(group=f"autobrats.{kind}"))
