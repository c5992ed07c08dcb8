"""Convolutions of float32 numbers in float32.

On a CUDA device PyTorch lets cuDNN round them to TF32, which has ten bits of mantissa, unless told otherwise. Small
models then change by 6 to 12 % more or less than their gradient says (docs/machines.md). Matrix products are left as
PyTorch is set: exact unless told otherwise.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.backends import cudnn

_CONVOLUTIONS: Any = cudnn.conv  # type: ignore[attr-defined]  # made at import
EXACT = "ieee"


class _Shared:
    """How many are inside, and the setting that the first one found."""

    lock = threading.Lock()
    inside = 0
    before = EXACT


@contextlib.contextmanager
def exact_convolutions() -> Iterator[None]:
    """Inside, and in every thread meanwhile. PyTorch's setting is restored when the last one leaves.

    The setting is one for the process: it is left alone where there is no CUDA device to heed it.
    """
    if not torch.cuda.is_available():
        yield
        return
    with _Shared.lock:
        if _Shared.inside == 0:
            _Shared.before = _CONVOLUTIONS.fp32_precision
            _CONVOLUTIONS.fp32_precision = EXACT
        _Shared.inside += 1
    try:
        yield
    finally:
        with _Shared.lock:
            _Shared.inside -= 1
            if _Shared.inside == 0:
                _CONVOLUTIONS.fp32_precision = _Shared.before
