from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score

from autobrats.phantoms.contrast import MODALITIES
from autobrats.phantoms.study import Study, generate_study, survival_law
from autobrats.phantoms.tumour import ED, ET, NCR


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return [generate_study([1, number], (48, 60, 50), (3.0, 3.0, 3.0)) for number in range(8)]


def test_the_same_seed_gives_the_same_study_and_another_seed_another() -> None:
    first, again, other = (generate_study(seed, (32, 40, 32), (5.0, 4.0, 4.0)) for seed in (3, 3, 4))
    for modality in MODALITIES:
        np.testing.assert_array_equal(first.images[modality], again.images[modality])
        assert (first.images[modality] != other.images[modality]).any()
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.survival_days == again.survival_days


def test_studies_are_skull_stripped_and_their_tumour_is_inside(studies: list[Study]) -> None:
    for study in studies:
        brain = study.images["t1"] > 0
        assert all(((image > 0) == brain).all() and image.dtype == np.int16 for image in study.images.values())
        assert 0.15 < brain.mean() < 0.6
        assert not (study.labels[~brain] > 0).any()
        assert set(np.unique(study.labels)) <= {0, NCR, ED, ET}
        volume_ml = (study.labels > 0).sum() * np.prod(study.spacing_mm) / 1000
        assert 2 < volume_ml < 250


def test_grade_decides_about_enhancement(studies: list[Study]) -> None:
    assert {study.grade for study in studies} == {"HGG", "LGG"}
    for study in studies:
        assert (study.labels == ET).any() == (study.grade == "HGG")


def test_the_dead_core_lies_inside_the_rim(studies: list[Study]) -> None:
    for study in studies:
        core = study.labels == NCR
        if study.grade == "HGG" and core.any():
            border = ndimage.binary_dilation(core) & ~core
            assert (study.labels[border] == ET).mean() > 0.7


def test_tissues_have_the_contrasts_of_the_four_sequences(studies: list[Study]) -> None:
    for study in studies:
        brain = study.images["t1"] > 0
        normal = brain & ~ndimage.binary_dilation(study.labels > 0, iterations=2)
        typical = {modality: np.median(image[normal]) for modality, image in study.images.items()}

        def relative(modality: str, label: int, study: Study = study, typical: dict = typical) -> float:
            return float(np.median(study.images[modality][study.labels == label]) / typical[modality])

        assert relative("flair", ED) > 1.25
        assert relative("t2", ED) > 1.2
        assert relative("t1", ED) < 1.2
        if study.grade == "HGG":
            assert relative("t1ce", ET) > 1.35 > relative("t1", ET)


@pytest.mark.slow
def test_without_any_one_of_the_four_modalities_the_regions_are_found_less_well() -> None:
    def voxels(number: int) -> tuple[np.ndarray, np.ndarray]:
        study = generate_study([7, number])
        brain = study.images["flair"] > 0
        columns = []
        for modality in MODALITIES:
            image = study.images[modality].astype(np.float32)
            image = (image - image[brain].mean()) / image[brain].std() * brain
            columns += [image[brain], ndimage.gaussian_filter(image, 1)[brain]]
        keep = slice(number % 4, None, 4)
        return np.stack(columns, 1)[keep], study.labels[brain][keep]

    training, testing = ([voxels(n) for n in numbers] for numbers in (range(8), range(100, 106)))
    x, y = (np.concatenate(parts) for parts in zip(*training))
    x_test, y_test = (np.concatenate(parts) for parts in zip(*testing))

    def mean_dice(modalities: list[int]) -> float:
        columns = [2 * m + part for m in modalities for part in (0, 1)]
        model = HistGradientBoostingClassifier(max_iter=30, early_stopping=False, random_state=0).fit(x[:, columns], y)
        predicted = model.predict(x_test[:, columns])
        return float(np.mean([f1_score(np.isin(y_test, r), np.isin(predicted, r)) for r in ([1, 2, 4], [1, 4], [4])]))

    everything = mean_dice([0, 1, 2, 3])
    assert everything > 0.7
    for missing in range(4):
        others = [m for m in range(4) if m != missing]
        assert mean_dice(others) < everything - 0.015, f"{MODALITIES[missing]} is not needed"


def test_survival_follows_age_and_tumour() -> None:
    assert survival_law(60, 0, "HGG") == 450
    assert survival_law(70, 0, "HGG") < 450 > survival_law(60, 20, "HGG")
    assert survival_law(60, 0, "LGG") > 450


def test_without_images_labels_and_survival_are_the_same() -> None:
    whole, labels_only = generate_study([3, 1]), generate_study([3, 1], with_images=False)
    assert labels_only.images == {}
    assert (labels_only.labels == whole.labels).all()
    assert (labels_only.survival_days, labels_only.age) == (whole.survival_days, whole.age)


def test_survival_scatters_around_the_law() -> None:
    studies = [generate_study([11, number], (30, 38, 32), with_images=False) for number in range(60)]
    luck = np.log([study.survival_days / study.median_days for study in studies])
    assert abs(luck.mean()) < 4 * 0.25 / np.sqrt(60)
    assert 0.18 < luck.std() < 0.33
