"""The table of an evaluation: means over common answers, intervals, tests, direction, what has no map."""

from __future__ import annotations

import json

import pytest

from wherelook.analysis import method_table
from wherelook.errors import InputError
from wherelook.metrics import METRICS, label_of, measures
from wherelook.report import method_tables
from wherelook.stats import bootstrap_interval, holm, paired_test, wilson_interval


def row(sample: int, run: str, status: str = "ok", **measures) -> dict:
    base = {"sample": str(sample), "run": run, "status": status, "error": None, "answer": "red"}
    if status == "ok":
        base |= {"forward": 10, "backward": 4, "seconds": 0.5, "peak_bytes": 1e9}
    return base | measures


@pytest.fixture
def rows() -> list[dict]:
    """a makes maps of answers 0 to 9, b of 1 to 10, c of none."""
    found = [row(index, "a", deletion=0.1 + index / 100, pointing=1.0) for index in range(10)]
    found += [row(index, "b", deletion=0.3 + index / 50, pointing=float(index % 2)) for index in range(1, 11)]
    found += [row(0, "b", "not_visual"), row(10, "a", "error", error="out of memory")]
    found += [row(index, "c", "error", error="no attention") for index in range(11)]
    return found


def test_means_are_over_the_answers_that_all_able_runs_share(rows):
    first, second, third = method_table.summarize(rows, ["a", "b", "c"])
    assert (first.answers, first.maps, first.common) == (11, 10, 9)
    deletions = [0.1 + index / 100 for index in range(1, 10)]
    figure = first.figures["deletion"]
    assert figure.mean == pytest.approx(sum(deletions) / 9)
    assert (figure.low, figure.high) == pytest.approx(bootstrap_interval(deletions))
    assert figure.best
    assert (third.maps, third.figures["deletion"], third.seconds) == (0, None, None)
    assert (first.errors, second.errors, third.errors) == (1, 0, 11)
    assert third.share_without_map == 1
    assert second.passes == 14


def test_rows_that_were_replayed_in_different_numbers_of_steps_are_not_compared():
    rows = [
        row(index, run, deletion=0.1, replay_steps=steps) for index in range(3) for run, steps in (("a", 28), ("b", 50))
    ]
    with pytest.raises(InputError, match=r"a was replayed in 28 steps and b in 50: .* the same --replay-steps"):
        method_table.summarize(rows, ["a", "b"])
    assert method_table.summarize(rows, ["a"])[0].replay_steps == 28
    assert method_table.summarize([row(0, "a", deletion=0.1)], ["a"])[0].replay_steps is None


def test_a_yes_or_no_has_wilsons_interval_and_the_test_is_paired(rows):
    first, second, _ = method_table.summarize(rows, ["a", "b", "c"])
    hits = [float(index % 2) for index in range(1, 10)]
    assert second.figures["pointing"].mean == pytest.approx(5 / 9)
    assert (second.figures["pointing"].low, second.figures["pointing"].high) == wilson_interval(5, 9)
    assert second.figures["pointing"].p == pytest.approx(holm([paired_test(hits, [1.0] * 9).p])[0])
    assert first.figures["pointing"].p is None
    assert second.figures["pointing"].tied == (second.figures["pointing"].p >= 0.05)


def test_lower_is_better_for_deletion_and_higher_for_insertion():
    rows = [
        row(index, run, deletion=value, insertion=value)
        for index in range(6)
        for run, value in (("x", 0.2), ("y", 0.7))
    ]
    low, high = method_table.summarize(rows, ["x", "y"])
    assert (low.figures["deletion"].best, high.figures["deletion"].best) == (True, False)
    assert (low.figures["insertion"].best, high.figures["insertion"].best) == (False, True)


def test_of_several_rows_for_an_answer_the_last_counts():
    (only,) = method_table.summarize([row(0, "a", deletion=0.9), row(0, "a", deletion=0.1)], ["a"])
    assert only.figures["deletion"].mean == pytest.approx(0.1)


def test_a_measure_counts_where_all_runs_that_have_it_at_all_have_it():
    rows = [row(index, "a", stability_seed=0.9 if index < 5 else None) for index in range(8)]
    rows += [row(index, "b", stability_seed=0.5 if index > 1 else float("nan")) for index in range(8)]
    rows += [row(index, "flat", stability_seed=None) for index in range(8)]
    first, second, flat = method_table.summarize(rows, ["a", "b", "flat"])
    assert first.common == 8
    assert (first.figures["stability_seed"].n, second.figures["stability_seed"].n) == (3, 3)
    assert flat.figures["stability_seed"] is None
    assert "energy" not in first.figures


def test_equal_means_are_both_best_and_noise_is_tied_but_a_clear_loss_is_not():
    wobble = [0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.0, 0.0, 0.03, -0.03]
    rows = []
    for index, shift in enumerate(wobble):
        values = {"a": 0.5, "same": 0.5, "near": 0.499 + shift, "worse": 0.3 + shift}
        rows += [row(index, run, insertion=value) for run, value in values.items()]
    figures = {
        one.run: one.figures["insertion"] for one in method_table.summarize(rows, ["a", "same", "near", "worse"])
    }
    assert {run for run, figure in figures.items() if figure.best} == {"a", "same"}
    assert {run for run, figure in figures.items() if figure.tied} == {"near"}
    assert figures["worse"].p < 0.05
    text = method_tables.to_markdown(method_table.summarize(rows, ["a", "same", "near", "worse"]))
    assert "**0.500 (0.500\N{EN DASH}0.500)**" in text
    assert "≈ 0.499" in text
    assert "| 0.300" in text


def test_the_order_is_by_insertion_then_by_pointing_and_runs_without_it_come_last():
    rows = [row(0, "low", insertion=0.1), row(0, "none"), row(0, "high", insertion=0.9)]
    ranked = method_table.ranked(method_table.summarize(rows, ["low", "none", "high"]))
    assert [one.run for one in ranked] == ["high", "low", "none"]
    rows = [row(0, "low", pointing=0.0), row(0, "high", pointing=1.0)]
    assert [one.run for one in method_table.ranked(method_table.summarize(rows, ["low", "high"]))] == ["high", "low"]


def test_every_measure_of_the_table_has_a_meaning():
    for name in method_table.measured([dict.fromkeys(measures(METRICS.ours), 0.5)]):
        assert method_table.metric_of(name).better in ("higher", "lower")
        assert label_of(name, method_table.metric_of(name)) != name


def test_a_metric_of_another_package_is_a_column_in_a_group_of_its_own_and_nobody_is_the_best():
    rows = [
        row(place, run, insertion=0.5, sharpness=value) for place in range(4) for run, value in (("a", 1), ("b", 2))
    ]
    summaries = method_table.summarize(rows, ["a", "b"])
    assert list(summaries[0].figures) == ["insertion", "sharpness"]
    assert [(one.figures["sharpness"].mean, one.figures["sharpness"].best) for one in summaries] == [
        (1, False),
        (2, False),
    ]
    assert method_table.metric_of("sharpness").group == "Other metrics"


def test_the_table_as_text_and_as_records(rows):
    summaries = method_table.summarize(rows, ["a", "b", "c"])
    text = method_tables.to_markdown(summaries)
    assert "| a " in text
    assert "Deletion ↓ (n 9)" in text
    assert "| c | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | 11 | 0 | 100 | 11 | 0 | not checked |" in text
    records = method_table.to_records(summaries)
    json.dumps(records, allow_nan=False)
    assert [record["run"] for record in records] == ["a", "b", "c"]
    assert len({tuple(record) for record in records}) == 1


def test_a_run_that_fails_its_sanity_check_is_marked_whatever_its_figures(rows):
    summaries = method_table.summarize(rows, ["a", "b", "c"], {"a": "fails", "b": "passes", "other": "fails"})
    assert [one.sanity for one in summaries] == ["fails", "passes", "not checked"]
    assert summaries[0].figures["deletion"].best
    text = method_tables.to_markdown(summaries)
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert all(block.count("| a (fails sanity) ") == 1 for block in tables)
    assert "b (fails" not in text
    ends = [line.split("|")[-2].strip() for line in tables[-1].splitlines()]
    assert sorted(ends[2:]) == ["fails", "not checked", "passes"]
    assert [record["sanity"] for record in method_table.to_records(summaries)] == ["fails", "passes", "not checked"]


def test_nothing_is_a_table_too():
    (only,) = method_table.summarize([], ["a"])
    assert (only.answers, only.maps, only.share_without_map) == (0, 0, 0.0)
    assert method_tables.to_markdown([only])


def test_what_is_missing_is_named_most_frequent_first(rows):
    (first, *_) = method_table.missing(rows, ["a", "b", "c"])
    assert first == ("c", "error", "no attention", 11)


def test_with_four_answers_no_difference_is_tested_and_it_says_so():
    """However far apart two runs are, 2 of 16 ways to flip four signs are as extreme: nothing is called equal."""
    found = [
        row(index, run, deletion=value + index / 100)
        for index in range(4)
        for run, value in (("best", 0.1), ("random", 0.9))
    ]
    table = method_table.summarize(found, ["best", "random"])
    assert not table[1].figures["deletion"].tied
    assert method_table.too_few(table) == (
        "With 4 answers no difference between 2 runs can be significant, however large it is: no run is marked. "
        "It takes 6 answers or more."
    )
    text = method_tables.to_markdown(table)
    assert "no run is marked" in text
    assert "≈ 0" not in text


def test_with_enough_answers_nothing_is_said():
    found = [
        row(index, run, deletion=value + index / 100) for index in range(6) for run, value in (("a", 0.1), ("b", 0.9))
    ]
    assert method_table.too_few(method_table.summarize(found, ["a", "b"])) == ""


def test_one_reason_of_all_runs_is_one_line():
    found = [row(index, run, "not_visual", reason="no word") for index in range(3) for run in ("a", "b")]
    found += [row(3, "a", "error", error="memory"), row(4, "b", "error", error="memory")]
    assert method_table.missing(found, ["a", "b"]) == [
        ("all", "not_visual", "no word", 3),
        ("a", "error", "memory", 1),
        ("b", "error", "memory", 1),
    ]


def test_agreement_with_people_has_columns_of_its_own():
    found = [row(index, run, human_correlation=0.3 + index / 100) for index in range(6) for run in ("a", "b")]
    (first, _) = method_table.summarize(found, ["a", "b"])
    assert first.figures["human_correlation"].mean == pytest.approx(0.325)
    assert "Rank correlation ↑ (n 6)" in method_tables.to_markdown([first])


def test_answers_that_no_method_was_tried_on_do_not_count_and_are_told():
    """Wrong ones, and samples without any answer, have a row for every method; the table is not about them."""
    found = [row(index, run, deletion=0.5) for index in range(2) for run in ("a", "b")]
    found += [row(2, run, "wrong_answer") for run in ("a", "b")]
    found += [row(3, run, "error", error="no image", answer=None) for run in ("a", "b")]
    (first, second) = method_table.summarize(found, ["a", "b"])
    assert (first.answers, first.maps, first.errors, second.answers) == (2, 2, 0, 2)
    assert method_table.missing(found, ["a", "b"]) == [
        (method_table.NO_RUN, "wrong_answer", "", 1),
        (method_table.NO_RUN, "error", "no image", 1),
    ]
