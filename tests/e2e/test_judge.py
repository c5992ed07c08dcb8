"""`wherelook judge` from end to end: a run, people's verdicts, a model's, and what is kept."""

from __future__ import annotations

import json
import re

import pyarrow.parquet
import pytest

from scripted_server import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of four scenes by two methods."""
    from wherelook.cli.app import run

    folder = tmp_path_factory.mktemp("judge") / "run"
    options = ("--method", "center", "--method", "random", "--metric", "map", "--limit", "4", "--blind", "--json")
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


def test_compare_and_report_take_correctness_from_a_file(command, folder, tmp_path):
    samples = list(dict.fromkeys(row["sample"] for row in records(folder)))
    (tmp_path / "v.csv").write_text("sample,verdict,judge\n" + "".join(f"{name},no,A<d>a\n" for name in samples[:3]))
    verdicts = ("--verdicts", f"{folder}={tmp_path / 'v.csv'}")
    code, output, errors = command("compare", folder, *verdicts, "--json")
    assert (code, errors) == (0, "")
    compared = json.loads(output)
    (line,) = compared["judges"]
    assert (line["judge"], line["answers"], line["judged"], line["both"]) == ("A<d>a", 4, 3, 3)
    (shares,) = [line for line in compared["reliance"] if line["task"] is None]
    assert (shares["judged"], shares["accuracy"]["value"]) == (3, 0)
    code, output, errors = command("compare", folder, *verdicts)
    assert (code, errors) == (0, "")
    assert re.search(r"A<d>a +4 +3 +3 .* normalized +", output)
    code, _, errors = command("report", folder, *verdicts, "--out", tmp_path / "page.html", "--figures", tmp_path)
    assert (code, errors) == (0, "")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (
        "Files of verdicts say what is right, by A&lt;d&gt;a (embedded on scenes-tuning): 3 of 4 answers have one."
        in page
    )
    assert "--verdicts" in page
    assert page.count("not judged") >= 1
    assert (tmp_path / "judges.csv").is_file()


@pytest.mark.parametrize(
    ("verdicts", "message"),
    [
        (["v.csv"], "verdicts 'v.csv': expected RUN=FILE"),
        (["other=v.csv"], "there are verdicts for 'other', which is not compared; expected one of: RUN"),
        (["RUN=v.csv", "RUN=w.csv"], "run 'RUN' has 2 files of verdicts; expected one"),
        (["RUN=none.csv"], "no file of verdicts at none.csv; expected a table"),
        (["RUN=v.csv"], "v.csv has verdicts on samples that RUN does not have (1, such as 'x'); expected verdicts on"),
    ],
)
def test_verdicts_that_cannot_be_used(command, folder, tmp_path, verdicts, message):
    (tmp_path / "v.csv").write_text("sample,verdict\nx,no\n")
    given = [word for text in verdicts for word in ("--verdicts", text.replace("RUN", str(folder)))]
    code, _, errors = command("compare", folder, *given)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors.replace(str(folder), "RUN")


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
