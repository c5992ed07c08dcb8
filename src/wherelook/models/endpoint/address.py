"""Addresses of endpoints, which stand where else the name of a model does."""

from __future__ import annotations

from urllib.parse import urlsplit

from wherelook.errors import InputError


def is_address(name: str) -> bool:
    """Whether a model's name is the address of an endpoint."""
    return name.lower().startswith(("http://", "https://"))


def check_address(address: str) -> str:
    """The address without a slash at its end.

    Raises:
        InputError: it is no http or https address, or holds a user, a password, a query or a fragment.
    """
    try:
        parts = urlsplit(address)
        secret = parts.username is not None or parts.password is not None
        (parts.hostname or "").encode("idna")  # a label of a name that no name has
        valid = is_address(address) and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # UnicodeError is one
        secret, valid = "@" in address, False
    if secret:  # not repeated: it would end up in logs
        raise InputError("the endpoint's address holds a user or a password: put the key into WHERELOOK_API_KEY")
    if not valid or parts.query or parts.fragment or any(not 32 < ord(letter) < 127 for letter in address):
        raise InputError(
            f"{ascii(address)[:200]} is not the address of an endpoint; expected one such as http://localhost:8000/v1"
        )
    return address.rstrip("/").removesuffix("/chat/completions")
