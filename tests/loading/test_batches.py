"""Batches depend on a seed and the iteration's number, and on nothing else."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import psutil
import pytest
import torch
from loading.made_cases import BRATS, made_case

from autobrats.dataset.known_conventions import plain_labels
from autobrats.loading.batches import Batch, BatchLoader, ChannelTable
from autobrats.loading.foreground_sampler import ForegroundSampler
from autobrats.loading.training_cases import TrainingCase, open_cases
from autobrats.plan import Augmentation, PatchBatch
from autobrats.preprocessing.store import CaseStore

POOL = [PatchBatch(patch_size=(16, 16, 16), batch_size=2), PatchBatch(patch_size=(8, 12, 16), batch_size=3)]
ALL_ON = Augmentation(
    **{name: 0.5 for name in Augmentation.model_fields if name.endswith("_probability")},
)


def loader(cases: list[TrainingCase] | None = None, **changes) -> BatchLoader:
    values = {
        "cases": cases or [made_case(f"case_{index}") for index in range(5)],
        "pool": POOL,
        "sampler": ForegroundSampler(),
        "augmentation": ALL_ON,
        "table": ChannelTable("regions", BRATS),
        "spacing_mm": (1.0, 1.0, 1.0),
        "seed": 3,
        "device": torch.device("cpu"),
        "threads": 0,
    }
    return BatchLoader(**{**values, **changes})


def take(source: BatchLoader, first: int, count: int) -> list[Batch]:
    batches = source.batches(first)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_same(one: Batch, other: Batch) -> None:
    assert one.cases == other.cases
    assert torch.equal(one.images, other.images) and torch.equal(one.channels, other.channels)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_batch_does_not_depend_on_threads_or_the_start(threads: int) -> None:
    from_start = take(loader(), 0, 10)
    for first in (0, 7):
        for one, other in zip(take(loader(threads=threads), first, 3), from_start[first:], strict=False):
            assert_same(one, other)


def test_one_loader_can_be_started_again() -> None:
    source = loader(threads=2)
    late, early = take(source, 1200, 2), take(source, 0, 2)
    for one, other in zip([*early, *late], [*take(loader(), 0, 2), *take(loader(), 1200, 2)], strict=True):
        assert_same(one, other)


def test_seeds_and_iterations_differ() -> None:
    first, second = take(loader(pool=POOL[:1]), 0, 2)
    assert not torch.equal(first.images, second.images)
    assert not torch.equal(first.images, take(loader(pool=POOL[:1], seed=4), 0, 1)[0].images)


def test_every_case_comes_once_before_any_comes_again() -> None:
    names = list(itertools.chain.from_iterable(batch.cases for batch in take(loader(augmentation=None), 0, 40)))
    passes = [names[start : start + 5] for start in range(0, len(names) - 4, 5)]
    assert all(sorted(one) == [f"case_{index}" for index in range(5)] for one in passes)
    assert len({tuple(one) for one in passes}) > 5


def test_both_sizes_of_the_pool_are_drawn_with_their_batch_size() -> None:
    shapes = Counter(tuple(batch.images.shape) for batch in take(loader(augmentation=None), 0, 60))
    assert set(shapes) == {(2, 2, 16, 16, 16), (3, 2, 8, 12, 16)}
    assert min(shapes.values()) > 15


def test_types_and_channels() -> None:
    for batch in take(loader(), 0, 4):
        assert batch.images.dtype == torch.float32 and batch.channels.dtype == torch.uint8
        whole, core, enhancing = batch.channels.unbind(1)
        assert ((whole >= core) & (core >= enhancing)).all() and batch.channels.max() <= 1


def test_channels_of_regions_and_labels() -> None:
    mask = np.array([0, 1, 2, 4, 3], np.uint8)
    regions = ChannelTable("regions", BRATS)
    indices = torch.from_numpy(regions.index_of_integer[mask])
    assert regions.channels(indices).tolist() == [[0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 0, 0, 1, 0]]
    labels = ChannelTable("labels", plain_labels({"a": 2, "b": 4}))
    indices = torch.from_numpy(labels.index_of_integer[mask])
    assert labels.channels(indices).tolist() == [[1, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_without_augmentation_a_patch_is_cut_from_the_case() -> None:
    case = made_case("case")
    (batch,) = take(loader([case], pool=[PatchBatch(patch_size=case.shape, batch_size=1)], augmentation=None), 0, 1)
    np.testing.assert_array_equal(batch.images[0].numpy(), case.images.astype(np.float32))
    np.testing.assert_array_equal(batch.channels[0].numpy(), BRATS.to_regions(case.mask))


def test_a_patch_larger_than_the_volume_is_padded_with_zeros() -> None:
    case = made_case("small", (10, 24, 12))
    (batch,) = take(loader([case], pool=[PatchBatch(patch_size=(16, 16, 16), batch_size=1)], augmentation=None), 0, 1)
    inside = np.zeros((16, 16, 16), bool)
    inside[3:13, :, 2:14] = True
    image = batch.images[0, 0].numpy()
    assert (image[inside] >= 1).all() and (image[~inside] == 0).all()
    assert (batch.channels[0].numpy()[:, ~inside] == 0).all()


def test_images_and_mask_stay_together_through_the_augmentation() -> None:
    case = made_case("case", (32, 32, 32), modalities=1)
    bright = TrainingCase("bright", (case.mask[None] > 0).astype(np.float16) + 1, case.mask, case.locations)
    spatial_only = Augmentation(
        **{name: 0.0 for name in Augmentation.model_fields if name.endswith("_probability")}
        | {"rotation_probability": 1.0, "scaling_probability": 1.0}
    )
    source = loader([bright], pool=POOL[:1], augmentation=spatial_only, sampler=ForegroundSampler(1.0))
    for batch in take(source, 0, 5):
        whole = batch.channels[:, 0] > 0
        agreement = ((batch.images[:, 0] > 1.5) == whole).float().mean()
        assert whole.any() and agreement > 0.98


def test_the_share_of_patches_around_the_tumour() -> None:
    shape = (100, 100, 100)
    locations = {"brain": np.zeros((1, 3), np.int16), "WT": np.array([[90, 10, 50]], np.int16)}
    case = TrainingCase("case", np.zeros((1, *shape)), np.zeros(shape, np.uint8), locations)
    random = np.random.default_rng(0)
    starts = [ForegroundSampler(0.3).draw(case, (8, 8, 8), random) for _ in range(2000)]
    share = np.mean([start == (86, 6, 46) for start in starts])
    assert 0.26 < share < 0.34
    others = np.array([start for start in starts if start != (86, 6, 46)])
    assert others.min() == 0 and others.max() == 92 and abs(others.mean() - 46) < 2


def test_regions_present_are_equally_likely_and_patches_stay_inside() -> None:
    shape = (40, 40, 40)
    locations = {"WT": np.full((900, 3), 20, np.int16), "ET": np.array([[0, 39, 20]], np.int16), "TC": np.zeros((0, 3))}
    case = TrainingCase("case", np.zeros((1, *shape)), np.zeros(shape, np.uint8), locations)
    random = np.random.default_rng(1)
    starts = Counter(ForegroundSampler(1.0).draw(case, (16, 16, 16), random) for _ in range(1000))
    assert set(starts) == {(12, 12, 12), (0, 24, 12)}
    assert 430 < starts[0, 24, 12] < 570


def test_a_case_without_tumour_is_drawn_at_random() -> None:
    case = TrainingCase("case", np.zeros((1, 9, 9, 9)), np.zeros((9, 9, 9), np.uint8), {"brain": np.zeros((1, 3))})
    starts = {ForegroundSampler(1.0).draw(case, (8, 8, 12), np.random.default_rng(seed)) for seed in range(40)}
    assert starts == {(z, y, -2) for z in (0, 1) for y in (0, 1)}


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        ForegroundSampler(1.5)


@pytest.mark.parametrize("channels", [None, [0, 1, 2, 3], [3, 1]])
def test_cases_in_memory_and_on_disk_are_the_same(
    tiny, monkeypatch: pytest.MonkeyPatch, channels: list[int] | None
) -> None:
    store = CaseStore(tiny.preprocessed)
    names = store.names()[:2]
    cached = open_cases(store, names, channels)
    none_free = psutil.virtual_memory()._replace(available=0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: none_free)
    lazy = open_cases(store, names, channels)
    assert isinstance(cached[0].images, np.ndarray) and not isinstance(lazy[0].images, np.ndarray)
    for one, other in zip(cached, lazy, strict=True):
        assert one.images.shape == other.images.shape
        assert len(one.images) == len(channels or range(4))
        np.testing.assert_array_equal(one.images, np.asarray(other.images[:]))
        np.testing.assert_array_equal(one.images[:, 2:5, 1:], other.images[:, 2:5, 1:])
        np.testing.assert_array_equal(one.mask, other.mask[:])
        if channels:
            np.testing.assert_array_equal(one.images, store.images(one.name)[:][channels])
    for one, other in zip(take(loader(cached), 0, 3), take(loader(lazy), 0, 3), strict=True):
        assert_same(one, other)


class _Unreadable:
    shape = (2, 20, 24, 22)
    dtype = np.dtype(np.float16)

    def __getitem__(self, index: object) -> np.ndarray:
        raise OSError("the disk is gone")


@pytest.mark.parametrize("threads", [0, 2])
def test_a_fault_in_a_thread_is_told(threads: int) -> None:
    case = made_case("case")
    with pytest.raises(OSError, match="the disk is gone"):
        take(loader([TrainingCase("broken", _Unreadable(), case.mask, case.locations)], threads=threads), 0, 3)
