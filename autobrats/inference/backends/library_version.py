"""The version of an installed library, whichever package it comes in."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, packages_distributions, version


def library_version(name: str) -> str:
    """Of the library that is imported as ``name``: onnxruntime, say, which the package onnxruntime-gpu has as well."""
    try:
        return version(name)
    except PackageNotFoundError:
        if importlib.util.find_spec(name) is None:
            return "not installed"
    packages = packages_distributions().get(name)
    return ", ".join(f"{package} {version(package)}" for package in sorted(set(packages))) if packages else "unknown"
