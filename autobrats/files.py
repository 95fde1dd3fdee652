"""Writing files whole or not at all, and reading JSON with errors that name the key."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from autobrats.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` when the block ends well.

    The temporary name keeps the file's suffixes, because image libraries choose a format by them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, content.encode("utf-8"))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_csv(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a heading atomically, in UTF-8."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    write_text(path, table.getvalue())


def write_json(path: Path, content: Any) -> None:
    """Write plain data or a pydantic model as indented JSON, atomically.

    Raises:
        ValueError: for NaN or infinity, which JSON does not have.
    """
    if hasattr(content, "model_dump"):
        content = content.model_dump(mode="json")
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a missing or broken file is a :class:`UserError` that names it."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); correct or delete it.") from None


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a JSON file into a pydantic model; a wrong key or value is named with what is allowed."""
    from pydantic import ValidationError

    content = read_json(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, model)}") from None


def describe_validation_error(error: Any, model: type[BaseModel]) -> str:
    """One sentence for the first fault of a pydantic ``ValidationError``: the key and what is allowed."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if not key:
        return fault["msg"].removeprefix("Value error, ") + "."
    if fault["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(_keys_beside(model, fault["loc"])))
        return f"unknown key '{key}'; allowed there: {allowed}."
    if fault["type"] == "missing":
        return f"the key '{key}' is missing."
    return f"the key '{key}' is {fault['input']!r}: {fault['msg']}."


def _keys_beside(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The field names of the (nested) model in which the last part of ``location`` stands."""
    from pydantic import BaseModel, RootModel

    current: Any = model
    if issubclass(model, RootModel):
        current = _model_in(model.model_fields["root"].annotation) or model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            if part not in current.model_fields:
                continue
            annotation = current.model_fields[str(part)].annotation
        else:
            continue
        current = _model_in(annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    """The first model in an annotation such as ``list[Fold]``, or None."""
    from pydantic import BaseModel

    return next((a for a in _flatten(annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _flatten(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _flatten(argument)
