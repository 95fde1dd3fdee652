"""A model folder as one zip file, and back: only what belongs to a model passes, and nothing of it is ever executed."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from autobrats import registry
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import read_metrics
from autobrats.files import atomic_path, read_model
from autobrats.inference.model_folder import (
    BEST_CONFIG,
    METRICS,
    PLAN,
    BestConfig,
    ModelFolder,
    read_best_config,
    read_model_folder,
    swapped_in,
)
from autobrats.inference.rounding_file import FILES as ROUNDING_FILES
from autobrats.inference.rounding_file import Rounding
from autobrats.plan import Plan

MIB = 1 << 20
MOST_ENTRIES = 1000
MOST_JSON_BYTES = 32 * MIB
"""metrics.json takes about 1.5 KiB a case: this is enough for 20,000."""
MOST_WEIGHTS_BYTES = 8192 * MIB
MOST_BYTES = 65536 * MIB
"""Of all files together, unpacked."""
MOST_RATIO = 100
"""Unpacked over packed; trained weights deflate to 0.93 of their size, metrics.json to an eighth."""
MOST_DIRECTORY_BYTES = MIB
MOST_HEADER_BYTES = 16 * MIB

_JSON_FILES = (BEST_CONFIG, METRICS, PLAN, *ROUNDING_FILES.values())
_WEIGHTS = re.compile(r"weights/[A-Za-z0-9_][A-Za-z0-9_.+-]{0,200}\.safetensors")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and lone surrogates: a terminal would obey or choke on them."""
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Bits of the general purpose flag (PKWARE, APPNOTE.TXT, section 4.4.4): traditional, strong, masked headers."""
_DOS_FOLDER = 0x10
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)
"""What zipfile raises for archives that are not whole or that somebody forged."""


def export_model(folder: Path, archive: Path, *, with_cases: bool = False, replace: bool = False) -> ModelFolder:
    """Write a model folder into one zip file, atomically; the same model gives the same bytes.

    Nothing else that lies in the folder goes in. Everything is stored as it is: trained weights deflate by 7 % only, and
    what deflate makes of them depends on the version of zlib.

    Args:
        folder: a model folder, as autobrats_find_best_config writes it.
        archive: ``FILE.zip``.
        with_cases: also metrics.json, the scores by the name of case and patient. Without it no name of a case leaves.
        replace: an older archive of that name.

    Returns:
        The model folder that was read.

    Raises:
        UserError: if the folder is not a whole model folder, something in it cannot be packed or names a case although
            ``with_cases`` is False, or the archive exists.
    """
    archive = Path(archive)
    if archive.suffix.lower() != ".zip":
        raise UserError(f"{archive} must end in .zip.")
    if archive.exists() and not (replace and archive.is_file()):
        raise UserError(f"{archive} exists already; choose another name, or replace it with --force.")
    model = read_model_folder(folder)
    names = _files_of(model.best_config)
    _check_json_files(model.path, names)
    for name in names - set(_JSON_FILES):
        _check_weights(model.path / name)
    changed = {}
    if METRICS in names and not with_cases:
        names.remove(METRICS)
        changed[BEST_CONFIG] = _without_metrics(model.best_config)
        _refuse_case_names(model, names)
    entries = [
        _entry(name, len(changed[name]) if name in changed else (model.path / name).stat().st_size)
        for name in sorted(names)
    ]
    _check_entries(entries, archive)
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w") as target:
        for entry in entries:
            with target.open(entry, "w") as packed:
                if entry.filename in changed:
                    packed.write(changed[entry.filename])
                    continue
                with open(model.path / entry.filename, "rb") as source:
                    shutil.copyfileobj(source, packed, MIB)
    return model


def import_model(archive: Path, folder: Path, *, replace: bool = False) -> ModelFolder:
    """Unpack a model that :func:`export_model` wrote; the folder appears whole and checked, or not at all.

    Every entry is checked before anything is written, every file before the folder takes its place. Only files that a
    model consists of are unpacked, and they are read as JSON and safetensors: none of them can hold code.

    Args:
        archive: ``FILE.zip``; trusted with nothing.
        folder: of the model; what is there already stays unless ``replace``.
        replace: an older model folder in that place.

    Raises:
        UserError: if the folder exists, or the archive is not whole, holds anything else than one model, is a bomb, or
            needs a newer autobrats or a part that is not installed here.
    """
    archive, folder = Path(archive), Path(folder).absolute()
    _refuse_taken(folder, replace)
    with _opened(archive) as content:
        entries = content.infolist()
        _check_entries(entries, archive, archive.stat().st_size)
        _check_space(entries, archive, folder)
        with swapped_in(folder) as new, _told_of(archive, new):
            (new / "weights").mkdir()
            for entry in (entry for entry in entries if entry.filename in _JSON_FILES):
                _unpack(content, entry, new)
            _check_json_files(new, {entry.filename for entry in entries})
            _check_parts(read_best_config(new), read_model(new / PLAN, Plan))
            for entry in (entry for entry in entries if entry.filename not in _JSON_FILES):
                _unpack(content, entry, new)
                _check_weights(new / entry.filename)
            model = read_model_folder(new)
    return dataclasses.replace(model, path=folder)


def needed_packages(model: ModelFolder) -> dict[str, list[str]]:
    """Parts that prediction needs and third parties add, by the package that adds them here: ``network 'my_unet'``."""
    packages: dict[str, list[str]] = {}
    for kind, name in sorted(_needed_parts(model.best_config, model.plan)):
        for point in entry_points(group=f"autobrats.{kind}", name=name):
            if point.dist is not None:
                packages.setdefault(f"{point.dist.name} {point.dist.version}", []).append(f"{kind} '{name}'")
    return packages


def _needed_parts(best_config: BestConfig, plan: Plan) -> set[tuple[str, str]]:
    """(kind, name) of the parts that prediction builds; what only training needs may be missing."""
    parts = {("postprocessing", step.name) for step in best_config.postprocessing}
    for name in {member.configuration for member in best_config.members} & plan.configurations.keys():
        configuration = plan.configurations[name]
        parts.add(("network", configuration.network.name))
        parts |= {("postprocessing", step.name) for step in configuration.postprocessing}
    return parts


def _files_of(best_config: BestConfig) -> set[str]:
    return {BEST_CONFIG, PLAN, *best_config.sha256, *(member.weights for member in best_config.members)}


class _BoundedReader(io.BufferedReader):
    """zipfile reads the directory at the end of an archive at once: a forged one could fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    if not archive.is_file():
        raise UserError(f"{archive} is not a file; give the FILE.zip that autobrats_export wrote.")
    with _BoundedReader(io.FileIO(archive)) as file:
        with _damage_named(archive):
            content = zipfile.ZipFile(file)
        with content:
            yield content


@contextmanager
def _damage_named(name: Path | str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UserError(f"{name} is not a whole zip file ({error}); copy it again.") from error


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    """An entry that is the same whenever and wherever it is written."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3  # Unix, whose kind of file stands in the upper half of external_attr
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = entry.compress_size = size
    return entry


def _check_entries(entries: Sequence[zipfile.ZipInfo], archive: Path, archive_bytes: int | None = None) -> None:
    """UserError unless every entry is a plain file of a model, of a believable size."""
    if len(entries) > MOST_ENTRIES:
        raise UserError(f"{archive} is refused: it has {len(entries)} entries, and a model at most {MOST_ENTRIES}.")
    seen = set()
    for entry in entries:
        if fault := _fault_of(entry):
            raise UserError(f"{archive} is refused: {entry.orig_filename!r} {fault}.")
        if entry.filename.lower() in seen:
            raise UserError(f"{archive} is refused: it holds {entry.filename!r} twice (capitals do not count).")
        seen.add(entry.filename.lower())
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise UserError(f"{archive} is refused: it unpacks to more than {MOST_BYTES // MIB:,} MiB.")
    if archive_bytes is not None and sum(entry.compress_size for entry in entries) > archive_bytes:
        raise UserError(f"{archive} is refused: its entries overlap, or say that they are larger than the file.")


def _fault_of(entry: zipfile.ZipInfo) -> str | None:
    """What is wrong with an entry, by its record in the archive's directory alone."""
    name = entry.orig_filename
    if name not in _JSON_FILES and not _WEIGHTS.fullmatch(name):
        return f"does not belong to a model, which is {', '.join(_JSON_FILES)} and weights/NAME.safetensors"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG) or entry.external_attr & _DOS_FOLDER:
        return "is a link, a folder or a device, not a file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted; ask for an archive as autobrats_export writes it"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}; stored (0) and deflated (8) are read"
    most = MOST_JSON_BYTES if name in _JSON_FILES else MOST_WEIGHTS_BYTES
    if entry.file_size > most:
        return f"has {entry.file_size / MIB:,.0f} MiB, and at most {most // MIB:,} MiB are read"
    if entry.file_size > MOST_RATIO * entry.compress_size:
        return f"unpacks to more than {MOST_RATIO} times its size, as no model does"
    return None


def _check_space(entries: Iterable[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    needed = sum(entry.file_size for entry in entries)
    free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
    if needed > free:
        raise UserError(
            f"{archive} unpacks to {needed / MIB:,.0f} MiB, and {free / MIB:,.0f} MiB are free at {folder.parent}; "
            "make space, or choose another place with -o."
        )


def _unpack(content: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Write one entry that was checked, and no more bytes than it says that it has."""
    with open(folder / entry.filename, "xb") as file:
        for block in _blocks(content, entry):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _blocks(content: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    left = entry.file_size
    with _damage_named("it"), content.open(entry) as source:
        while block := source.read(MIB):
            left -= len(block)
            if left < 0:
                break
            yield block
        if left:
            raise zipfile.BadZipFile(f"{entry.filename} has another size than it says")


def _refuse_taken(folder: Path, replace: bool) -> None:
    is_model = (folder / BEST_CONFIG).is_file()
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())) or (replace and is_model):
        return
    if is_model:
        raise UserError(f"{folder} exists already; choose another place with -o, or replace it with --force.")
    raise UserError(f"{folder} is not a model folder and is not replaced; choose another place with -o.")


@contextmanager
def _told_of(archive: Path, folder: Path) -> Iterator[None]:
    """Errors about the temporary folder are told of the archive, which is what the user knows."""
    try:
        yield
    except UserError as error:
        told = str(error).replace(f"{folder}{os.sep}", "")
        raise UserError(f"{archive} is refused: {told if len(told) < 800 else told[:800] + ' ...'}") from error


def _check_json_files(folder: Path, names: set[str]) -> None:
    """UserError unless the JSON files are sound and name exactly the files that are there."""
    if BEST_CONFIG not in names:
        raise UserError(f"{folder / BEST_CONFIG} is missing; it is not a model that autobrats_export wrote.")
    for name in sorted(names & set(_JSON_FILES)):
        for text in _texts(folder / name):
            if _UNPRINTABLE.search(text):
                raise UserError(f"{folder / name} has control characters in {text[:80]!r}.")
    best_config = read_best_config(folder)
    if missing := sorted(_files_of(best_config) - names):
        raise UserError(f"{folder / missing[0]} is missing; ask for the archive again.")
    if strange := sorted(names - _files_of(best_config)):
        raise UserError(f"{folder / strange[0]} does not belong to this model: {BEST_CONFIG} does not name it.")
    if METRICS in names:
        read_metrics(folder / METRICS)
    for name in names & set(ROUNDING_FILES.values()):
        read_model(folder / name, Rounding)


def _check_parts(best_config: BestConfig, plan: Plan) -> None:
    """UserError if prediction needs a part that is not installed here; nothing is imported to find out."""
    for kind, name in sorted(_needed_parts(best_config, plan)):
        if name not in registry.names(kind):
            raise UserError(
                f"the model needs the {kind} '{name}', which neither this autobrats nor a package installed here has: "
                f"ask its author which package adds it (entry point autobrats.{kind}), and install that first."
            )


def _texts(path: Path) -> Iterator[str]:
    """All keys and values of a JSON file that are text.

    Raises:
        UserError: if it is not JSON, nested too deep, or holds NaN or infinity.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number")

    try:
        waiting: list[Any] = [json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)]
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}).") from error
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value


def _check_weights(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; UserError unless its tensors are described in full and cover the file."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    try:
        if header_bytes > MOST_HEADER_BYTES:
            raise SafetensorError("its header is too large")
        with safe_open(path, framework="numpy") as tensors:
            return dict(tensors.metadata() or {})
    except SafetensorError as error:
        raise UserError(f"{path} does not hold safetensors weights ({error}).") from error


def _without_metrics(best_config: BestConfig) -> bytes:
    """best_config.json of the model without metrics.json."""
    hashes = {name: sha256 for name, sha256 in best_config.sha256.items() if name != METRICS}
    content = best_config.model_copy(update={"sha256": hashes}).model_dump(mode="json")
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _refuse_case_names(model: ModelFolder, names: Iterable[str]) -> None:
    """UserError if a file that is to leave names a case or patient of metrics.json."""
    cases = read_metrics(model.path / METRICS).cases
    known = {*cases, *(case.patient for case in cases.values())}
    known = {name for name in known if len(name) > 3}  # shorter ones are found by chance: "12 passes"
    if not known:
        return
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(known)))})(?!\w)")
    for name in sorted(names):
        path = model.path / name
        for text in _texts(path) if name in _JSON_FILES else _check_weights(path).values():
            if found := pattern.search(text):
                raise UserError(
                    f"{path} names the case or patient '{found[0]}' ({text[:80]!r}): take that out of the plan and run "
                    "autobrats_find_best_config again, or export with --with-cases if the names may leave."
                )
