"""The postprocessing that a configuration's plan names, on the predictions of its networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from autobrats import registry
from autobrats.dataset.conventions import Convention
from autobrats.errors import UserError
from autobrats.inference.sliding_window import VolumePrediction
from autobrats.networks.slice_axis import SliceAxis, slice_dimension
from autobrats.plan import Part
from autobrats.postprocessing.context import PostprocessingContext, levels_after, stages


class Postprocessor:
    """Steps that follow each other, each from region probabilities to region probabilities.

    Args:
        steps: the parts that the plan names, in order.
        convention: what the regions are made of.
        slice_axis: of the networks' slice-classification branch, if they have one.

    Raises:
        UserError: for an unknown step, an unknown option or an option's wrong value, or a step that asks a branch which the
            networks do not have.
    """

    def __init__(self, steps: Sequence[Part], convention: Convention, slice_axis: SliceAxis | None = None) -> None:
        self.names = [step.name for step in steps]
        self.convention, self.slice_axis = convention, slice_axis
        self._steps = [registry.build("postprocessing", step.name, step.options) for step in steps]
        if self.needs_slices and slice_axis is None:
            raise UserError(
                f"The plan's postprocessing ({', '.join(self.names)}) asks a slice-classification branch, which the network "
                "does not have; leave the slice gate out, or take a network with such a branch."
            )

    @property
    def needs_slices(self) -> bool:
        """Whether a step asks the slice-classification branch."""
        return any(getattr(step, "needs_slices", False) for step in self._steps)

    @property
    def needs_images(self) -> bool:
        """Whether a step looks at the images."""
        return any(getattr(step, "needs_images", True) for step in self._steps)

    def stages(
        self, prediction: VolumePrediction, images: np.ndarray, spacing_mm: Sequence[float]
    ) -> Iterator[np.ndarray]:
        """The probabilities after no step, after the first, and so on; float32, (region, z, y, x).

        Args:
            prediction: of the networks.
            images: (modality, z, y, x), as the networks saw them.
            spacing_mm: of their grid, along (z, y, x).
        """
        context = self._context(
            images, spacing_mm, None if prediction.slices is None else prediction.slices.cpu().numpy()
        )
        yield from stages(self._steps, prediction.probabilities.cpu().numpy(), context)

    def on_levels(self, levels: np.ndarray, images: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
        """Probabilities in uint8, 0..255, (region, z, y, x), after all steps, of which none asks for slices."""
        return levels_after(self._steps, levels, self._context(images, spacing_mm))

    def last(self, prediction: VolumePrediction, images: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
        """The probabilities after all steps; see :meth:`stages`."""
        *_, probabilities = self.stages(prediction, images, spacing_mm)
        return probabilities

    def _context(
        self, images: np.ndarray, spacing_mm: Sequence[float], slices: np.ndarray | None = None
    ) -> PostprocessingContext:
        return PostprocessingContext(
            convention=self.convention,
            images=images,
            spacing_mm=(float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2])),
            slices=slices,
            slice_axis=0 if self.slice_axis is None else slice_dimension(self.slice_axis) - 2,
        )
