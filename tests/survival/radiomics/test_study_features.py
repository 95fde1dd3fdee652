"""What a study's features are where the answer is known, and where something is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from autobrats.dataset.cases import ImageFile
from autobrats.dataset.volumes import read_volume
from autobrats.survival.radiomics import (
    PUBLISHED_SETS,
    FeatureSet,
    RadiomicsSettings,
    feature_names,
    radiomic_features,
)

Arrays = dict[str, np.ndarray]
SHAPE = (14, 16, 18)
SPACING = (2.0, 1.0, 0.5)
RAW = RadiomicsSettings(normalise="none")


def images() -> Arrays:
    """Noise in a brain that fills all but the border."""
    random = np.random.default_rng(0)
    brain = np.pad(np.ones(tuple(side - 2 for side in SHAPE), bool), 1)
    return {
        modality: np.where(brain, random.normal(500 + 100 * place, 80, SHAPE), 0).astype(np.float32)
        for place, modality in enumerate(("t1n", "t1c", "t2w", "t2f"))
    }


def masks() -> Arrays:
    """A core in a rim in an oedema, and an islet of oedema apart from them."""
    z, y, x = np.indices(SHAPE)
    distance = np.sqrt(((z - 6) / 4.5) ** 2 + ((y - 8) / 6) ** 2 + ((x - 8) / 7) ** 2)
    oedema = ((distance >= 0.75) & (distance < 1)) | ((z == 12) & (y > 13) & (x > 15) & (y < 15) & (x < 17))
    return {"NCR": distance < 0.4, "ET": (distance >= 0.4) & (distance < 0.75), "ED": oedema}


def box(*sides: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[sides] = True
    return mask


def test_all_features_of_a_whole_study_have_values() -> None:
    result = radiomic_features(images(), masks(), SPACING)
    assert tuple(result.values) == feature_names()
    assert np.isfinite(list(result.values.values())).all()
    assert result.notes == []


def test_first_order_by_numpy() -> None:
    all_images, all_masks = images(), masks()
    values = radiomic_features(all_images, all_masks, SPACING, settings=RAW).values
    for prefix, modality, parts in (("TC_t1c", "t1c", ("NCR", "ET")), ("WT_t2f", "t2f", ("NCR", "ED", "ET"))):
        voxels = all_images[modality][np.logical_or.reduce([all_masks[part] for part in parts])].astype(float)
        assert values[f"{prefix}_firstorder_Mean"] == pytest.approx(voxels.mean())
        assert values[f"{prefix}_firstorder_StandardDeviation"] == pytest.approx(voxels.std())
        assert values[f"{prefix}_firstorder_90Percentile"] == pytest.approx(np.percentile(voxels, 90))
        assert values[f"{prefix}_firstorder_TotalEnergy"] == pytest.approx((voxels**2).sum())


def test_scaling_the_intensities_of_a_study_changes_nothing() -> None:
    """Scanners differ in scale; a normalised study does not. The background stays 0."""
    scaled = {modality: image * 4 for modality, image in images().items()}
    before, after = (radiomic_features(study, masks(), SPACING).values for study in (images(), scaled))
    np.testing.assert_allclose(list(after.values()), list(before.values()), rtol=1e-4)


def test_normalised_intensities_are_z_scores_within_the_brain() -> None:
    study = images()
    brain = study["t1c"] != 0
    whole = [FeatureSet("intensity", "ET", "t1c")]
    values = radiomic_features(study, {"ET": brain}, SPACING, whole, RadiomicsSettings(normalise_scale=50)).values
    assert values["ET_t1c_firstorder_Mean"] == pytest.approx(0, abs=1e-3)
    assert values["ET_t1c_firstorder_StandardDeviation"] == pytest.approx(50)


def test_the_shape_of_a_box() -> None:
    """4 x 6 x 8 voxels of 2 x 1 x 0.5 mm; the mesh's corners lie half a voxel within the faces' edges."""
    sets = [FeatureSet("shape", "ET")]
    values = radiomic_features({}, {"ET": box(slice(3, 7), slice(4, 10), slice(5, 13))}, SPACING, sets).values
    assert values["ET_shape_MeshVolume"] == pytest.approx(8 * 6 * 4, rel=0.1)
    # Vertices of a face lie above voxel centres: extent along one axis whole, along the others one voxel less.
    sides = np.array([8.0, 6.0, 4.0])
    inner = sides - np.array(SPACING)
    farthest = max(np.linalg.norm(np.where(np.arange(3) == axis, sides, inner)) for axis in range(3))
    assert values["ET_shape_Maximum3DDiameter"] == pytest.approx(farthest)
    assert values["ET_shape2D_PixelSurface"] == pytest.approx(6 * 4)
    variances = [(np.arange(count) * side).var() for count, side in zip((4, 6, 8), SPACING, strict=True)]
    axes = sorted(4 * np.sqrt(variances))
    names = ("LeastAxisLength", "MinorAxisLength", "MajorAxisLength")
    assert [values[f"ET_shape_{name}"] for name in names] == pytest.approx(axes)


def test_the_slice_is_the_one_where_the_mask_is_largest() -> None:
    mask = box(slice(2, 9), slice(4, 7), slice(4, 7)) | box(slice(5, 6), slice(2, 12), slice(3, 9))
    values = radiomic_features({}, {"ET": mask}, (1, 1, 1), [FeatureSet("shape", "ET")]).values
    assert values["ET_shape2D_PixelSurface"] == 60


def test_the_largest_component() -> None:
    large, small = box(slice(2, 6), slice(2, 6), slice(2, 6)), box(slice(9, 11), slice(9, 11), slice(9, 11))
    touching = box(slice(6, 7), slice(6, 7), slice(6, 7))  # at a corner: 26 neighbours
    whole, largest = FeatureSet("shape", "ET"), FeatureSet("shape", "ET", largest=True)
    of_all = radiomic_features({}, {"ET": large | small | touching}, (1, 1, 1), [whole, largest]).values
    of_one = radiomic_features({}, {"ET": large | touching}, (1, 1, 1), [whole]).values
    for feature in whole.features:
        assert of_all[f"ET_largest_{feature}"] == of_one[f"ET_{feature}"]
    assert of_all["ET_shape_MeshVolume"] > of_all["ET_largest_shape_MeshVolume"]


def values_of(result: dict[str, float], prefix: str) -> np.ndarray:
    return np.array([value for name, value in result.items() if name.startswith(prefix)])


def test_an_empty_part() -> None:
    parts = masks() | {"NCR": np.zeros(SHAPE, bool)}
    result = radiomic_features(images(), parts, SPACING)
    assert tuple(result.values) == feature_names()
    assert np.isnan(values_of(result.values, "NCR_t1n")).all()
    for feature in ("shape_MeshVolume", "shape_SurfaceArea", "shape_Maximum3DDiameter", "shape2D_PixelSurface"):
        assert result.values[f"NCR_{feature}"] == result.values[f"NCR_largest_{feature}"] == 0
    for feature in ("shape_Sphericity", "shape_SurfaceVolumeRatio", "shape2D_PerimeterSurfaceRatio", "shape_Flatness"):
        assert np.isnan(result.values[f"NCR_{feature}"])
    # A core without necrosis is its enhancing part.
    assert result.values["TC_t1c_firstorder_Mean"] == result.values["ET_t1c_firstorder_Mean"]
    assert result.notes == ["NCR is empty: its intensity features and ratios are missing, its sizes are 0."]


def test_no_tumour_at_all() -> None:
    result = radiomic_features(images(), dict.fromkeys(("NCR", "ED", "ET"), np.zeros(SHAPE, bool)), SPACING)
    assert tuple(result.values) == feature_names()
    assert len(result.notes) == 7
    assert np.nansum(list(result.values.values())) == 0


def test_a_part_without_a_mask_is_unknown_not_empty() -> None:
    parts = masks()
    del parts["NCR"]
    result = radiomic_features(images(), parts, SPACING)
    assert tuple(result.values) == feature_names()
    for labels in ("NCR", "NCR+ED", "TC", "WT"):
        assert np.isnan(values_of(result.values, f"{labels}_")).all()
    assert np.isfinite(values_of(result.values, "ED+ET_")).all()
    assert "No mask of NCR: the features of WT_largest are missing." in result.notes


def test_a_missing_and_an_empty_modality() -> None:
    some = images() | {"t1n": np.zeros(SHAPE, np.float32)}
    del some["t2w"]
    result = radiomic_features(some, masks(), SPACING)
    assert tuple(result.values) == feature_names()
    missing = [name for name, value in result.values.items() if np.isnan(value)]
    assert {name.partition("_")[0] for name in missing} == {"NCR", "NCR+ED", "ED+ET"}
    assert len(missing) == 3 * 94
    assert "The image t2w is missing, and with it the features of ED+ET_t2w." in result.notes
    assert "The image t1n is empty, and with it the features of NCR_t1n." in result.notes


@pytest.mark.parametrize(
    "sides",
    [
        (slice(5, 6), slice(5, 6), slice(5, 6)),
        (slice(5, 6), slice(5, 6), slice(5, 12)),
        (slice(5, 6), slice(5, 9), slice(5, 12)),
        (slice(3, 9), slice(5, 6), slice(5, 6)),
        (slice(0, 14), slice(0, 16), slice(0, 18)),
    ],
    ids=["one voxel", "line", "slice", "column", "whole volume"],
)
def test_odd_regions_never_crash(sides: tuple[slice, ...], capfd: pytest.CaptureFixture[str]) -> None:
    study = images()
    for image in (study, dict.fromkeys(study, np.where(study["t1c"] != 0, np.float32(7), np.float32(0)))):
        result = radiomic_features(image, dict.fromkeys(("NCR", "ED", "ET"), box(*sides)), SPACING)
        assert tuple(result.values) == feature_names()
        values = np.array(list(result.values.values()))
        assert not np.isinf(values).any()
        assert result.values["ET_shape_MeshVolume"] > 0
        assert np.isfinite(result.values["ET_t1c_firstorder_Mean"])
        assert bool(result.notes) == bool(np.isnan(values).any())
    assert capfd.readouterr() == ("", "")


def test_one_voxel_has_no_texture() -> None:
    sets = [FeatureSet("intensity", "ET", "t1c")]
    result = radiomic_features(images(), {"ET": box(slice(5, 6), slice(5, 6), slice(5, 6))}, SPACING, sets)
    assert result.values["ET_t1c_firstorder_Range"] == 0
    assert np.isnan(values_of(result.values, "ET_t1c_glcm")).all()
    assert result.notes[0].startswith("ET_t1c (1 voxel): features without a value: ")
    assert "24 of glcm, 16 of glrlm" in result.notes[0]


def test_intensities_that_are_not_numbers() -> None:
    study = images()
    study["t1c"][6, 8, 12] = np.nan
    result = radiomic_features(study, masks(), SPACING)
    assert np.isnan(values_of(result.values, "ET_t1c")).all()
    assert np.isfinite(values_of(result.values, "ED_")).all()
    assert "ET_t1c: intensities that are not numbers: its features are missing." in result.notes


def test_too_fine_bins_are_refused_in_a_note() -> None:
    """pyradiomics itself dies of a segmentation fault."""
    sets = [FeatureSet("intensity", "ET", "t1c")]
    settings = RadiomicsSettings(normalise="none", bin_width=0.01)
    result = radiomic_features(images(), masks(), SPACING, sets, settings)
    assert np.isnan(list(result.values.values())).all()
    assert "more than 1000 bins of 0.01" in result.notes[0]


@pytest.mark.parametrize(
    "wrong", [{"bin_width": 0}, {"bin_width": "25"}, {"binWidth": 25}, {"normalise": "study"}, {"bin_count": 0}]
)
def test_settings_are_strict(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        RadiomicsSettings(**wrong)  # type: ignore[arg-type]


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="one shape"):
        radiomic_features(images(), {"ET": np.ones((3, 3, 3), bool)}, SPACING)
    for spacing in ((1.0, 1.0), (1.0, 0.0, 1.0), (1.0, float("nan"), 1.0)):
        with pytest.raises(ValueError, match="spacing"):
            radiomic_features(images(), masks(), spacing)


@pytest.mark.realdata
def test_a_study_with_two_modalities(realdata: Path) -> None:
    """FLAIR and T1c, z-scored with a negative background, labels of 2015."""
    folder = realdata / "brats_full" / "two_modalities" / "brats_2013_pat0001_1"
    arrays = {
        name: read_volume(ImageFile(path=folder / f"{name}.nii.gz")).voxels
        for name in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass")
    }
    labels = arrays.pop("OTMultiClass")
    study = {modality: array.astype(np.float32) for modality, array in zip(("t2f", "t1c"), arrays.values())}
    parts = {"NCR": np.isin(labels, (1, 3)), "ED": labels == 2, "ET": labels == 4}
    result = radiomic_features(study, parts, (1, 1, 1), [wanted for wanted in PUBLISHED_SETS if wanted.labels == "ED"])
    assert np.isfinite(list(result.values.values())).all()
    # Oedema is bright in FLAIR: above the brain's mean.
    assert result.values["ED_t2f_firstorder_Median"] > 0
