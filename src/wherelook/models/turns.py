"""One thread at a time on a model: others wait for their turn.

While a model is explained, forwards of its modules are replaced, its weights ask for no gradient, hooks lie on its
layers and its configuration asks for another attention. Nothing of that may meet the forward of another thread. So
whatever runs a model does it inside `turn`, which waits until no other thread is inside with the same model, or with
one that shares a module, a weight or a configuration with it. A thread that is inside may enter again.

The application's own calls of its model are beyond this: they should be made inside `turn`, too, if other threads
explain the same model.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _Lock:
    """A re-entrant lock with a number: locks that are taken together are taken in the order of their numbers."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.number = next(self._numbers)


class _Inside(threading.local):
    """Which models this thread is inside with."""

    def __init__(self) -> None:
        self.models: set[int] = set()


AUTOCAST_DEVICES = ("cpu", "cuda", "mps")

_LOCK_OF = WeakIdKeyDictionary()
"""The lock of every module, weight, configuration and processor that was in use."""

_FINDING = threading.Lock()
_INSIDE = _Inside()


@contextlib.contextmanager
def turn(model: nn.Module, *others: object) -> Iterator[None]:
    """Inside, this thread alone has the model, in evaluation mode; after, the mode is as it was.

    PyTorch's modes of the thread are set aside meanwhile (`ordinary_modes`).

    Args:
        model: the model.
        others: what else only one thread may use at a time, such as a processor.
    """
    if id(model) in _INSIDE.models:
        yield
        return
    with contextlib.ExitStack() as stack:
        for one in _locks(model, others):
            stack.enter_context(one.lock)
        stack.enter_context(ordinary_modes())
        training = [module for module in model.modules() if module.training]
        _INSIDE.models.add(id(model))
        model.eval()
        try:
            yield
        finally:
            _INSIDE.models.discard(id(model))
            for module in training:
                module.training = True


@contextlib.contextmanager
def ordinary_modes() -> Iterator[None]:
    """Inside, autograd records, nothing is cast automatically, and tensors are made on the CPU unless told otherwise.

    Inference mode, `no_grad`, autocast and a default device belong to a thread; they are as they were after. The
    default dtype belongs to the process, so it is left alone: this package names the dtype of what it makes.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def in_turn(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function made to run inside the turn of its first argument: a model of this package, or what has a `model`."""
    first = next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def waiting(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        owner: Any = arguments[0] if arguments else options[first]
        if not hasattr(owner, "evaluation"):
            owner = owner.model
        with owner.evaluation() if hasattr(owner, "evaluation") else turn(owner):
            return function(*arguments, **options)

    return waiting


def _locks(model: nn.Module, others: tuple[object, ...]) -> list[_Lock]:
    """The locks of all parts of a model, in order: one, unless it shares parts with models that came before it."""
    parts: list[Any] = [*others, *model.parameters()]
    for module in model.modules():
        parts.append(module)
        configuration = getattr(module, "config", None)
        if configuration is not None and not isinstance(configuration, dict):
            parts.append(configuration)
    with _FINDING:
        found = {id(lock): lock for part in parts if (lock := _LOCK_OF.get(part)) is not None}
        new = [part for part in parts if part not in _LOCK_OF]
        if new:
            lock = min(found.values(), key=lambda one: one.number) if found else _Lock()
            found[id(lock)] = lock
            for part in new:
                _LOCK_OF[part] = lock
    return sorted(found.values(), key=lambda one: one.number)
