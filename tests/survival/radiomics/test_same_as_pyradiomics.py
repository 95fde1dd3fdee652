"""Our features beside pyradiomics' extractor, called on the whole volume for every mask and modality."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from radiomics import cMatrices, cShape

from autobrats.dataset.reading import read_dataset
from autobrats.dataset.volumes import read_case_mask, read_study
from autobrats.phantoms.study import generate_study
from autobrats.survival.radiomics import PUBLISHED_SETS, FeatureSet, RadiomicsSettings, radiomic_features
from autobrats.survival.radiomics.diameters import largest_diameters
from autobrats.survival.radiomics.mesh import mesh_area_and_volume
from autobrats.survival.radiomics.run_lengths import run_length_matrices
from benchmarks.radiomic_features import Pyradiomics, largest_difference

Arrays = dict[str, np.ndarray]
Spacing = tuple[float, float, float]
FEW_SETS = (FeatureSet("intensity", "ET", "t1c"), FeatureSet("shape", "TC", largest=True))


@cache
def phantom() -> tuple[Arrays, Arrays, Spacing]:
    """Images, masks and spacing of a generated study, with voxels that are not cubes and stray voxels of the tumour."""
    study = generate_study(6, (32, 48, 40))
    labels = study.labels.copy()
    labels[np.random.default_rng(0).random(labels.shape) < 1e-3] = 1
    masks = {part: labels == integer for part, integer in {"NCR": 1, "ED": 2, "ET": 4}.items()}
    names = {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"}
    return {name: study.images[spelling] for name, spelling in names.items()}, masks, study.spacing_mm


def difference(
    images: Arrays,
    masks: Arrays,
    spacing_mm: Spacing,
    sets: tuple[FeatureSet, ...],
    settings: RadiomicsSettings,
    *,
    extractor_may_refuse: bool = False,
) -> tuple[float, str]:
    """The largest relative difference, and of which feature; the extractor may refuse masks of a single voxel."""
    ours = radiomic_features(images, masks, spacing_mm, sets, settings).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = Pyradiomics(images, masks, spacing_mm, settings, sets).features()
    assert ours.keys() == theirs.keys()
    assert extractor_may_refuse or None not in theirs.values()
    return largest_difference(ours, theirs)


def test_all_1022_features_of_a_generated_study() -> None:
    worst, feature = difference(*phantom(), PUBLISHED_SETS, RadiomicsSettings())
    assert worst < 1e-6, feature


@pytest.mark.parametrize(
    "settings",
    [
        RadiomicsSettings(normalise="none", bin_width=30),
        RadiomicsSettings(bin_count=32, voxel_array_shift=300),
        RadiomicsSettings(distances=(1, 2), gldm_alpha=1),
        RadiomicsSettings(in_slices=True),
        RadiomicsSettings(weighting_norm="euclidean"),
        RadiomicsSettings(weighting_norm="manhattan"),
        RadiomicsSettings(weighting_norm="infinity", bin_width=7.5),
    ],
    ids=lambda settings: ",".join(settings.model_dump(exclude_defaults=True)),
)
def test_other_settings(settings: RadiomicsSettings) -> None:
    worst, feature = difference(*phantom(), FEW_SETS[:1], settings)
    assert worst < 1e-6, feature


def test_tiny_regions() -> None:
    """Two to 30 voxels in boxes of all shapes: whatever the extractor does not refuse is the same, NaN for NaN."""
    random = np.random.default_rng(1)
    sets = (FeatureSet("intensity", "ET", "t1c"), FeatureSet("shape", "ET"))
    for _ in range(40):
        image = random.normal(100, 30, (8, 9, 10)).astype(np.float32)
        mask = np.zeros(image.shape, bool)
        z, y, x = random.integers(1, 5, 3)
        mask[2 : 2 + z, 3 : 3 + y, 4 : 4 + x] = random.random((z, y, x)) < random.choice([0.3, 1.0])
        if mask.any():
            study = {"t1c": image}, {"ET": mask}, (2.0, 1.0, 0.5)
            settings = RadiomicsSettings(bin_width=50)
            worst, feature = difference(*study, sets, settings, extractor_may_refuse=True)
            assert worst < 1e-6, f"{feature} of {np.argwhere(mask).tolist()}"


def random_masks(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(2)
    masks = [random.random(random.integers(1, 9, 3)) < random.choice([0.1, 0.5, 0.9, 1]) for _ in range(count)]
    return [mask for mask in masks if mask.any()]


def test_area_volume_and_diameters_of_any_mask() -> None:
    random = np.random.default_rng(3)
    for mask in random_masks(100):
        spacing = tuple(random.uniform(0.5, 3, 3))
        padded = np.pad(mask, 1)
        area, volume, diameters = cShape.calculate_coefficients(padded, np.array(spacing))
        assert mesh_area_and_volume(padded, spacing) == pytest.approx((area, volume), rel=1e-9, abs=1e-9)
        assert largest_diameters(padded, spacing) == pytest.approx(diameters, rel=1e-9)


@pytest.mark.parametrize("side", [21, 22])
def test_diameters_of_a_large_mask(side: int) -> None:
    """Large enough for convex hulls."""
    z, y, x = np.indices((side, side, side)) - side // 2
    blob = (z**2 + 2 * y**2 + (x + y / 2) ** 2 < 90) | ((z == 0) & (np.abs(y) < 2))
    padded = np.pad(blob, 1)
    _, _, diameters = cShape.calculate_coefficients(padded, np.array([2.5, 1.0, 0.7]))
    assert largest_diameters(padded, (2.5, 1.0, 0.7)) == pytest.approx(diameters, rel=1e-9)


def test_run_lengths_of_any_region() -> None:
    random = np.random.default_rng(4)
    for mask in random_masks(100):
        levels = np.where(mask, random.integers(1, 4, mask.shape), 0).astype(np.int32)
        if max(mask.shape) == 1:
            continue
        theirs, directions = cMatrices.calculate_glrlm(levels, mask, 3, max(mask.shape), False, 0)
        ours, our_directions = run_length_matrices(levels, 3)
        np.testing.assert_array_equal(our_directions, directions)
        # A direction in which no line meets two voxels is all 0 in theirs.
        counted = theirs[0].any(axis=(0, 1))
        np.testing.assert_array_equal(ours[..., counted], theirs[0][..., counted])
        assert not ours[:, 1:, ~counted].any()


STUDIES = {"BraTS2021": "BraTS2021_00014", "BraTS2018": "Brats18_2013_21_1", "BraTS2023": "BraTS-GLI-00000-000"}


def real_study(folder: Path, case_name: str) -> tuple[Arrays, Arrays, Spacing]:
    dataset, _ = read_dataset(folder, name="real")
    case = dataset.case(case_name)
    study, labels = read_study(case, dataset.modalities), read_case_mask(case, dataset.modalities)
    masks = {part: labels == dataset.convention.labels[part] for part in ("NCR", "ED", "ET")}
    return dict(zip(study.modalities, study.images, strict=True)), masks, study.spacing_mm


@pytest.mark.realdata
@pytest.mark.parametrize("year", STUDIES)
def test_real_studies(realdata: Path, year: str) -> None:
    study = real_study(realdata / "brats_full" / year, STUDIES[year])
    worst, feature = difference(*study, FEW_SETS, RadiomicsSettings())
    assert worst < 1e-6, feature


@pytest.mark.realdata
@pytest.mark.slow
def test_all_1022_features_of_a_real_study(realdata: Path) -> None:
    """Its necrotic core is two voxels that do not touch."""
    study = real_study(realdata / "brats_full" / "BraTS2021", "BraTS2021_00014")
    worst, feature = difference(*study, PUBLISHED_SETS, RadiomicsSettings(), extractor_may_refuse=True)
    assert worst < 1e-6, feature
