"""Colours and line styles that everyone can tell apart (Okabe and Ito 2008, colour universal design)."""

from __future__ import annotations

from collections.abc import Iterable

BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
YELLOW = "#F0E442"
GREY = "#666666"

_REGION_COLOURS = {"WT": GREEN, "TC": ORANGE, "ET": PURPLE, "RC": SKY}
_OTHERS = (BLUE, VERMILION, SKY, GREEN, ORANGE, PURPLE)


def region_colours(regions: Iterable[str]) -> dict[str, str]:
    """A colour for each region: WT, TC, ET and RC have their own everywhere, others take the palette in order."""
    colours: dict[str, str] = {}
    for region in regions:
        used = set(colours.values())
        free = [colour for colour in _OTHERS if colour not in used] or list(_OTHERS)
        colours[region] = _REGION_COLOURS.get(region) or free[len(colours) % len(free) if not used else 0]
    return colours
