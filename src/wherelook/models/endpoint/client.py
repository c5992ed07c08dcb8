"""JSON over HTTP to a server that nobody vouches for: retries, limits, errors of one line; the key is never shown."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from wherelook.address import check_address
from wherelook.errors import InputError, UnavailableError, UnusableError, WherelookError

KEY_VARIABLES = ("WHERELOOK_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first one that is set counts. It is read from nowhere else."""

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of a server that may answer when asked again."""

FIRST_WAIT = 0.5
LONGEST_WAIT = 120.0
"""Seconds before the first retry, doubled each time; and the longest that a server's Retry-After is followed."""

REPLY_LIMIT = 2**26
"""Bytes of one reply. A prompt of ten thousand tokens with their log-probabilities takes about two million."""

CHUNK = 2**16
SHOWN = 300
"""Characters of what a server says that an error line repeats."""


class RefusedError(InputError):
    """The server does not take this body; another one it may take."""


class Client:
    """Asks one server.

    Args:
        address: such as http://localhost:8000/v1, without the name of an operation.
        timeout: seconds that one try may take, reply included.
        retries: how often a request is sent again after a passing failure.
        sleep: waits so many seconds.

    Raises:
        InputError: no http or https address, one that holds a password, or a key that no header can carry.
    """

    def __init__(
        self, address: str, *, timeout: float = 120.0, retries: int = 5, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.address = check_address(address)
        if not 0 < timeout < 1e6:
            raise InputError(f"the timeout is a number of seconds above 0; got {timeout}")
        self.timeout = timeout
        self.retries = retries
        self.key_variable, self._key = _read_key()
        self._sleep = sleep
        # A redirected request would carry image and key to a place that the user did not name.
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._reached = threading.Event()

    def get(self, path: str) -> dict[str, Any]:
        """The reply to a question without a body. Errors are those of `post`."""
        return self._ask(path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a JSON object.

        Args:
            path: below the address, such as "/chat/completions".
            body: what is sent; the same again at every retry.

        Raises:
            RefusedError: the server does not take this body.
            UnusableError: it does not take the key, or has nothing at this address.
            UnavailableError: it cannot be reached.
            WherelookError: it says at every try that it fails, or its reply is too long or no JSON object.
        """
        return self._ask(path, json.dumps(body, ensure_ascii=True, allow_nan=False).encode())

    def _ask(self, path: str, data: bytes | None) -> dict[str, Any]:
        wait, problem, kind = FIRST_WAIT, "", WherelookError
        for tries_left in range(self.retries, -1, -1):
            asked_wait = None
            try:
                return _parse(self.address, self._send(path, data))
            except urllib.error.HTTPError as error:
                with error:
                    said = self._said(error)
                problem, kind = f"HTTP {error.code}{said}", WherelookError
                if error.code not in RETRIED:
                    raise self._refusal(error, said) from None
                asked_wait = _retry_after(error.headers.get("Retry-After"))
                if asked_wait is not None and asked_wait > LONGEST_WAIT:
                    raise UnavailableError(
                        f"{self.address} asks to wait {asked_wait:.0f} s ({problem}): run again then, or with a lower "
                        "--concurrency"
                    ) from None
            except (OSError, http.client.HTTPException) as error:  # refused, reset, cut off, timed out
                problem, kind = self._reason(error), UnavailableError
                if not self._reached.is_set() and _hopeless(error):
                    raise UnavailableError(
                        f"{self.address} cannot be reached: {problem}; is the server running, and is this its address?"
                    ) from None
            if tries_left:
                self._sleep(wait if asked_wait is None else asked_wait)
                wait = min(2 * wait, LONGEST_WAIT)
        raise kind(f"{self.address} failed {self.retries + 1} times, at last with: {problem}")

    def _send(self, path: str, data: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "wherelook"}
        request = urllib.request.Request(self.address + path, data=data, headers=headers)
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        deadline = time.monotonic() + self.timeout
        with self._opener.open(request, timeout=self.timeout) as reply:
            self._reached.set()
            return _read(reply, deadline, self.address)

    def _said(self, error: urllib.error.HTTPError) -> str:
        """What the server says about an error, without the key, as the end of a line; "" if nothing."""
        try:
            text = error.read(CHUNK).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return ""
        try:
            found = json.loads(text)
            inner = found.get("error", found) if isinstance(found, dict) else text
            text = str(inner.get("message", text) if isinstance(inner, dict) else inner)
        except (ValueError, RecursionError):
            pass
        return f": {shorten(text, self._key)}" if text.strip() else ""

    def _reason(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return f"no reply within {self.timeout:g} s (--timeout)"
        return shorten(str(reason) or type(reason).__name__, self._key)

    def _refusal(self, error: urllib.error.HTTPError, said: str) -> WherelookError:
        if error.code in (401, 403):
            key = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
            return UnusableError(
                f"{self.address} refuses {key} (HTTP {error.code}{said}): set {' or '.join(KEY_VARIABLES)}"
            )
        if 300 <= error.code < 400:
            return UnusableError(
                f"{self.address} sends to another place (HTTP {error.code}), which is not followed: give its address"
            )
        if error.code == 404:
            return UnusableError(
                f"{self.address} has no such model, or is not the address of an API (HTTP 404{said}): "
                "check --model, which ends in /v1 as a rule, and --model-name"
            )
        return RefusedError(f"{self.address} refuses the request: HTTP {error.code}{said}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        return None


def shorten(text: str, key: str = "") -> str:
    """What a server said, on one line, cut, and without the key."""
    text = text.replace(key, "(key)") if key else text
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * SHOWN]).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()} ..."


def _read_key() -> tuple[str, str]:
    """The name of the variable that holds the key, and the key; both empty if there is none."""
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key:
            if any(not 32 < ord(letter) < 127 for letter in key):
                raise InputError(f"the key in {variable} has characters that no key has, such as a space")
            return variable, key
    return "", ""


def _hopeless(error: Exception) -> bool:
    """Whether an error means that nobody is there, so that asking again is in vain."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, OSError) and not isinstance(reason, TimeoutError | ConnectionResetError)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or a date; None without one that can be read."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _read(reply: Any, deadline: float, address: str) -> bytes:
    parts, size = [], 0
    while part := reply.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > REPLY_LIMIT:
            raise WherelookError(f"the reply of {address} is longer than {REPLY_LIMIT // 2**20} MiB")
        if time.monotonic() > deadline:  # a server that trickles
            raise TimeoutError
    if reply.length:  # what is left of the announced length
        raise http.client.IncompleteRead(b"", reply.length)
    return b"".join(parts)


def _parse(address: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise WherelookError(f"the reply of {address} is not JSON: {data[:60]!r}") from None
    if not isinstance(found, dict):
        raise WherelookError(f"the reply of {address} is a JSON {type(found).__name__}; expected an object")
    return found
