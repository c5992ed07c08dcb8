"""JSON over HTTP to a server that nobody vouches for: retries, limits, errors of one line; the key is never shown.

Nothing that a server says leaves this module before `keys.cut` and `_as_text` have been over it.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

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
        proxy = _environment_proxy(self.address)
        # Without its user and password.
        self._proxy_there = shorten(proxy.rpartition("@")[2].rpartition("//")[2])
        self.proxy = self._proxy_there if use_proxy else ""
        if use_proxy and not self.proxy:
            raise InputError(
                f"the environment names no proxy for {self.address}: set {urlsplit(self.address).scheme}_proxy, or "
                "leave --use-proxy out"
            )
        # The environment is not asked and no redirection is followed: both would carry image and key to a place that
        # the user did not name.
        try:
            self._http = httpx2.Client(
                base_url=self.address,
                proxy=proxy if self.proxy else None,
                trust_env=False,
                verify=ssl.create_default_context() if urlsplit(self.address).scheme == "https" else False,
                timeout=timeout,
                limits=httpx2.Limits(max_connections=None),
                headers={"User-Agent": "wherelook", "Accept": "application/json", "Accept-Encoding": "identity"},
            )
        except (httpx2.InvalidURL, ValueError, ImportError):
            place = f"the proxy {self.proxy} of the environment" if self.proxy else self.address
            raise InputError(f"{place} is no address that requests can be sent to") from None
        weakref.finalize(self, self._http.close)
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
                status, retry_after, reply = self._send(path, data)
            except (httpx2.TransportError, TimeoutError) as error:  # refused, reset, cut off, timed out
                problem, kind = self._reason(error), UnavailableError
                if not self._reached.is_set() and _hopeless(error):
                    raise UnavailableError(self._unreachable(error, problem)) from None
            else:
                if 200 <= status < 300:
                    return _parse(self.address, reply)
                said = _said(reply)
                problem, kind = f"HTTP {status}{said}", WherelookError
                if status not in RETRIED:
                    raise self._refusal(status, said)
                asked_wait = _retry_after(retry_after)
                if asked_wait is not None and asked_wait > LONGEST_WAIT:
                    raise UnavailableError(
                        f"{self.address} asks to wait {asked_wait:.0f} s ({problem}): run again then, or with a lower "
                        "--concurrency"
                    )
            if tries_left:
                self._sleep(wait if asked_wait is None else asked_wait)
                wait = min(2 * wait, LONGEST_WAIT)
        raise kind(f"{self.address} failed {self.retries + 1} times, at last with: {problem}")

    def _send(self, path: str, data: bytes | None) -> tuple[int, str | None, bytes]:
        """Status, Retry-After and body of the reply."""
        headers = {"Authorization": self._authorization.value} if self._authorization.value else {}
        if data is not None:
            headers["Content-Type"] = "application/json"
        deadline = time.monotonic() + self.timeout
        method = "GET" if data is None else "POST"
        with self._http.stream(method, self.address + path, content=data, headers=headers) as reply:
            self._reached.set()
            self._http.cookies.clear()
            return reply.status_code, reply.headers.get("Retry-After"), _read(reply, deadline, self.address)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, httpx2.TimeoutException | TimeoutError):
            return f"no reply within {self.timeout:g} s (--timeout)"
        return shorten(str(error) or type(error).__name__)

    def _unreachable(self, error: Exception, problem: str) -> str:
        """What to tell where a first request found nobody, or nobody to trust."""
        reason = _cause(error, ssl.SSLError)
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = shorten(getattr(reason, "verify_message", "") or str(reason))
            return (
                f"{self.address} shows a certificate that this machine does not trust ({why}): nothing was sent. If "
                "the server is yours, name its certificate, or its authority's, in the variable SSL_CERT_FILE"
            )
        if reason is not None:
            return f"{self.address} does not speak https ({problem}): is its address one with http://?"
        hint = "; is the server running, and is this its address?"
        if self.proxy:
            hint = f"; it was asked through the proxy {self.proxy} (--use-proxy)"
        elif self._proxy_there:
            hint += f" The proxy {self._proxy_there} of the environment is used with --use-proxy alone"
        return f"{self.address} cannot be reached: {problem}{hint}"

    def _refusal(self, status: int, said: str) -> WherelookError:
        if status in (401, 403):
            key = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
            return UnusableError(
                f"{self.address} refuses {key} (HTTP {status}{said}): set {' or '.join(keys.KEY_VARIABLES)}"
            )
        if 300 <= status < 400:
            return UnusableError(
                f"{self.address} sends to another place (HTTP {status}), which is not followed: give its address"
            )
        if status == 404:
            return UnusableError(
                f"{self.address} has no such model, or is not the address of an API (HTTP 404{said}): "
                "check --model, which ends in /v1 as a rule, and --model-name"
            )
        return RefusedError(f"{self.address} refuses the request: HTTP {status}{said}")


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
    """The proxy that the environment names for this address; "" without one."""
    parts = urlsplit(address)
    named = urllib.request.getproxies().get(parts.scheme, "")
    if not named or urllib.request.proxy_bypass(parts.netloc):
        return ""
    return named if "://" in named else f"http://{named}"


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


def _hopeless(error: Exception) -> bool:
    """Whether an error means that nobody is there, so that asking again is in vain."""
    return isinstance(error, httpx2.ConnectError | httpx2.ProxyError) and not _cause(error, ConnectionResetError)


def _cause(error: BaseException | None, kind: type[Exception]) -> BaseException | None:
    """The error of this kind that the error comes from."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _read(reply: httpx2.Response, deadline: float, address: str) -> bytes:
    """The body of a reply, not unpacked: nothing can unfold to gigabytes. Of an error its beginning is enough."""
    parts, size = [], 0
    try:
        for part in reply.iter_raw():
            parts.append(part)
            size += len(part)
            if size > (REPLY_LIMIT if reply.is_success else CHUNK):
                break
            if time.monotonic() > deadline:  # a server that trickles
                raise TimeoutError
    except (httpx2.TransportError, TimeoutError):
        if reply.is_success:
            raise
    if size > REPLY_LIMIT:
        raise WherelookError(f"the reply of {address} is longer than {REPLY_LIMIT // 2**20} MiB")
    return b"".join(parts)


def _said(reply: bytes) -> str:
    """What the server says about an error, without the key, as the end of a line; "" if nothing."""
    text = reply[:CHUNK].decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        inner = found.get("error", found) if isinstance(found, dict) else text
        text = str(inner.get("message", text) if isinstance(inner, dict) else inner)
    return f": {shorten(text)}" if text.strip() else ""


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
