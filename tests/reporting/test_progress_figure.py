"""The progress figure draws what was measured, whatever is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from autobrats.reporting.palette import BLUE, region_colours
from autobrats.reporting.progress_figure import write_progress_figure


def colours_in(path: Path) -> set[str]:
    pixels = (imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    return {f"#{r:02X}{g:02X}{b:02X}" for r, g, b in np.unique(pixels, axis=0)}


def test_every_measured_curve_is_drawn(tmp_path: Path) -> None:
    history = [
        {"epoch": e, "iteration": 10 * e, "loss": 1 / (e + 1), "validation_loss": 1.2 / (e + 1), "learning_rate": 0.01,
         "quick_dice": {"WT": 0.1 * e, "TC": 0.05 * e}}
        for e in range(8)
    ]  # fmt: skip
    write_progress_figure(tmp_path / "progress.png", history, title="3d_fullres fold 0")
    found = colours_in(tmp_path / "progress.png")
    regions = region_colours(["WT", "TC", "ET"])
    assert {BLUE, regions["WT"], regions["TC"]} <= found
    assert regions["ET"] not in found


@pytest.mark.parametrize(
    "history",
    [
        [{"epoch": 0, "loss": 1.0, "learning_rate": 0.1}],
        [{"epoch": 0, "loss": None, "learning_rate": 0.1}, {"epoch": 1, "loss": 0.5, "learning_rate": 0.1}],
        [{"epoch": 0, "loss": float("nan"), "learning_rate": 0.1, "quick_dice": {}}],
        [
            {"epoch": e, "loss": 0.1, "learning_rate": 0.1, "quick_dice": {"WT": 0.5} if e % 7 else None}
            for e in range(200)
        ],
    ],
)
def test_what_is_missing_does_not_stop_it(tmp_path: Path, history: list) -> None:
    write_progress_figure(tmp_path / "progress.png", history)
    assert imread(tmp_path / "progress.png").shape[0] > 500


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no epoch"):
        write_progress_figure(tmp_path / "progress.png", [])
    assert not list(tmp_path.iterdir())


def test_no_window_system_is_asked_for() -> None:
    import subprocess

    code = (
        "import sys, pathlib; from autobrats.reporting.progress_figure import write_progress_figure as draw;"
        "assert 'matplotlib' not in sys.modules; import tempfile;"
        "draw(pathlib.Path(tempfile.mkdtemp()) / 'a.png', [{'loss': 1.0}]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
