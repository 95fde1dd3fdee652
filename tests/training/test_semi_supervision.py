"""Training with unlabelled studies: the whole course, its interruption, what must never be trained on, and what is refused."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autobrats.dataset.cases import Dataset
from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.networks.output import NetworkOutput
from autobrats.phantoms.folder import write_dataset
from autobrats.plan import Plan, SemiSupervision
from autobrats.preprocessing.store import CaseStore
from autobrats.preprocessing.transform import Placement, Prepared
from autobrats.training.checkpoints import load_facts, load_tensors
from autobrats.training.cross_validation import FoldResult, TrainingOptions, train_folds
from autobrats.training.job import TrainingJob
from autobrats.training.pseudo_labels import Student, Teacher, agreement, mean_volumes_ml
from autobrats.training.run_directory import RunDirectory
from autobrats.training.semi_supervision import Round, SemiSupervisedCourse
from autobrats.training.student_store import MirroredArray, StudentStore
from autobrats.training.trainer import Trainer
from autobrats.training.unlabelled_studies import UnlabelledStudies, for_fold, read_unlabelled
from autobrats.workspace import DatasetFolder

CPU = torch.device("cpu")
UNLABELLED = ["More_00001", "More_00002"]


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies without masks."""
    folder = tmp_path_factory.mktemp("more") / "more"
    write_dataset(folder, 2, seed=9, shape=(20, 26, 22), name="More", with_masks=False)
    return folder


def edit_plan(folder: DatasetFolder, **changes: Any) -> None:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations["3d_fullres"] = plan.configurations["3d_fullres"].model_copy(update=changes)
    write_json(folder.plan_file, plan)


def train(folder: DatasetFolder, unlabelled: Path | None, fold: str = "0", **options: Any) -> FoldResult:
    options = {"epochs": 1, "loading_threads": 0, **options}
    (result,) = train_folds(folder, "3d_fullres", [fold], TrainingOptions(device=CPU, unlabelled=unlabelled, **options))
    return result


def run_of(folder: DatasetFolder, fold: str = "0") -> RunDirectory:
    return RunDirectory(folder.run("3d_fullres", fold))


def job_of(folder: DatasetFolder, more: Path, **changes: Any) -> TrainingJob:
    """Fold 0's job with the unlabelled studies, as the command makes it."""
    plan, dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
    fold = json.loads(folder.splits_file.read_text())[0]
    job = TrainingJob(
        dataset=dataset,
        plan=plan,
        name="3d_fullres",
        configuration=plan.configurations["3d_fullres"],
        fold="0",
        training_cases=fold["train"],
        validation_cases=fold["val"],
        store=CaseStore(folder.preprocessed),
        run=run_of(folder),
        device=CPU,
        seed=0,
        loading_threads=0,
        unlabelled=read_unlabelled(more, plan, folder.path / "unlabelled", workers=0),
    )
    return replace(job, **changes)


def not_called(job: TrainingJob) -> FoldResult:
    raise AssertionError(job.title)


def tumour_dice(one: np.ndarray, other: np.ndarray, region: list[int]) -> float:
    a, b = np.isin(one, region), np.isin(other, region)
    return 2 * int((a & b).sum()) / int(a.sum() + b.sum()) if a.any() or b.any() else 1.0


def test_the_whole_course(
    tiny: DatasetFolder, more: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = SemiSupervision(views=[[], [0, 2]], most_rounds=1, unlabelled_weight=0.5, stable_dice=1.0)
    edit_plan(tiny, semi_supervision=settings)
    seen: dict[str, set[str]] = {}
    step = Trainer.step

    def noted(self: Trainer, batch: Any) -> None:
        seen.setdefault(self.job.title, set()).update(batch.cases)
        step(self, batch)

    monkeypatch.setattr(Trainer, "step", noted)
    with caplog.at_level(logging.INFO, "autobrats"):
        result = train(tiny, more, epochs=2)
    fold = json.loads(tiny.splits_file.read_text())[0]
    run = run_of(tiny)

    # The trainings, and what they saw: never a validation case, the unlabelled ones from round 1 on.
    labelled, everything = set(fold["train"]), {*fold["train"], *UNLABELLED}
    assert list(seen) == [
        "3d_fullres fold 0, round 0, view 0",
        "3d_fullres fold 0, round 0, view 1 (mirrored along z, x)",
        "3d_fullres fold 0, round 1, view 0",
        "3d_fullres fold 0, round 1, view 1 (mirrored along z, x)",
        "3d_fullres fold 0",
    ]
    assert list(seen.values()) == [labelled, labelled, everything, everything, everything]
    assert result.state == "finished" and run.is_finished
    assert result.metrics is not None and set(result.metrics.cases) == set(fold["val"])
    for number, view in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        student = run.student(number, view)
        assert student.is_finished and not student.validation.exists() and not student.checkpoint_file.exists()
        assert load_facts(student.weights_file)["iterations"] == 6
    axes = [run.student(1, view).read_manifest()["configuration"]["augmentation"]["mirror_axes"] for view in (0, 1)]
    assert axes == [[0, 1, 2], [1]]

    # The table, worked out anew from the masks.
    plan = read_model(tiny.plan_file, Plan)
    stores = [CaseStore(run.pseudo_labels(number)) for number in (0, 1)]
    assert [store.names() for store in stores] == [UNLABELLED, UNLABELLED]
    rows = list(csv.DictReader(run.semi_supervision_table.read_text().splitlines()))
    assert [(row["round"], row["unlabelled_cases"]) for row in rows] == [("0", "2"), ("1", "2")]
    masks = [[store.mask(name)[:] for name in UNLABELLED] for store in stores]
    by_region = []
    for region, integers in plan.convention.regions.items():
        dice = np.mean([tumour_dice(one, other, integers) for one, other in zip(*masks, strict=True)])
        by_region.append(dice)
        assert rows[0][f"dice_{region}"] == "" and float(rows[1][f"dice_{region}"]) == pytest.approx(dice, abs=1e-4)
        for row, store, several in zip(rows, stores, masks, strict=True):
            voxel_ml = [np.prod(store.properties(name).spacing_mm) / 1000 for name in UNLABELLED]
            volume = np.mean([np.isin(m, integers).sum() * ml for m, ml in zip(several, voxel_ml, strict=True)])
            assert float(row[f"volume_ml_{region}"]) == pytest.approx(volume, abs=0.01)
    assert float(rows[1]["mean_dice"]) == pytest.approx(np.mean(by_region), abs=1e-4)
    assert any("round 0: 2 studies labelled, on average WT" in message for message in caplog.messages)
    assert any("mean Dice with the labels of round 0" in message for message in caplog.messages)
    recorded = run.read_manifest()["unlabelled"]
    assert recorded["folder"] == str(more) and recorded["cases"] == UNLABELLED
    assert run.read_manifest()["training_cases"] == len(fold["train"])


def test_labels_that_agree_end_the_rounds(tiny: DatasetFolder, more: Path) -> None:
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[1]], most_rounds=5, stable_dice=0.0))
    assert train(tiny, more, fold="all").state == "finished"
    assert len(json.loads(run_of(tiny, "all").semi_supervision_file.read_text())["rounds"]) == 2
    assert not run_of(tiny, "all").student(2, 0).path.exists()


def test_an_interrupted_course_goes_on_as_if_it_had_not_been(
    tiny: DatasetFolder, more: Path, copy_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[], [2]], most_rounds=1, stable_dice=1.0))
    unbroken = copy_of(tiny)
    train(unbroken, more)

    step, write = Trainer.step, CaseStore.write
    trained: list[tuple[str, int]] = []
    broken: set[Path] = set()

    def stopping(self: Trainer, batch: Any) -> None:
        step(self, batch)
        trained.append((self.job.title, self.iteration))
        if self.iteration == 2 and "view 0" not in self.job.title:
            self.stop_reason = "a test"

    def breaking(self: CaseStore, *args: Any, **kwargs: Any) -> Any:
        if self.folder.name == "labels" and self.names() and self.folder not in broken:
            broken.add(self.folder)
            raise KeyboardInterrupt
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "step", stopping)
    monkeypatch.setattr(CaseStore, "write", breaking)
    states = []
    while not states or states[-1] != "finished":
        try:
            states.append(train(tiny, more).state)
        except KeyboardInterrupt:
            states.append("broken")
    assert states == ["stopped", "broken", "stopped", "broken", "stopped", "finished"]
    assert len(trained) == len(set(trained)) == 5 * 3  # no step was done twice, in five trainings of three
    one, other = (load_tensors(run_of(folder).weights_file) for folder in (tiny, unbroken))
    assert one[1] == other[1] and all(torch.equal(one[0][name], other[0][name]) for name in other[0])
    rounds = [json.loads(run_of(folder).semi_supervision_file.read_text())["rounds"] for folder in (tiny, unbroken)]
    for several in rounds:
        for done in several:
            del done["labelling_s"]
    assert rounds[0] == rounds[1]


def test_studies_that_the_fold_holds_back_are_never_used(
    tiny: DatasetFolder, more: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = read_model(tiny.dataset_file, Dataset)
    fold = json.loads(tiny.splits_file.read_text())[0]
    held_back, other, trained = fold["val"][0], fold["val"][1], fold["train"][0]
    mixed = tmp_path / "mixed"
    for source, name in [
        (dataset.root / held_back, held_back),  # a validation case as it is, mask and all
        (dataset.root / held_back, "Renamed"),  # the same images under another name
        (dataset.root / trained, trained),
        (dataset.root / trained, "Again"),
        (more / "More_00001", "Sibling"),  # another study of a validation case's patient
        (more / "More_00002", "Stranger"),
    ]:
        shutil.copytree(source, mixed / name)
        for file in (mixed / name).iterdir():
            file.rename(file.with_name(file.name.replace(source.name, name)))
    (mixed / "cases.csv").write_text(f"case,patient\nSibling,{dataset.case(other).patient}\nStranger,nobody\n")
    plan = read_model(tiny.plan_file, Plan)
    studies = read_unlabelled(mixed, plan, tiny.path / "unlabelled", workers=0)
    assert len(studies.names) == 6
    store = CaseStore(tiny.preprocessed)
    with caplog.at_level(logging.INFO, "autobrats"):
        usable = for_fold(studies, dataset, store, fold["train"], [0, 1, 2, 3])
    assert usable.names == ["Stranger"]
    reasons = usable.left_out
    assert reasons[held_back] == "the fold holds this case back"
    assert reasons["Sibling"] == f"the fold holds back {other} of the same patient"
    assert reasons["Renamed"] == f"it has the same image as {held_back}, which the fold holds back"
    assert reasons[trained] == "it is a labelled training case"
    assert reasons["Again"] == f"it has the same image as the labelled training case {trained}"
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "the fold holds them back" in warning and all(name in warning for name in (held_back, "Renamed", "Sibling"))
    # A case of the dataset that is in neither part of the fold, a test case say, is held back as well.
    fewer = [name for name in fold["train"] if name != trained]
    assert for_fold(studies, dataset, store, fewer, [0]).left_out[trained] == "the fold holds this case back"
    assert set(for_fold(studies, dataset, store, [case.name for case in dataset.cases], [0]).names) == {
        "Stranger",
        "Sibling",
    }


def test_bad_studies_are_left_out_with_a_sentence(
    tiny: DatasetFolder, more: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "some_bad"
    shutil.copytree(more, folder)
    image = folder / "More_00002" / "More_00002_t1.nii.gz"
    image.write_bytes(image.read_bytes()[:1000])
    plan = read_model(tiny.plan_file, Plan)
    studies = read_unlabelled(folder, plan, tiny.path / "unlabelled", workers=0)
    assert studies.names == ["More_00001"] and "damaged or truncated" in studies.left_out["More_00002"]
    assert "The unlabelled study More_00002 is left out" in caplog.text
    before = {path: path.stat().st_mtime_ns for path in studies.store.folder.iterdir()}
    read_unlabelled(folder, plan, tiny.path / "unlabelled", workers=0)
    assert {path: path.stat().st_mtime_ns for path in studies.store.folder.iterdir()} == before
    shutil.rmtree(folder / "More_00001")
    with pytest.raises(UserError, match=r"None of the studies in .*some_bad can be used"):
        read_unlabelled(folder, plan, tiny.path / "unlabelled", workers=0)


def test_a_course_goes_on_only_as_it_was_begun(
    tiny: DatasetFolder, more: Path, copy_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[], [2]], most_rounds=1))
    plain = copy_of(tiny)
    with monkeypatch.context() as patch:
        step = Trainer.step
        patch.setattr(Trainer, "step", lambda self, batch: (step(self, batch), setattr(self, "stop_reason", "a test")))
        assert train(tiny, more).state == "stopped"
        assert train(plain, None).state == "stopped"
    with pytest.raises(UserError, match="begun without --unlabelled"):
        train(plain, more)
    with pytest.raises(UserError, match=f"begun with unlabelled studies; go on with --unlabelled {more}"):
        train(tiny, None)
    fewer = tmp_path / "fewer"
    shutil.copytree(more / "More_00001", fewer / "More_00001")
    with pytest.raises(UserError, match=rf"other unlabelled studies \(2 of {more}, now 1 of {fewer}\)"):
        train(tiny, fewer)
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[], [1]], most_rounds=1))
    with pytest.raises(UserError, match="begun with other views"):
        train(tiny, more)
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[]], most_rounds=1))
    assert train(tiny, fewer, restart=True).state == "finished"
    assert not run_of(tiny).student(0, 1).path.exists()


class Ramp(nn.Module):
    """Says of every voxel how far up the window it lies; of two more regions, the first two modalities."""

    divisor = (1, 1, 1)

    def forward(self, x: Tensor) -> NetworkOutput:
        ramp = torch.linspace(-1, 1, x.shape[2])[:, None, None].expand(len(x), 1, *x.shape[2:])
        return NetworkOutput(torch.cat([ramp, x[:, :2]], 1))


def test_answers_are_brought_back_from_the_view(tiny: DatasetFolder, more: Path) -> None:
    """T_v and its inverse: what depends on the voxel alone is the same in every view, what depends on the place is not."""
    job = job_of(tiny, more)
    name = UNLABELLED[0]
    images = job.unlabelled.store.images(name)[:].astype(np.float64)
    shape = images.shape[1:]
    whole = job.configuration.inference.model_copy(update={"patch_size": shape})
    job = replace(job, configuration=job.configuration.model_copy(update={"inference": whole}))

    def student(view: tuple[int, ...]) -> Student:
        store = StudentStore(job.store, job.unlabelled.store, job.unlabelled.names, None, view)
        return Student(replace(job, store=store), view, Ramp().eval())

    voxelwise = 1 / (1 + np.exp(-images[:2]))
    up = np.broadcast_to(1 / (1 + np.exp(-np.linspace(-1, 1, shape[0])))[:, None, None], shape)
    for view in [(), (0,), (1,), (2,), (0, 1, 2)]:
        answer = student(view).probabilities(name)
        np.testing.assert_allclose(answer[1:], voxelwise, atol=1e-5)
        np.testing.assert_allclose(answer[0], up[::-1] if 0 in view else up, atol=1e-5)
    teacher = Teacher([student(view) for view in [(), (0,), (2,)]])
    average = teacher.probabilities(name)
    np.testing.assert_allclose(average[0], (2 * up + up[::-1]) / 3, atol=1e-5)
    np.testing.assert_allclose(average[1:], voxelwise, atol=1e-5)


def test_a_student_sees_everything_in_its_view(tiny: DatasetFolder, more: Path) -> None:
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[0, 2]], unlabelled_weight=0.25))
    job = job_of(tiny, more)
    unlabelled, name, labelled = job.unlabelled.store, UNLABELLED[1], job.training_cases[0]
    labels = CaseStore(tiny.path / "labels")
    mask = np.zeros(unlabelled.properties(name).shape, np.uint8)
    mask[2, 5:8, 1] = 4
    mask[3, 5, 2] = 2
    placement = unlabelled.properties(name).placement
    known = {"modalities": ["brain"], "convention": job.plan.convention, "made_from": "a test"}
    labels.write(name, "nobody", Prepared(np.ones((1, *mask.shape), np.float32), [True], placement), mask, **known)
    store = StudentStore(job.store, unlabelled, job.unlabelled.names, labels, (0, 2))
    view = replace(job, store=store, training_cases=[labelled, name])
    person, pseudo = view.open_cases(view.training_cases)
    assert (person.weight, pseudo.weight) == (1.0, 0.25) and view.labelled_cases == [labelled]
    np.testing.assert_array_equal(person.images, job.store.images(labelled)[:][:, ::-1, :, ::-1])
    np.testing.assert_array_equal(person.mask, job.store.mask(labelled)[:][::-1, :, ::-1])
    np.testing.assert_array_equal(pseudo.images, unlabelled.images(name)[:][:, ::-1, :, ::-1])
    np.testing.assert_array_equal(pseudo.mask, mask[::-1, :, ::-1])
    for region, integers in job.plan.convention.regions.items():
        z, y, x = pseudo.locations[region].T
        assert np.isin(pseudo.mask[z, y, x], integers).all() and len(z) == np.isin(mask, integers).sum()
    assert store.properties(name).region_voxels == {"WT": 4, "TC": 3, "ET": 3}
    assert set(store.names()) == {*(case.name for case in job.dataset.cases), *UNLABELLED} and store.has_mask(name)
    with pytest.raises(TypeError):
        store.remove(name)


def test_a_mirrored_array_is_read_in_parts() -> None:
    array = np.random.default_rng(0).random((2, 5, 6, 7))
    for axes in [(0,), (1, 2), (0, 1, 2)]:
        mirrored, whole = MirroredArray(array, axes), np.flip(array, [axis + 1 for axis in axes])
        for index in [slice(None), (slice(None), slice(1, 4), slice(0, 2), slice(3, 7)), (1, slice(2, 99)), 0]:
            np.testing.assert_array_equal(mirrored[index], whole[index])
        assert mirrored.shape == array.shape and mirrored.dtype == array.dtype


def test_agreement_and_volumes_of_known_masks(tiny: DatasetFolder, tmp_path: Path) -> None:
    convention = read_model(tiny.plan_file, Plan).convention
    placement = Placement(
        study_shape=(4, 4, 4), study_spacing_mm=(1, 1, 1), box=((0, 4),) * 3, shape=(4, 4, 4), spacing_mm=(10, 5, 2)
    )
    stores = [CaseStore(tmp_path / "now"), CaseStore(tmp_path / "then")]
    for store, enhancing, oedema in zip(stores, (8, 4), (8, 24), strict=True):
        mask = np.zeros(64, np.uint8)
        mask[:enhancing], mask[32 : 32 + oedema] = 4, 2
        prepared = Prepared(np.ones((1, 4, 4, 4), np.float32), [True], placement)
        known = {"modalities": ["brain"], "convention": convention, "made_from": "a test"}
        store.write("case", "nobody", prepared, mask.reshape(4, 4, 4), **known)
        store.write("healthy", "nobody", prepared, np.zeros((4, 4, 4), np.uint8), **known)
    dice = agreement(["case", "healthy"], *stores, convention)
    # WT 16 and 28 voxels, 12 in both; ET and TC 8 and 4, 4 in both; nothing in both of the healthy one.
    assert dice == pytest.approx({"WT": (24 / 44 + 1) / 2, "TC": (8 / 12 + 1) / 2, "ET": (8 / 12 + 1) / 2})
    volumes = mean_volumes_ml(["case", "healthy"], stores[0], convention)
    assert volumes == pytest.approx({"WT": 0.8, "TC": 0.4, "ET": 0.4})


def test_labelling_stops_in_time_and_goes_on(tiny: DatasetFolder, more: Path, tmp_path: Path) -> None:
    job = job_of(tiny, more)
    store = StudentStore(job.store, job.unlabelled.store, job.unlabelled.names)
    teacher = Teacher([Student(replace(job, store=store), (), Ramp().eval())])
    labels = CaseStore(tmp_path / "labels")
    names = UNLABELLED[::-1]
    assert teacher.label(names, job.unlabelled.store, labels, limit_s=0.0) == names[:1]
    assert labels.names() == names[:1]
    before = (labels.folder / f"{names[0]}.json").stat().st_mtime_ns
    assert teacher.label(names, job.unlabelled.store, labels) == names
    assert (labels.folder / f"{names[0]}.json").stat().st_mtime_ns == before
    expected = job.plan.convention.decide(teacher.probabilities(names[1]))
    np.testing.assert_array_equal(labels.mask(names[1])[:], expected)


def test_the_hours_of_a_fold_are_shared(tiny: DatasetFolder, more: Path) -> None:
    """Of 12 hours, 8 are the rounds', 6 of them for 2 x 2 students."""
    edit_plan(tiny, semi_supervision=SemiSupervision(views=[[], [2]], most_rounds=1))
    job = job_of(tiny, more)
    training = job.configuration.training.model_copy(update={"max_hours": 12.0})
    job = replace(job, configuration=job.configuration.model_copy(update={"training": training}))
    course = SemiSupervisedCourse(job, not_called)
    assert course.student_job(0, 0).configuration.training.max_hours == pytest.approx(1.5)
    # The first takes an hour only; what it leaves over goes to the three others.
    first = job.run.student(0, 0)
    first.write_history([{"seconds": 900.0}, {"seconds": 3600.0}])
    write_json(first.finished_file, {})
    assert course.student_job(0, 1).configuration.training.max_hours == pytest.approx(5 / 3)
    # The network that is kept has all that is left.
    course.record.rounds.append(Round(cases=UNLABELLED, volume_ml={}, labelling_s=1800.0))
    assert course.final_job().configuration.training.max_hours == pytest.approx(12 - 1 - 0.5)
    without = SemiSupervisedCourse(job_of(tiny, more), not_called)
    assert without.student_job(0, 0).configuration.training.max_hours is None


def test_students_differ_by_view_and_not_by_round(tiny: DatasetFolder, more: Path) -> None:
    job = job_of(tiny, more)
    course = SemiSupervisedCourse(job, not_called)
    seeds = [course.student_job(0, view).seed for view in range(4)]
    assert len({job.seed, *seeds}) == 5 and course.student_job(0, 2).seed == seeds[2]
    assert isinstance(job.unlabelled, UnlabelledStudies) and job.labelled_cases == job.training_cases
