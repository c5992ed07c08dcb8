"""JSON over HTTP to a server that nobody vouches for: retries, limits, errors of one line; the key is never shown.

Nothing that a server says leaves this module before `keys.cut` and `_as_text` have been over it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from wherelook import keys
from wherelook.errors import InputError, UnavailableError, UnusableError, WherelookError
from wherelook.models.endpoint.address import check_address

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of a server that may answer when asked again."""

FIRST_WAIT = 0.5
LONGEST_WAIT = 120.0
"""Seconds before the first retry, doubled each time; and the longest that a server's Retry-After is followed."""

REPLY_LIMIT = 2**26
"""Bytes of one reply. A prompt of ten thousand tokens with their log-probabilities takes about two million."""

TEXT_LIMIT = 2**20
"""Characters of one text in a reply; no answer and no name is as long."""

CHUNK = 2**16
HALVES = re.compile("[\ud800-\udfff]")
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
        use_proxy: whether requests go through the proxy that the environment names (http_proxy, https_proxy,
            no_proxy), which reads key and images of an http address. Without it that proxy is left alone.
        sleep: waits so many seconds.

    Attributes:
        key_variable: the environment variable that the key is from; "" without a key.
        proxy: host and port of the proxy that requests go through; "" without one.

    Raises:
        InputError: no http or https address, one that holds a password or the key, a key that no header can carry, or
            `use_proxy` where the environment names none.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 120.0,
        retries: int = 5,
        use_proxy: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = check_address(address)
        if not 0 < timeout < 1e6:
            raise InputError(f"the timeout is a number of seconds above 0; got {timeout}")
        self.timeout = timeout
        self.retries = retries
        self.key_variable, key = keys.read_key()
        if keys.cut(self.address) != self.address:  # it would be in records, pages and logs
            raise InputError(f"the endpoint's address holds the key in {self.key_variable}: leave it out there")
        self._authorization = _Secret(f"Bearer {key}" if key else "")
        self._sleep = sleep
        self._proxy_there = _environment_proxy(self.address)
        self.proxy = self._proxy_there if use_proxy else ""
        if use_proxy and not self.proxy:
            raise InputError(
                f"the environment names no proxy for {self.address}: set {urlsplit(self.address).scheme}_proxy, or "
                "leave --use-proxy out"
            )
        # A redirected request would carry image and key to a place that the user did not name; so would a proxy.
        proxies = urllib.request.ProxyHandler(None if use_proxy else {})
        self._opener = urllib.request.build_opener(proxies, _NoRedirect)
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
                    raise UnavailableError(self._unreachable(error, problem)) from None
            if tries_left:
                self._sleep(wait if asked_wait is None else asked_wait)
                wait = min(2 * wait, LONGEST_WAIT)
        raise kind(f"{self.address} failed {self.retries + 1} times, at last with: {problem}")

    def _send(self, path: str, data: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "wherelook"}
        request = urllib.request.Request(self.address + path, data=data, headers=headers)
        if self._authorization.value:
            request.add_unredirected_header("Authorization", self._authorization.value)
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
        return f": {shorten(text)}" if text.strip() else ""

    def _reason(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return f"no reply within {self.timeout:g} s (--timeout)"
        return shorten(str(reason) or type(reason).__name__)

    def _unreachable(self, error: Exception, problem: str) -> str:
        """What to tell where a first request found nobody, or nobody to trust."""
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = shorten(getattr(reason, "verify_message", "") or str(reason))
            return (
                f"{self.address} shows a certificate that this machine does not trust ({why}): nothing was sent. If "
                "the server is yours, name its certificate, or its authority's, in the variable SSL_CERT_FILE"
            )
        if isinstance(reason, ssl.SSLError):
            return f"{self.address} does not speak https ({problem}): is its address one with http://?"
        hint = "; is the server running, and is this its address?"
        if self.proxy:
            hint = f"; it was asked through the proxy {self.proxy} (--use-proxy)"
        elif self._proxy_there:
            hint += f" The proxy {self._proxy_there} of the environment is used with --use-proxy alone"
        return f"{self.address} cannot be reached: {problem}{hint}"

    def _refusal(self, error: urllib.error.HTTPError, said: str) -> WherelookError:
        if error.code in (401, 403):
            key = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
            return UnusableError(
                f"{self.address} refuses {key} (HTTP {error.code}{said}): set {' or '.join(keys.KEY_VARIABLES)}"
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


@contextlib.contextmanager
def requests_at_once(most: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for requests. An error or an interruption waits for none that is under way."""
    pool = ThreadPoolExecutor(most)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@dataclass(frozen=True)
class _Secret:
    """What no `repr` of an object shows."""

    value: str = field(repr=False)


def shorten(text: str) -> str:
    """What a server said, on one line, cut, and without the key."""
    text = keys.cut(text)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * SHOWN]).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()} ..."


def _environment_proxy(address: str) -> str:
    """Host and port of the proxy that the environment names for this address; without its user and password."""
    parts = urlsplit(address)
    named = urllib.request.getproxies().get(parts.scheme, "")
    if not named or urllib.request.proxy_bypass(parts.netloc):
        return ""
    return shorten(named.rpartition("@")[2].rpartition("//")[2]) or "(unnamed)"


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
        text = shorten(data[:CHUNK].decode("utf-8", "replace"))
        raise WherelookError(f"the reply of {address} is not JSON: {text[:60]!r}") from None
    if not isinstance(found, dict):
        raise WherelookError(f"the reply of {address} is a JSON {type(found).__name__}; expected an object")
    try:
        return _cleaned(found)
    except OverflowError:
        raise WherelookError(f"the reply of {address} has a text of over {TEXT_LIMIT} characters") from None


def _cleaned(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply with every text in it, names included, without the key and as text that can be written.

    Raises:
        OverflowError: a text is too long.
    """
    whole: dict[str, Any] = {}
    ahead: list[tuple[Any, Any]] = [(reply, whole)]  # not recursive: a reply may be nested deeply
    while ahead:
        found, made = ahead.pop()
        for name, value in found.items() if isinstance(found, dict) else enumerate(found):
            new: Any = value
            if isinstance(value, str):
                new = _as_text(value)
            elif isinstance(value, dict | list):
                new = {} if isinstance(value, dict) else []
                ahead.append((value, new))
            if isinstance(made, dict):
                made[_as_text(str(name))] = new
            else:
                made.append(new)
    return whole


def _as_text(text: str) -> str:
    """Without the key; half a character (a lone surrogate, which JSON can hold) is U+FFFD, as decoders write it."""
    if len(text) > TEXT_LIMIT:
        raise OverflowError
    return HALVES.sub("\ufffd", keys.cut(text))
