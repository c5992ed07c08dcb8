"""Commands with the address of an endpoint."""

from __future__ import annotations

import html
import json
import re
import shutil

import pytest

from scripted_server import serving
from wherelook.evaluation.run_folder import read_run

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
    assert json.loads(output)["config"]["method"] == "center"
    assert "model small, no key: at most" in errors


def test_a_server_that_talks_nonsense_is_one_line(command, images):
    with serving(lambda *_: (200, {}, b"<html>")) as log:
        code, output, errors = command(
            "explain", images / "good.png", "?", "--model", log.address, "--method", "strips"
        )
    assert code == 1
    assert output == ""
    assert errors == f"wherelook: the reply of {log.address} is not JSON: '<html>'\n"


def table(images, tmp_path, count=3):
    """Questions about a picture that can be read, and about one that cannot."""
    for name in ("good.png", "truncated.png"):
        shutil.copy(images / name, tmp_path)
    lines = [{"id": str(number), "image": "good.png", "question": f"What is {number}?"} for number in range(count)]
    lines.append({"id": "broken", "image": "truncated.png", "question": "What?"})
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


QUICK = ("--replay-steps", 2)
"""For commands whose deletion and insertion are not looked at: their requests are most of all."""

RUN = ("--method", "strips:fast", "--concurrency", 2, *QUICK)


def test_a_run_asks_an_endpoint_and_goes_on_where_it_was(command, images, tmp_path):
    questions, out = table(images, tmp_path), tmp_path / "run"
    with serving(reply) as log:
        options = (*RUN, "--model", log.address, "--out", out)
        code, output, errors = command("run", questions, *options, "--limit", 2)
        assert code == 0, errors
        assert re.search(r"model small, no key: at most \d+ requests for each sample like the first, and more", errors)
        assert "2 samples done (2 new)" in output
        asked = len(log.bodies)
        code, output, errors = command("run", questions, *options, "--json")
        summary = json.loads(output)
        assert (code, summary["samples"], summary["samples_now"]) == (0, 4, 2)
        assert summary["runs"][0]["ok"] == 3
        assert summary["runs"][0]["error"] == 1
        # Names, and two samples of two that cost the same; the broken one is not sent.
        assert len(log.bodies) - asked <= asked + 2
        table_of_run = read_run(out)[1].to_pylist()
        assert {row["model"] for row in table_of_run} == {f"small at {log.address}"}
        assert {row["model_class"] for row in table_of_run} == {"endpoint"}


@pytest.mark.usefixtures("quick_evaluations")
def test_another_model_of_the_endpoint_is_not_mixed_in(command, images, tmp_path):
    def both(path, body):
        return (200, {}, {"data": [{"id": "small"}, {"id": "large"}]}) if body is None else reply(path, body)

    questions = table(images, tmp_path)
    with serving(both) as log:
        for number, verb in enumerate(("run", "evaluate")):
            out = tmp_path / str(number)
            what = ("run", questions, *RUN, "--limit", 1)
            if verb == "evaluate":
                what = ("evaluate", questions, "--method", "strips:fast,center", "--answers", 1, *QUICK)
            options = (*what, "--model", log.address, "--out", out)
            assert command(*options, "--model-name", "small")[0] == 0
            code, _, errors = command(*options, "--model-name", "large")
            assert code == 2
            assert errors.count("\n") <= 2
            assert "large" in errors


def test_evaluate_asks_an_endpoint(command, images, tmp_path):
    questions = table(images, tmp_path)
    with serving(reply) as log:
        options = (questions, "--method", "strips:fast,center", "--answers", 2, "--model", log.address, *QUICK)
        code, output, errors = command("evaluate", *options, "--out", tmp_path / "out")
        assert code == 0
        assert "requests for each sample" in errors
        assert "strips:fast " in output
        assert command("evaluate", *options, "--sanity", 2)[::2] == (
            2,
            "wherelook: --sanity shuffles weights, and those of an endpoint are out of reach: leave it out\n",
        )


@pytest.mark.parametrize("verb", ["run", "evaluate"])
def test_a_method_that_an_endpoint_cannot_serve_is_named_before_anything_is_asked(command, tmp_path, verb):
    what = ("run", "scenes", "--method", "guided-igos") if verb == "run" else ("evaluate", "--method", "guided-igos")
    out = tmp_path / "out"
    code, _, errors = command(*what, "--model", "http://127.0.0.1:9/v1", "--out", out)
    assert code == 2
    assert errors.startswith(
        "wherelook: method 'guided-igos' needs gradients, and an endpoint tells log-probabilities alone"
    )
    assert not out.exists()


@pytest.mark.usefixtures("quick_evaluations")
@pytest.mark.parametrize("verb", ["run", "evaluate"])
@pytest.mark.parametrize(
    ("refusal", "code", "message"),
    [
        ((401, {}, {"error": "no"}), 2, "refuses a request without a key"),
        ((404, {}, {"error": "no"}), 2, "has no such model"),
        ((200, {}, {"choices": [{"message": {"content": "A cat"}}]}), 2, "does not tell the log-probabilities"),
    ],
)
def test_what_would_go_wrong_with_every_sample_ends_the_work(command, images, tmp_path, verb, refusal, code, message):
    questions, out = table(images, tmp_path), tmp_path / "out"
    what = ("run", questions, *RUN)
    if verb == "evaluate":
        what = ("evaluate", questions, "--method", "strips:fast", "--answers", 3, *QUICK)
    answers = [reply]

    def at_first_refused(path, body):
        return answers[0](path, body)

    answers[0] = lambda path, body: refusal if body is not None else reply(path, body)
    with serving(at_first_refused) as log:
        options = ("--model", log.address, "--out", out)
        found, _, errors = command(*what, *options)
        assert found == code
        assert message in errors.splitlines()[-1]
        assert len([body for body in log.bodies if body is not None]) < 10
        answers[0] = reply
        assert command(*what, *options)[0] == 0  # the same command goes on
    failed = ["error"] if verb == "run" else []
    assert sorted(row["status"] for row in read_run(out)[1].to_pylist()) == [*failed, "ok", "ok", "ok"]


@pytest.mark.usefixtures("quick_evaluations")
def test_evaluate_tries_errors_again(command, images, tmp_path):
    """A row of one sample's failure does not stay when the failure is over."""
    questions, out = table(images, tmp_path, count=2), tmp_path / "out"
    broken = [True]

    def sometimes(path, body):
        if broken[0] and body is not None and "What is 0?" in json.dumps(body):
            return 400, {}, {"error": "too long"}
        return reply(path, body)

    with serving(sometimes) as log:
        options = ("evaluate", questions, "--method", "strips:fast", "--answers", 2, "--model", log.address, *QUICK)
        statuses = []
        for _ in range(2):
            assert command(*options, "--out", out)[0] == 0
            statuses.append([(row["sample"], row["status"]) for row in read_run(out)[1].to_pylist()])
            broken[0] = False
    assert statuses[0] == [("0", "error"), ("1", "ok"), ("broken", "error")]
    assert sorted(statuses[1])[:2] == [("0", "ok"), ("1", "ok")]
