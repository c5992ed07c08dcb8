"""What is the address of an endpoint."""

from __future__ import annotations

import pytest

from wherelook import InputError
from wherelook.models.endpoint.address import check_address, is_address


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("https://host.example/v1/", "https://host.example/v1"),
        ("http://[::1]:8000/v1/chat/completions", "http://[::1]:8000/v1"),
        ("HTTP://10.0.0.1", "HTTP://10.0.0.1"),
    ],
)
def test_addresses(given, kept):
    assert is_address(given)
    assert check_address(given) == kept


@pytest.mark.parametrize(
    "given",
    ["http://", "http://h:99999/v1", "http://h:x/v1", "http://h/v1?a=b", "http://h/v1#x", "http://h /v1", "ftp://h/v1",
     "http://h/\n", "http://[::1/v1", "http://h\u00e9/v1", "file:///etc/passwd",
     "http://a..b/v1", f"http://{'a' * 64}/v1"],
)  # fmt: skip
def test_no_addresses(given):
    with pytest.raises(InputError, match="is not the address of an endpoint; expected one such as"):
        check_address(given)


@pytest.mark.parametrize("given", ["http://user:secret@h/v1", "https://secret@h/v1"])
def test_a_password_in_an_address_is_refused_and_not_repeated(given):
    with pytest.raises(InputError, match="holds a user or a password: put the key into WHERELOOK_API_KEY") as caught:
        check_address(given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["embedded", "owner/name", "./http", "httpx://h"])
def test_names_of_other_models(name):
    assert not is_address(name)
