"""`wherelook explain` with the address of an endpoint."""

from __future__ import annotations

import html
import json
import re

import pytest

from scripted_server import serving

KEY = "sk-very-secret-0123"


def reply(_, body):
    """Answers "A cat"; it gets likelier the longer the request is, so that noise is a better image than black."""
    if body is None:
        return 200, {}, {"data": [{"id": "small"}]}
    if "prompt_logprobs" not in body:
        return 200, {}, {"choices": [{"message": {"content": "A cat"}}], "usage": {"completion_tokens": 2}}
    value = -10.0 * 0.9998 ** len(json.dumps(body))
    tokens = (("1", "?", -9.0), ("5", "A", -0.5), ("6", " cat", value))
    places = [{token: {"logprob": number, "decoded_token": text}} for token, text, number in tokens]
    return 200, {}, {"choices": [{}], "prompt_logprobs": [None, *places]}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("WHERELOOK_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_an_explanation_tells_what_it_will_send_and_can_be_made_again(command, images, tmp_path, monkeypatch):
    monkeypatch.setenv("WHERELOOK_API_KEY", KEY)
    with serving(reply) as log:
        code, output, errors = command(
            "explain", images / "good.png", "What?", "--model", log.address, "--method", "strips", "--preset", "fast",
            "--replay-steps", 4, "--concurrency", 2, "--out", tmp_path / "out",
        )  # fmt: skip
        assert code == 0
        # 5 to open, 3 baselines, 5 + 7 strips of 24 by 32 cells; then 5 x 7 windows and their check, which are more
        # than 4 x 3 steps of two replays with their second baseline.
        line = re.fullmatch(
            rf"endpoint   {re.escape(log.address)}, model small, key from WHERELOOK_API_KEY: at most (\d+) requests, "
            r"2 at once, each of about (\d+) kB \(([\d.]+) MB together\)\n",
            errors,
        )
        assert line
        most, each, together = (float(number) for number in line.groups())
        asked = [body for body in log.bodies if body is not None]
        assert most == 5 + 3 + 12 + 36
        assert len(asked) <= most
        assert abs(most * each / 1000 - together) < 0.1 * together
        assert "answer     A cat" in output
        assert "status     ok" in output

        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        record = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
        assert (record["model"]["id"], record["model"]["name"]) == (log.address, "small")
        assert KEY not in page + json.dumps(record) + output + errors
        words = html.unescape(re.sub("<[^>]+>", "", page))
    assert re.search(rf"--model\s+{re.escape(log.address)}\s+--model-name\s+small\s", words)


def test_json_on_standard_output_is_json_alone(command, images):
    with serving(reply) as log:
        code, output, errors = command(
            "explain", images / "good.png", "?", "--model", log.address, "--model-name", "small", "--method", "center",
            "--replay-steps", 0, "--json",
        )  # fmt: skip
    assert code == 0
    assert json.loads(output)["method"]["name"] == "center"
    assert "model small, no key: at most" in errors


def test_a_server_that_talks_nonsense_is_one_line(command, images):
    with serving(lambda *_: (200, {}, b"<html>")) as log:
        code, output, errors = command(
            "explain", images / "good.png", "?", "--model", log.address, "--method", "strips"
        )
    assert code == 1
    assert output == ""
    assert errors == f"wherelook: the reply of {log.address} is not JSON: b'<html>'\n"
