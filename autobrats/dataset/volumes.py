"""Reading image files and studies: voxels on canonical axes, shape (z, y, x), and their geometry."""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip, isal_zlib

from autobrats.dataset.cases import Case, Dataset, ImageFile
from autobrats.dataset.geometry import Geometry, by_times, geometry_of_file
from autobrats.devices import core_count
from autobrats.errors import UserError

NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")

BYTES_A_VOXEL, WORKER_BYTES = 12, 300 * 2**20
"""What reading and preprocessing takes for a voxel of each modality, and what a worker takes without any."""

_ELEMENT_DATA_FILE = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*(.*\S)", re.MULTILINE)

_UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, RuntimeError, OverflowError, MemoryError, zlib.error),
    isal_zlib.IsalError,  # type: ignore[assignment]  # its stub takes the class for an exception
    *(
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.wrapstruct.WrapStructError,
    ),
)


def image_suffix(path: Path) -> str | None:
    """The suffix of an image file that can be read, lower case (``.nii.gz``, ``.mha``, ...), else None."""
    name = path.name.lower()
    return next((suffix for suffix in (*NIFTI_SUFFIXES, *ITK_SUFFIXES) if name.endswith(suffix)), None)


def files_of(path: Path) -> list[Path]:
    """An image file, and the one with its voxels if an ``.mhd`` names one that is there."""
    if image_suffix(path) != ".mhd" or not path.is_file():
        return [path]
    with open(path, "rb") as file:
        named = _ELEMENT_DATA_FILE.search(file.read(1 << 16))
    voxels = path.parent / os.fsdecode(named[1]) if named else path
    return [path, voxels] if voxels != path and voxels.is_file() else [path]


def image_stem(path: Path) -> str:
    """The file's name without its image suffix."""
    return path.name[: len(path.name) - len(image_suffix(path) or "")]


@dataclass(frozen=True)
class Volume:
    """One image as read: voxels in the file's own data type on canonical axes, shape (z, y, x), and their geometry."""

    voxels: np.ndarray
    geometry: Geometry


@dataclass(frozen=True)
class Study:
    """A case's images in memory.

    Attributes:
        images: float32, shape (modality, z, y, x), C-contiguous; a missing modality is all zeros.
        present: for each modality, whether the case has it.
        spacing_mm: (z, y, x).
        geometry: of the first modality that is present.
    """

    name: str
    modalities: list[str]
    images: np.ndarray
    present: list[bool]
    spacing_mm: tuple[float, float, float]
    geometry: Geometry


def study_memory_gib(dataset: Dataset) -> float:
    """About how much memory a process takes that reads and checks, or preprocesses, a study of the size of the first."""
    file = next((image.path for case in dataset.cases for image in case.images.values() if image.path.is_file()), None)
    if file is None:
        return 0.0
    try:
        voxels = _count_voxels(file)
    except _UNREADABLE:
        return 0.0
    return (BYTES_A_VOXEL * voxels * (len(dataset.modalities) + 1) + WORKER_BYTES) / 2**30


def _count_voxels(path: Path) -> int:
    """Of one channel, from the file's header alone."""
    if image_suffix(path) in NIFTI_SUFFIXES:
        return math.prod(nibabel.load(path).shape[:3])  # type: ignore[attr-defined]
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return math.prod(reader.GetSize()[:3])


def read_volume(image: ImageFile, like: Geometry | None = None) -> Volume:
    """Read one image; a file without a position of its own (qform and sform codes 0) is oriented ``like`` another.

    Raises:
        UserError: if the file is missing, unreadable, truncated or not three-dimensional.
    """
    return _volume(image, _read_file(image.path), like)


def read_volumes(images: Mapping[str, ImageFile]) -> Iterator[tuple[str, Volume | UserError]]:
    """Yield (modality, volume) for each image, or what was wrong with it; a 4D file is read once.

    Files are read ahead in as many threads as numerical libraries may take (OMP_NUM_THREADS, else the cores): most of the
    time is gzip's, which leaves the interpreter to others.
    """
    like: Geometry | None = None
    groups = [list(group) for _, group in itertools.groupby(images.items(), key=lambda item: item[1].path)]
    files = _read_ahead([group[0][1].path for group in groups])
    for group, file in zip(groups, files, strict=True):
        for modality, image in group:
            try:
                if isinstance(file, UserError):
                    raise file
                volume = _volume(image, file, like)
            except UserError as error:
                yield modality, error
                continue
            like = like or volume.geometry
            yield modality, volume


def read_study(case: Case, modalities: Sequence[str]) -> Study:
    """Read a case's images onto canonical axes.

    Raises:
        UserError: naming case and file, if a file cannot be read, lies on another grid than the case's first image or
            has voxels that are not finite, or if the case has none of the modalities.
    """
    known = {modality: case.images[modality] for modality in modalities if modality in case.images}
    if not known:
        has = ", ".join(case.images) or "no image"
        raise UserError(f"Case {case.name} has none of the modalities {', '.join(modalities)}; it has: {has}.")
    images = np.empty(0, np.float32)
    geometry: Geometry | None = None
    for modality, volume in read_volumes(known):
        file = known[modality].path
        if isinstance(volume, UserError):
            raise UserError(f"Case {case.name}: {volume}")
        if geometry is None:
            geometry = volume.geometry
            images = np.zeros((len(modalities), *geometry.shape), np.float32)
        elif difference := geometry.mismatch(volume.geometry):
            first = next(iter(known.values())).path.name
            raise UserError(
                f"Case {case.name}: {file} does not lie on the grid of {first}: it has {difference}; resample it."
            )
        image = images[list(modalities).index(modality)]
        image[...] = volume.voxels
        is_real = volume.voxels.dtype.kind == "f"
        if is_real and (count := image.size - int(np.isfinite(image).sum())):
            raise UserError(f"Case {case.name}: {file} has {count} voxels that are NaN or infinite; replace them.")
    assert geometry is not None
    present = [modality in known for modality in modalities]
    return Study(case.name, list(modalities), images, present, geometry.spacing_mm, geometry)


def read_mask(image: ImageFile, geometry: Geometry | None = None) -> np.ndarray:
    """Read a segmentation onto canonical axes: uint8, shape (z, y, x); whole numbers stored as floats are accepted.

    Raises:
        UserError: if it cannot be read, does not lie on the grid of ``geometry``, or does not hold whole 0..255.
    """
    volume = read_volume(image, geometry)
    if geometry is not None and (difference := geometry.mismatch(volume.geometry)):
        raise UserError(f"The mask {image.path} does not lie on its study's grid: it has {difference}; resample it.")
    return as_labels(volume.voxels, image.path)


def read_case_mask(case: Case, modalities: Sequence[str]) -> np.ndarray:
    """The mask of a case that has one, as :func:`read_mask` reads it.

    A mask without a position of its own is oriented like the first of the case's images, in the order of ``modalities``, as
    in preprocessing.
    """
    assert case.mask is not None
    first = next(case.images[modality] for modality in modalities if modality in case.images)
    return read_mask(case.mask, read_volume(first).geometry)


def as_labels(voxels: np.ndarray, file: Path) -> np.ndarray:
    """Voxels as read from ``file`` as a label map: uint8, C-contiguous.

    Raises:
        UserError: if they are not whole numbers from 0 to 255.
    """
    if voxels.dtype != np.uint8:
        if voxels.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = np.rint(voxels)
                wrong = ~(np.abs(voxels - whole) < 1e-3)
            if wrong.any():
                example = voxels[wrong][0]
                raise UserError(
                    f"The mask {file} holds numbers that are not whole (for example {example:.4g}, "
                    f"{int(wrong.sum())} voxels); it must hold one whole number a voxel."
                )
            voxels = whole
        low, high = voxels.min(), voxels.max()
        if low < 0 or high > 255:
            raise UserError(
                f"The mask {file} holds the number {low if low < 0 else high:.0f}; labels must lie in 0..255."
            )
    return np.ascontiguousarray(voxels, np.uint8)


@dataclass(frozen=True)
class _File:
    """An image file's content on its own axes (i, j, k) or (i, j, k, channel)."""

    array: np.ndarray
    affine: np.ndarray
    header: bytes | None
    placed: bool


def _volume(image: ImageFile, file: _File, like: Geometry | None) -> Volume:
    array = file.array
    if image.channel is not None:
        if array.ndim != 4 or image.channel >= array.shape[3]:
            raise UserError(f"{image.path} has no channel {image.channel}: its shape is {by_times(array.shape)}.")
        array = array[..., image.channel]
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or 0 in array.shape:
        raise UserError(
            f"{image.path} is not a 3D image: its shape is {by_times(array.shape)}; give one 3D file a modality."
        )
    affine = file.affine
    if like is not None and not file.placed and array.shape == like.file_shape:
        affine = like.affine
    suffix = image_suffix(image.path) or ".nii.gz"
    try:
        geometry = geometry_of_file(array.shape, affine, suffix, file.header, file.placed)
    except ValueError as error:
        raise UserError(f"{image.path} cannot be placed in space: {error}; correct its header.") from None
    return Volume(geometry.to_canonical(array), geometry)


def _read_ahead(paths: Sequence[Path]) -> Iterator[_File | UserError]:
    """Each file, or what was wrong with it; not more of them are in memory than there are threads, and one."""
    threads = min(len(paths), _most_threads())
    if threads < 2:
        yield from map(_file_or_fault, paths)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="reading") as pool:
        waiting: deque[Future[_File | UserError]] = deque()
        for path in paths:
            waiting.append(pool.submit(_file_or_fault, path))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _most_threads() -> int:
    # A list such as "4,1" says how many at every level of nesting.
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isdecimal() else core_count()


def _file_or_fault(path: Path) -> _File | UserError:
    try:
        return _read_file(path)
    except UserError as error:
        return error


def _read_file(path: Path) -> _File:
    suffix = image_suffix(path)
    if suffix is None:
        raise UserError(f"{path} is not an image that can be read ({', '.join((*NIFTI_SUFFIXES, *ITK_SUFFIXES))}).")
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    try:
        return _read_nifti(path) if suffix in NIFTI_SUFFIXES else _read_itk(path)
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} cannot be read, it is damaged or truncated ({reason}); copy it again.") from None


def _read_nifti(path: Path) -> _File:
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = igzip.decompress(content)
    if not content:
        raise ValueError("it is empty")
    is_nifti2 = content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    with nibabel.imageglobals.LoggingOutputSuppressor():
        header = (nibabel.Nifti2Header if is_nifti2 else nibabel.Nifti1Header).from_fileobj(io.BytesIO(content))
    array = header.data_from_fileobj(io.BytesIO(content))
    placed = bool(header["qform_code"] or header["sform_code"])
    return _File(array, header.get_best_affine(), None if is_nifti2 else header.binaryblock, placed)


def _read_itk(path: Path) -> _File:
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    if image.GetDimension() not in (2, 3, 4) or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError("it has vectors as voxels")
    array = SimpleITK.GetArrayFromImage(image).transpose()
    affine = np.eye(4)
    size = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(size, size)
    if size != 3:
        return _File(array, affine, None, True)
    affine[:3, :3] = direction * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return _File(array, np.diag([-1.0, -1, 1, 1]) @ affine, None, True)
