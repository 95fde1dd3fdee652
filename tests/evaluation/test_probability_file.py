"""Out-of-fold probabilities survive the way to disk and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autobrats.errors import UserError
from autobrats.evaluation.probability_file import read_probabilities, read_spacing, to_volume, write_probabilities

BOX = ((2, 12), (0, 20), (5, 30))
SHAPE = (15, 20, 40)


@pytest.fixture
def probabilities() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 10, 20, 25), np.uint8)


def test_round_trip(tmp_path: Path, probabilities: np.ndarray) -> None:
    path = tmp_path / "probabilities" / "case.b2nd"
    write_probabilities(path, probabilities, BOX, SHAPE, (1.0, 0.5, 2.0))
    array, box, shape = read_probabilities(path)
    np.testing.assert_array_equal(array, probabilities)
    assert (box, shape) == (BOX, SHAPE)
    assert read_spacing(path) == (1.0, 0.5, 2.0)
    assert [file.name for file in path.parent.iterdir()] == ["case.b2nd"]
    volume = to_volume(array, box, shape)
    assert volume.shape == (3, *SHAPE)
    np.testing.assert_array_equal(volume[:, 2:12, :, 5:30], probabilities)
    assert volume.sum(dtype=np.int64) == probabilities.sum(dtype=np.int64)


def test_writing_again_replaces(tmp_path: Path, probabilities: np.ndarray) -> None:
    path = tmp_path / "case.b2nd"
    write_probabilities(path, probabilities, BOX, SHAPE)
    write_probabilities(path, 255 - probabilities, BOX, SHAPE)
    np.testing.assert_array_equal(read_probabilities(path)[0], 255 - probabilities)
    assert read_spacing(path) is None


def test_smooth_probabilities_are_compressed(tmp_path: Path) -> None:
    smooth = np.zeros((3, 60, 60, 60), np.uint8)
    smooth[:, 20:40, 20:40, 20:40] = 250
    path = tmp_path / "case.b2nd"
    write_probabilities(path, smooth, ((0, 60),) * 3, (60, 60, 60))
    assert path.stat().st_size < smooth.nbytes / 50


def test_what_does_not_fit_is_refused(tmp_path: Path, probabilities: np.ndarray) -> None:
    path = tmp_path / "case.b2nd"
    with pytest.raises(ValueError, match="uint8"):
        write_probabilities(path, probabilities.astype(np.float32), BOX, SHAPE)
    with pytest.raises(ValueError, match="expected"):
        write_probabilities(path, probabilities[:, :-1], BOX, SHAPE)
    with pytest.raises(ValueError, match="does not lie"):
        write_probabilities(path, probabilities, BOX, (15, 20, 29))
    assert not list(tmp_path.iterdir())


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.b2nd does not exist"):
        read_probabilities(tmp_path / "nothing.b2nd")
    (tmp_path / "broken.b2nd").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"broken\.b2nd"):
        read_probabilities(tmp_path / "broken.b2nd")


def test_an_array_without_its_box_is_named(tmp_path: Path) -> None:
    import blosc2

    path = tmp_path / "plain.b2nd"
    blosc2.asarray(np.zeros((1, 2, 2, 2), np.uint8), urlpath=str(path), mode="w")
    with pytest.raises(UserError, match=r"plain\.b2nd is not a file of region probabilities"):
        read_probabilities(path)
