"""A case in three planes with the outlines of reference and prediction."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autobrats.dataset.conventions import Convention
from autobrats.files import atomic_path
from autobrats.reporting.palette import region_colours

PREFERRED = ("t1c", "t2f")
"""The modalities in which enhancing tumour and whole tumour are seen best."""
PLANES = ("axial", "coronal", "sagittal")
SIDES = (("R", "L"), ("R", "L"), ("A", "P"))
"""What lies at the left and at the right of each plane."""
MARGIN_MM = 8.0
SURROUNDINGS_MM, LEAST_VIEW_MM = 25.0, 100.0
"""Around the tumour in the pictures of a page, and the least that they show along an axis."""
GAP_PIXELS = 4


def write_overlay_figure(
    path: Path,
    images: Mapping[str, np.ndarray],
    convention: Convention,
    spacing_mm: tuple[float, float, float],
    *,
    reference: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    title: str = "",
) -> None:
    """Draw t1c and flair (or the first two images) in three planes through the tumour, as a radiologist looks at them.

    The reference is outlined by solid lines, the prediction by dashed ones, each region in its colour. The planes go
    through the slice with most tumour along each axis; the patient's left is on the right.

    Args:
        path: the PNG file.
        images: by modality, shape (z, y, x) of the canonical (LPS) grid.
        convention: of the label maps.
        spacing_mm: along (z, y, x).
        reference: labels, shape (z, y, x).
        prediction: labels, shape (z, y, x).
        title: above the figure.

    Raises:
        ValueError: if there is no image, or shapes differ.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    scene = _Scene.of(images, convention, spacing_mm, reference, prediction)
    rows = len(scene.images)
    figure = Figure(figsize=(10.5, 3.6 * rows + 0.9), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for row, name in zip(figure.subplots(rows, 3, squeeze=False), scene.images, strict=True):
        for axis, axes in enumerate(row):
            scene.draw(axes, name, axis, interpolation="nearest")
            axes.set_title(scene.title(name, axis, ","), fontsize=9)
    handles = [Line2D([], [], color=colour, linewidth=2, label=region) for region, colour in scene.colours.items()]
    if reference is not None:
        handles.append(Line2D([], [], color="black", linestyle="-", label="reference"))
    if prediction is not None:
        handles.append(Line2D([], [], color="black", linestyle="--", label="prediction"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def overlay_png(
    images: Mapping[str, np.ndarray],
    convention: Convention,
    spacing_mm: tuple[float, float, float],
    *,
    reference: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    width: int = 1080,
) -> bytes:
    """The same planes edge to edge on black, as on a reading station, in a small PNG of ``width`` pixels for a page.

    Only the tumour and its surroundings are shown. All planes have one scale. Modality, plane and slice, and the
    patient's sides stand in the corners; the page has the legend. Arguments and errors are those of
    :func:`write_overlay_figure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    scene = _Scene.of(images, convention, spacing_mm, reference, prediction, closer=True)
    sizes_mm = [scene.plane_mm(axis) for axis in range(3)]
    gaps = GAP_PIXELS * (len(sizes_mm) - 1)
    scale = (width - gaps) / sum(across for _, across in sizes_mm)
    row_height = math.ceil(scale * max(down for down, _ in sizes_mm))
    height = row_height * len(scene.images) + GAP_PIXELS * (len(scene.images) - 1)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for row, name in enumerate(scene.images):
        bottom = height - row_height - row * (row_height + GAP_PIXELS)
        left = 0.0
        for axis, (_, across) in enumerate(sizes_mm):
            box = (left / width, bottom / height, scale * across / width, row_height / height)
            # The plane keeps its proportions; what is left of its box stays black, and has its corners' texts.
            axes = figure.add_axes(box)
            axes.set_axis_off()
            scene.draw(axes, name, axis, interpolation="bicubic")
            _write_corners(figure, box, scene.title(name, axis, " "), SIDES[axis])
            left += scale * across + GAP_PIXELS
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(list(scene.colours.values())))
    small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    content = io.BytesIO()
    small.save(content, format="PNG", optimize=True)
    return content.getvalue()


@dataclass(frozen=True)
class _Scene:
    """What is drawn of a case: images and grey windows by modality, labels by line style, the slices and their view."""

    images: dict[str, np.ndarray]
    windows: dict[str, tuple[float, float]]
    outlines: dict[str, np.ndarray]
    convention: Convention
    spacing_mm: tuple[float, float, float]
    centre: tuple[int, int, int]
    view: list[tuple[float, float]]
    colours: dict[str, str]

    @classmethod
    def of(
        cls,
        images: Mapping[str, np.ndarray],
        convention: Convention,
        spacing_mm: tuple[float, float, float],
        reference: np.ndarray | None,
        prediction: np.ndarray | None,
        *,
        closer: bool = False,
    ) -> _Scene:
        names = [name for name in PREFERRED if name in images] or list(images)[:2]
        if not names:
            raise ValueError("there is no image to draw")
        outlines = {style: labels for style, labels in (("-", reference), ("--", prediction)) if labels is not None}
        shape = images[names[0]].shape
        if any(array.shape != shape for array in [*outlines.values(), *(images[name] for name in names)]):
            raise ValueError("images and label maps differ in shape")
        foreground = np.zeros(shape, bool)
        for labels in outlines.values():
            foreground |= labels > 0
        view = _view(images[names[0]], spacing_mm)
        return cls(
            images={name: images[name] for name in names},
            windows={name: _window(images[name]) for name in names},
            outlines=outlines,
            convention=convention,
            spacing_mm=spacing_mm,
            centre=_central_slices(foreground),
            view=_closer_view(view, foreground, spacing_mm) if closer and foreground.any() else view,
            colours=region_colours(convention.regions),
        )

    def plane_mm(self, axis: int) -> tuple[float, float]:
        """Height and width of the plane across ``axis``."""
        height, width = (end - start for other, (start, end) in enumerate(self.view) if other != axis)
        return height, width

    def title(self, name: str, axis: int, separator: str) -> str:
        """Modality, plane and slice."""
        return f"{name}{separator} {PLANES[axis]} {self.centre[axis]}"

    def draw(self, axes: Any, name: str, axis: int, *, interpolation: str) -> None:
        """The plane across ``axis`` with its outlines; positions are in mm."""
        image = self.images[name]
        low, high = self.windows[name]
        rows, columns = (other for other in range(3) if other != axis)
        step = (self.spacing_mm[rows], self.spacing_mm[columns])
        extent = [0.0, image.shape[columns] * step[1], image.shape[rows] * step[0], 0.0]
        plane = np.take(image, self.centre[axis], axis)
        axes.imshow(plane, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation=interpolation)
        for style, labels in self.outlines.items():
            _draw_outlines(axes, np.take(labels, self.centre[axis], axis), self.convention, step, self.colours, style)
        axes.set_xlim(*self.view[columns])
        # Row 0 is anterior in the axial plane, but the lowest slice in the other two.
        axes.set_ylim(*(self.view[rows][::-1] if axis == 0 else self.view[rows]))
        axes.set_xticks([])
        axes.set_yticks([])


def _palette(colours: list[str]) -> list[int]:
    """256 colours, red, green and blue in turn: greys, and the outlines' colours as their soft edges blend with greys."""
    outlines = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], float)
    blends = [
        share * outlines + (1 - share) * grey
        for share, greys in ((1.0, (0,)), (0.75, (0, 128, 255)), (0.5, (0, 85, 170, 255)), (0.25, (0, 85, 170, 255)))
        for grey in greys
    ]
    mixed = np.concatenate(blends)[:128]
    greys = np.repeat(np.linspace(0, 255, 256 - len(mixed))[:, None], 3, axis=1)
    return [round(value) for value in np.concatenate([greys, mixed]).ravel()]


def _write_corners(figure: Any, box: tuple[float, float, float, float], title: str, sides: tuple[str, str]) -> None:
    """White texts on dark labels, readable on any image: the title above, the sides half way down."""
    left, bottom, width, height = box
    label = {"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 2.5}
    for x, y, text, across, down in (
        (left + 0.02 * width, bottom + 0.97 * height, title, "left", "top"),
        (left + 0.02 * width, bottom + 0.5 * height, sides[0], "left", "center"),
        (left + 0.98 * width, bottom + 0.5 * height, sides[1], "right", "center"),
    ):
        figure.text(x, y, text, color="white", fontsize=9.5, ha=across, va=down, bbox=label)


def _draw_outlines(
    axes: Any,
    labels: np.ndarray,
    convention: Convention,
    spacing_mm: tuple[float, float],
    colours: dict[str, str],
    style: str,
) -> None:
    """Contours of every region in a plane of labels; positions are voxel centres in mm."""
    from matplotlib.patheffects import Stroke

    x = (np.arange(labels.shape[1] + 2) - 0.5) * spacing_mm[1]
    y = (np.arange(labels.shape[0] + 2) - 0.5) * spacing_mm[0]
    # Earlier regions are wider: where outlines coincide (TC and ET often do) both colours are seen.
    for rank, (region, integers) in enumerate(reversed(convention.regions.items())):
        mask = np.pad(np.isin(labels, integers), 1)  # so that an outline closes at the border
        if mask.any():
            width = 1.2 + 0.7 * min(rank, 2)
            options = {"levels": [0.5], "colors": [colours[region]], "linestyles": [style], "linewidths": width}
            # A dark rim, below all colours and with the same dashes, keeps a bright colour visible on bright tissue.
            rim = axes.contour(x, y, mask, zorder=1, **options)
            rim.set(path_effects=[Stroke(linewidth=width + 1.2, foreground="#00000080")])
            axes.contour(x, y, mask, zorder=10 - rank, **options)


def _central_slices(foreground: np.ndarray) -> tuple[int, int, int]:
    """The slice with most foreground along each axis; the middle without any."""
    if not foreground.any():
        z, y, x = (size // 2 for size in foreground.shape)
        return z, y, x
    z, y, x = (int(foreground.sum(tuple(other for other in range(3) if other != axis)).argmax()) for axis in range(3))
    return z, y, x


def _view(image: np.ndarray, spacing_mm: tuple[float, float, float]) -> list[tuple[float, float]]:
    """What to show along each axis in mm: the voxels that differ from the corner's value, and a margin."""
    background = image.flat[0]
    inside = image != background
    view = []
    for axis, size_mm in enumerate(spacing_mm):
        profile = np.flatnonzero(inside.any(tuple(other for other in range(3) if other != axis)))
        first, last = (int(profile[0]), int(profile[-1]) + 1) if len(profile) else (0, image.shape[axis])
        end = image.shape[axis] * size_mm
        view.append((max(0.0, first * size_mm - MARGIN_MM), min(end, last * size_mm + MARGIN_MM)))
    return view


def _closer_view(
    view: list[tuple[float, float]], foreground: np.ndarray, spacing_mm: tuple[float, float, float]
) -> list[tuple[float, float]]:
    """The part of a view around the foreground, wide enough to tell where in the brain it lies."""
    closer = []
    for axis, ((start, end), size_mm) in enumerate(zip(view, spacing_mm, strict=True)):
        profile = np.flatnonzero(foreground.any(tuple(other for other in range(3) if other != axis)))
        first, last = profile[0] * size_mm, (profile[-1] + 1) * size_mm
        around = max(SURROUNDINGS_MM, (LEAST_VIEW_MM - (last - first)) / 2)
        closer.append((max(start, first - around), min(end, last + around)))
    return closer


def _window(image: np.ndarray) -> tuple[float, float]:
    """Grey values from the background to the brightest half percent of the rest."""
    inside = image[image != image.flat[0]]
    if not inside.size:
        return 0.0, 1.0
    return float(min(image.flat[0], np.percentile(inside, 0.5))), float(np.percentile(inside, 99.5))
