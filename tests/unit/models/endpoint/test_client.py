"""The client of an endpoint: retries, limits, error lines, and the key that nothing shows."""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from scripted_server import serving
from wherelook import InputError, WherelookError, keys
from wherelook.models.endpoint import client as module
from wherelook.models.endpoint.client import Client, RefusedError, shorten

OK = (200, {}, {"fine": True})
KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for variable in (*keys.KEY_VARIABLES, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def script(*answers):
    """The answers one after another, the last one again and again."""
    return lambda number, _: answers[min(number, len(answers) - 1)]


def failure(log_or_address, **options):
    """The line and the waits of a request that fails."""
    waits = []
    address = getattr(log_or_address, "address", log_or_address)
    with pytest.raises(WherelookError) as caught:
        Client(address, sleep=waits.append, **options).post("/chat/completions", {"a": 1})
    assert "\n" not in str(caught.value)
    return str(caught.value), waits, caught.type


def test_a_passing_failure_is_tried_again_with_doubled_waits():
    waits = []
    with serving(script((503, {}, {}), (500, {}, {}), (429, {}, {}), OK)) as log:
        reply = Client(log.address, sleep=waits.append).post("/chat/completions", {"a": 1})
    assert reply == {"fine": True}
    assert waits == [0.5, 1.0, 2.0]
    assert log.bodies == [{"a": 1}] * 4
    assert {path for path, _, _ in log.requests} == {"/v1/chat/completions"}


def test_retry_after_is_honoured_in_seconds_and_as_a_date():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    waits = []
    with serving(script((429, {"Retry-After": "7"}, {}), (503, {"Retry-After": date}, {}), OK)) as log:
        Client(log.address, sleep=waits.append).post("/x", {})
    assert waits[0] == 7.0
    assert 30 < waits[1] <= 40


@pytest.mark.parametrize("value", ["soon", "-3", "", "1e9"])
def test_a_retry_after_that_says_nothing_is_not_followed(value):
    waits = []
    with serving(script((429, {"Retry-After": value}, {}), OK)) as log:
        Client(log.address, sleep=waits.append).post("/x", {})
    assert waits == [0.5]


def test_a_wait_of_an_hour_is_told_instead():
    with serving(script((429, {"Retry-After": "3600"}, {"error": {"message": "quota used up"}}))) as log:
        line, waits, _ = failure(log)
    assert "asks to wait 3600 s (HTTP 429: quota used up)" in line
    assert waits == []


def test_it_gives_up_after_the_retries():
    with serving(script((502, {}, b"bad gateway"))) as log:
        line, waits, _ = failure(log, retries=2)
    assert line == f"{log.address} failed 3 times, at last with: HTTP 502: bad gateway"
    assert len(waits) == 2
    assert len(log.requests) == 3


def test_a_refused_body_is_not_sent_again():
    with serving(script((400, {}, {"error": {"message": "too many\n tokens"}}))) as log:
        line, _, kind = failure(log)
    assert line == f"{log.address} refuses the request: HTTP 400: too many tokens"
    assert kind is RefusedError
    assert len(log.requests) == 1


def test_nobody_there_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    line, waits, _ = failure(address)
    assert line.startswith(f"{address} cannot be reached: ")
    assert "Connection refused" in line
    assert waits == []


def test_a_server_that_hangs_and_one_that_trickles_time_out():
    with serving(lambda *_: time.sleep(0.6) or OK) as log:
        line, _, _ = failure(log, timeout=0.1, retries=1)
    assert line.endswith("failed 2 times, at last with: no reply within 0.1 s (--timeout)")
    with pytest.raises(TimeoutError):
        module._read(httpx2.Response(200, content=iter([b"1"] * 3)), time.monotonic() - 1, "it")


def test_an_endless_reply_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "REPLY_LIMIT", 1000)
    with serving(script((200, {}, b" " * 5000))) as log:
        line, _, _ = failure(log)
    assert "is longer than 0 MiB" in line


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"<html>no</html>", "is not JSON: '<html>no</html>'"),
        (b"", "is not JSON: ''"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "is a JSON list; expected an object"),
        (b"null", "is a JSON NoneType; expected an object"),
    ],
)
def test_a_reply_that_is_no_json_object_is_one_line(body, part):
    with serving(script((200, {}, body))) as log:
        line, _, _ = failure(log)
    assert part in line


def test_a_reply_cut_short_is_tried_again():
    with serving(script((200, {"Content-Length": "500"}, b'{"fine": '), OK)) as log:
        waits = []
        assert Client(log.address, sleep=waits.append).post("/x", {}) == {"fine": True}
    assert waits == [0.5]


def test_an_error_cut_short_is_the_error_that_it_is():
    with serving(script((400, {"Content-Length": "500"}, b"too long"))) as log:
        line, waits, kind = failure(log)
    assert (line, waits) == (f"{log.address} refuses the request: HTTP 400: too long", [])
    assert kind is RefusedError


def test_cookies_are_not_kept_and_packed_replies_are_not_unpacked():
    packed = gzip.compress(b'{"fine": true}')
    with serving(
        script((200, {"Set-Cookie": "a=1; Path=/"}, {}), OK, (200, {"Content-Encoding": "gzip"}, packed))
    ) as log:
        client = Client(log.address)
        client.get("/x")
        client.get("/x")
        with pytest.raises(WherelookError, match="is not JSON"):
            client.get("/x")
    assert "Cookie" not in log.requests[1][1]
    assert {headers["Accept-Encoding"] for _, headers, _ in log.requests} == {"identity"}


def test_a_redirection_is_not_followed():
    with serving(script(OK)) as other, serving(script((307, {"Location": other.address + "/x"}, {}))) as log:
        line, _, kind = failure(log)
    assert "sends to another place (HTTP 307), which is not followed" in line
    assert issubclass(kind, InputError)
    assert other.requests == []


@pytest.mark.parametrize("variable", keys.KEY_VARIABLES)
def test_the_key_of_the_environment_is_sent_and_nothing_shows_it(monkeypatch, variable):
    monkeypatch.setenv(variable, KEY)
    for answer in (
        (401, {}, {"error": {"message": f"bad key {KEY}"}}),
        (400, {}, {"error": {"message": f"Bearer {KEY} is odd"}}),
        (503, {}, f"{KEY} {KEY}".encode()),
        (429, {"Retry-After": "9999"}, {"error": KEY}),
    ):
        with serving(script(answer)) as log:
            line, _, _ = failure(log, retries=0)
            client = Client(log.address)
        assert log.requests[0][1]["Authorization"] == f"Bearer {KEY}"
        assert KEY not in line
        assert "(key)" in line
        assert client.key_variable == variable


def test_ours_comes_before_openais_and_without_one_none_is_sent(monkeypatch):
    with serving(script(OK)) as log:
        Client(log.address).get("/models")
        monkeypatch.setenv("OPENAI_API_KEY", "theirs")
        monkeypatch.setenv("WHERELOOK_API_KEY", "ours")
        Client(log.address).get("/models")
    assert "Authorization" not in log.requests[0][1]
    assert log.requests[1][1]["Authorization"] == "Bearer ours"


def test_a_proxy_of_the_environment_gets_nothing_unless_asked(monkeypatch):
    monkeypatch.setenv("WHERELOOK_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "")
    with serving(script(OK)) as proxy, serving(script(OK)) as log:
        monkeypatch.setenv("http_proxy", proxy.address.replace("http://", "http://me:pw@").removesuffix("/v1"))
        assert Client(log.address).proxy == ""
        Client(log.address).post("/x", {})
        assert proxy.requests == []
        assert len(log.requests) == 1
        client = Client(log.address, use_proxy=True)
        assert client.proxy == proxy.address.removeprefix("http://").removesuffix("/v1")
        client.post("/x", {})
        assert [path for path, _, _ in proxy.requests] == [log.address + "/x"]
        assert len(log.requests) == 1


def test_a_proxy_that_might_help_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://me:pw@127.0.0.1:9")
    line, _, _ = failure("http://127.0.0.1:9/v1")
    assert line.endswith("The proxy 127.0.0.1:9 of the environment is used with --use-proxy alone")
    line, _, _ = failure("http://127.0.0.1:8/v1", use_proxy=True)
    assert "it was asked through the proxy 127.0.0.1:9 (--use-proxy)" in line
    assert "pw" not in line


def test_a_proxy_of_no_kind_that_is_known(monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "gopher://me:pw@127.0.0.1:9")
    with pytest.raises(InputError, match=r"^the proxy 127.0.0.1:9 of the environment is no address that") as caught:
        Client("http://127.0.0.1:8/v1", use_proxy=True)
    assert "pw" not in str(caught.value)


def test_a_proxy_that_the_environment_does_not_name():
    with pytest.raises(InputError, match=r"names no proxy for http://127.0.0.1:9/v1: set http_proxy"):
        Client("http://127.0.0.1:9/v1", use_proxy=True)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate"), "does not trust"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "does not speak https"),
    ],
)
def test_certificates_are_told_from_servers_that_are_gone(monkeypatch, error, part):
    def refuse(*_, **__):
        raise httpx2.ConnectError(str(error)) from error

    monkeypatch.setattr("httpx2.Client.stream", refuse)
    line, waits, _ = failure("https://127.0.0.1:9/v1")
    assert part in line
    assert waits == []


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("cat", "a cat, a concatenation", "a (key), a concatenation"),
        ("EMPTY", "The glass is EMPTY.", "The glass is EMPTY."),
        ("ollama", "ollama", "ollama"),
        ("sk-0123456789", "SK-0123456789", "(key)"),
    ],
)
def test_short_keys_are_whole_words_and_placeholders_no_secrets(monkeypatch, key, text, shown):
    monkeypatch.setenv("WHERELOOK_API_KEY", key)
    monkeypatch.setattr(keys, "_seen", set())
    assert keys.cut(text) == shown


def test_no_object_shows_the_key_and_no_address_holds_it(monkeypatch):
    monkeypatch.setenv("WHERELOOK_API_KEY", KEY)
    client = Client("http://127.0.0.1:9/v1")
    assert KEY not in repr(vars(client)) + repr(client)
    with pytest.raises(InputError, match="holds the key in WHERELOOK_API_KEY") as caught:
        Client(f"http://127.0.0.1:9/{KEY}/v1")
    assert KEY not in str(caught.value)


def test_half_a_character_is_what_decoders_write():
    with serving(script((200, {}, b'{"a": ["\\ud83d x", {"\\udc00": "\\ud83d\\ude00"}]}'))) as log:
        reply = Client(log.address).get("/x")
    assert reply == {"a": ["\ufffd x", {"\ufffd": "\U0001f600"}]}


def test_a_text_that_is_no_text_of_a_model_is_refused(monkeypatch):
    monkeypatch.setattr(module, "TEXT_LIMIT", 10)
    with serving(script((200, {}, {"a": "x" * 11}))) as log:
        line, _, _ = failure(log)
    assert line == f"the reply of {log.address} has a text of over 10 characters"


def test_a_key_that_no_header_can_carry_is_told_without_it(monkeypatch):
    monkeypatch.setenv("WHERELOOK_API_KEY", "se cret\nX-Other: 1")
    with pytest.raises(InputError, match="the key in WHERELOOK_API_KEY has characters") as caught:
        Client("http://localhost/v1")
    assert "se cret" not in str(caught.value)


def test_a_refused_key_and_a_wrong_path_say_what_to_do():
    with serving(script((401, {}, {}))) as log:
        line, _, _ = failure(log)
    assert "refuses a request without a key" in line
    assert line.endswith("set WHERELOOK_API_KEY or OPENAI_API_KEY")
    with serving(script((404, {}, {"detail": "Not Found"}))) as log:
        line, _, kind = failure(log)
    assert "check --model, which ends in /v1 as a rule, and --model-name" in line
    assert issubclass(kind, InputError)


def test_what_a_server_says_is_cut_to_one_line():
    text = shorten("a\x1b[31m\n\tb" + "x" * 10**6)
    assert text.startswith("a [31m b")
    assert len(text) < 320


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_positive(timeout):
    with pytest.raises(InputError, match="the timeout is a number of seconds above 0"):
        Client("http://localhost/v1", timeout=timeout)
