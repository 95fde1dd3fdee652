"""Where patches are taken: the fullest of several, and around rare labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from loading.made_cases import made_case

from autobrats.loading.best_of_several_sampler import BestOfSeveralSampler
from autobrats.loading.rare_label_sampler import RareLabelSampler, voxels_by_label
from autobrats.loading.training_cases import TrainingCase, open_cases
from autobrats.preprocessing.store import CaseStore

Start = tuple[int, int, int]


def foreground(mask: np.ndarray, start: Sequence[int], patch: Sequence[int]) -> int:
    """Labelled voxels of a patch, counted one coordinate at a time."""
    voxels = np.argwhere(mask)
    return int(((voxels >= start) & (voxels < np.add(start, patch))).all(1).sum())


def striped_case(shape: tuple[int, int, int], sizes: dict[int, int], kept: int | None = None) -> TrainingCase:
    """Labels of so many voxels one after the other in memory, a region each; ``locations`` keep so many at most."""
    mask = np.zeros(shape, np.uint8)
    mask.reshape(-1)[: sum(sizes.values())] = np.repeat(list(sizes), list(sizes.values()))
    random = np.random.default_rng(0)
    locations = {"brain": np.argwhere(mask >= 0).astype(np.int16)}
    for label in sizes:
        found = np.argwhere(mask == label).astype(np.int16)
        locations[f"label {label}"] = found if kept is None else random.permutation(found)[:kept]
    return TrainingCase("striped", np.zeros((1, *shape), np.float16), mask, locations)


# The fullest of several.


def test_the_patch_with_the_most_foreground_is_used() -> None:
    case, patch = made_case("case"), (8, 10, 6)
    for seed in range(30):
        start = BestOfSeveralSampler(5).draw(case, patch, np.random.default_rng(seed))
        random = np.random.default_rng(seed)
        candidates = [
            tuple(int(random.integers(s - p + 1)) for s, p in zip(case.shape, patch, strict=True)) for _ in range(5)
        ]
        counts = [foreground(case.mask, candidate, patch) for candidate in candidates]
        assert start == candidates[int(np.argmax(counts))]


def test_foreground_is_counted_where_the_volume_is_smaller_than_the_patch() -> None:
    mask = np.zeros((6, 30, 4), np.uint8)
    mask[0, :8] = 1
    case = TrainingCase("flat", mask[None], mask, {})
    for seed in range(20):
        z, y, x = BestOfSeveralSampler(60).draw(case, (10, 8, 8), np.random.default_rng(seed))
        assert (z, x) == (-2, -2) and y <= 2


def test_more_candidates_have_more_foreground() -> None:
    case, patch, random = made_case("case"), (8, 8, 8), np.random.default_rng(0)
    means = [
        np.mean([foreground(case.mask, BestOfSeveralSampler(n).draw(case, patch, random), patch) for _ in range(300)])
        for n in (1, 4, 16)
    ]
    assert means[0] * 2 < means[1] and means[1] * 1.5 < means[2]


def test_one_candidate_and_no_foreground_are_uniform() -> None:
    empty = TrainingCase("empty", np.zeros((1, 4, 4, 4)), np.zeros((4, 4, 4), np.uint8), {})
    random = np.random.default_rng(0)
    for sampler in (BestOfSeveralSampler(1), BestOfSeveralSampler()):
        starts = Counter(sampler.draw(empty, (3, 4, 2), random) for _ in range(600))
        assert set(starts) == {(z, 0, x) for z in range(2) for x in range(3)}
        assert min(starts.values()) > 60


@pytest.mark.parametrize(
    "sampler", [BestOfSeveralSampler(), RareLabelSampler(), RareLabelSampler(non_overlapping=True)]
)
def test_a_volume_smaller_than_the_patch_is_in_its_middle(sampler) -> None:
    case = made_case("small", (10, 24, 12))
    for seed in range(20):
        z, y, x = sampler.draw(case, (16, 24, 13), np.random.default_rng(seed))
        assert (z, y, x) == (-3, 0, -1)


@pytest.mark.parametrize("sampler", [BestOfSeveralSampler, RareLabelSampler])
def test_patches_of_stored_cases_are_those_of_cases_in_memory(tiny, sampler) -> None:
    store = CaseStore(tiny.preprocessed)
    names = store.names()[:3]
    for cached in open_cases(store, names):
        lazy = TrainingCase(cached.name, store.images(cached.name), store.mask(cached.name), cached.locations)
        draws = [
            [sampler().draw(case, (8, 8, 8), np.random.default_rng(s)) for s in range(9)] for case in (cached, lazy)
        ]
        assert draws[0] == draws[1] and len(set(draws[0])) > 3


# Around rare labels.

SIZES = {1: 900, 2: 100, 4: 9}


@pytest.mark.parametrize("kept", [None, 50], ids=["all voxels located", "some voxels located"])
@pytest.mark.parametrize(
    ("exponent", "shares"),
    [
        (0.0, [1 / 3, 1 / 3, 1 / 3]),
        (0.5, [0.0714, 0.2143, 0.7143]),  # 1/30 : 1/10 : 1/3
        (1.0, [0.0091, 0.0818, 0.9091]),  # 1/900 : 1/100 : 1/9
    ],
)
def test_the_rarer_a_label_the_more_patches(exponent: float, shares: list[float], kept: int | None) -> None:
    case = striped_case((10, 20, 20), SIZES, kept)
    sampler, random = RareLabelSampler(exponent, brain_share=0.0), np.random.default_rng(0)
    labels = Counter(int(case.mask[sampler.draw(case, (1, 1, 1), random)]) for _ in range(4000))
    for label, share in zip(SIZES, shares, strict=True):
        assert labels[label] / 4000 == pytest.approx(share, abs=0.025)


def test_every_voxel_of_a_label_is_equally_likely() -> None:
    case = striped_case((5, 10, 10), {3: 20})
    sampler, random = RareLabelSampler(brain_share=0.0), np.random.default_rng(0)
    drawn = Counter(sampler.draw(case, (1, 1, 1), random) for _ in range(4000))
    assert len(drawn) == 20 and min(drawn.values()) > 140 and max(drawn.values()) < 260


def test_the_share_of_the_brain() -> None:
    case = striped_case((10, 40, 40), {1: 16})
    case.locations["brain"] = np.argwhere(np.indices(case.shape)[0] >= 5).astype(np.int16)
    sampler, random = RareLabelSampler(brain_share=0.3), np.random.default_rng(0)
    starts = np.array([sampler.draw(case, (1, 1, 1), random) for _ in range(2000)])
    is_brain = starts[:, 0] >= 5
    assert 0.26 < is_brain.mean() < 0.34
    assert (case.mask[tuple(starts[~is_brain].T)] == 1).all()


def test_nested_regions_are_taken_apart_into_labels() -> None:
    case = made_case("case")
    counts, voxels = voxels_by_label(case)
    found = {int(case.mask[tuple(some[0])]): (int(count), some) for count, some in zip(counts, voxels, strict=True)}
    assert set(found) == {1, 2, 4}
    for label, (count, some) in found.items():
        assert count == (case.mask == label).sum()
        np.testing.assert_array_equal(np.unique(some, axis=0), np.argwhere(case.mask == label))


@pytest.mark.parametrize(
    ("size", "patch", "firsts"),
    [
        ((12, 12, 12), (4, 6, 12), [(0, 4, 8), (0, 6), (0,)]),
        ((10, 11, 3), (4, 4, 4), [(-1, 3, 7), (-1, 3, 7), (-1,)]),
    ],
)
def test_patches_of_a_grid_do_not_overlap_and_cover_the_volume(
    size: Start, patch: Start, firsts: list[tuple[int, ...]]
) -> None:
    case = striped_case(size, {1: 20})
    sampler, random = RareLabelSampler(brain_share=1.0, non_overlapping=True), np.random.default_rng(0)
    starts = {sampler.draw(case, patch, random) for _ in range(600)}
    assert starts == set(itertools.product(*firsts))
    covered = np.zeros(size, int)
    for start in starts:
        covered[tuple(slice(max(0, first), first + side) for first, side in zip(start, patch, strict=True))] += 1
    assert (covered == 1).all()


def test_a_cell_of_the_grid_holds_the_drawn_voxel_and_a_free_patch_is_centred_on_it() -> None:
    case = striped_case((20, 20, 20), {})
    case.mask[13, 2, 10] = 1
    case.locations["lesion"] = np.array([[13, 2, 10]], np.int16)
    random = np.random.default_rng(0)
    assert RareLabelSampler(brain_share=0.0, non_overlapping=True).draw(case, (8, 8, 8), random) == (6, -2, 6)
    assert RareLabelSampler(brain_share=0.0).draw(case, (8, 8, 8), random) == (9, 0, 6)


@pytest.mark.parametrize("non_overlapping", [False, True])
def test_without_labels_the_brain_and_without_a_brain_anywhere(non_overlapping: bool) -> None:
    sampler = RareLabelSampler(brain_share=0.0, non_overlapping=non_overlapping)
    blank = np.zeros((6, 6, 6), np.uint8)
    healthy = TrainingCase("healthy", blank[None], blank, {"brain": np.array([[5, 5, 5]], np.int16)})
    expected = (4, 4, 4) if non_overlapping else (3, 3, 3)
    assert {sampler.draw(healthy, (2, 2, 2) if non_overlapping else (3, 3, 3), np.random.default_rng(0))} == {expected}
    nothing = TrainingCase("nothing", blank[None], blank, {"brain": np.zeros((0, 3), np.int16)})
    random = np.random.default_rng(0)
    starts = {sampler.draw(nothing, (3, 6, 6), random) for _ in range(60)}
    assert starts == {(z, 0, 0) for z in ((0, 3) if non_overlapping else range(4))}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BestOfSeveralSampler(0), "candidates must be at least 1, got 0"),
        (lambda: RareLabelSampler(exponent=-0.5), "exponent must not be negative, got -0.5"),
        (lambda: RareLabelSampler(brain_share=1.5), r"brain_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_options_are_refused(make, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()
