"""Features of many cases: the same whatever the way, and only computed once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from survival.study_files import AFFINE, SHAPE, labels, write_image, write_studies

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.errors import UserError
from autobrats.survival.extraction import case_features, columns_of, extract_features
from autobrats.survival.radiomics.feature_sets import FeatureSet
from autobrats.survival.survival_cases import SurvivalCase, cases_of_folders
from autobrats.survival.tumour_features import TUMOUR_FEATURE_NAMES

SETS = (FeatureSet("intensity", "ET", "t1c"), FeatureSet("shape", "WT"))
FIRST, SECOND, THIRD = (f"BraTS2021_{number:05d}" for number in range(3))


@pytest.fixture
def cases(tmp_path: Path) -> list[SurvivalCase]:
    write_studies(tmp_path / "studies", 3)
    return cases_of_folders(tmp_path / "studies").cases


def test_a_row_a_case_and_always_the_same_columns(cases: list[SurvivalCase]) -> None:
    without_images = replace(cases[1], images={})
    found = extract_features([cases[2], without_images, cases[0]], radiomics=SETS, workers=0)
    assert found.features.patients == (THIRD, SECOND, FIRST)
    assert found.features.names == columns_of(SETS)
    assert found.features.names[: len(TUMOUR_FEATURE_NAMES)] == TUMOUR_FEATURE_NAMES
    assert not found.failures
    values = dict(zip(found.features.patients, found.features.values, strict=True))
    assert np.isfinite(values[FIRST]).all() and np.isfinite(values[THIRD]).all()
    missing = {name for name, value in zip(found.features.names, values[SECOND], strict=True) if np.isnan(value)}
    assert {name for name in missing if name.startswith("ET_t1c_")} == set(SETS[0].names)
    assert not missing & set(SETS[1].names)
    assert "size_WT_to_left" in missing and "size_WT_ml" not in missing
    assert list(found.notes) == [SECOND]
    assert any("t1c" in note for note in found.notes[SECOND])


def test_the_features_are_those_of_the_files(cases: list[SurvivalCase]) -> None:
    table = extract_features(cases, workers=0).features
    for number, name in enumerate((FIRST, SECOND, THIRD)):
        mask = labels(number)
        row = table.rows([table.patients.index(name)])
        assert row.column("size_WT_ml") == pytest.approx([np.count_nonzero(mask) * 2 / 1000])
        assert row.column("size_ET_ml") == pytest.approx([np.count_nonzero(mask == 4) * 2 / 1000])
        i, j, k = (np.ptp(axis) + 1 for axis in np.nonzero(mask))
        extents = [row.column(f"size_WT_{way}_mm")[0] for way in ("left_right", "front_back", "up_down")]
        assert extents == [i, j, 2 * k]
        # The brain's box has 12 voxels around the middle of the volume, and the file's first axis runs to the right...
        assert AFFINE[0, 0] < 0
        middle = np.nonzero(mask)[0].mean() - (SHAPE[0] - 1) / 2
        assert row.column("size_WT_to_left") == pytest.approx([middle / 6])


def test_workers_give_the_same_numbers(cases: list[SurvivalCase], tmp_path: Path) -> None:
    alone = extract_features(cases, radiomics=SETS, workers=0)
    together = extract_features(cases, radiomics=SETS, workers=2, cache=tmp_path / "cache")
    np.testing.assert_array_equal(together.features.values, alone.features.values)
    again = extract_features(cases, radiomics=SETS, workers=0, cache=tmp_path / "cache")
    np.testing.assert_array_equal(again.features.values, alone.features.values)
    assert alone.notes == together.notes == again.notes


def test_a_bad_case_does_not_stop_the_others(cases: list[SurvivalCase], tmp_path: Path) -> None:
    cases[0].mask.path.write_bytes(cases[0].mask.path.read_bytes()[:100])
    write_image(cases[1].mask.path, np.zeros((9, 9, 9), np.uint8))
    progress: list[tuple[int, int]] = []
    found = extract_features(cases, workers=0, cache=tmp_path, on_progress=lambda *seen: progress.append(seen))
    assert found.features.patients == (THIRD,)
    assert list(found.failures) == [FIRST, SECOND]
    assert found.failures[FIRST].startswith(f"Case {FIRST}: ") and "damaged" in found.failures[FIRST]
    assert "does not lie on its study's grid" in found.failures[SECOND]
    assert progress == [(0, 3), (1, 3), (2, 3), (3, 3)]
    found = extract_features(cases[:2], workers=0)
    assert found.features.values.shape == (0, len(TUMOUR_FEATURE_NAMES))


def test_a_mask_moved_away_from_its_study_fails(cases: list[SurvivalCase]) -> None:
    moved = AFFINE.copy()
    moved[2, 3] = 40
    write_image(cases[0].mask.path, labels(0), moved)
    with pytest.raises(UserError, match=f"Case {FIRST}: .* does not lie on its study's grid: .* 40 mm apart"):
        case_features(cases[0])


def test_a_label_of_another_year_fails(cases: list[SurvivalCase]) -> None:
    with pytest.raises(UserError, match=f"Case {FIRST}: The mask holds the label 4, which brats2023 does not have"):
        case_features(replace(cases[0], convention=KNOWN["brats2023"]))


def test_what_was_computed_is_taken_from_the_cache(cases: list[SurvivalCase], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    computed = extract_features(cases, workers=0, cache=cache).features
    files = sorted(cache.iterdir())
    assert len(files) == 3
    for file in files:
        content = json.loads(file.read_text())
        content["values"]["size_WT_ml"] += 1000
        file.write_text(json.dumps(content))
    # Under another name and in another place, the same content.
    shutil.copytree(tmp_path / "studies", tmp_path / "moved")
    moved = [replace(case, name=f"copy of {case.name}") for case in cases_of_folders(tmp_path / "moved").cases]
    again = extract_features(moved, workers=0, cache=cache).features
    np.testing.assert_allclose(again.column("size_WT_ml"), computed.column("size_WT_ml") + 1000)


def test_whatever_changes_the_features_is_computed_again(cases: list[SurvivalCase], tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def count(*changed: SurvivalCase, **settings: object) -> int:
        extract_features(changed or cases[:1], workers=0, cache=cache, **settings)  # type: ignore[arg-type]
        return len(list(cache.iterdir()))

    from autobrats.survival.radiomics.settings import RadiomicsSettings

    assert count() == count() == 1
    assert count(radiomics=SETS) == count(radiomics=SETS, settings=RadiomicsSettings()) == 2
    assert count(radiomics=SETS[:1]) == 3
    assert count(radiomics=SETS, settings=RadiomicsSettings(bin_width=10)) == 4
    assert count(replace(cases[0], convention=KNOWN["brats2012"])) == 5
    assert count(replace(cases[0], images={})) == 6
    image = nibabel.load(cases[0].images["t1c"].path)
    write_image(cases[0].images["t1c"].path, np.asarray(image.dataobj) // 2)
    assert count() == 7
    write_image(cases[0].mask.path, labels(3))
    assert count() == 8


def test_a_damaged_file_of_the_cache_is_made_again(cases: list[SurvivalCase], tmp_path: Path) -> None:
    good = case_features(cases[0], cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_text()
    for damaged in (content[:-40], "[]", '{"values": {"size_WT_ml": 3.0}, "notes": []}'):
        file.write_text(damaged)
        assert case_features(cases[0], cache=tmp_path / "cache").values == pytest.approx(good.values, nan_ok=True)
        assert file.read_text() == content


def test_interrupted_it_keeps_what_is_done(cases: list[SurvivalCase], tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(cases, workers=0, cache=tmp_path / "cache", on_progress=interrupt)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    found = extract_features(cases, workers=0, cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.features.values, extract_features(cases, workers=0).features.values)


def test_what_cannot_work_is_refused_at_once(cases: list[SurvivalCase]) -> None:
    with pytest.raises(UserError, match="no cases"):
        extract_features([])
    with pytest.raises(UserError, match=f"Two cases are called {FIRST}"):
        extract_features([cases[0], cases[0]])
    with pytest.raises(UserError, match="a, b"):
        extract_features([replace(cases[0], convention=plain_labels({"a": 1, "b": 2}))])


def test_every_feature_is_documented() -> None:
    page = Path(__file__).parents[2] / "documentation" / "survival_features.md"
    rows = [
        line.split("|")[1].strip(" `")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line[:7] == "| `size"
    ]
    names = [name for row in rows for name in row.split("`, `")]
    assert sorted(names) == sorted(TUMOUR_FEATURE_NAMES)
