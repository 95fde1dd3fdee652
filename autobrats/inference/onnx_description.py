"""Everything that prediction does outside the networks, in words and numbers that another program can follow."""

from __future__ import annotations

from typing import Any

from autobrats import __version__
from autobrats.inference.model_folder import ModelFolder
from autobrats.inference.sliding_window import SIGMA, SMALLEST_WEIGHT
from autobrats.networks.output import channel_names
from autobrats.plan import Configuration
from autobrats.preprocessing.resampling import ANISOTROPIC, SAME

FORMAT_VERSION = 1


def describe(model: ModelFolder, networks: dict[str, list[dict[str, Any]]], divisors: dict[str, Any]) -> dict[str, Any]:
    """The content of preprocessing.json.

    Args:
        model: the model folder.
        networks: by configuration, what is to be said of each network: file, fold, weight, sizes.
        divisors: by configuration, what the sides (z, y, x) of an input must be multiples of.
    """
    plan, best = model.plan, model.best_config
    preprocessing = plan.preprocessing
    return {
        "format_version": FORMAT_VERSION,
        "autobrats_version": __version__,
        "dataset": plan.dataset,
        "axes": "All sizes and positions are along (z, y, x): z upwards, y towards the back, x towards the patient's left "
        "(LPS). Images are brought there by transposing and flipping only.",
        "steps": [
            "1. Read the modalities in this order; a missing one is zero everywhere.",
            "2. Foreground: in each modality, the voxels that differ from its background value (that of all eight corners if "
            "they are equal, else 0). If less than a hundredth of the voxels is background in all modalities, the whole "
            "volume is foreground.",
            "3. Crop all modalities to the bounding box of the foreground of any of them."
            if preprocessing.crop_to_brain
            else "3. Nothing is cropped.",
            "4. Normalise each modality over its foreground voxels as 'normalisation' says; outside them it is 0.",
            "5. Resample to 'spacing_mm', see 'resampling'.",
            "6. For every configuration: take its 'channels' in order, and change 'intensities' as it says.",
            "7. Predict overlapping windows with every network and mirroring, and average them, see 'window', 'mirroring' and "
            "'average'.",
            "8. Take the 'postprocessing' of the configuration.",
            "9. Combine the configurations, see 'combination'; resample the probabilities linearly to the grid of step 3, and "
            "put them into the volume of step 1, which is 0 elsewhere. Values are rounded to 1/255.",
            "10. Take the 'postprocessing' of the model, then decide the labels, see 'labels'.",
        ],
        "modalities": plan.modalities,
        "crop_to_brain": preprocessing.crop_to_brain,
        "normalisation": {
            modality: normalisation.model_dump(mode="json")
            for modality, normalisation in preprocessing.normalisation.items()
        },
        "normalisation_methods": "First, values are clipped to 'clip_percentiles' of the foreground, if given. zscore: minus "
        "the mean of the foreground, over its standard deviation. fixed: minus 'mean', over 'std'. minmax: the foreground's "
        "lowest value becomes 0, its highest 1. none: unchanged.",
        "spacing_mm": list(preprocessing.spacing_mm),
        "resampling": {
            "new_size": f"round(size * spacing / new spacing), or the same size if the spacings differ by at most {SAME:g} of "
            "themselves; the two ends of the volume stay where they are.",
            "images": "Cubic splines, one axis after the other; linear along an axis whose spacing is more than "
            f"{ANISOTROPIC:g} times the finest. An axis that loses resolution is smoothed first by a Gaussian of standard "
            "deviation (size / new size - 1) / 2 voxels.",
            "foreground": "Linear, then above one half; 0 outside.",
        },
        "configurations": {
            name: _describe_configuration(model, plan.configurations[name], of, divisors[name])
            for name, of in networks.items()
        },
        "combination": {
            "how": best.combination,
            "meaning": "mean: average of the configurations' probabilities, weighted by the sum of their networks' weights. "
            "majority: weighted share of the configurations whose decided labels hold the region. staple: Warfield et al. "
            "2004, over the decided labels.",
        },
        "postprocessing": [step.model_dump(mode="json") for step in best.postprocessing],
        "labels": {
            "integers": plan.convention.labels,
            "regions": plan.convention.regions,
            "threshold": best.threshold,
            "paint": [list(pair) for pair in plan.convention.paint],
            "rule": "Every voxel takes the region of the highest probability, if that is above what remains to 1 for the "
            "background."
            if plan.convention.exclusive
            else "A voxel is in a region if its probability is above 'threshold'. Start with 0; for each [region, integer] of "
            "'paint', in order, write the integer where the region is.",
        },
    }


def _describe_configuration(
    model: ModelFolder, configuration: Configuration, networks: list[dict[str, Any]], divisor: Any
) -> dict[str, Any]:
    inference, convention = configuration.inference, model.plan.convention
    return {
        "networks": networks,
        "channels": configuration.modalities,
        "intensities": configuration.intensities,
        "intensities_meaning": "as_stored: as normalised. unit_range: each channel's non-zero voxels to 0..1 by their lowest "
        "and highest value; zeros stay 0.",
        "logits": channel_names(configuration.output, convention),
        "probabilities": "Sigmoid of every logit: the probability of that region."
        if configuration.output == "regions"
        else "Softmax over the logits; a region's probability is the sum over its labels.",
        "window": {
            "size": list(inference.patch_size),
            "multiples_of": list(divisor),
            "small_volumes": "Along an axis on which the volume is smaller, the window is the volume's size rounded up to the "
            "multiple, at least twice the multiple; the volume is filled with zeros on both sides, the odd voxel behind.",
            "overlap": inference.overlap,
            "starts": "Along each axis: step = floor(window * (1 - overlap)), count = ceil((size - window) / step) + 1, start "
            "i = round((size - window) * i / (count - 1)), halves to the even number.",
            "weights": f"Product over the axes of exp(-(o / ({SIGMA:g} * window))^2 / 2), o = voxel - (window - 1) / 2; "
            f"at least {SMALLEST_WEIGHT:g}. The weighted sum over the windows is divided by the sum of weights.",
            "background": "Windows in which every channel is 0 are left out; where no window was, all probabilities are 0.",
        },
        "mirroring": {
            "axes": list(inference.mirror_axes),
            "axes_meaning": "0 is z, 1 is y, 2 is x; every combination of them is predicted and mirrored back.",
        },
        "average": {
            "of": inference.mirror_average,
            "meaning": "In every window, the mean over the mirrorings, which count alike, and over the networks by their "
            "'weight'; then the mean over the windows by 'weights' of 'window'. probabilities: of 'probabilities', computed "
            "from the logits of each pass. logits: of the logits; 'probabilities' are computed once, from the mean over "
            "mirrorings, networks and windows.",
        },
        "postprocessing": [step.model_dump(mode="json") for step in configuration.postprocessing],
    }
