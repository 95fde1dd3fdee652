"""Converted networks, kept beside their weights: converting takes seconds, reading what was converted does not."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from autobrats.devices import machine_facts
from autobrats.errors import UserError
from autobrats.files import file_sha256, read_model, write_json

CONVERTED = "converted"
"""The folder in a model folder."""
CONVERSION = 3
"""Version of how networks are converted: a new one makes everything that was kept be converted again."""
SHAPES_ON_DISK = 4
"""Converted models of a network that are kept for each backend; the one used longest ago goes first."""
LEFTOVERS_AFTER_S = 24 * 3600
"""What a killed process left half-written is deleted when it is so old."""

UNFINISHED = ".converting-"
"""How the name of a folder begins in which a model is being converted."""

Kept = TypeVar("Kept", bound=BaseModel)

_log = logging.getLogger(__name__)


class Conversion(BaseModel):
    """The file ``NAME.json`` beside a converted model."""

    model_config = ConfigDict(extra="forbid")

    sha256: dict[str, str]
    """Of the model's files, by suffix."""
    checks: dict[str, float] = {}
    """Largest difference to torch's logits, by processor and arrangement: those that were checked and found equal."""


def digest(**facts: object) -> str:
    """A short name for facts that JSON can say."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


@lru_cache(maxsize=1)
def processor() -> str:
    """The name of this machine's processor."""
    return machine_facts(Path.cwd()).processor


def read_kept(file: Path | None, kind: type[Kept]) -> Kept | None:
    """What a file keeps; None if there is none, or it is damaged."""
    try:
        return None if file is None else read_model(file, kind)
    except (UserError, OSError):
        return None


def write_kept(file: Path | None, content: BaseModel) -> None:
    """Keep it, if there is a file that can be written."""
    if file is None:
        return
    try:
        write_json(file, content)
    except OSError as error:
        _log.debug("%s cannot be kept: %s", file, error)


class KeptModels:
    """The converted models of one network.

    A folder that cannot be written, or a file that is damaged, is no error: the network is converted again.

    Args:
        folder: ``MODEL_FOLDER/converted``; None keeps nothing.
        network: what tells this network from others: weights, architecture, channels, code.
    """

    def __init__(self, folder: Path | None = None, network: str = "") -> None:
        self.folder = folder
        self._network = digest(network=network)

    def find(self, name: str, suffixes: Sequence[str]) -> list[Path] | None:
        """The whole files of a converted model, or None."""
        record = self._record(name)
        if record is None or self.folder is None or set(record.sha256) != set(suffixes):
            return None
        files = [self._path(name, suffix) for suffix in suffixes]
        try:
            if any(file_sha256(file) != record.sha256[suffix] for file, suffix in zip(files, suffixes, strict=True)):
                return None
        except OSError:
            return None
        with suppress(OSError):  # the folder of another user can be read, and not written
            os.utime(self._path(name, ".json"))
        return files

    def keep(self, name: str, suffixes: Sequence[str], write: Callable[[Path], None]) -> list[Path] | None:
        """Keep a converted model, which ``write`` puts at a path with the first suffix; None if there is no room."""
        if self.folder is None:
            return None
        try:
            self.folder.mkdir(exist_ok=True)
            _sweep(self.folder, suffixes)
            with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=self.folder) as temporary:
                written = Path(temporary) / f"model{suffixes[0]}"
                write(written)
                hashes = {suffix: file_sha256(written.with_suffix(suffix)) for suffix in suffixes}
                for suffix in suffixes:
                    written.with_suffix(suffix).replace(self._path(name, suffix))
            write_json(self._path(name, ".json"), Conversion(sha256=hashes))
            self._forget_oldest(name.partition("-")[0])
        except (OSError, RuntimeError) as error:
            _log.debug("The converted network cannot be kept: %s", error)
            return None
        return [self._path(name, suffix) for suffix in suffixes]

    def is_checked(self, name: str, how: str) -> bool:
        """Whether torch gave the same logits on this processor, in the arrangement ``how``."""
        record = self._record(name)
        return record is not None and f"{processor()}: {how}" in record.checks

    def note_check(self, name: str, how: str, difference: float) -> None:
        """Write down that the logits were the same up to ``difference``."""
        record = self._record(name)
        if record is None:
            return
        record.checks[f"{processor()}: {how}"] = difference
        write_kept(self._path(name, ".json"), record)

    def _record(self, name: str) -> Conversion | None:
        return None if self.folder is None else read_kept(self._path(name, ".json"), Conversion)

    def _path(self, name: str, suffix: str) -> Path:
        assert self.folder is not None
        backend, _, rest = name.partition("-")
        return self.folder / f"{backend}-{self._network}-{rest}{suffix}"

    def _forget_oldest(self, backend: str) -> None:
        assert self.folder is not None
        records = sorted(self.folder.glob(f"{backend}-{self._network}-*.json"), key=lambda path: path.stat().st_mtime)
        for record in records[:-SHAPES_ON_DISK]:
            for file in self.folder.glob(f"{record.stem}.*"):
                file.unlink(missing_ok=True)


def _sweep(folder: Path, suffixes: Sequence[str]) -> None:
    """Delete what killed processes left: folders and files that are half-written, and models without a record."""
    alone = [
        file for suffix in suffixes for file in folder.glob(f"*{suffix}") if not file.with_suffix(".json").exists()
    ]
    for path in [*folder.glob(f"{UNFINISHED}*"), *folder.glob(".*.tmp.*"), *alone]:
        with suppress(OSError):  # another process sweeps as well
            if time.time() - path.stat().st_mtime < LEFTOVERS_AFTER_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
