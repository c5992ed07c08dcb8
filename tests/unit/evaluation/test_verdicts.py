"""Verdicts from files, put in the place of a rule's, and how far two judges agree."""

from __future__ import annotations

import pytest

from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.verdicts import Verdict, agreement, apply_verdicts, judge_run, read_verdicts, write_verdicts

CSV = "sample,verdict\n1,Right\n2,no\n3,\n"
LINES = '{"sample": 1, "verdict": true}\n{"sample": "2", "verdict": 0, "judge": "Ada", "answer": "a dog"}\n'


def written(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def row(sample, answer="a dog", blind=None, **columns):
    rule = {"correct": True, "judge": "exact", "blind_correct": True}
    return {"sample": sample, "answer": answer, "blind_answer": blind, **rule, **columns}


def test_files_of_people(tmp_path):
    assert read_verdicts(written(tmp_path, "a.csv", CSV)) == {
        ("1", None): Verdict(True, "human"),
        ("2", None): Verdict(False, "human"),
        ("3", None): Verdict(None, "human"),
    }
    assert read_verdicts(written(tmp_path, "a.jsonl", LINES)) == {
        ("1", None): Verdict(True, "human"),
        ("2", "a dog"): Verdict(False, "Ada"),
    }


def test_what_is_written_is_read(tmp_path):
    verdicts = {
        ("1", 'a "dog"\n\u2028'): Verdict(True, "judge"),
        ("1", "a cat"): Verdict(False, "judge"),
        ("2", None): Verdict(None, "human"),
    }
    write_verdicts(tmp_path / "v.jsonl", verdicts)
    assert read_verdicts(tmp_path / "v.jsonl") == verdicts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,verdict\n1,perhaps\n", r"row 1: the verdict must be one of correct, right, true, yes, 1, incorrect"),
        ("sample,answer\n1,a\n", r"row 1: the verdict must be one of"),
        ("verdict,answer\nyes,a\n", r"row 1: sample is missing"),
        ("sample,verdict\n1,yes\n1,no\n", r"row 2: sample '1' has another verdict before"),
    ],
)
def test_broken_files_say_where(tmp_path, text, message):
    with pytest.raises(WherelookError, match=message):
        read_verdicts(written(tmp_path, "a.csv", text))


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no file of verdicts at .*a\.csv; expected a table"):
        read_verdicts(tmp_path / "a.csv")


def test_verdicts_take_the_place_of_the_rules_and_are_for_their_answer_alone():
    verdicts = {
        ("1", None): Verdict(False, "human"),
        ("2", "a dog"): Verdict(True, "m"),
        ("2", "red"): Verdict(False, "m"),
    }
    rows = [row("1", blind="a cat"), row("2", blind="red"), row("2", "a bird"), row("3"), row("1", None)]
    given = [dict(each) for each in rows]
    found = [(each["correct"], each["judge"], each["blind_correct"]) for each in apply_verdicts(rows, verdicts)]
    assert found == [
        (False, "human", None),  # whatever was answered to the image, not without it
        (True, "m", False),
        (None, None, None),
        (None, None, None),
        (None, None, None),  # no answer
    ]
    assert rows == given


def test_agreement_by_hand():
    """Of 10: 4 both right, 3 both wrong, 2 and 1 apart: 0.7 observed, 0.6 x 0.5 + 0.4 x 0.5 = 0.5 by chance."""
    first = [True] * 4 + [False] * 3 + [True] * 2 + [False] + [None, True]
    second = [True] * 4 + [False] * 3 + [False] * 2 + [True] + [True, None]
    found = agreement(first, second)
    assert (found.answers, found.both_right, found.both_wrong, found.only_first, found.only_second) == (10, 4, 3, 2, 1)
    assert found.kappa.value == pytest.approx((0.7 - 0.5) / 0.5)


def test_one_verdict_only_has_no_kappa():
    assert agreement([True, True], [True, True]).kappa is None
    assert agreement([None], [True]).answers == 0


def test_a_run_is_judged_by_a_file(tmp_path):
    path = written(tmp_path, "v.csv", "sample,answer,verdict,judge\n1,a dog,no,Ada\n1,a cat,yes,Ada\n2,,yes,Ben\n")
    first, second, silent = judge_run([row("1"), row("2"), row("3", answer=None)], path, "run")
    assert (first["correct"], first["judge"], second["correct"], second["judge"]) == (False, "Ada", True, "Ben")
    assert (silent["correct"], silent["judge"]) == (None, None)
    assert {(one["rule"], one["rule_correct"], one["verdicts"]) for one in (first, second)} == {
        ("exact", True, str(path))
    }


def test_verdicts_on_another_run(tmp_path):
    path = written(tmp_path, "v.csv", "sample,answer,verdict\n1,a cat,no\n7,,yes\n8,,yes\n")
    with pytest.raises(InputError) as error:
        judge_run([row("1")], path, "runs/a")
    assert str(error.value) == (
        f"{path} has verdicts on samples that runs/a does not have (2, such as '7'); expected verdicts on this run"
    )
    with pytest.raises(InputError) as error:
        judge_run([row("1"), row("7", answer=None), row("8", answer=None)], path, "runs/a")
    assert str(error.value) == f"{path} has no verdict on an answer of runs/a: expected verdicts on this run"
