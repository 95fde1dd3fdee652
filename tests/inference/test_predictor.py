"""The predictor: known masks from a known network, in the study's own place and convention."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from bright_model import bright_mask, write_bright_model, write_study

from autobrats import registry
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.errors import UserError
from autobrats.inference.prediction import decide_labels, writing_convention
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part
from autobrats.postprocessing.context import PostprocessingContext, stages
from autobrats.postprocessing.region_rules import RegionRule, decide_regions
from autobrats.preprocessing.transform import in_study_box


@pytest.fixture
def predictor(tmp_path, monkeypatch) -> Predictor:
    folder = write_bright_model(
        tmp_path / "model",
        monkeypatch,
        expected={"mean_dice": {"mean": 0.9}},
        missing_modality_dice={"complete": 0.9, "t1c": 0.61},
    )
    return Predictor.load(folder, device="cpu", mirroring=False, backend="torch")


ORIENTATIONS = {
    "LPS": [[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]],
    "RAS": [[1.0, 0, 0, -90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]],
    "SLP": [[0, -1.0, 0, 40], [0, 0, -1, 70], [1, 0, 0, -20], [0, 0, 0, 1]],
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_mask_lies_where_its_network_saw_it(orientation, predictor, tmp_path):
    study = write_study(tmp_path / "BraTS2021_90001", affine=np.array(ORIENTATIONS[orientation]))
    prediction = predictor.predict(study)
    predictor.save(prediction, tmp_path / "mask.nii.gz", tmp_path / "probabilities.nii.gz")
    written, reference = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(study / f"{study.name}_t1.nii.gz")
    voxels = np.asarray(written.dataobj)
    assert voxels.dtype == np.uint8 and np.array_equal(voxels, bright_mask(study))
    assert np.array_equal(written.affine, reference.affine)
    for code in ("qform_code", "sform_code"):
        assert written.header[code] == reference.header[code]
    ours, theirs = (SimpleITK.ReadImage(str(path)) for path in (tmp_path / "mask.nii.gz", reference.get_filename()))
    assert ours.GetSize() == theirs.GetSize()
    assert ours.GetOrigin() == theirs.GetOrigin() and ours.GetDirection() == theirs.GetDirection()
    probabilities = np.asarray(nibabel.load(tmp_path / "probabilities.nii.gz").dataobj)
    assert probabilities.shape == (*voxels.shape, 3)
    assert np.array_equal(probabilities[..., 2] > 0.5, voxels == 4)


def test_mirroring_and_folds_do_not_change_a_local_network(predictor, tmp_path):
    study = write_study(tmp_path / "BraTS2021_90001")
    mirrored = Predictor.load(predictor.model.path, device="cpu", backend="torch")
    assert (mirrored.mirrorings, predictor.mirrorings) == (8, 1)
    assert np.array_equal(mirrored.predict(study).labels, predictor.predict(study).labels)


def test_openvino_predicts_the_same(predictor, tmp_path):
    pytest.importorskip("openvino")
    study = write_study(tmp_path / "BraTS2021_90001")
    other = Predictor.load(predictor.model.path, device="cpu", mirroring=False, backend="openvino")
    assert np.array_equal(other.predict(study).labels, predictor.predict(study).labels)


def test_a_missing_modality_is_accepted_with_its_measured_loss(predictor, tmp_path):
    study = write_study(tmp_path / "BraTS2021_90001", without=("t1ce", "t1"))
    prediction = predictor.predict(study)
    assert prediction.warnings == [
        "t1n is missing: what that costs was not measured",
        "t1c is missing: mean out-of-fold Dice without it 0.610 instead of 0.900",
        "several are missing: together they cost more than the largest single loss; it was not measured",
    ]
    expected = bright_mask(study, without=("t1ce",))
    assert np.array_equal(prediction.geometry.to_file(prediction.labels), expected)


def test_labels_are_written_in_the_study_s_convention(predictor, tmp_path):
    folder = write_study(tmp_path / "BraTS-GLI-00005-000")
    prediction = predictor.predict(folder)
    assert prediction.convention.name == "brats2023" and set(np.unique(prediction.labels)) == {0, 1, 2, 3}
    assert prediction.warnings == ["written in the study's convention brats2023 (NCR = 1, ED = 2, ET = 3)"]
    wanted = predictor.predict(folder, convention="brats2021")
    assert wanted.warnings == [] and np.array_equal(wanted.labels == 4, prediction.labels == 3)
    with pytest.raises(UserError, match="cannot write the convention brats2024: it does not know RC"):
        predictor.predict(folder, convention="brats2024")


def test_which_convention_is_written():
    model = KNOWN["brats2017"]
    assert writing_convention("patient7", model, None) == (model, None)
    assert writing_convention("BraTS2021_00002", model, None) == (model, None)
    paediatric, told = writing_convention("BraTS-PED-00002-000", model, None)
    assert paediatric.labels == {"ET": 1, "NET": 2, "ED": 4} and list(paediatric.regions) == ["WT", "TC", "ET"]
    assert told.endswith("(ET = 1, NET = 2, ED = 4), without CC, which the model does not know")
    treated, told = writing_convention("BraTS-GLI-00005-100", model, None)
    assert treated.labels == {"NETC": 1, "SNFH": 2, "ET": 3} and "without RC, which the model" in told
    untreated, told = writing_convention("BraTS2021_00002", KNOWN["brats2024"], None)
    assert untreated == model and told.endswith("without RC, which that convention does not know")
    hippocampus = plain_labels({"anterior": 1, "posterior": 2})
    assert writing_convention("BraTS-GLI-00005-000", hippocampus, None) == (hippocampus, None)


def test_a_dataset_that_numbers_its_labels_in_its_own_way_is_written_so():
    """The studies' names are those of BraTS 2021, but the training cases' masks had other integers."""
    renumbered = KNOWN["brats2017"].model_copy(update={"name": "dataset.json", "labels": {"ED": 1, "NCR": 2, "ET": 3}})
    assert writing_convention("BraTS2021_00002", renumbered, None) == (renumbered, None)
    model = KNOWN["brats2023"]
    assert writing_convention("BraTS2021_00002", model, None, "brats2017") == (model, None)
    assert writing_convention("BraTS2021_00002", model, None, "brats2023")[0] == KNOWN["brats2017"]


def test_slabs_do_not_change_the_labels():
    random = np.random.default_rng(0)
    for convention in (KNOWN["brats2017"], plain_labels({"anterior": 1, "posterior": 2})):
        regions = list(convention.regions)
        probabilities = random.integers(0, 256, (len(regions), 37, 5, 6)).astype(np.uint8)
        labels = decide_labels(probabilities, regions, convention, 0.5)
        assert np.array_equal(labels, convention.decide(probabilities, 0.5))


def test_wrong_use_is_said(predictor, tmp_path):
    write_study(tmp_path / "two" / "BraTS2021_90001")
    write_study(tmp_path / "two" / "BraTS2021_90002", seed=1)
    with pytest.raises(UserError, match="holds 2 studies"):
        predictor.predict(tmp_path / "two")
    with pytest.raises(UserError, match="overlap"):
        Predictor.load(predictor.model.path, overlap=1.0)
    weights = predictor.model.weights(predictor.model.best_config.members[0])
    assert predictor.memory_gib((100, 100, 100)) > predictor.memory_gib((10, 10, 10)) > 0
    weights.write_bytes(b"")
    with pytest.raises(UserError, match="is not the file"):
        Predictor.load(predictor.model.path)


RULES = Part(
    name="region_rules",
    options={
        "rules": {
            "WT": {"threshold": 0.4, "min_component_mm3": 20.0, "fill_holes": "after"},
            "TC": {"threshold": 0.6, "keep_largest": True},
            "ET": {"min_volume_mm3": 30.0, "min_component_mm3": 4.0},
        },
        "nesting": "clip",
    },
)
OTHER_SPACING = np.diag([-1.3, -1.3, 1.5, 1.0])


@pytest.mark.parametrize("affine", [None, OTHER_SPACING], ids=["the plan's spacing", "another spacing"])
@pytest.mark.parametrize(
    "steps", [[RULES], [Part(name="dense_crf", options={"iterations": 2}), RULES]], ids=["rules", "crf"]
)
def test_the_model_s_own_steps_are_taken_on_the_study_s_grid(steps, affine, tmp_path, monkeypatch):
    """On the rounded combination, inside the box that the networks saw, with the images on that grid."""
    study = write_study(tmp_path / "BraTS2021_90001", affine=affine)
    plain, stepped = (
        Predictor.load(
            write_bright_model(tmp_path / name, monkeypatch, postprocessing=postprocessing),
            device="cpu",
            mirroring=False,
            backend="torch",
        )
        for name, postprocessing in (("plain", []), ("stepped", steps))
    )
    before, found = plain.predict(study), stepped.predict(study)
    prepared = plain.prepare(plain._only_case(study)).prepared
    placement = prepared.placement
    assert (placement.shape == placement.box_shape) == (affine is None)
    context = PostprocessingContext(
        stepped.model.plan.convention, in_study_box(prepared.images, placement), placement.study_spacing_mm
    )
    box = (slice(None), *placement.slices)
    built = [registry.build("postprocessing", step.name, step.options) for step in steps]
    *_, last = stages(built, before.probabilities[box].astype(np.float32) / 255, context)
    expected = before.probabilities.copy()
    expected[box] = np.rint(last * 255).astype(np.uint8)
    assert np.array_equal(found.probabilities, expected)
    assert np.array_equal(found.labels, stepped.model.plan.convention.decide(expected))
    assert not np.array_equal(found.labels, before.labels) and found.labels.any()
    if steps == [RULES]:
        rules = [RegionRule(**RULES.options["rules"][region]) for region in ("WT", "TC", "ET")]
        decided = decide_regions(before.probabilities, rules, "clip", context.convention, placement.study_spacing_mm)
        assert np.array_equal(context.convention.to_regions(found.labels).astype(bool), decided)


@pytest.mark.parametrize("combination", ["majority", "staple"])
def test_votes_of_one_configuration_are_its_own_decision(combination, predictor, tmp_path, monkeypatch):
    """The folds of a configuration are averaged before it votes."""
    study = write_study(tmp_path / "BraTS2021_90001")
    folder = write_bright_model(tmp_path / "voting", monkeypatch, combination=combination)
    voting = Predictor.load(folder, device="cpu", mirroring=False, backend="torch")
    found, alone = voting.predict(study), predictor.predict(study)
    assert np.array_equal(found.labels, alone.labels)
    assert set(np.unique(found.probabilities)) <= {0, 255}
