"""pyradiomics' GLCM features, with its loops over sums and differences of grey levels taken out."""

from __future__ import annotations

import numpy as np
from radiomics.glcm import RadiomicsGLCM

from autobrats.survival.radiomics.class_input import FromGreyLevels


class Cooccurrence(FromGreyLevels, RadiomicsGLCM):
    """The co-occurrence matrices are pyradiomics' own; ``P_glcm`` has the shape (1, level, level, direction)."""

    def _calculateCoefficients(self) -> None:
        """What the formulas share; each sum over all pairs of levels is taken once."""
        p = self.P_glcm
        eps = np.spacing(1)
        levels = self.coefficients["grayLevels"].astype(float)
        highest = self.coefficients["Ng"]
        i, j = np.meshgrid(levels, levels, indexing="ij", sparse=True)
        self.coefficients.update(
            eps=eps,
            i=i,
            j=j,
            kValuesSum=np.arange(2, 2 * highest + 1, dtype=float),
            kValuesDiff=np.arange(highest, dtype=float),
            px=p.sum(2, keepdims=True),
            py=p.sum(1, keepdims=True),
            ux=np.sum(i[None, :, :, None] * p, (1, 2), keepdims=True),
            uy=np.sum(j[None, :, :, None] * p, (1, 2), keepdims=True),
            pxAddy=_summed_by(i + j - 2, p, 2 * highest - 1),
            pxSuby=_summed_by(np.abs(i - j), p, highest),
            HXY=-np.sum(p * np.log2(p + eps), (1, 2)),
        )

    def getMCCFeatureValue(self) -> float:
        """Maximal correlation coefficient: the root of the second largest eigenvalue of Q.

        Q(i, j) is the sum over k of p(i, k) p(j, k) / (px(i) py(k)), which is a product of two matrices.
        """
        p = np.moveaxis(self.P_glcm[0], -1, 0)
        if p.shape[1] < 2:
            return 1.0
        px, py = (np.moveaxis(self.coefficients[name][0], -1, 0) for name in ("px", "py"))
        eigenvalues = np.linalg.eigvals((p / (px * py + self.coefficients["eps"])) @ p.transpose(0, 2, 1))
        eigenvalues.sort()
        return float(np.nanmean(np.sqrt(eigenvalues[:, -2])).real)


def _summed_by(key: np.ndarray, p: np.ndarray, size: int) -> np.ndarray:
    """Probabilities (1, level, level, direction) summed by a whole number 0 to size - 1 of each pair: (1, size, direction)."""
    keys = key.astype(int).ravel()
    sums = np.zeros((1, size, p.shape[-1]))
    for direction in range(p.shape[-1]):
        sums[0, :, direction] = np.bincount(keys, p[0, :, :, direction].ravel(), size)
    return sums
