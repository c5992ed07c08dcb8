"""What must hold before Transformers is imported."""

from __future__ import annotations

import importlib
import importlib.util

from wherelook.errors import InputError


def check_torchvision() -> None:
    """Refuses a torchvision that cannot be imported: with one, not even models that do without it can be loaded.

    Transformers imports torchvision wherever it is installed, and its own error names neither it nor the cause, which
    is nearly always a build for another version of torch.

    Raises:
        InputError: torchvision is installed and broken.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # compiled operators that cannot load raise many types
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"the installed torchvision cannot be imported ({reason}): it was probably built "
            "for another torch; install a matching pair, or `pip uninstall torchvision` (most models do without)"
        ) from error
