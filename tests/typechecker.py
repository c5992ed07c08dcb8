"""The runtime type checker of all tests; see conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number will do for a float
_checked: dict[tuple[Any, ...], Callable[..., Any]] = {}


def check(function: Callable[..., Any]) -> Any:
    """Beartype, but protocols are not checked: asking an object for its properties could run a model.

    A function inside another one is decorated anew whenever the outer one runs. What jaxtyping has checked is not that
    function but an empty one of its signature, so an equal one is made once.
    """
    hints = {
        name: Any if getattr(hint, "_is_protocol", False) else hint for name, hint in function.__annotations__.items()
    }
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
