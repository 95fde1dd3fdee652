"""Which segmentation belongs to which study."""

from __future__ import annotations

from pathlib import Path

import pytest
from survival.study_files import labels, write_image, write_studies

from autobrats.dataset.reading import read_dataset
from autobrats.errors import UserError
from autobrats.survival.survival_cases import FoundCases, cases_of_dataset, cases_of_folders

MODALITIES = {"t1n", "t1c", "t2w", "t2f"}


def masks(found: FoundCases) -> dict[str, str]:
    return {case.name: case.mask.path.name for case in found.cases}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    write_studies(tmp_path / "studies", 3)
    return tmp_path / "studies"


def test_studies_with_their_own_masks(studies: Path) -> None:
    (studies / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz").unlink()
    found = cases_of_folders(studies)
    assert masks(found) == {name: f"{name}_seg.nii.gz" for name in ("BraTS2021_00000", "BraTS2021_00002")}
    assert all(set(case.images) == MODALITIES and case.convention.name == "brats2017" for case in found.cases)
    assert list(found.left_out) == ["BraTS2021_00001"]
    assert "BraTS 2017 to 2022" in found.convention_evidence


def test_studies_and_segmentations_of_the_same_names(tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", 3, masks=False)
    for name in ("BraTS2021_00000", "BraTS2021_00002", "BraTS2021_00009"):
        write_image(tmp_path / "predicted" / f"{name}.nii.gz", labels(0))
    found = cases_of_folders(tmp_path / "studies", tmp_path / "predicted")
    assert masks(found) == {"BraTS2021_00000": "BraTS2021_00000.nii.gz", "BraTS2021_00002": "BraTS2021_00002.nii.gz"}
    assert all(set(case.images) == MODALITIES and case.convention.name == "brats2017" for case in found.cases)
    assert list(found.left_out) == ["BraTS2021_00001"]
    assert "no segmentation of this case" in found.left_out["BraTS2021_00001"]
    assert found.unused == ["BraTS2021_00009"]


def test_segmentations_are_taken_before_the_studies_own(studies: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "predicted" / "BraTS2021_00000.nii.gz", labels(0))
    assert masks(cases_of_folders(studies, tmp_path / "predicted")) == {"BraTS2021_00000": "BraTS2021_00000.nii.gz"}


def test_the_segmentations_may_be_in_another_convention_than_their_names_say(tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", 1, masks=False)
    mask = labels(0)
    mask[mask == 4] = 3
    write_image(tmp_path / "predicted" / "BraTS2021_00000.nii.gz", mask)
    found = cases_of_folders(tmp_path / "studies", tmp_path / "predicted", "brats2023")
    assert found.cases[0].convention.name == "brats2023"


def test_segmentations_alone(tmp_path: Path) -> None:
    for name in ("BraTS-GLI-00007-000", "BraTS-GLI-00007-001"):
        write_image(tmp_path / f"{name}-seg.nii.gz", labels(0) // 4 * 3)
    found = cases_of_folders(None, tmp_path)
    assert [(case.name, case.patient, case.images) for case in found.cases] == [
        ("BraTS-GLI-00007-000", "BraTS-GLI-00007", {}),
        ("BraTS-GLI-00007-001", "BraTS-GLI-00007", {}),
    ]


def test_a_dataset_and_its_predictions(studies: Path, tmp_path: Path) -> None:
    dataset, _ = read_dataset(studies, name="d")
    assert masks(cases_of_dataset(dataset)) == {case.name: f"{case.name}_seg.nii.gz" for case in dataset.cases}
    mask = labels(1)
    mask[mask == 4] = 3
    write_image(tmp_path / "out" / "BraTS2021_00001.nii.gz", mask)
    found = cases_of_dataset(dataset, tmp_path / "out")
    assert masks(found) == {"BraTS2021_00001": "BraTS2021_00001.nii.gz"}
    # 3 is no label of the dataset's convention, but the enhancing tumour of another.
    assert found.cases[0].convention.name == "brats2023"
    assert len(found.left_out) == 2


def test_one_study_and_one_segmentation_belong_together(tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", 1, masks=False)
    file = write_image(tmp_path / "tumour.nii.gz", labels(0))
    assert masks(cases_of_folders(tmp_path / "studies", file)) == {"BraTS2021_00000": "tumour.nii.gz"}


def test_what_cannot_be_paired_is_refused(studies: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "out" / "somebody.nii.gz", labels(0))
    with pytest.raises(UserError, match=r"called somebody, the studies BraTS2021_00000, BraTS2021_00001, \.\.\."):
        cases_of_folders(studies, tmp_path / "out")
    with pytest.raises(UserError, match="Give the folder"):
        cases_of_folders(None)
    write_studies(tmp_path / "bare", 2, masks=False)
    with pytest.raises(UserError, match=r"No study in .*bare has a mask"):
        cases_of_folders(tmp_path / "bare")
    with pytest.raises(UserError, match="no convention 'brats1999'"):
        cases_of_folders(studies, convention="brats1999")


@pytest.mark.realdata
def test_a_folder_of_real_masks(realdata: Path) -> None:
    found = cases_of_folders(None, realdata / "brats2020_labels")
    assert len(found.cases) == 305
    assert found.cases[0].name == found.cases[0].patient == "BraTS20_Training_001"
    assert found.cases[0].convention.labels == {"NCR": 1, "ED": 2, "ET": 4}
