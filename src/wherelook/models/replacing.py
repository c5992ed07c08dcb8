"""Another forward for a module, for a while."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

Forward = Callable[..., Any]

_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
"""One for each module: two threads that use a model at a time must not restore each other's change."""


@contextlib.contextmanager
def replacing_forward(module: nn.Module, other: Callable[[Forward], Forward]) -> Iterator[None]:
    """Inside, the module's forward is `other(its own)`. It is left as it was, also after an error.

    Hooks on the module still run. A second thread waits until the first has left.
    """
    with _LOCKS.setdefault(module, threading.RLock()):
        before: Forward = module.forward
        replaced = "forward" in module.__dict__  # accelerate puts its own there
        module.forward = other(before)
        try:
            yield
        finally:
            if replaced:
                module.forward = before
            else:
                del module.forward
