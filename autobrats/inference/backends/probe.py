"""Which arrangement computes a window fastest: found out with passes that are needed anyway."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from autobrats.inference.backends.arrangements import Arrangement, CpuBackend
from autobrats.inference.backends.kept_models import read_kept, write_kept

REPEATS = 2
"""An arrangement is timed so often, and its best time counts."""
HOPELESS = 1.5
"""One that takes so many times the best so far is not timed again."""
NEARLY = 1.05
"""Of those within 5 % of the fastest, the one with the fewest images in memory is taken."""
CONVERSION_S = 5.0
"""What preparing a backend is taken to cost before it was measured."""
HOPED = {"torch": math.inf, "bf16x3": 0.6, "openvino": 0.5, "onnx": 0.1}
"""Share of the time that a backend may save, for the question whether to try it."""
STARTING_PASSES = {"torch": 0, "bf16x3": 1, "openvino": 1, "onnx": 3}
"""Passes of the slowest backend that starting with another one costs: the comparison with torch, and slow ones of its own."""
ANOTHER = 0.1
"""The share for a second arrangement of a backend, and for OpenVINO's own float32 beside ``bf16x3``."""


class Timing(BaseModel):
    """What an arrangement took."""

    model_config = ConfigDict(extra="forbid")

    arrangement: Arrangement
    seconds: float = Field(gt=0)
    """An image."""


class Choice(BaseModel):
    """The file ``choice-HASH.json``: what was measured for one window on one machine, and what follows."""

    model_config = ConfigDict(extra="forbid")

    chosen: Arrangement | None
    """None while something worth measuring is left, or was left out for want of memory."""
    timings: list[Timing]
    passes: int = Field(default=0, ge=0)
    """So many images were computed until then: calls with a study each pay for a conversion together."""
    facts: dict[str, str]
    """The network, window, machine and versions that it holds for."""


def fastest(timings: Sequence[Timing]) -> Arrangement:
    """The arrangement to take: nearly the fastest, with the fewest images in memory."""
    best = min(timing.seconds for timing in timings)
    near = [timing for timing in timings if timing.seconds <= NEARLY * best]
    return min(near, key=lambda timing: (timing.arrangement.images, timing.seconds)).arrangement


class Probe:
    """Gives out arrangements to time, one a call, until the best is known.

    A candidate is prepared (compiled, say) only if the passes ahead, or as many as there were already, can pay for it:
    a single small study stays with what is ready.

    Args:
        candidates: in the order in which they are tried.
        file: where the choice is kept; a choice that stands there is taken and nothing is measured.
        facts: of the choice's file.
        cut: whether memory was too short for other candidates: then timings are kept, and no choice.
    """

    def __init__(
        self,
        candidates: Sequence[Arrangement],
        file: Path | None = None,
        facts: dict[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> None:
        self.candidates = list(candidates)
        self.timings: dict[Arrangement, list[float]] = {}
        self.preparing: dict[str, float] = {}
        self._file, self._facts, self._cut, self._passes = file, facts or {}, cut, 0
        self.chosen: Arrangement | None = None
        self._read()
        if self.chosen is None and len(self.candidates) == 1:
            self.chosen = self.candidates[0]

    def next(self, ahead: float, images: int) -> Arrangement:
        """What computes the next ``images``, of which ``ahead`` are still to come in all.

        Images too few for what was chosen are computed plainly: streams without work would leave their cores idle, and
        batches would be filled with nothing.
        """
        if self.chosen is not None:
            few = self.chosen.backend != "torch" and self.chosen.images > images
            plain = Arrangement(backend=self.chosen.backend)
            return plain if few and plain in self.candidates else self.chosen
        ready = [a for a in self.candidates if a.images <= images or a.backend == "torch"]
        for candidate in ready:
            if candidate not in self.timings and self._pays(candidate, max(ahead, self._passes)):
                return candidate
        for candidate in ready:
            times = self.timings.get(candidate, [])
            if times and len(times) < REPEATS and min(times) < HOPELESS * self._best():
                return candidate
        timings = self._all_timings()
        return fastest([timing for timing in timings if timing.arrangement in ready] or timings)

    def report(self, arrangement: Arrangement, images: int, seconds: float, prepared_in: float | None = None) -> None:
        """Tell what ``images`` took, and what preparing took before."""
        self._passes += images
        if prepared_in is not None:
            self.preparing.setdefault(arrangement.backend, prepared_in)
        if self.chosen is not None:
            return
        times = self.timings.setdefault(arrangement, [])
        times.append(max(seconds / images, 1e-9))
        if all(self._is_done(candidate) for candidate in self.candidates):
            self.chosen = fastest(self._all_timings())
        if len(times).bit_count() == 1 or self.chosen is not None:  # ever more rarely
            self._write()

    def drop(self, broken: Collection[Arrangement], instead: Arrangement) -> None:
        """Some candidates do not work: ``instead`` goes on if nothing else is left. From now on nothing is written."""
        self._file = None
        self.candidates = [candidate for candidate in self.candidates if candidate not in broken] or [instead]
        self.timings = {done: times for done, times in self.timings.items() if done not in broken}
        if self.chosen in broken:
            self.chosen = None
        if len(self.candidates) == 1:
            self.chosen = self.candidates[0]

    def most_images(self) -> int:
        """How many images should come at a time; torch takes what there is."""
        open_to_choice = [self.chosen] if self.chosen else self.candidates
        return max([1, *(candidate.images for candidate in open_to_choice if candidate.backend != "torch")])

    def lost(self) -> set[CpuBackend]:
        """Backends that will not be chosen: everything of theirs was timed, and another is faster."""
        if not self.timings:
            return set()
        best = fastest(self._all_timings()).backend
        open_still = {candidate.backend for candidate in self.candidates if not self._is_done(candidate)}
        return {candidate.backend for candidate in self.candidates} - open_still - {best}

    def _pays(self, candidate: Arrangement, passes: float) -> bool:
        if not self.timings:
            return True
        if any(done.backend == candidate.backend for done in self.timings):
            share, cost = ANOTHER, self.preparing.get(candidate.backend, CONVERSION_S)
        else:
            slowest = max(min(times) for times in self.timings.values())
            split = candidate.backend == "openvino" and any(done.backend == "bf16x3" for done in self.timings)
            share = ANOTHER if split else HOPED[candidate.backend]
            cost = CONVERSION_S + STARTING_PASSES[candidate.backend] * slowest
        return share * passes * self._best() > cost

    def _is_done(self, candidate: Arrangement) -> bool:
        times = self.timings.get(candidate, [])
        return len(times) >= REPEATS or (bool(times) and min(times) >= HOPELESS * self._best())

    def _best(self) -> float:
        return min((min(times) for times in self.timings.values()), default=math.inf)

    def _all_timings(self) -> list[Timing]:
        return [Timing(arrangement=done, seconds=min(times)) for done, times in self.timings.items()]

    def _kept(self) -> Choice | None:
        """What was measured before, if it is about the same facts."""
        choice = read_kept(self._file, Choice)
        return choice if choice is not None and choice.facts == self._facts else None

    def _read(self) -> None:
        """Take over what was measured before, as far as there is room for it."""
        choice = self._kept()
        if choice is None:
            return
        known = [timing for timing in choice.timings if timing.arrangement in self.candidates]
        self.timings = {timing.arrangement: [timing.seconds] * REPEATS for timing in known}
        self._passes = choice.passes
        if choice.chosen in self.candidates:
            self.chosen = choice.chosen

    def _write(self) -> None:
        chosen, timings = None if self._cut else self.chosen, self._all_timings()
        if chosen is None and (kept := self._kept()):
            if kept.chosen is not None:  # another process finished, or had more memory
                return
            timings += [timing for timing in kept.timings if timing.arrangement not in self.timings]
        write_kept(self._file, Choice(chosen=chosen, timings=timings, passes=self._passes, facts=self._facts))
