"""The choices of the search, and what they become in a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tuning.made_up_source import random_params

from autobrats import registry
from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.postprocessing.region_rules import RegionRule, RegionRules
from autobrats.tuning.search_space import UNCHANGED, SearchSpace

BRATS = KNOWN["brats2017"]
PLAIN = plain_labels({"anterior": 1, "posterior": 2})
SPACES = [SearchSpace(BRATS), SearchSpace(PLAIN), SearchSpace(BRATS, ["crf"]), SearchSpace(BRATS, graded=False)]


@pytest.mark.parametrize("space", SPACES)
def test_the_default_is_the_first_and_does_nothing(space: SearchSpace) -> None:
    assert space.first[0] == space.default and list(space.default) == list(space.distributions)
    choice = space.choice(space.default)
    assert set(choice.rules) == {RegionRule()} and (choice.nesting, choice.variant) == ("paint", UNCHANGED)
    assert space.parts(choice) == [] and space.describe(space.default) == {}


@pytest.mark.parametrize("space", SPACES)
def test_the_first_trials_are_different_points_of_the_space(space: SearchSpace) -> None:
    assert len({json.dumps(params) for params in space.first}) == len(space.first)
    for params in space.first:
        assert params.keys() == space.distributions.keys()
        for name, value in params.items():
            of = space.distributions[name]
            assert of._contains(of.to_internal_repr(value)), (name, value)


def test_the_regions_decide_what_there_is_to_choose() -> None:
    brats, plain = SearchSpace(BRATS), SearchSpace(PLAIN)
    assert "WT.min_volume" not in brats.distributions and "ET.min_volume" in brats.distributions
    assert "nesting" in brats.distributions and "nesting" not in plain.distributions
    assert "anterior.min_volume" in plain.distributions
    assert "variant" not in brats.distributions and SearchSpace(BRATS, ["crf"]).distributions["variant"]


def test_label_maps_are_grown_instead_of_cut() -> None:
    names = {name.partition(".")[2] for name in SearchSpace(BRATS, graded=False).distributions}
    assert "grow" in names and not names & {"threshold", "hysteresis"}
    assert "grow" not in {name.partition(".")[2] for name in SearchSpace(BRATS).distributions}


def test_params_in_units() -> None:
    space = SearchSpace(BRATS, ["crf"])
    params = {**space.default, "ET.min_volume": 5, "WT.threshold": 0.45, "WT.hysteresis": 2, "variant": "crf"}
    assert space.describe(params) == {
        "ET.min_volume_mm3": 200.0,
        "WT.threshold": 0.45,
        "WT.hysteresis": 0.2,
        "variant": "crf",
    }
    choice = space.choice(params)
    assert choice.rules[0] == RegionRule(threshold=0.45, seed_threshold=0.65)
    assert choice.rules[2] == RegionRule(min_volume_mm3=200.0) and choice.variant == "crf"
    labels = SearchSpace(BRATS, graded=False)
    assert labels.describe({**labels.default, "TC.grow": 1}) == {"TC.grow_mm": -2.0}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(5))
def test_any_choice_becomes_a_step_that_the_plan_can_name(space: SearchSpace, seed: int) -> None:
    choice = space.choice(random_params(space, np.random.default_rng(seed)))
    for part in space.parts(choice):
        options = json.loads(json.dumps(part.options))
        step = registry.build("postprocessing", part.name, options)
        assert isinstance(step, RegionRules) and step.nesting == choice.nesting
        assert tuple(step.rules[region] for region in space.regions) == choice.rules


def test_every_region_has_a_rule_in_a_convention_of_one_label() -> None:
    one: Convention = plain_labels({"hippocampus": 1})
    space = SearchSpace(one)
    assert [name for name in space.distributions if name.endswith("threshold")] == ["hippocampus.threshold"]
    assert len(space.choice(space.default).rules) == 1
