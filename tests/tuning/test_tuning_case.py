"""The fast scores of a choice are those of the steps that a model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tuning.made_up_source import BRATS, SHAPE, SPACING_MM, noisy, random_params, with_specks, without_grades

from autobrats import registry
from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import plain_labels
from autobrats.evaluation.cases import score_case
from autobrats.postprocessing.context import PostprocessingContext, stages
from autobrats.tuning.search_space import UNCHANGED, PostprocessingChoice, SearchSpace
from autobrats.tuning.sources import SourceCase
from autobrats.tuning.tuning_case import TuningCase, default_choice

PLAIN = plain_labels({"anterior": 1, "posterior": 2, "between": 3})


def slowly(case: SourceCase, space: SearchSpace, choice: PostprocessingChoice, convention: Convention) -> np.ndarray:
    """Dice and HD95 by the steps of a model, through a rounded prediction: (region, 2)."""
    steps: list[Any] = [registry.build("postprocessing", part.name, part.options) for part in space.parts(choice)]
    levels = case.variants[choice.variant]
    context = PostprocessingContext(convention, np.zeros((1, *levels.shape[1:]), np.float32), case.spacing_mm)
    *_, last = stages(steps, levels.astype(np.float32) / 255, context)
    labels = convention.decide(np.rint(last * 255).astype(np.uint8))
    scores = score_case(labels, case.reference, convention, case.spacing_mm)
    return np.array([[scores[region]["dice"], scores[region]["hd95"]] for region in convention.regions])


def plain_case(seed: int) -> SourceCase:
    """Three labels that compete, one of them often weak, up to the volume's border."""
    random = np.random.default_rng(seed)
    logits = np.stack([gaussian_filter(random.normal(size=SHAPE), 2.0) for _ in range(4)])
    logits *= 3 / logits.std()
    shares = np.exp(logits) / np.exp(logits).sum(0)
    noisy_shares = np.exp(logits + random.normal(0, 0.7, logits.shape))
    noisy_shares /= noisy_shares.sum(0)
    return SourceCase(
        {UNCHANGED: np.floor(noisy_shares[1:] * 255).astype(np.uint8)}, shares.argmax(0).astype(np.uint8), SPACING_MM
    )


def brats_case(seed: int) -> SourceCase:
    """With a second variant of the probabilities."""
    case = with_specks(noisy(1, seed, noise_mm=4.0)).cases["case_00"]
    other = noisy(1, seed, noise_mm=2.0, shift_mm=2.0).cases["case_00"].variants[UNCHANGED]
    return SourceCase({**case.variants, "crf": other}, case.reference, case.spacing_mm)


def label_map_case(seed: int) -> SourceCase:
    return without_grades(noisy(1, seed, noise_mm=4.0)).cases["case_00"]


@pytest.mark.parametrize(
    "make, convention, variants, graded",
    [(brats_case, BRATS, ["crf"], True), (plain_case, PLAIN, [], True), (label_map_case, BRATS, [], False)],
)
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_steps(make, convention, variants, graded, seed) -> None:
    case = make(seed)
    space = SearchSpace(convention, variants, graded=graded)
    random = np.random.default_rng(seed)
    margin_mm = 0.0 if graded else 8.0
    fast = TuningCase(case.variants, case.reference, convention, case.spacing_mm, margin_mm)
    for _ in range(15):
        choice = space.choice(random_params(space, random))
        np.testing.assert_allclose(fast.scores(choice), slowly(case, space, choice, convention), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make, convention", [(brats_case, BRATS), (plain_case, PLAIN)])
def test_the_default_is_the_plain_decision(make, convention) -> None:
    case = make(5)
    fast = TuningCase(case.variants, case.reference, convention, case.spacing_mm)
    labels = convention.decide(case.variants[UNCHANGED])
    scores = score_case(labels, case.reference, convention, case.spacing_mm)
    expected = [[scores[region]["dice"], scores[region]["hd95"]] for region in convention.regions]
    np.testing.assert_allclose(fast.scores(default_choice(convention)), expected, rtol=1e-5, atol=1e-6)


def test_a_case_without_any_tumour() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    fast = TuningCase({UNCHANGED: np.zeros((3, *SHAPE), np.uint8)}, nothing, BRATS, SPACING_MM)
    assert fast.scores(default_choice(BRATS)).tolist() == [[1.0, 0.0]] * 3
    speck = np.zeros((3, *SHAPE), np.uint8)
    speck[:, 3, 4, 5] = 200
    fast = TuningCase({UNCHANGED: speck}, nothing, BRATS, SPACING_MM)
    np.testing.assert_allclose(fast.scores(default_choice(BRATS)), [[0.0, 373.128664]] * 3)
    space = SearchSpace(BRATS)
    removed = space.choice({**space.default, **{f"{region}.min_component": 8 for region in BRATS.regions}})
    assert fast.scores(removed).tolist() == [[1.0, 0.0]] * 3


@pytest.mark.parametrize("make, convention, variants", [(brats_case, BRATS, ["crf"]), (plain_case, PLAIN, [])])
def test_what_is_kept_is_counted(make, convention, variants) -> None:
    case, space, random = make(2), SearchSpace(convention, variants), np.random.default_rng(2)
    fast = TuningCase(case.variants, case.reference, convention, SPACING_MM, kept_bytes=60_000)
    for _ in range(50):
        fast.scores(space.choice(random_params(space, random)))
    for recent in (fast._components, fast._regions):
        assert len(recent._kept) > 1
        assert recent._left + sum(nbytes for _, nbytes in recent._kept.values()) == 30_000
    recent = fast._regions
    key, (kept, nbytes) = next(iter(recent._kept.items()))
    left = recent._left
    recent.put(key, kept, nbytes)
    assert recent._left == left


def test_a_small_memory_changes_nothing() -> None:
    case, space, random = brats_case(1), SearchSpace(BRATS, ["crf"]), np.random.default_rng(1)
    generous, forgetful = (
        TuningCase(case.variants, case.reference, BRATS, SPACING_MM, kept_bytes=kept) for kept in (10_000_000, 0)
    )
    params = [random_params(space, random) for _ in range(6)]
    for of in [*params, *params]:
        assert np.array_equal(generous.scores(space.choice(of)), forgetful.scores(space.choice(of)))
