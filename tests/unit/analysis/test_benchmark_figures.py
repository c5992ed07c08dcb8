"""The figures that benchmarks' authors report, against counts by hand; people's attention and single models."""

from __future__ import annotations

import pytest

from simulated_runs import Simulated, simulate_run
from wherelook.analysis.compare import compare_runs
from wherelook.report.comparison_text import to_text
from wherelook.report.models_summary import answers

MODEL = Simulated("model")


def compared(folder, changes, count):
    return compare_runs([simulate_run(folder / "run", MODEL, samples=range(count), changes=changes)])


def yes_no(reference: str, correct: bool | None, kind: str = "random") -> dict:
    return {"reference": reference, "correct": correct, "answer": "text", "kind": kind}


@pytest.fixture
def pope(tmp_path):
    """True positives 6, false negatives 2, true negatives 5, false positives 3, and two answers that say neither."""
    rows = (
        [yes_no("yes", True)] * 6 + [yes_no("Yes.", False)] * 2 + [yes_no("no", True, "popular")] * 5
        + [yes_no("no", False, "popular")] * 3 + [yes_no("yes", None), yes_no("no", None, "popular")]
    )  # fmt: skip
    return compared(tmp_path, dict(enumerate(rows)), len(rows))


def test_yes_and_no(pope):
    whole = {line.figure: line for line in pope.own if line.task is None}
    expected = {
        "accuracy": 11 / 18,
        "precision": 6 / 9,
        "recall": 6 / 9,
        "F1": 6 / 9,
        "yes ratio": 9 / 18,
        "neither yes nor no": 2 / 18,
    }
    assert {name: line.value.value for name, line in whole.items()} == pytest.approx(expected)
    assert all(0 <= line.value.low < line.value.value < line.value.high <= 1 for line in whole.values())
    assert (whole["precision"].items, whole["recall"].items, whole["accuracy"].items) == (9, 9, 18)


def test_yes_and_no_by_task(pope):
    """Of the popular ones none has the answer yes: there is no recall, and no F1."""
    popular = {line.figure: line.value.value for line in pope.own if line.task == "popular"}
    assert popular == pytest.approx(
        {"accuracy": 5 / 9, "precision": 0.0, "yes ratio": 3 / 9, "neither yes nor no": 1 / 9}
    )


def test_questions_with_other_answers_have_no_figures_of_yes_and_no(tmp_path):
    assert compared(tmp_path, {0: yes_no("red", True)}, 12).own == ()


def test_a_broken_row_and_a_description_do_not_hide_the_figures(tmp_path):
    rows = [yes_no("yes", True)] * 6 + [yes_no("no", True)] * 6
    rows += [
        {"reference": None, "answer": None, "correct": None, "status": "error", "error": "broken"},
        {"reference": None, "answer": "A dog on a sofa.", "correct": None},
    ]
    found = {line.figure: (line.items, line.value.value) for line in compared(tmp_path, dict(enumerate(rows)), 14).own}
    assert found["accuracy"] == (12, 1)
    assert found["yes ratio"] == (12, 0.5)


def test_pairs_count_where_both_are_right(tmp_path):
    """Of five pairs two are right; one with an answer that failed is not, nor one with an answer that says nothing."""
    right = [(True, True), (True, False), (True, True), (None, True), (None, True)]
    changes = {}
    for pair, verdicts in enumerate(right):
        for side, verdict in enumerate(verdicts):
            changes[2 * pair + side] = {
                "group": f"pair {pair}", "correct": verdict, "reference": "a", "answer": "text",
            }  # fmt: skip
    changes[6] |= {"status": "error", "error": "no memory"}
    (line,) = compared(tmp_path, changes, 10).own
    assert (line.figure, line.items, line.value.value) == ("group accuracy", 5, pytest.approx(0.4))


def test_rotated_options_are_circular_eval(tmp_path):
    """Of three questions with three options one is right throughout, one is not, and one lacks its last rotation."""
    changes = {
        3 * question + shift: {
            "sample": f"q{question}#rotated-{shift}", "group": f"q{question}", "correct": right,
            "choices": ["a", "b", "c"], "reference": "a", "answer": "A",
        }
        for question, verdicts in enumerate([(True, True, True), (True, True, False), (True, True)])
        for shift, right in enumerate(verdicts)
    }  # fmt: skip
    (line,) = compared(tmp_path, changes, 8).own
    assert (line.figure, line.items, line.value.value) == ("CircularEval", 2, pytest.approx(0.5))


def test_soft_accuracy_is_a_mean(tmp_path):
    changes = {place: {"soft_accuracy": value} for place, value in enumerate([1.0, 0.3, 0.0, 0.9])}
    (line,) = compared(tmp_path, changes, 4).own
    assert (line.figure, line.items, line.value.value) == ("soft accuracy", 4, pytest.approx(0.55))
    assert (line.value.low, line.value.high) == (0.0, 1.0)  # four answers tell little, and never more than is possible


def test_no_point_at_all_is_no_certainty(tmp_path):
    (line,) = compared(tmp_path, {place: {"soft_accuracy": 0.0} for place in range(14)}, 14).own
    assert (line.value.value, line.value.low) == (0, 0)
    assert line.value.high > 0.2  # Wilson's for 0 of 14


def human(place: int) -> dict:
    return {
        "human_correlation": 0.5 + 0.01 * (place % 5), "human_center": 0.3 + 0.01 * (place % 3), "human_ceiling": 0.7,
        "human_energy": 0.6, "human_pointing": 1.0, "human_share": 0.2,
    }  # fmt: skip


def test_agreement_with_people_stands_beside_the_center_and_the_ceiling(tmp_path):
    comparison = compared(tmp_path, {place: human(place) for place in range(20)}, 20)
    (line,) = comparison.human
    assert line.answers == 20
    assert line.correlation.value == pytest.approx(0.52)
    assert line.center.value == pytest.approx(0.3095)
    assert (line.ceiling.value, line.energy.value, line.chance.value) == pytest.approx((0.7, 0.6, 0.2))
    (test,) = [one for one in comparison.findings if "agree with people's" in one.asked]
    assert test.p < 0.01
    assert test.test.effect.value == pytest.approx(0.52 - 0.3095)
    assert "Agreement with where people looked" in to_text(comparison)


def test_a_single_model_without_boxes_is_told_where_it_looks(tmp_path):
    changes = {place: {"pointing": None, "energy": None, "compactness": 0.2, "center_mass": 0.5} for place in range(12)}
    comparison = compared(tmp_path, changes, 12)
    (line,) = comparison.focus
    assert (line.maps, line.half.value, line.center.value) == (12, pytest.approx(0.2), pytest.approx(0.5))
    (sentence,) = answers(comparison)["focus"].sentences
    assert sentence.startswith("On scenes, half of the saliency lies on 20\N{NO-BREAK SPACE}%")
    assert "Where the maps of each model lie" in to_text(comparison)
