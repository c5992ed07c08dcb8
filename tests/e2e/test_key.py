"""The key of an endpoint, and servers that repeat it in every way: no file, log, page or error line holds it."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow.parquet
import pytest

from scripted_server import Answer, serving
from wherelook.keys import KEY_VARIABLES

KEY = "sk-Very+secret/0123&x"
HEADER = f"Bearer {KEY}"


def holds_key(text: str) -> bool:
    """Whether a text holds the key in a form that a reader can undo. Written without the code that cuts it out."""
    forms = {text}
    for undo in (unquote, html.unescape, _unescaped):
        forms |= {undo(form) for form in forms} | {undo(undo(form)) for form in forms}
    joined = forms | {re.sub(r"[^!-~]", "", form) for form in forms}
    for form in list(joined):
        for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", form):
            for start in range(4):
                part = run[start:].replace("-", "+").replace("_", "/")
                joined.add(base64.b64decode(part + "A" * (-len(part) % 4)).decode("latin-1"))
        for run in re.findall(r"(?:[0-9A-Fa-f]{2}){8,}", form):
            joined.add(binascii.unhexlify(run).decode("latin-1"))
    wanted = KEY.lower()
    return any(wanted in form.lower() or wanted[::-1] in form.lower() for form in joined)


def _unescaped(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return text.replace("\\/", "/")


FORMS = {
    "plain": KEY,
    "header": HEADER,
    "upper": KEY.upper(),
    "percent": quote(KEY, safe=""),
    "percent-all": "".join(f"%{ord(letter):02X}" for letter in KEY),
    "percent-twice": quote(quote(KEY, safe=""), safe=""),
    "json": json.dumps({"authorization": HEADER}),
    "escapes": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "bytes": "".join(f"\\x{ord(letter):02x}" for letter in KEY),
    "entities": html.escape(KEY),
    "numbers": "".join(f"&#{ord(letter)};" for letter in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64-header": base64.b64encode(HEADER.encode()).decode(),
    "base64-user": base64.urlsafe_b64encode(f"u:{KEY}\n".encode()).decode(),
    "hex": KEY.encode().hex(),
    "spaced": " ".join(KEY),
    "lines": f"{KEY[:9]}\n{KEY[9:]}",
    "invisible": "\u200b".join(KEY),
    "backwards": KEY[::-1],
}


def answering(text: str) -> Callable[[int, object], Answer]:
    """A server that answers with this text, and scores whatever answer it is given, word by word."""

    def reply(_: int, body: dict | None) -> Answer:
        if body is None:
            return 200, {}, {"data": [{"id": "small"}]}
        if "prompt_logprobs" not in body:
            message = {"content": text, "refusal": KEY, KEY: KEY}
            return 200, {}, {"choices": [{"message": message, "finish_reason": KEY}], "id": KEY, "system": [KEY]}
        words = re.findall(r"\s*\S+", body["messages"][-1]["content"])
        value = -10.0 * 0.9998 ** len(json.dumps(body))
        places = [{str(n): {"logprob": value, "decoded_token": word}} for n, word in enumerate(words)]
        return 200, {}, {"choices": [{}], "prompt_logprobs": [None, *places], KEY: {KEY: [[KEY]]}}

    return reply


def always(*answer: object) -> Callable[[int, object], Answer]:
    return lambda *_: answer


def later(*answer: object) -> Callable[[int, object], Answer]:
    """A server that fails so when it is asked to score."""
    usual = answering("A cat")
    return lambda number, body: answer if body and "prompt_logprobs" in body else usual(number, body)


def tokens(*texts: object, **more: object) -> Callable[[int, object], Answer]:
    """A server whose tokens are these."""
    entries = [{str(n): {"logprob": -1.0, "decoded_token": text} | more} for n, text in enumerate(texts)]
    grammar = [{"id": n, "token": text, "logprob": -1.0} | more for n, text in enumerate(texts)]
    return later(200, {}, {"choices": [{"logprobs": {"content": grammar}}], "prompt_logprobs": [None, *entries]})


ERRORS: dict[str, Callable[[int, object], Answer]] = {
    "401": always(401, {}, {"error": {"message": f"bad key {KEY}"}}),
    "403-text": always(403, {}, HEADER.encode()),
    "404": always(404, {}, {"detail": [{"input": {"headers": {"Authorization": HEADER}}}]}),
    "400-list": always(400, {}, {"error": [KEY, FORMS["base64"]]}),
    "500": later(500, {}, {"error": FORMS["percent"]}),
    "429-wait": later(429, {"Retry-After": "9999"}, {"error": KEY}),
    "redirect": always(307, {"Location": f"http://127.0.0.1:9/{KEY}"}, {"error": KEY}),
    "headers": always(418, {"X-Echo": KEY, "WWW-Authenticate": HEADER, "Set-Cookie": KEY}, KEY.encode()),
    "no-json": always(200, {}, f"<html>{KEY}</html>".encode()),
    "no-json-cut": always(200, {}, f"{'x' * 50}{KEY}".encode()),
    "no-json-bytes": always(200, {}, f"\xff{KEY}\0".encode("utf-16-le")),
    "stream": always(200, {}, f'data: {{"a": "{KEY[:9]}\n{KEY[9:]}"}}\n\n'.encode()),
    "a-list": always(200, {}, [KEY]),
    "names": always(200, {}, {"data": [{"id": KEY}, {"id": HEADER}, {"id": FORMS["backwards"]}]}),
    "one-name": always(200, {}, {"data": [{"id": KEY}]}),
    "thought": lambda _, body: (
        (200, {}, {"choices": [{"message": {"content": "A cat", "reasoning_content": KEY, "reasoning": HEADER}}]})
        if body
        else (200, {}, {"data": [{"id": "small"}]})
    ),
    "content-of-parts": lambda _, body: (
        (200, {}, {"choices": [{"message": {"content": [{"type": "text", "text": KEY}]}}]})
        if body
        else (200, {}, {"data": [{"id": "small"}]})
    ),
    "token": tokens(KEY),
    "tokens": tokens("sk-Very", "+secret", "/0123&x"),
    "tokens-at-the-cut": tokens("x" * 50, KEY[:8], KEY[8:]),
    "no-token": tokens([KEY]),
    "no-logprob": tokens("A", " cat", logprob=KEY),
    "logprob-of-a-list": tokens("A", " cat", logprob={"a": [HEADER]}),
    "token-ids": later(200, {}, {"choices": [{}], "prompt_logprobs": [None, {KEY: {"logprob": -1.0}}]}),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("WHERELOOK_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("wherelook.models.endpoint.client.FIRST_WAIT", 0.001)


def written(folder: Path) -> dict[str, str]:
    """Every file below a folder as text, tables as their rows, and every name."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            found[str(path)] = json.dumps(pyarrow.parquet.read_table(path).to_pylist(), default=str)
        elif path.is_file():
            found[str(path)] = path.read_bytes().decode("utf-8", "replace")
    return found


def test_what_looks_for_the_key_finds_it_in_every_form():
    assert [name for name, form in FORMS.items() if not holds_key(f"before {form} after")] == []
    assert not holds_key("before (key) after")


OPTIONS = ("--method", "strips", "--preset", "fast", "--replay-steps", 0, "--tokens", "all", "--json")


@pytest.mark.parametrize("name", FORMS)
def test_an_answer_that_repeats_the_key(command, images, tmp_path, name):
    with serving(answering(f"It is {FORMS[name]} there")) as log:
        code, output, errors = command(
            "explain", images / "good.png", "?", "--model", log.address, *OPTIONS, "--out", tmp_path / "out"
        )
        assert any(headers.get("Authorization") == HEADER for _, headers, _ in log.requests)
    assert code == 0, errors
    assert "(key)" in json.loads(output)["answer"]
    files = written(tmp_path / "out")
    assert len(files) > 3
    assert [place for place, text in (files | {"output": output, "errors": errors}).items() if holds_key(text)] == []


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_that_repeats_the_key(command, images, tmp_path, name):
    with serving(ERRORS[name]) as log:
        code, output, errors = command(
            "explain", images / "good.png", "?", "--model", log.address, *OPTIONS, "--out", tmp_path / "out"
        )
        _, _, traceback = command(
            "explain", images / "good.png", "?", "--model", log.address, *OPTIONS, "--out", tmp_path / "out", "--debug"
        )
    assert code in (1, 2)
    assert errors.splitlines()[-1].startswith("wherelook: ")
    assert "Traceback" in traceback
    files = written(tmp_path / "out") | {"output": output, "errors": errors, "traceback": traceback}
    assert [place for place, text in files.items() if holds_key(text)] == []


def test_what_a_run_and_its_judge_write(command, images, tmp_path):
    shutil.copy(images / "good.png", tmp_path)
    forms = [FORMS[name] for name in ("plain", "json", "base64-header", "spaced", "escapes")]
    rows = [{"id": str(n), "image": "good.png", "question": f"{n}?", "answer": "red"} for n in range(len(forms))]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def reply(number: int, body: dict | None) -> Answer:
        asked = json.dumps(body)
        which = next((n for n in range(len(forms)) if f'"{n}?"' in asked), 0)
        if which % 5 == 4:
            return 400, {}, {"error": forms[which]}
        return answering(forms[which])(number, body)

    def judge(number: int, body: dict | None) -> Answer:
        return 200, {}, {"choices": [{"message": {"content": forms[number % len(forms)]}}], "model": KEY}

    out = tmp_path / "run"
    with serving(reply) as log:
        options = ("--model", log.address, "--method", "strips:fast", "--metric", "map", "--blind")
        code, output, errors = command("run", tmp_path / "table.jsonl", *options, "--out", out)
        assert code == 0, errors
    with serving(judge) as log:
        assert command("judge", out, "--model", log.address, "--model-name", "strict")[0] == 0
    assert command("report", out, "--out", tmp_path / "page.html")[0] == 0
    files = written(tmp_path) | {"output": output, "errors": errors}
    assert {"run.json", "judge-replies.jsonl", "verdicts.jsonl", "page.html"} <= {Path(name).name for name in files}
    assert any("(key)" in text for name, text in files.items() if name.endswith(".parquet"))
    assert [place for place, text in files.items() if holds_key(text)] == []
