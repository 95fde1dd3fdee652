"""The postprocessing that is searched: a rule for each region, how regions nest, and variants of the probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autobrats.dataset.conventions import Convention
from autobrats.plan import Part
from autobrats.postprocessing.region_rules import Nesting, RegionRule

UNCHANGED = "unchanged"
"""The variant of the probabilities as they were predicted."""

VOLUMES_MM3 = (0.0, 10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
"""Smallest volumes to choose from; a parameter is a place in here."""
HYSTERESIS = (0.0, 0.1, 0.2, 0.3)
"""How far above the threshold a component's highest probability must be."""
GROW_MM = (-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0)
"""How far the border of a region may move."""


@dataclass(frozen=True)
class PostprocessingChoice:
    """A point of the search space.

    Attributes:
        rules: one a region, in the order of the regions.
        nesting: of the regions.
        variant: of the probabilities.
    """

    rules: tuple[RegionRule, ...]
    nesting: Nesting = "paint"
    variant: str = UNCHANGED


class SearchSpace:
    """What may be chosen for a convention.

    Args:
        convention: whose regions have rules.
        variants: of the probabilities, beside :data:`UNCHANGED`.
        graded: whether the probabilities are more than 0 and 1; if not, borders are moved by mm instead of thresholds.
    """

    def __init__(self, convention: Convention, variants: Sequence[str] = (), *, graded: bool = True) -> None:
        self.regions = list(convention.regions)
        self.variants = [UNCHANGED, *variants]
        members = [set(labels) for labels in convention.regions.values()]
        inner = {region for region, own in zip(self.regions, members) if any(own < other for other in members)}
        self.distributions: dict[str, BaseDistribution] = {}
        for region in self.regions:
            own: dict[str, BaseDistribution] = {}
            if graded:
                own["threshold"] = FloatDistribution(0.1, 0.9, step=0.05)
                own["hysteresis"] = IntDistribution(0, len(HYSTERESIS) - 1)
            else:
                own["grow"] = IntDistribution(0, len(GROW_MM) - 1)
            own["min_component"] = IntDistribution(0, len(VOLUMES_MM3) - 1)
            own["keep_largest"] = CategoricalDistribution([False, True])
            own["fill_holes"] = CategoricalDistribution(["never", "before", "after"])
            if region in inner or not inner:
                own["min_volume"] = IntDistribution(0, len(VOLUMES_MM3) - 1)
            self.distributions |= {f"{region}.{name}": distribution for name, distribution in own.items()}
        if inner:
            self.distributions["nesting"] = CategoricalDistribution(["paint", "clip"])
        if len(self.variants) > 1:
            self.distributions["variant"] = CategoricalDistribution(self.variants)

    @property
    def default(self) -> dict[str, Any]:
        """The parameters of no postprocessing at all."""
        nothing = {
            "threshold": 0.5,
            "hysteresis": 0,
            "grow": GROW_MM.index(0.0),
            "min_component": 0,
            "keep_largest": False,
            "fill_holes": "never",
            "min_volume": 0,
            "nesting": "paint",
            "variant": UNCHANGED,
        }
        return {name: nothing[name.rpartition(".")[2]] for name in self.distributions}

    @property
    def first(self) -> list[dict[str, Any]]:
        """The default, then what is known to help elsewhere, one change at a time."""
        changes: list[dict[str, Any]] = [{}]
        innermost = [name for name in self.distributions if name.endswith(".min_volume")][-1:]
        changes += [dict.fromkeys(innermost, place) for place in (3, 5, 7)]
        changes += [self._everywhere("min_component", place) for place in (3, 5)]
        changes += [self._everywhere("keep_largest", True), self._everywhere("fill_holes", "after")]
        changes += [self._everywhere("threshold", threshold) for threshold in (0.4, 0.45, 0.55, 0.6)]
        changes += [self._everywhere("hysteresis", 2)]
        changes += [self._everywhere("grow", place) for place in (1, 3, 4)]
        changes += [{"nesting": "clip"}] if "nesting" in self.distributions else []
        changes += [{"variant": variant} for variant in self.variants[1:]]
        wanted = [{**self.default, **change} for change in changes]
        return [params for place, params in enumerate(wanted) if params not in wanted[:place]]

    def choice(self, params: Mapping[str, Any]) -> PostprocessingChoice:
        """What parameters mean."""
        rules = []
        own = {**self.default, **params}
        for region in self.regions:
            threshold = round(float(own.get(f"{region}.threshold", 0.5)), 6)
            above = HYSTERESIS[own.get(f"{region}.hysteresis", 0)]
            rules.append(
                RegionRule(
                    threshold=threshold,
                    seed_threshold=round(min(threshold + above, 0.95), 6) if above else 0.0,
                    grow_mm=GROW_MM[own.get(f"{region}.grow", GROW_MM.index(0.0))],
                    min_component_mm3=VOLUMES_MM3[own[f"{region}.min_component"]],
                    keep_largest=own[f"{region}.keep_largest"],
                    fill_holes=own[f"{region}.fill_holes"],
                    min_volume_mm3=VOLUMES_MM3[own.get(f"{region}.min_volume", 0)],
                )
            )
        return PostprocessingChoice(tuple(rules), params.get("nesting", "paint"), params.get("variant", UNCHANGED))

    def parts(self, choice: PostprocessingChoice) -> list[Part]:
        """The choice's rules as postprocessing of a model; none if they are those of the default."""
        if choice.rules == self.choice(self.default).rules and choice.nesting == "paint":
            return []
        plain = asdict(RegionRule())
        rules = {
            region: {name: value for name, value in asdict(rule).items() if value != plain[name]}
            for region, rule in zip(self.regions, choice.rules, strict=True)
        }
        return [Part(name="region_rules", options={"rules": rules, "nesting": choice.nesting})]

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that differ from the default, in units: for people."""
        shown = {}
        for name, value in params.items():
            if value == self.default.get(name):
                continue
            kind = name.rpartition(".")[2]
            if kind in ("min_component", "min_volume"):
                shown[f"{name}_mm3"] = VOLUMES_MM3[value]
            elif kind == "grow":
                shown[f"{name}_mm"] = GROW_MM[value]
            elif kind == "hysteresis":
                shown[name] = HYSTERESIS[value]
            else:
                shown[name] = round(value, 6) if isinstance(value, float) else value
        return shown

    def _everywhere(self, kind: str, value: Any) -> dict[str, Any]:
        return {name: value for name in self.distributions if name.endswith(f".{kind}")}
