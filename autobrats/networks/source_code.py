"""Which code a network is: what was derived from it holds only as long as that does not change."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

from torch import nn


def code_sha256(network: nn.Module) -> str:
    """The SHA-256 of the files that define a network and the modules it is made of, apart from torch's own.

    What has no file, or one that cannot be read, is left out.
    """
    classes = {base for module in network.modules() for base in type(module).__mro__}
    ours = [one for one in classes if one.__module__.partition(".")[0] not in ("builtins", "torch")]
    digest = hashlib.sha256()
    for content in sorted({_content(one) for one in ours}):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _content(one: type) -> bytes:
    try:
        file = inspect.getsourcefile(one)
        return b"" if file is None else Path(file).read_bytes()
    except (OSError, TypeError):
        return b""
