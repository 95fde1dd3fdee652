"""How intensities are scaled and discretised, and textures counted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_LEVELS = 1000
"""Of grey levels: a co-occurrence matrix of more takes above 100 MB, and pyradiomics crashes on one of 10,000."""


class RadiomicsSettings(BaseModel):
    """What pyradiomics is told; its own defaults but for the normalisation, which MR needs.

    Attributes:
        normalise: ``brain``: intensities become z-scores within the brain of their image, times ``normalise_scale``;
            ``none``: they stay as they are.
        normalise_scale: intensity of one standard deviation.
        bin_width: of the grey levels of textures, in (normalised) intensity.
        bin_count: so many grey levels between a region's extremes instead of a fixed width.
        voxel_array_shift: added to intensities in Energy, TotalEnergy and RootMeanSquared.
        distances: between the voxels of a pair (GLCM, GLDM, NGTDM), in voxels.
        gldm_alpha: grey levels that differ by no more depend on each other.
        in_slices: textures are counted within axial slices only (pyradiomics' ``force2D``).
        weighting_norm: how the directions of GLCM and GLRLM are weighted and merged; None takes the mean of the features
            over directions.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    normalise: Literal["brain", "none"] = "brain"
    normalise_scale: float = Field(default=100, gt=0, allow_inf_nan=False)
    bin_width: float = Field(default=25, gt=0, allow_inf_nan=False)
    bin_count: int | None = Field(default=None, ge=1, le=MOST_LEVELS)
    voxel_array_shift: float = Field(default=0, allow_inf_nan=False)
    distances: tuple[int, ...] = Field(default=(1,), min_length=1)
    gldm_alpha: int = Field(default=0, ge=0)
    in_slices: bool = False
    weighting_norm: Literal["no_weighting", "manhattan", "euclidean", "infinity"] | None = None

    def for_pyradiomics(self) -> dict[str, Any]:
        """The settings of pyradiomics' feature extractor that mean the same, for an image that is already normalised."""
        return {
            "binWidth": self.bin_width,
            "binCount": self.bin_count,
            "voxelArrayShift": self.voxel_array_shift,
            "distances": list(self.distances),
            "gldm_a": self.gldm_alpha,
            "force2D": self.in_slices,
            "force2Ddimension": 0,
            "weightingNorm": self.weighting_norm,
            "minimumROIDimensions": 1,
            "normalize": False,
            "additionalInfo": False,
        }
