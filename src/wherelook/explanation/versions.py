"""What a result was made with."""

from __future__ import annotations

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("wherelook", "torch", "transformers", "pillow", "numpy")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
