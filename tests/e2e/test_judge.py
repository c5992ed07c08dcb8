"""`wherelook judge` from end to end: a run, people's verdicts, a model's, and what is kept."""

from __future__ import annotations

import json

import pyarrow.parquet
import pytest

from scripted_server import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of four scenes by two methods."""
    from wherelook.cli.app import run

    folder = tmp_path_factory.mktemp("judge") / "run"
    options = ("--method", "center", "--method", "random", "--measures", "map", "--limit", "4", "--blind", "--json")
    assert run(["run", "scenes-tuning", "--out", str(folder), *options]) == 0
    return folder


def records(folder):
    return pyarrow.parquet.read_table(folder / "records").to_pylist()


def test_people_judge_a_run(command, folder, tmp_path):
    samples = list(dict.fromkeys(row["sample"] for row in records(folder)))
    (tmp_path / "v.csv").write_text("sample,verdict\n" + "".join(f"{name},no\n" for name in samples[:2]))
    code, output, errors = command("judge", folder, "--verdicts", tmp_path / "v.csv", "--json")
    assert (code, errors) == (0, "")
    rule, people = json.loads(output)["judges"]
    assert (rule["answers"], rule["judged"], people["judge"], people["judged"], people["right"]) == (
        4,
        4,
        "human",
        2,
        0,
    )
    code, output, errors = command("judge", folder, "--verdicts", tmp_path / "v.csv")
    assert (code, errors) == (0, "")
    assert output.endswith(f"verdicts: {tmp_path / 'v.csv'}\n")


def test_a_model_judges_a_run_once(command, folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    before = records(folder)

    def judge(_, body):
        told = json.loads(body["messages"][1]["content"])
        verdict = "correct" if told["answer"] in told["references"] else "incorrect"
        return 200, {}, {"choices": [{"message": {"content": verdict}}]}

    with serving(judge) as log:
        options = ("judge", folder, "--model", log.address, "--model-name", "strict", "--json")
        code, output, errors = command(*options)
        assert (code, errors) == (0, "")
        asked = len(log.bodies)
        assert command(*options)[1] == output
        assert len(log.bodies) == asked > 0
    result = json.loads(output)
    rule, model = result["judges"]
    assert (model["judge"], model["judged"], model["right"]) == ("strict", 4, rule["right"])
    assert model["agree"] == 1
    assert "Reply with one word" in result["prompt"]
    assert records(folder) == before
    code, output, errors = command("judge", folder, "--verdicts", folder / "verdicts.jsonl", "--json")
    assert (code, json.loads(output)["judges"][1]) == (0, model)


def test_the_address_needs_the_name_of_a_model(command, folder):
    code, _, errors = command("judge", folder, "--model", "http://127.0.0.1:9/v1")
    assert (code, errors.count("\n")) == (2, 1)
    assert "needs --model-name" in errors
