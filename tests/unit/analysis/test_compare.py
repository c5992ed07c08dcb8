"""The three questions on simulated runs: what is planted is found, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from simulated_runs import EVIDENCE_SHARE, METHOD, NOTHING, Simulated, four_models, simulate_run
from wherelook.analysis.compare import compare_runs
from wherelook.analysis.focus_similarity import SIMILARITIES
from wherelook.errors import InputError
from wherelook.stats import benjamini_hochberg, holm


def correlation(first, second) -> float:
    """A similarity that takes no time."""
    return float(np.corrcoef(first.numpy().ravel(), second.numpy().ravel())[0, 1])


@pytest.fixture(autouse=True, scope="module")
def quick_similarity():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIMILARITIES, "quick", correlation)
        yield


def compare(folder: Path, *models: Simulated, samples=range(60), **options):
    simulation = {name: options.pop(name) for name in ("per_image", "kinds", "seed") if name in options}
    runs = [simulate_run(folder / model.name, model, samples=samples, **simulation) for model in models]
    return compare_runs(runs, **{"measure": "quick"} | options)


def finding(comparison, subject: str, asked: str):
    found = [one for one in comparison.findings if one.subject == subject and asked in one.asked]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def planted(tmp_path_factory, quick_similarity):
    """One looks, one guesses without looking, one looks at the wrong object; each has its fixed answers."""
    return compare(
        tmp_path_factory.mktemp("planted"),
        Simulated("looks", accuracy=0.9, elsewhere=0.3, on_evidence=0.6),
        Simulated("guesses", looks=0.1, blind_accuracy=0.5),
        Simulated("wrong object", on_evidence=0.0, elsewhere=0.6),
        samples=range(100),
        kinds=2,
    )


def test_a_model_that_answers_without_looking(planted):
    lines = {line.model: line for line in planted.reliance if line.task is None}
    assert lines["guesses"].resting.high < 0.25
    assert lines["looks"].resting.low > 0.9
    assert lines["guesses"].tokens_resting.high < lines["looks"].tokens_resting.low
    blind = lines["guesses"].blind_accuracy
    assert blind.low < lines["guesses"].accuracy.value < blind.high
    assert finding(planted, "guesses", "than without").p > 0.05
    assert finding(planted, "looks", "than without").p < 0.001


def test_a_model_that_looks_at_the_wrong_object(planted):
    line = next(line for line in planted.evidence if (line.model, line.task) == ("wrong object", None))
    both, place_only, answer_only, neither = line.cells
    assert (both.count, place_only.count) == (0, 0)
    assert answer_only.right_answer
    assert not answer_only.right_place
    assert answer_only.count + neither.count == line.answers == 100
    assert line.odds_ratio is None
    assert line.chance == pytest.approx(EVIDENCE_SHARE)
    found = finding(planted, "wrong object", "random place")
    assert found.p < 0.05
    assert found.test.effect.high < 0
    assert any("wrong object is right where it looks" in note and "not tested" in note for note in planted.notes)


def test_right_answers_that_go_with_the_right_place(planted):
    line = next(line for line in planted.evidence if (line.model, line.task) == ("looks", None))
    assert sum(cell.count for cell in line.cells) == line.answers == 100
    assert sum(cell.share for cell in line.cells) == pytest.approx(1)
    assert line.odds_ratio.low > 1
    assert finding(planted, "looks", "when its focus").p < 0.001
    assert finding(planted, "looks", "random place").p < 0.05
    by_task = [line for line in planted.evidence if line.model == "looks" and line.task is not None]
    assert [line.task for line in by_task] == ["kind 0", "kind 1"]
    for cell in range(4):
        whole = line.cells[cell].samples
        assert sorted(whole) == sorted(name for task in by_task for name in task.cells[cell].samples)


def test_calibration_is_over_all_answers(planted):
    line = next(line for line in planted.calibrations if (line.model, line.task) == ("guesses", None))
    assert line.calibration.n == 100
    assert line.calibration.roc_area is not None


def test_a_model_with_few_maps_takes_no_part_in_focus_and_is_named(planted):
    assert all("guesses" not in (line.first, line.second) for line in planted.pairs)
    assert any(note.startswith("scenes: guesses takes no part") for note in planted.notes)
    coverage = next(line for line in planted.coverage if line.model == "guesses")
    assert coverage.ok + coverage.not_visual == coverage.common == 100
    assert sum(line.model == "guesses" for line in planted.skipped) == coverage.not_visual


def test_architectures_with_different_focus(tmp_path):
    models = [Simulated(**own, focus=len(own["architecture"]) + (own["architecture"] == "Two"), own=1.0)
              for own in four_models()]  # fmt: skip
    comparison = compare(tmp_path, *models, samples=range(40), measure="rank-correlation")
    found = finding(comparison, "architecture", "Is focus more alike")
    assert found.p < 0.01
    assert found.test.effect.low > 0.1
    assert found.test.name == "paired permutation test"
    assert "these models" in found.test.assumptions
    assert finding(comparison, "scale", "Is focus more alike").p > 0.05
    tree = comparison.trees[0].hierarchy
    assert {frozenset(merge.members) for merge in tree.merges[:2]} == {
        frozenset(["One 7B", "One 13B"]),
        frozenset(["Two 7B", "Two 13B"]),
    }
    assert all(merge.support > 0.9 for merge in tree.merges)
    whole = {line.relation: line for line in comparison.relations if line.within is None}
    assert whole["other scale"].pairs == whole["other architecture"].pairs == whole["both differ"].pairs == 2
    assert whole["other scale"].similarity.low > whole["other architecture"].similarity.high
    within = [(line.relation, line.within) for line in comparison.relations if line.within is not None]
    assert within == [
        ("other scale", "One"), ("other scale", "Two"),
        ("other architecture", "6B-10B"), ("other architecture", "10B-20B"),
    ]  # fmt: skip
    assert all(line.chance.low < 0.1 and line.similarity.low > line.chance.high for line in comparison.pairs)


@pytest.mark.parametrize("per_image", [1, 3])
def test_nothing_is_found_where_nothing_is(tmp_path, per_image):
    """`benchmarks/comparison.py` simulates more of them."""
    found = []
    for seed in range(4):
        models = [replace(NOTHING, **own) for own in four_models()]
        comparison = compare(tmp_path / str(seed), *models, samples=range(30), per_image=per_image, seed=seed)
        assert len(comparison.findings) >= 20
        found += [one for one in comparison.findings if one.p < 0.05]
    assert len(found) <= 1


def test_samples_of_one_image_are_one_cluster(tmp_path):
    comparison = compare(tmp_path, NOTHING, samples=range(60), per_image=3)
    assert {one.test.clusters for one in comparison.findings} == {20}


@pytest.mark.parametrize(("correction", "function"), [("holm", holm), ("benjamini-hochberg", benjamini_hochberg)])
def test_all_tests_are_corrected_together(tmp_path, correction, function):
    comparison = compare(tmp_path, Simulated("a"), Simulated("b", on_evidence=0.2), correction=correction)
    assert [one.p for one in comparison.findings] == function([one.test.p for one in comparison.findings])
    assert {one.question for one in comparison.findings} == {"reliance", "focus", "evidence"}


def test_only_common_samples_are_compared_and_it_is_said(tmp_path):
    runs = [
        simulate_run(tmp_path / "a", Simulated("a"), samples=range(30)),
        simulate_run(tmp_path / "b", Simulated("b"), samples=range(10, 60)),
    ]
    comparison = compare_runs(runs)
    assert [(line.samples, line.common) for line in comparison.coverage] == [(30, 20), (50, 20)]
    assert "scenes: only the 20 samples that all models have are compared (of a 30, b 50)." in comparison.notes
    assert {line.answers for line in comparison.reliance} == {20}


def test_errors_are_counted_and_named(tmp_path):
    broken = {"status": "error", "error": "boom", "words": None, "relevant_words": None, "correct": None, "mask": None}
    run = simulate_run(tmp_path / "a", Simulated("a"), samples=range(20), changes={7: broken})
    comparison = compare_runs([run])
    assert [(line.sample, line.status, line.reason) for line in comparison.skipped] == [("s7", "error", "boom")]
    assert comparison.coverage[0].error == 1
    assert comparison.reliance[0].answers == 19


def test_a_single_run_answers_what_it_can(tmp_path):
    comparison = compare(tmp_path, Simulated("a"))
    assert comparison.method == METHOD
    assert not comparison.pairs
    assert any("fewer than two models have maps" in note for note in comparison.notes)
    assert {one.question for one in comparison.findings} == {"reliance", "evidence"}


def test_one_scale_leaves_architecture_to_the_figures(tmp_path):
    comparison = compare(tmp_path, Simulated("a", "One"), Simulated("b", "Two"), samples=range(20))
    assert any("focus depends on architecture is not tested" in note for note in comparison.notes)
    assert finding(comparison, "architecture", "area that holds half").test.clusters == 20


def test_architecture_and_scale_that_go_together_are_tested_as_models(tmp_path):
    comparison = compare(tmp_path, Simulated("a", "One", 10**9), Simulated("b", "Two", 10**10), samples=range(20))
    assert finding(comparison, "model", "area that holds half").test.effect.name == "model: b - a"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"measure": "no"},
            "unknown measure of similarity 'no'; valid: rank-correlation, top-overlap, transport, quick",
        ),
        ({"correction": "no"}, "unknown correction 'no'; valid: holm, benjamini-hochberg"),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(InputError) as error:
        compare_runs([Path("nowhere")], **options)
    assert str(error.value) == message


@pytest.mark.parametrize("measure", ["rank-correlation", "top-overlap", "transport"])
def test_equal_maps_are_alike_and_flat_ones_have_no_similarity(measure):
    hill = torch.zeros(7, 7)
    hill[2:4, 3] = torch.tensor([1.0, 0.5])
    assert SIMILARITIES[measure](hill, hill) == pytest.approx(1)
    assert SIMILARITIES[measure](hill, hill.flip(0)) < 0.95
    assert SIMILARITIES[measure](hill, torch.zeros(7, 7)) is None


def test_flat_maps_are_left_out_and_counted(tmp_path):
    flat = {"mask": [0.0] * 49}
    runs = [
        simulate_run(tmp_path / "a", Simulated("a"), samples=range(12), changes={3: flat}),
        simulate_run(tmp_path / "b", Simulated("b"), samples=range(12)),
    ]
    comparison = compare_runs(runs)
    assert comparison.pairs[0].items == 11
    assert "scenes: 1 samples with a flat map are left out of similarity." in comparison.notes


# ---- verdicts from files ----


@pytest.fixture
def judged(tmp_path):
    """Two runs of 20 answers that the rule finds right; a file finds 12 of the first wrong, says nothing on 3."""
    said = {place: {"answer": "a dog", "judge": "exact", "correct": True} for place in range(20)}
    runs = [simulate_run(tmp_path / name, Simulated(name), samples=range(20), changes=said) for name in ("a", "b")]
    lines = [f"s{place},{'wrong' if place < 12 else 'right'},Ada" for place in range(17)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["sample,verdict,judge", *lines]))
    return runs, path


def test_a_file_of_verdicts_stands_in_the_place_of_the_rule(judged):
    (first, second), path = judged
    comparison = compare_runs([first, second], measure="quick", verdicts={str(first): path})
    (line,) = comparison.judges
    assert (line.model, line.run, line.file, line.judge, line.rule) == ("a", str(first), str(path), "Ada", "exact")
    assert (line.answers, line.judged, line.both) == (20, 17, 17)
    assert line.agree.value == pytest.approx(5 / 17)
    assert line.kappa is None  # a rule that finds everything right agrees by chance alone, whatever people say
    accuracies = {one.model: (one.judged, one.accuracy.value) for one in comparison.reliance if one.task is None}
    assert accuracies == {"a": (17, pytest.approx(5 / 17)), "b": (20, 1)}
    assert [one.judged for one in comparison.coverage] == [17, 20]
    assert "scenes: accuracies cannot be compared, for judges differ: a by Ada; b by the rule of its run." in (
        comparison.notes
    )


def test_runs_that_one_judge_judges_can_be_compared(judged):
    runs, path = judged
    comparison = compare_runs(runs, measure="quick", verdicts=dict.fromkeys(map(str, runs), path))
    assert [line.judged for line in comparison.judges] == [17, 17]
    assert not [note for note in comparison.notes if "judges differ" in note]
    assert compare_runs(runs, measure="quick").judges == ()
