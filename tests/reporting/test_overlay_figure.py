"""The overlay shows the tumour where it is and in its proportions."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from autobrats.dataset.conventions import Convention
from autobrats.reporting.overlay_figure import _central_slices, _closer_view, overlay_png, write_overlay_figure
from autobrats.reporting.palette import region_colours

BRATS = Convention(
    name="brats2017",
    labels={"NCR": 1, "ED": 2, "ET": 4},
    regions={"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]},
    paint=[("WT", 2), ("TC", 1), ("ET", 4)],
)


def study() -> tuple[dict[str, np.ndarray], np.ndarray]:
    image = np.zeros((20, 40, 44), np.float32)
    image[3:17, 5:35, 6:38] = 100
    labels = np.zeros(image.shape, np.uint8)
    labels[8:14, 10:20, 22:32] = 2
    labels[10:12, 13:17, 25:29] = 4
    return {"t1n": image, "t1c": image + labels, "t2f": image + 30 * (labels > 0)}, labels


def has_colour(path: Path, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return bool((np.abs(imread(path)[..., :3] - wanted).max(-1) < 0.01).any())


def test_outlines_of_all_regions_are_drawn(tmp_path: Path) -> None:
    images, labels = study()
    path = tmp_path / "case.png"
    write_overlay_figure(
        path, images, BRATS, (2.0, 1.0, 1.0), reference=labels, prediction=np.roll(labels, 2, 2), title="case"
    )
    assert all(has_colour(path, colour) for colour in region_colours(BRATS.regions).values())
    assert imread(path).shape[0] > 600  # two rows: t1c and t2f


def test_one_image_without_labels(tmp_path: Path) -> None:
    images, _ = study()
    write_overlay_figure(tmp_path / "a.png", {"channel": images["t1n"]}, BRATS, (1.0, 1.0, 1.0))
    write_overlay_figure(tmp_path / "b.png", {"channel": np.zeros((4, 5, 6))}, BRATS, (1.0, 1.0, 1.0))
    assert imread(tmp_path / "a.png").shape[0] < 600
    assert (tmp_path / "b.png").is_file()


def test_the_planes_go_through_the_most_tumour() -> None:
    _, labels = study()
    labels[0, 0, 0] = 2
    z, y, x = _central_slices(labels > 0)
    assert labels[z].any() and labels[:, y].any() and labels[:, :, x].any() and z in range(8, 14)


def test_shapes_must_agree(tmp_path: Path) -> None:
    images, labels = study()
    with pytest.raises(ValueError, match="shape"):
        write_overlay_figure(tmp_path / "a.png", images, BRATS, (1.0, 1.0, 1.0), reference=labels[1:])
    with pytest.raises(ValueError, match="no image"):
        write_overlay_figure(tmp_path / "a.png", {}, BRATS, (1.0, 1.0, 1.0))


def test_the_picture_for_a_page_has_the_outlines_and_little_weight() -> None:
    images, labels = study()
    labels[8:14, 12:18, 24:30], labels[8:14, 14:16, 26:28] = 1, 4
    picture = overlay_png(images, BRATS, (2.0, 1.0, 1.0), reference=labels, prediction=np.roll(labels, 2, 2), width=900)
    assert picture == overlay_png(
        images, BRATS, (2.0, 1.0, 1.0), reference=labels, prediction=np.roll(labels, 2, 2), width=900
    )
    pixels = imread(io.BytesIO(picture))[..., :3]
    assert pixels.shape[1] == 900 and len(picture) < 100_000
    for colour in region_colours(BRATS.regions).values():
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(pixels - wanted).max(-1) < 0.02).any(), colour


def test_the_picture_comes_closer_to_a_small_tumour_in_a_large_study() -> None:
    shape = (60, 300, 320)
    image = np.zeros(shape, np.float32)
    image[2:58, 20:280, 20:300] = 100
    labels = np.zeros(shape, np.uint8)
    labels[28:34, 100:110, 200:212] = 4
    view = _closer_view([(0.0, 60.0), (12.0, 288.0), (12.0, 308.0)], labels > 0, (1.0, 1.0, 1.0))
    assert view == [(0.0, 60.0), (55.0, 155.0), (156.0, 256.0)]
    wide = imread(io.BytesIO(overlay_png({"t1c": image}, BRATS, (1.0, 1.0, 1.0), width=400)))
    close = imread(io.BytesIO(overlay_png({"t1c": image}, BRATS, (1.0, 1.0, 1.0), reference=labels, width=400)))
    assert wide.shape[1] == close.shape[1] == 400
