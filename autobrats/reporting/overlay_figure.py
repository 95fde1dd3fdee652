"""A case in three planes with the outlines of reference and prediction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autobrats.dataset.conventions import Convention
from autobrats.files import atomic_path
from autobrats.reporting.palette import region_colours

PREFERRED = ("t1c", "t2f")
"""The modalities in which enhancing tumour and whole tumour are seen best."""
MARGIN_MM = 8.0


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

    chosen = [name for name in PREFERRED if name in images] or list(images)[:2]
    if not chosen:
        raise ValueError("there is no image to draw")
    outlines = {"-": reference, "--": prediction}
    given = [labels for labels in outlines.values() if labels is not None]
    shape = images[chosen[0]].shape
    if any(array.shape != shape for array in [*given, *(images[name] for name in chosen)]):
        raise ValueError("images and label maps differ in shape")
    foreground = np.any([labels > 0 for labels in given], axis=0) if given else np.zeros(shape, bool)
    centre = _central_slices(foreground)
    view = _view(images[chosen[0]], spacing_mm)
    colours = region_colours(convention.regions)

    figure = Figure(figsize=(10.5, 3.6 * len(chosen) + 0.9), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for row, name in zip(figure.subplots(len(chosen), 3, squeeze=False), chosen, strict=True):
        low, high = _window(images[name])
        for axis, axes in enumerate(row):
            rows, columns = (other for other in range(3) if other != axis)
            extent = [0.0, shape[columns] * spacing_mm[columns], shape[rows] * spacing_mm[rows], 0.0]
            image = np.take(images[name], centre[axis], axis)
            axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
            for style, labels in outlines.items():
                if labels is not None:
                    plane = np.take(labels, centre[axis], axis)
                    _draw_outlines(axes, plane, convention, (spacing_mm[rows], spacing_mm[columns]), colours, style)
            axes.set_xlim(*view[columns])
            # Row 0 is anterior in the axial plane, but the lowest slice in the other two.
            axes.set_ylim(*(view[rows][::-1] if axis == 0 else view[rows]))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(f"{name}, {('axial', 'coronal', 'sagittal')[axis]} {centre[axis]}", fontsize=9)
    handles = [Line2D([], [], color=colour, linewidth=2, label=region) for region, colour in colours.items()]
    if reference is not None:
        handles.append(Line2D([], [], color="black", linestyle="-", label="reference"))
    if prediction is not None:
        handles.append(Line2D([], [], color="black", linestyle="--", label="prediction"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_outlines(
    axes: Any,
    labels: np.ndarray,
    convention: Convention,
    spacing_mm: tuple[float, float],
    colours: dict[str, str],
    style: str,
) -> None:
    """Contours of every region in a plane of labels; positions are voxel centres in mm."""
    x = (np.arange(labels.shape[1] + 2) - 0.5) * spacing_mm[1]
    y = (np.arange(labels.shape[0] + 2) - 0.5) * spacing_mm[0]
    # Earlier regions are wider: where outlines coincide (TC and ET often do) both colours are seen.
    for rank, (region, integers) in enumerate(reversed(convention.regions.items())):
        mask = np.pad(np.isin(labels, integers), 1)  # so that an outline closes at the border
        if mask.any():
            options = {"linestyles": [style], "linewidths": 1.0 + 0.5 * min(rank, 2), "zorder": 10 - rank}
            axes.contour(x, y, mask, levels=[0.5], colors=[colours[region]], **options)


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


def _window(image: np.ndarray) -> tuple[float, float]:
    """Grey values from the background to the brightest half percent of the rest."""
    inside = image[image != image.flat[0]]
    if not inside.size:
        return 0.0, 1.0
    return float(min(image.flat[0], np.percentile(inside, 0.5))), float(np.percentile(inside, 99.5))
