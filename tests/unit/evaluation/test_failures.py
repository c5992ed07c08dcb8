"""What a run says of samples that fail, and of answers of which none is right."""

from __future__ import annotations

import pytest
import torch

from wherelook.errors import UnavailableError, WherelookError
from wherelook.evaluation.failures import IN_A_ROW, JUDGED, Watch, commonest_error, describe, row_or_error
from wherelook.evaluation.method_spec import MethodSpec


def ok(answer: str = "Yes", correct: bool | None = False) -> dict:
    return {"status": "ok", "answer": answer, "correct": correct, "judge": "exact", "references": ["yes", "yes"]}


FAILED = {"status": "error", "error": "no image"}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watch(said) -> Watch:
    return Watch(said.append, "open")


def test_errors_that_differ_in_names_and_numbers_are_of_one_kind():
    errors = ["there is no image file 'a.png'", "d/b.png is damaged", "there is no image file 'c 7.png'", "12 too many"]
    assert commonest_error(errors) == ("there is no image file 'a.png'", 2)
    assert commonest_error(["row 3 of x/y.csv", "row 44 of z/y.csv", "other"]) == ("row 3 of x/y.csv", 2)
    assert commonest_error([]) is None


def test_failures_in_a_row_are_said_once_and_a_method_that_works_ends_the_row(watch, said):
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            watch([FAILED, FAILED])
        watch([FAILED, ok(correct=None)])
    assert said == []
    for _ in range(3 * IN_A_ROW):
        watch([FAILED])
    assert said == [f"{IN_A_ROW} samples in a row failed, the last one with: no image"]


def test_nothing_right_is_said_after_ten_answers_with_rule_prompt_and_examples(watch, said):
    for _ in range(JUDGED):
        watch([FAILED | {"correct": None}])
        assert said in ([], said[:1])
    said.clear()
    for number in range(2 * JUDGED):
        watch([ok(f"answer {number}"), ok("other method, same answer")])
    (text,) = said
    assert text.startswith("none of the first 10 answers is right by rule exact, asked with --prompt open: ")
    assert "'answer 0' where 'yes' is expected; 'answer 1' where 'yes' is expected; 'answer 2' where" in text
    assert text.endswith("choose another --judge, else another --prompt")


@pytest.mark.parametrize("verdicts", [[True] + [False] * 20, [None] * 30, [False] * (JUDGED - 1)])
def test_nothing_is_said_where_one_is_right_or_too_few_are_judged(watch, said, verdicts):
    for correct in verdicts:
        watch([ok(correct=correct)])
    assert said == []


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("a\nb"), RecursionError(), MemoryError(), WherelookError("no")]
)
def test_whatever_goes_wrong_with_one_method_is_its_row(error):
    def explain() -> dict:
        raise error

    row = row_or_error(MethodSpec("center"), 3, explain)
    assert (row["run"], row["seed"], row["status"]) == ("center:best", 3, "error")
    assert row["error"] == ("no" if isinstance(error, WherelookError) else describe(error))
    assert "\n" not in row["error"]


@pytest.mark.parametrize("error", [UnavailableError("gone"), torch.AcceleratorError("CUDA error")])
def test_what_would_fail_for_every_sample_ends_the_run(error):
    with pytest.raises(WherelookError, match=r"gone|the device failed: CUDA error"):
        describe(error)


def test_a_note_on_prompts_is_said_for_the_first_of_its_kind(watch, said):
    watch.note("a", ())
    watch.note("b", ("the prompt has 5000 tokens", "made smaller: 40 x 30"))
    watch.note("c", ("the prompt has 6000 tokens", "made smaller: 400 x 30, 20 x 20"))
    assert [text.partition(": ")[::2] for text in said] == [
        ("sample 'b', and perhaps others", "the prompt has 5000 tokens"),
        ("sample 'b', and perhaps others", "made smaller: 40 x 30"),
    ]
