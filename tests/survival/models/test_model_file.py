"""The survival model that is assembled, saved, and read again."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skops.io import dumps

from autobrats.errors import UserError
from autobrats.evaluation.survival.portal import survival_class
from autobrats.evaluation.survival.prediction_file import write_predictions
from autobrats.survival.cohort import Cohort
from autobrats.survival.feature_table import FeatureTable
from autobrats.survival.models.fitting import fit_model
from autobrats.survival.models.model_file import load_model, save_model
from autobrats.survival.models.spec import MODEL_KINDS, ModelSpec
from autobrats.survival.models.survival_model import OutOfFold, SurvivalModel


def assembled(cohort: Cohort, *specs: ModelSpec) -> SurvivalModel:
    """Fitted to the cohort, calibrated on three folds."""
    fold = np.arange(len(cohort)) % 3
    parts = []
    for spec in specs:
        models = [fit_model(spec, cohort.rows(np.flatnonzero(fold != held))) for held in range(3)]
        arrays = {}
        for name in ("risk", "log_days", "class_scores"):
            given = [getattr(models[held], name)(cohort.features) for held in range(3)]
            arrays[name] = None if given[0] is None else np.stack(given)[fold, np.arange(len(cohort))]
        parts.append(OutOfFold(**arrays))
    fitted = [fit_model(spec, cohort) for spec in specs]
    return SurvivalModel.assemble(fitted, parts, cohort, objective="c_index", notes=["a note"])


def spec_of(kind: str, **more: object) -> ModelSpec:
    options = {"n_estimators": 10} if kind.startswith(("random", "gradient")) else {}
    return ModelSpec(**{"families": ("clinical", "texture"), "model": kind, "options": options} | more)


SPECS = {
    **{kind: [spec_of(kind)] for kind in MODEL_KINDS},
    "ranks, neighbours, classifier": [
        spec_of("ridge", scaling="rank", imputation="knn", class_output="classifier", classifier={"kind": "forest"})
    ],
    "logistic, indicators": [spec_of("cox", imputation="indicator", scaling="robust", class_output="classifier")],
    "average": [spec_of("aft"), spec_of("random_forest", target="days")],
    "mixed average": [
        spec_of("cox", class_output="probabilities"),
        spec_of("elastic_net", class_output="probabilities"),
    ],
    "no feature": [ModelSpec(columns=("clinical_empty",), class_output="classifier")],
}


@pytest.fixture(scope="module")
def cohort(make_cohort: Callable) -> Cohort:
    given = make_cohort(patients=90, missing=0.05)
    empty = FeatureTable(given.features.patients, ("clinical_empty",), np.full((90, 1), np.nan))
    return Cohort(given.features.joined(empty), given.days, given.died)


@pytest.fixture(scope="module")
def age_model(cohort: Cohort) -> SurvivalModel:
    return assembled(cohort, ModelSpec(columns=("clinical_age", "clinical_grade")))


@pytest.mark.parametrize("name", SPECS)
def test_predictions_are_the_same_after_reading(name: str, cohort: Cohort, tmp_path: Path) -> None:
    model = assembled(cohort, *SPECS[name])
    save_model(tmp_path / "model", model)
    again = load_model(tmp_path / "model")
    assert again.predict(cohort.features) == model.predict(cohort.features)
    times = np.array([100.0, 400.0, 5000.0])
    np.testing.assert_array_equal(again.curves(cohort.features, times), model.curves(cohort.features, times))
    few = cohort.features.rows([0, 1])
    assert repr(again.explain(few)) == repr(model.explain(few))  # repr: NaN equals NaN
    assert again.describe() == model.describe() and again.notes == ("a note",)
    assert (again.objective, again.patients, again.deaths) == ("c_index", 90, int(cohort.died.sum()))


def test_the_description_can_be_read_by_people(age_model: SurvivalModel, cohort: Cohort, tmp_path: Path) -> None:
    save_model(tmp_path, age_model)
    description = json.loads((tmp_path / "survival.json").read_text())
    assert description["members"][0]["summary"] == "Cox regression on clinical_age and clinical_grade"
    assert description["reference"]["clinical_age"] == np.nanmedian(cohort.features.column("clinical_age"))
    assert {"autobrats", "scikit-learn", "scikit-survival", "skops"} <= set(description["versions"])
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        assert not [name for name in archive.namelist() if not name.endswith((".json", ".npy"))]


def test_predictions_hang_together(cohort: Cohort) -> None:
    for specs in SPECS.values():
        model = assembled(cohort, *specs)
        predictions = model.predict(cohort.features)
        assert [it.patient for it in predictions] == list(cohort.features.patients)
        assert model.predict(cohort.features.rows([])) == []
        for it in predictions:
            assert it.p_short + it.p_mid + it.p_long == pytest.approx(1)
            assert 0 <= it.days_low < it.days < it.days_high
            probabilities = {"short": it.p_short, "mid": it.p_mid, "long": it.p_long}
            if specs[0].class_output == "days":
                assert it.survival_class == survival_class(it.days)
            else:
                assert it.survival_class == max(probabilities, key=lambda name: probabilities[name])


def test_members_of_different_scales_count_alike(cohort: Cohort) -> None:
    one = assembled(cohort, spec_of("cox"))
    both = assembled(cohort, spec_of("cox"), spec_of("ridge"))
    parts = [assembled(cohort, spec_of(kind)).risk(cohort.features) for kind in ("cox", "ridge")]
    np.testing.assert_allclose(both.risk(cohort.features), np.mean(parts, axis=0))
    # Cox predicts no days, so that the average takes the calibrated medians, which are days on which someone died.
    assert set(both.days(cohort.features)) <= set(cohort.days[cohort.died])
    assert one.describe() in both.describe()


def test_effects_add_up_to_the_risk(age_model: SurvivalModel, cohort: Cohort) -> None:
    predictions = age_model.predict(cohort.features)
    for explained, predicted in zip(age_model.explain(cohort.features), predictions):
        assert explained.risk == pytest.approx(predicted.risk)
        total = sum(contribution.effect for contribution in explained.contributions)
        assert total == pytest.approx(explained.risk - explained.reference_risk)


def test_missing_values_are_told_and_missing_columns_refused(age_model: SurvivalModel, cohort: Cohort) -> None:
    new = FeatureTable(("a", "b"), ("clinical_grade", "clinical_age"), np.array([[4, 60.0], [2, np.nan]]))
    assert age_model.missing_values(new) == ["clinical_age is not known for b; it was filled in as in training."]
    assert len(age_model.predict(new)) == 2
    for method in (age_model.predict, age_model.explain, age_model.missing_values):
        with pytest.raises(UserError, match="no column clinical_grade"):
            method(new.select(["clinical_age"]))


def test_the_table_that_is_written(age_model: SurvivalModel, cohort: Cohort, tmp_path: Path) -> None:
    predictions = age_model.predict(cohort.features)
    told = age_model.predictions(cohort.features)
    write_predictions(tmp_path / "survival.csv", cohort.features.patients, told)
    with (tmp_path / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["patient", "days", "days_low", "days_high", "class", "p_short", "p_mid", "p_long", "risk"]
    assert rows[0]["patient"] == "p0000" and rows[0]["class"] == predictions[0].survival_class
    np.testing.assert_allclose([float(row["days"]) for row in rows], [it.days for it in predictions], atol=0.06)


def test_out_of_fold_predictions_are_needed_for_everyone(cohort: Cohort) -> None:
    fitted = fit_model(ModelSpec(columns=("clinical_age",)), cohort)
    with pytest.raises(ValueError, match="each of the 90"):
        SurvivalModel.assemble([fitted], [OutOfFold(np.zeros(89))], cohort, objective="c_index")
    with pytest.raises(ValueError, match="1 models need as many"):
        SurvivalModel.assemble([fitted], [], cohort, objective="c_index")


class TestFilesThatAreNotModels:
    @pytest.fixture
    def folder(self, age_model: SurvivalModel, tmp_path: Path) -> Path:
        save_model(tmp_path, age_model)
        return tmp_path

    def replace_estimators(self, folder: Path, content: bytes) -> None:
        """As someone would who also knows how to write the sum into survival.json."""
        (folder / "model.skops").write_bytes(content)
        path = folder / "survival.json"
        description = json.loads(path.read_text())
        path.write_text(json.dumps(description | {"estimators_sha256": hashlib.sha256(content).hexdigest()}))

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="holds no survival model"):
            load_model(tmp_path)

    def test_half_a_file(self, folder: Path) -> None:
        path = folder / "model.skops"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(UserError, match=r"model\.skops is damaged"):
            load_model(folder)
        path.unlink()
        with pytest.raises(UserError, match="copy the whole folder"):
            load_model(folder)

    def test_another_type_is_named_and_not_loaded(self, folder: Path) -> None:
        part = {"scaler": None, "imputer": None, "estimator": zipfile.ZipFile, "classifier": None}
        self.replace_estimators(folder, dumps([part]))
        with pytest.raises(UserError, match=r"holds zipfile\.ZipFile, which no survival model"):
            load_model(folder)

    @pytest.mark.parametrize("content", [b"not a zip", b""])
    def test_not_a_file_of_skops(self, content: bytes, folder: Path) -> None:
        self.replace_estimators(folder, content)
        with pytest.raises(UserError, match="cannot be read with the versions installed here"):
            load_model(folder)

    def test_wrong_values_are_named(self, folder: Path) -> None:
        path = folder / "survival.json"
        description = json.loads(path.read_text())
        description["members"][0]["spec"]["model"] = "oracle"
        path.write_text(json.dumps(description))
        with pytest.raises(UserError, match=r"the key 'members\.0\.spec\.model' is 'oracle'"):
            load_model(folder)
