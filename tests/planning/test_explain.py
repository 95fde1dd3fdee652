"""The plan told: every decision with its value and its reason, in sentences."""

from __future__ import annotations

import pytest
from made_up_dataset import made_up, planner

from autobrats.plan import Plan
from autobrats.planning.explain import duration, explain, summarise


@pytest.fixture
def plan(machine_of_flops) -> Plan:
    machine_of_flops(1e12)
    dataset, fingerprint = made_up(shape=(35, 50, 35))
    return planner(dataset, fingerprint, max_hours=5).plan()


def test_every_reason_is_told(plan: Plan) -> None:
    told = " ".join(explain(plan).split())
    configuration = plan.configurations["3d_fullres"]
    for sentence in [*plan.why.values(), *configuration.why.values()]:
        assert sentence in told
    assert "A study is its t1n, t1c, t2w and t2f." in told
    assert "WT (labels 1, 2 and 4), TC (labels 1 and 4) and ET (label 4)" in told


def test_every_decision_has_a_title_and_a_reason(plan: Plan) -> None:
    paragraphs = explain(plan).split("\n\n")[1:]
    titles = [paragraph.partition(":")[0] for paragraph in paragraphs]
    assert titles == [
        "Folds", "Cropping", "Spacing", "Intensities", "3d_fullres (recipe default)", "Network", "Patches", "Output",
        "Weights of the regions", "Loss", "Sampling", "Augmentation", "Optimiser", "Learning rate", "Length", "Averaging",
        "Prediction",
    ]  # fmt: skip
    assert all(paragraph.endswith(".") for paragraph in paragraphs if "(recipe" not in paragraph)
    assert max(map(len, explain(plan).splitlines())) <= 100


def test_an_edited_value_is_what_is_told(plan: Plan) -> None:
    configuration = plan.configurations["3d_fullres"]
    configuration.training.iterations = 12_345
    configuration.optimiser.options["learning_rate"] = 0.5
    configuration.inference.mirror_axes = []
    told = explain(plan)
    assert "12,345 iterations" in told and "learning rate 0.5" in told and "mirrored along no axis" in told


def test_a_third_partys_network_and_reason_are_told(plan: Plan) -> None:
    configuration = plan.configurations["3d_fullres"]
    configuration.network.name, configuration.network.options = "their_unet", {"depth": 5}
    configuration.why["their_key"] = "Because they say so."
    assert "Network: their_unet." in explain(plan) and "Their key: Because they say so." in explain(plan)


def test_the_summary_is_short(plan: Plan) -> None:
    lines = summarise(plan).splitlines()
    assert len(lines) == 5 and "--explain tells why" in lines[0]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (0.01, "36 seconds"),
        (0.2, "12 minutes"),
        (1, "1 hour"),
        (2.4, "2.4 hours"),
        (24, "24 hours"),
        (1 / 60, "60 seconds"),
    ],
)
def test_durations(hours: float, told: str) -> None:
    assert duration(hours) == told
