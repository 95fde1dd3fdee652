"""Every year's folders and spellings are read in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from autobrats.dataset.modality_names import read_name
from autobrats.dataset.reading import read_dataset, read_studies
from autobrats.errors import UserError

FOUR = ["t1n", "t1c", "t2w", "t2f"]

YEARS = {
    "2012": (
        "HG/0001",
        {
            "t1n": "VSD.Brain.XX.O.MR_T1/VSD.Brain.XX.O.MR_T1.685.mha",
            "t1c": "VSD.Brain.XX.O.MR_T1c/VSD.Brain.XX.O.MR_T1c.686.mha",
            "t2w": "VSD.Brain.XX.O.MR_T2/VSD.Brain.XX.O.MR_T2.687.mha",
            "t2f": "VSD.Brain.XX.O.MR_Flair/VSD.Brain.XX.O.MR_Flair.684.mha",
            "mask": "VSD.Brain_3more.XX.XX.OT/VSD.Brain_3more.XX.XX.OT.6560.mha",
        },
        (1, 2, 3, 4),
        "brats2012",
    ),
    "2015": (
        "HGG/brats_tcia_pat101_0001",
        {
            "t1n": "VSD.Brain.XX.O.MR_T1.40851/VSD.Brain.XX.O.MR_T1.40851.mha",
            "t1c": "VSD.Brain.XX.O.MR_T1c.40852/VSD.Brain.XX.O.MR_T1c.40852.mha",
            "t2w": "VSD.Brain.XX.O.MR_T2.40853/VSD.Brain.XX.O.MR_T2.40853.mha",
            "t2f": "VSD.Brain.XX.O.MR_Flair.40850/VSD.Brain.XX.O.MR_Flair.40850.mha",
            "mask": "VSD.Brain_3more.XX.XX.OT.42283/VSD.Brain_3more.XX.XX.OT.42283.mha",
        },
        (1, 2, 3, 4),
        "brats2012",
    ),
    "2017": (
        "HGG/Brats17_TCIA_117_1",
        {
            "t1n": "Brats17_TCIA_117_1_t1.nii.gz",
            "t1c": "Brats17_TCIA_117_1_t1ce.nii.gz",
            "t2w": "Brats17_TCIA_117_1_t2.nii.gz",
            "t2f": "Brats17_TCIA_117_1_flair.nii.gz",
            "mask": "Brats17_TCIA_117_1_seg.nii.gz",
        },
        (1, 2, 4),
        "brats2017",
    ),
    "2020, case 355": (
        "MICCAI_BraTS2020_TrainingData/BraTS20_Training_355",
        {
            "t1n": "BraTS20_Training_355_t1.nii",
            "t1c": "BraTS20_Training_355_t1ce.nii",
            "t2w": "BraTS20_Training_355_t2.nii",
            "t2f": "BraTS20_Training_355_flair.nii",
            "mask": "W39_1998.09.19_Segm.nii",
        },
        (1, 2, 4),
        "brats2017",
    ),
    "2021, unpacked into folders": (
        "BraTS2021_00495",
        {
            "t1n": "BraTS2021_00495_t1.nii.gz/00000061_brain_t1.nii",
            "t1c": "BraTS2021_00495_t1ce.nii.gz/00000060_brain_t1ce.nii",
            "t2w": "BraTS2021_00495_t2.nii.gz/00000062_brain_t2.nii",
            "t2f": "BraTS2021_00495_flair.nii.gz/00000057_brain_flair.nii",
            "mask": "BraTS2021_00495_seg.nii.gz/00000058_final_seg.nii",
        },
        (1, 2, 4),
        "brats2017",
    ),
    "2023": (
        "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/BraTS-GLI-00005-001",
        {
            "t1n": "BraTS-GLI-00005-001-t1n.nii.gz",
            "t1c": "BraTS-GLI-00005-001-t1c.nii.gz",
            "t2w": "BraTS-GLI-00005-001-t2W.nii.gz",
            "t2f": "BraTS-GLI-00005-001-t2f.nii.gz",
            "mask": "BraTS-GLI-00005-001-seg.nii.gz",
        },
        (1, 2, 3),
        "brats2023",
    ),
    "2024": (
        "training_data1_v2/BraTS-GLI-02066-103",
        {
            "t1n": "BraTS-GLI-02066-103-t1n.nii.gz",
            "t1c": "BraTS-GLI-02066-103-t1c.nii.gz",
            "t2w": "BraTS-GLI-02066-103-t2w.nii.gz",
            "t2f": "BraTS-GLI-02066-103-t2f.nii.gz",
            "mask": "BraTS-GLI-02066-103-seg.nii.gz",
        },
        (1, 2, 3, 4),
        "brats2024",
    ),
    "2024, children": (
        "BraTS-PEDs2024_Training/BraTS-PED-00002-000",
        {
            "t1n": "BraTS-PED-00002-000-t1n.nii.gz",
            "t1c": "BraTS-PED-00002-000-t1c.nii.gz",
            "t2w": "BraTS-PED-00002-000-t2w.nii.gz",
            "t2f": "BraTS-PED-00002-000-t2f.nii.gz",
            "mask": "BraTS-PED-00002-000-seg.nii.gz",
        },
        (1, 2, 3, 4),
        "brats_ped",
    ),
    "TCIA": (
        "TCGA-02-0006",
        {
            "t1n": "TCGA-02-0006_1996.08.23_t1.nii.gz",
            "t1c": "TCGA-02-0006_1996.08.23_t1Gd.nii.gz",
            "t2w": "TCGA-02-0006_1996.08.23_t2.nii.gz",
            "t2f": "TCGA-02-0006_1996.08.23_flair.nii.gz",
            "mask": "TCGA-02-0006_1996.08.23_GlistrBoost_ManuallyCorrected.nii.gz",
        },
        (1, 2, 4),
        "brats2017",
    ),
    "z-scored": (
        "brats_2013_pat0001_1",
        {
            "t1c": "T1c_subtrMeanDivStd.nii.gz",
            "t2f": "Flair_subtrMeanDivStd.nii.gz",
            "mask": "OTMultiClass.nii.gz",
            "ignored": "brainmask.nii.gz",
        },
        (1, 2, 3, 4),
        "brats2012",
    ),
}


@pytest.mark.parametrize("year", YEARS)
def test_every_year(tmp_path, write_image, write_mask_file, year):
    folder, files, labels, convention = YEARS[year]
    for what, file in files.items():
        if what == "mask":
            write_mask_file(tmp_path / folder / file, labels)
        else:
            write_image(tmp_path / folder / file)
    dataset, faults = read_dataset(tmp_path, name="year")
    assert [fault for fault in faults if fault.severity == "error"] == []
    assert dataset.layout == "brats" and len(dataset.cases) == 1
    case = dataset.cases[0]
    assert case.name == Path(folder).name
    found = {modality: image.path for modality, image in case.images.items()}
    expected = {what: tmp_path / folder / file for what, file in files.items() if what in FOUR}
    assert found == expected and list(found) == [modality for modality in FOUR if modality in expected]
    assert case.mask.path == tmp_path / folder / files["mask"]
    assert dataset.convention.name == convention and dataset.convention_evidence


@pytest.mark.parametrize(
    "name, meaning",
    [
        ("UCSF-PDGM-0004_T1c_bias", "t1c"),
        ("UCSF-PDGM-0004_brain_segmentation", "brain mask"),
        ("UCSF-PDGM-0004_tumor_segmentation", "mask"),
        ("UPENN-GBM-00001_11_T1GD", "t1c"),
        ("case_T1-Gd", "t1c"),
        ("case_T2_FLAIR", "t2f"),
        ("AAAC_t1_LPS_rSRI", "t1n"),
        ("case_ADC", None),
        ("VSD.Brain.XX.O.MR_T1.685", "t1n"),
    ],
)
def test_names(name, meaning):
    assert read_name(name).meaning == meaning


def write_case(folder: Path, write_image, write_mask_file, name: str | None = None) -> None:
    name = name or folder.name
    for modality in ("t1", "t1ce", "t2", "flair"):
        write_image(folder / f"{name}_{modality}.nii.gz")
    write_mask_file(folder / f"{name}_seg.nii.gz")


def test_grades_patients_and_time_points(tmp_path, write_image, write_mask_file):
    write_case(tmp_path / "HGG" / "Brats18_A_1", write_image, write_mask_file)
    write_case(tmp_path / "LGG" / "Brats18_B_1", write_image, write_mask_file)
    dataset, _ = read_dataset(tmp_path, name="grades")
    assert {case.name: case.clinical for case in dataset.cases} == {
        "Brats18_A_1": {"grade": "HGG"},
        "Brats18_B_1": {"grade": "LGG"},
    }
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-MEN-RT-0012-1"):
        write_case(tmp_path / "new" / name, write_image, write_mask_file)
    dataset, _ = read_dataset(tmp_path / "new", name="new")
    assert [(case.patient, case.timepoint) for case in dataset.cases] == [
        ("BraTS-GLI-00005", "000"),
        ("BraTS-GLI-00005", "001"),
        ("BraTS-MEN-RT-0012", "1"),
    ]


def test_equal_folder_names_are_told_apart_by_their_parents(tmp_path, write_image, write_mask_file):
    for patient in ("anna", "bert"):
        write_case(tmp_path / patient / "2019", write_image, write_mask_file, "scan")
    dataset, _ = read_dataset(tmp_path, name="visits")
    assert [case.name for case in dataset.cases] == ["anna_2019", "bert_2019"]


def test_of_several_files_the_plain_one_is_taken_and_a_tie_is_an_error(tmp_path, write_image, write_mask_file):
    folder = tmp_path / "UCSF-PDGM-0004"
    write_case(folder, write_image, write_mask_file)
    write_image(folder / "UCSF-PDGM-0004_flair_bias.nii.gz")
    write_image(folder / "UCSF-PDGM-0004_t2.nii")
    dataset, faults = read_dataset(tmp_path, name="several")
    assert dataset.cases[0].images["t2f"].path.name == "UCSF-PDGM-0004_flair.nii.gz"
    assert not [fault for fault in faults if fault.severity == "error"]
    write_image(folder / "UCSF-PDGM-0004_T2F.nii.gz")
    _, faults = read_dataset(tmp_path, name="several")
    (fault,) = [fault for fault in faults if fault.severity == "error"]
    assert fault.kind == "several_files" and "_T2F.nii.gz" in fault.message and "_flair.nii.gz" in fault.message


def test_missing_masks_and_images_are_faults(tmp_path, write_image, write_mask_file):
    write_case(tmp_path / "A", write_image, write_mask_file)
    write_case(tmp_path / "B", write_image, write_mask_file)
    (tmp_path / "A" / "A_seg.nii.gz").unlink()
    (tmp_path / "B" / "B_t2.nii.gz").unlink()
    write_mask_file(tmp_path / "C" / "C_seg.nii.gz")
    dataset, faults = read_dataset(tmp_path, name="holes")
    assert [case.name for case in dataset.cases] == ["A", "B"]
    assert {(fault.case, fault.kind, fault.severity) for fault in faults if fault.case} == {
        ("A", "missing_mask", "error"),
        ("B", "missing_modality", "warning"),
        ("C", "mask_without_image", "error"),
    }
    _, faults = read_dataset(tmp_path, name="holes", masks="optional")
    assert "missing_mask" not in {fault.kind for fault in faults}


def test_one_study_and_a_folder_of_studies_to_predict(tmp_path, write_image, write_mask_file):
    write_case(tmp_path / "A", write_image, write_mask_file)
    write_image(tmp_path / "B" / "B_t2.nii.gz")
    write_image(tmp_path / "C" / "C_flair.nii.gz")
    (case,), faults = read_studies(tmp_path / "A", FOUR)
    assert case.name == "A" and list(case.images) == FOUR and not faults
    cases, faults = read_studies(tmp_path, ["t1n", "t2w"])
    assert [case.name for case in cases] == ["A", "B"]
    (fault,) = faults
    assert fault.case == "C" and fault.kind == "no_modality" and "t2f" in fault.message


def test_one_study_is_called_by_its_folder(tmp_path, write_image):
    for number, modality in enumerate(("T1", "T1c", "T2", "Flair")):
        write_image(tmp_path / "anna" / f"VSD.Brain.XX.O.MR_{modality}.{number}.mha")
    (case,), _ = read_studies(tmp_path / "anna", FOUR)
    assert case.name == "anna" and list(case.images) == FOUR


def test_what_is_not_recognised_is_described(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.txt").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"No studies were recognised in .*BraTS.*nnU-Net.*2 files .*and 1 folders"):
        read_dataset(tmp_path, name="x")
    with pytest.raises(UserError, match="does not exist"):
        read_dataset(tmp_path / "gone", name="x")
    with pytest.raises(UserError, match="no layout 'dicom'; known: brats"):
        read_dataset(tmp_path, name="x", layout="dicom")


def test_a_layout_can_be_chosen(tmp_path, write_image, write_mask_file):
    write_case(tmp_path / "A", write_image, write_mask_file)
    assert read_dataset(tmp_path, name="x", layout="brats")[0].layout == "brats"
    with pytest.raises(UserError, match="looked for the layout 'nnunet'"):
        read_dataset(tmp_path, name="x", layout="nnunet")
