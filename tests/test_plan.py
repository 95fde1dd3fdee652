"""plan.json: what is written is what is read; what is wrong is named; what may stand in it is documented."""

from __future__ import annotations

import json
import re
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from finished_runs import write_workspace
from pydantic import BaseModel

from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.plan import Plan

PAGE = Path(__file__).parents[1] / "documentation" / "plan.md"


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    return write_workspace(tmp_path).plan_file


def test_round_trip(plan_file: Path) -> None:
    plan = read_model(plan_file, Plan)
    before = plan_file.read_text()
    write_json(plan_file, plan)
    assert plan_file.read_text() == before
    assert read_model(plan_file, Plan) == plan


def edit(file: Path, keys: tuple, value: Any) -> None:
    content = json.loads(file.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    file.write_text(json.dumps(content))


CONFIGURATION = ("configurations", "3d_fullres")


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("sped",), 1, r"unknown key 'sped'; allowed there: configurations, convention, convention_of_names, dataset,"),
        ((*CONFIGURATION, "training", "epochs"), 5, r"'configurations\.3d_fullres\.training\.epochs'; allowed .*iterations,"),
        ((*CONFIGURATION, "pool", 0, "patch"), [8, 8, 8], r"pool\.0\.patch'; allowed there: batch_size, memory_gib"),
        ((*CONFIGURATION, "pool", 0, "patch_size"), [0, 8, 8], r"pool\.0\.patch_size\.0' is 0: .*greater than 0"),
        ((*CONFIGURATION, "pool", 0, "batch_size"), "two", r"pool\.0\.batch_size' is 'two': .*integer"),
        ((*CONFIGURATION, "pool"), [], r"pool' is \[\]: .*at least 1 item"),
        ((*CONFIGURATION, "output"), "softmax", r"output' is 'softmax': .*'regions' or 'labels'"),
        ((*CONFIGURATION, "inference", "overlap"), 1.0, r"inference\.overlap' is 1\.0: .*less than 1"),
        ((*CONFIGURATION, "augmentation", "noise_probability"), 2, r"noise_probability' is 2: .*less than or equal to 1"),
        (("preprocessing", "spacing_mm"), [1, 1], r"spacing_mm"),
        (("preprocessing", "normalisation", "t1c", "method"), "z", r"t1c\.method' is 'z': .*'zscore', 'fixed'"),
        (("format_version",), 2, r"format_version' is 2"),
        ((*CONFIGURATION, "modalities"), ["t9"], r"3d_fullres\.modalities names 't9'; known: t"),
        ((*CONFIGURATION, "region_weights"), {"TW": 2}, r"region_weights names 'TW'; known: .*TC"),
        (("preprocessing", "normalisation"), {"t9": {}}, r"normalisation names 't9'; known: t"),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_named_with_what_is_allowed(plan_file: Path, keys: tuple, value: Any, told: str) -> None:
    edit(plan_file, keys, value)
    with pytest.raises(UserError, match=told) as error:
        read_model(plan_file, Plan)
    assert str(plan_file) in str(error.value)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict) or get_args(annotation):
        return [model for argument in get_args(annotation) for model in models_in(argument)]
    return []


def every_key(model: type[BaseModel], found: dict[type[BaseModel], list[str]]) -> dict[type[BaseModel], list[str]]:
    if model not in found:
        found[model] = list(model.model_fields)
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                every_key(inner, found)
    return found


def documented_keys() -> dict[str, list[str]]:
    """By heading of the page, the keys in the first column of its table."""
    keys: dict[str, list[str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif row := re.match(r"\| `(\w+)` \|", line):
            keys.setdefault(heading, []).append(row[1])
    return keys


def test_every_key_is_documented_and_no_other() -> None:
    documented = documented_keys()
    for model, keys in every_key(Plan, {}).items():
        assert documented.pop(model.__name__) == keys, model.__name__
    assert documented == {}
