"""The store of preprocessed cases: compressed arrays from which a patch is read without reading the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from autobrats.dataset.conventions import Convention
from autobrats.errors import UserError
from autobrats.files import atomic_path, read_model, write_json
from autobrats.preprocessing.transform import Placement, Prepared

if TYPE_CHECKING:
    import blosc2

CHUNK = (64, 64, 64)
BLOCK = (16, 16, 16)
"""Chunks and the blocks in them; LZ4 at level 5 was the fastest to read of the codecs that were measured
(documentation/preprocessing.md)."""
LOCATIONS_PER_REGION = 4000
FLOAT16_LIMIT = 32000.0
"""Intensities beyond this, which only an unnormalised modality has, are stored as float32."""


class CaseProperties(BaseModel):
    """What is known of a stored case; written last, so that its file says that the case is whole."""

    model_config = ConfigDict(extra="forbid")

    name: str
    patient: str
    modalities: list[str]
    present: list[bool]
    """Which modalities the study has; the others are stored as zeros."""
    placement: Placement
    region_voxels: dict[str, int]
    """Voxels of each region in the stored mask; empty without a mask."""
    made_from: str
    """Hash of the plan's preprocessing and of the source files."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the stored arrays along (z, y, x)."""
        return self.placement.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing of the stored arrays along (z, y, x)."""
        return self.placement.spacing_mm


class CaseStore:
    """A folder of preprocessed cases.

    A case has four files: ``CASE.b2nd`` (images, float16, (modality, z, y, x)), ``CASE_mask.b2nd`` (uint8, (z, y, x),
    the segmentation's own integers), ``CASE_locations.npz`` (voxels by region) and ``CASE.json``
    (:class:`CaseProperties`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The cases that are stored whole, sorted."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.json"))

    def holds(self, name: str, made_from: str) -> bool:
        """Whether the case is stored whole and was made from just that."""
        try:
            return self.properties(name).made_from == made_from
        except UserError:
            return False

    def properties(self, name: str) -> CaseProperties:
        """What is known of a case (UserError if it is not stored)."""
        return read_model(self.folder / f"{name}.json", CaseProperties)

    def images(self, name: str) -> blosc2.NDArray:
        """The images, (modality, z, y, x), read as far as they are sliced: ``store.images(name)[:, 10:20]``."""
        return _open(self.folder / f"{name}.b2nd")

    def mask(self, name: str) -> blosc2.NDArray:
        """The mask, uint8, (z, y, x), read as far as it is sliced."""
        return _open(self.folder / f"{name}_mask.b2nd")

    def has_mask(self, name: str) -> bool:
        """Whether the case is annotated."""
        return (self.folder / f"{name}_mask.b2nd").is_file()

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Images, float16 (modality, z, y, x), and mask, uint8 (z, y, x), or None for a case without one."""
        return self.images(name)[:], self.mask(name)[:] if self.has_mask(name) else None

    def locations(self, name: str) -> dict[str, np.ndarray]:
        """Some voxels, int16 (n, 3) as (z, y, x), of each region that the case has, and of the ``brain``."""
        with np.load(self.folder / f"{name}_locations.npz", allow_pickle=False) as archive:
            return {region: archive[region] for region in archive.files}

    def write(
        self,
        name: str,
        patient: str,
        prepared: Prepared,
        mask: np.ndarray | None,
        *,
        modalities: Sequence[str],
        convention: Convention,
        made_from: str,
        seed: int = 0,
    ) -> CaseProperties:
        """Store a case; a case of that name that was there is not whole until this ends.

        Args:
            mask: uint8, (z, y, x) on the network's grid.
            made_from: see :func:`autobrats.preprocessing.dataset.fingerprint_of_sources`.
            seed: of the choice of voxels in ``CASE_locations.npz``.
        """
        self.remove(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        images = prepared.images
        if max(images.max(initial=0), -images.min(initial=0)) < FLOAT16_LIMIT:
            images = images.astype(np.float16)
        _write(self.folder / f"{name}.b2nd", images)
        if mask is not None:
            _write(self.folder / f"{name}_mask.b2nd", mask)
        locations, voxels = _locate(images, mask, convention, np.random.default_rng([seed, *name.encode()]))
        with atomic_path(self.folder / f"{name}_locations.npz") as temporary:
            np.savez(temporary, **locations)  # type: ignore[arg-type]
        properties = CaseProperties(
            name=name,
            patient=patient,
            modalities=list(modalities),
            present=prepared.present,
            placement=prepared.placement,
            region_voxels=voxels,
            made_from=made_from,
        )
        write_json(self.folder / f"{name}.json", properties)
        return properties

    def remove(self, name: str) -> None:
        """Delete a case's files, the one that says it is whole first."""
        for suffix in (".json", ".b2nd", "_mask.b2nd", "_locations.npz"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)


def _open(path: Path) -> blosc2.NDArray:
    import blosc2

    if not path.is_file():
        raise UserError(f"{path} does not exist; run autobrats_plan again to preprocess the case.")
    return blosc2.open(str(path), mode="r", dparams=blosc2.DParams(nthreads=1))


def _write(path: Path, array: np.ndarray) -> None:
    import blosc2

    lead = array.shape[:-3]
    chunks = (*lead, *(min(c, s) for c, s in zip(CHUNK, array.shape[-3:], strict=True)))
    blocks = (*(1 for _ in lead), *(min(b, c) for b, c in zip(BLOCK, chunks[-3:], strict=True)))
    with atomic_path(path) as temporary:
        # One assignment: blosc2.asarray copies an array above 16 MB chunk by chunk first.
        stored = blosc2.empty(
            array.shape,
            array.dtype,
            urlpath=str(temporary),
            mode="w",
            chunks=chunks,
            blocks=blocks,
            cparams=blosc2.CParams(codec=blosc2.Codec.LZ4, clevel=5, filters=[blosc2.Filter.SHUFFLE], nthreads=1),
        )
        stored[...] = np.ascontiguousarray(array)


def _is_not_zero(images: np.ndarray) -> np.ndarray:
    """``images != 0``; float16, which numpy compares by way of float32, by its bits without the sign."""
    return (images.view(np.uint16) << 1) != 0 if images.dtype == np.float16 else images != 0


def _locate(
    images: np.ndarray, mask: np.ndarray | None, convention: Convention, random: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    shape = images.shape[1:]
    flat = {"brain": np.flatnonzero(_is_not_zero(images).any(0))}
    voxels: dict[str, int] = {}
    if mask is not None:
        labelled = np.flatnonzero(mask)
        integers = mask.reshape(-1)[labelled]
        for region, members in convention.regions.items():
            table = np.zeros(256, bool)
            table[members] = True
            found = labelled[table[integers]]
            voxels[region] = len(found)
            if len(found):
                flat[region] = found
    locations = {}
    for region, indices in flat.items():
        if len(indices) > LOCATIONS_PER_REGION:
            indices = random.choice(indices, LOCATIONS_PER_REGION, replace=False, shuffle=False)
        locations[region] = np.stack(np.unravel_index(indices, shape), 1).astype(np.int16)
    return locations, voxels
