"""The runtime type checker of all tests; see conftest.py."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping._decorator import _destring_annotation as evaluated

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number will do for a float
_checked: dict[tuple[Any, ...], Callable[..., Any]] = {}
_with_shapes = jaxtyping.jaxtyped


def check(function: Callable[..., Any]) -> Any:
    """Beartype, but protocols are not checked: asking an object for its properties could run a model.

    A function inside another one is decorated anew whenever the outer one runs. What jaxtyping has checked is not that
    function but an empty one of its signature, so an equal one is made once.
    """
    hints = {name: _without_protocol(hint) for name, hint in function.__annotations__.items()}
    function.__annotations__ = hints
    if "<locals>" not in function.__qualname__:
        return _check(function)
    code = function.__code__
    signature = (
        (function.__module__, function.__qualname__, repr(hints)),
        (code.co_code, code.co_varnames, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
    )
    if "<locals>" in repr(hints):  # a class of the outer function, which is another one each time
        return _check(function)
    if signature not in _checked:
        _checked[signature] = _check(function)
    return _checked[signature]


def jaxtyped(function: Any = None, **options: Any) -> Any:
    """In place of `jaxtyping.jaxtyped`: where no hint has a shape, beartype checks the function itself.

    To keep the sizes of a call's arrays jaxtyping binds its arguments and calls two empty functions of its signature:
    for functions without arrays, which are most, that took longer than many of them.
    """
    if function is None:
        return functools.partial(jaxtyped, **options)
    if isinstance(function, classmethod | staticmethod):
        return type(function)(jaxtyped(function.__func__, **options))
    if isinstance(function, property):
        parts = (function.fget, function.fset, function.fdel)
        return property(*(part if part is None else jaxtyped(part, **options) for part in parts))
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function) or "<locals>" in function.__qualname__:
        return _with_shapes(function, **options)
    written = function.__annotations__
    hints = {name: evaluated(hint, function.__globals__) for name, hint in written.items()}
    if any(map(_has_shape, hints.values())):
        return _with_shapes(function, **options)
    function.__annotations__ = {name: _without_protocol(hint) for name, hint in hints.items()}
    try:
        checking = _check(function)
    finally:
        function.__annotations__ = written

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        return (function if jaxtyping.config.jaxtyping_disable else checking)(*args, **kwargs)

    return checked


def _without_protocol(hint: Any) -> Any:
    return Any if getattr(hint, "_is_protocol", False) else hint


def _has_shape(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_shape, get_args(hint)))
