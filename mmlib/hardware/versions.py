"""Versions that a result depends on."""

import platform

import torch

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"mmlib": __version__, "torch": torch.__version__, "python": platform.python_version()}
