"""Make a CUDA-built torchvision importable beside the CPU build of torch, for tests only.

Some image and video processors of Transformers are written on torchvision, and a package index may offer no
torchvision wheel that matches a CPU build of torch. Such a wheel fails at import because its compiled operators
cannot load, yet nothing that processors use (resizing, padding) needs them: the Python side only wants two operator
schemas to exist. ``pip install --no-deps --target "$VIRTUAL_ENV/test-only" torchvision==<version>`` keeps the wheel
off ``sys.path``, so that the environment stays free of torchvision until a test run asks for it here.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A torch.library.Library removes what it defined when it is collected: keep it for the life of the process.
_libraries: list[torch.library.Library] = []


def enable_torchvision() -> bool:
    """Put ``sys.prefix/test-only`` on the path if it holds torchvision; call before transformers is imported.

    Returns:
        True when torchvision can be imported (an installed one is left alone), False when there is none.
    """
    folder = Path(sys.prefix) / "test-only"
    # A process started by this one may have inherited the path, but not the schemas.
    if str(folder) not in sys.path and importlib.util.find_spec("torchvision") is not None:
        return True
    if not (folder / "torchvision").is_dir():
        return False
    if "transformers" in sys.modules:
        # transformers decides once, at import, which classes are backed by torchvision.
        raise RuntimeError("enable_torchvision() must be called before transformers is imported")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _libraries.append(library)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return True
