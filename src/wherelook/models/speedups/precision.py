"""Convolutions of float32 numbers in float32, and whether a processor multiplies bfloat16 numbers itself.

On a CUDA device PyTorch lets cuDNN round them to TF32, which has ten bits of mantissa, unless told otherwise. Small
models then change by 6 to 12 % more or less than their gradient says (docs/machines.md). Matrix products are left as
PyTorch is set: exact unless told otherwise.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch.backends import cudnn

_CONVOLUTIONS: Any = cudnn.conv  # type: ignore[attr-defined]  # made at import
EXACT = "ieee"


FASTER = 1.5
"""How many times faster products of bfloat16 numbers must be to be taken."""


@cache
def bfloat16_pays() -> bool:
    """Whether this processor multiplies bfloat16 matrices `FASTER` times as fast as float32 ones; tens of milliseconds.

    AMX and AVX512-BF16 do; without them PyTorch converts every number.
    """
    return _seconds(torch.float32) >= FASTER * _seconds(torch.bfloat16)


def _seconds(dtype: torch.dtype) -> float:
    """Of a small product: the fastest of several."""
    left, right = torch.ones(64, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype)
    taken = []
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(left, right)
        taken.append(time.perf_counter() - start)
    return min(taken)


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
