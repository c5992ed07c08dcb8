"""The runtime type checker of all tests; see conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number will do for a float


def check(function: Callable[..., Any]) -> Any:
    """Beartype, but protocols are not checked: asking an object for its properties could run a model."""
    hints = {
        name: Any if getattr(hint, "_is_protocol", False) else hint for name, hint in function.__annotations__.items()
    }
    function.__annotations__ = hints
    return _check(function)
