"""Sanity checks of the sanity checks: what does not change, what must, and that weights come back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from wherelook.attribution import METHODS
from wherelook.data.datasets import read_samples
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.sanity import (
    CONTROL,
    STAGES,
    WEIGHT_STAGES,
    Check,
    check_sanity,
    shuffled_weights,
    summarize,
    to_rows,
)
from wherelook.evaluation.sanity_files import conditions, make_checks, read_checks, read_verdicts, write_verdicts
from wherelook.evaluation.search import HardlyRightError
from wherelook.models import VisionLanguageModel
from wherelook.storage import LineFile


@pytest.fixture(scope="module")
def model():
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


def checked(run: str, *values: float) -> list[Check]:
    """Every stage of a run with these correlations."""
    return [Check(str(index), "next", run, stage, value) for index, value in enumerate(values) for stage in STAGES]


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.model.state_dict().items()}


@pytest.mark.parametrize("stage", WEIGHT_STAGES)
def test_weights_are_shuffled_inside_and_restored_after(model, stage):
    before = weights(model)
    with shuffled_weights(model.model, stage):
        inside = weights(model)
    changed = {name for name in before if not torch.equal(before[name], inside[name])}
    for name in changed:
        assert torch.equal(before[name].flatten().sort().values, inside[name].flatten().sort().values)
    vision = {name for name in changed if "vision" in name or "projector" in name}
    assert bool(vision) == (stage in ("vision", "all weights"))
    assert bool(changed - vision) == (stage != "vision")
    assert all(torch.equal(before[name], value) for name, value in weights(model).items())


def test_checks_on_two_answers(model):
    runs = parse_methods("igos+:fast,center,random")
    before = weights(model)
    checks = list(check_sanity(model, read_samples("scenes-tuning"), runs, count=2))
    assert len(checks) == 2 * len(runs) * len(STAGES)
    assert all(torch.equal(before[name], value) for name, value in weights(model).items())
    ours, center, random = (summarize(checks, run.name) for run in runs)
    assert ours[0] == "passes"
    assert ours[1][CONTROL]["mean"] == pytest.approx(1)
    assert center[0] == "fails"  # it knows nothing of the model, and cannot change
    assert all(stage["mean"] == pytest.approx(1) for stage in center[1].values())
    assert abs(random[1][CONTROL]["mean"]) < 0.1


def test_an_interrupted_run_goes_on_where_it_was(model, tmp_path):
    path, about, runs = tmp_path / "checks.jsonl", {"model": "m"}, parse_methods("gradient,center")
    samples = list(itertools.islice(read_samples("scenes-tuning"), 6))

    def check(known):
        return check_sanity(model, samples, runs, count=2, known=known)

    def interrupted(known):
        yield from itertools.islice(check(known), 17)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_checks(path, about, runs, interrupted)
    first = read_checks(LineFile(path), about, runs)
    assert len(first) == 17
    with path.open("a", encoding="utf-8") as file:
        file.write('{"check": {"sam')  # killed while it wrote
    resumed = make_checks(path, about, runs, check)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2 * len(runs) * len(STAGES)
    assert {made.key: made.correlation for made in resumed} == {
        made.key: pytest.approx(made.correlation) for made in check(())
    }
    assert set(first) <= set(resumed)
    assert set(make_checks(path, about, runs, lambda known: known)) == set(resumed)
    assert {made.run for made in read_checks(LineFile(path), about, parse_methods("center"))} == {"center:best"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]\n", "line 1: expected a JSON object"),
        ('{"check": {"sample": "1"}}\n', "is broken"),
        ("no json\n", "line 1: expected a JSON object"),
    ],
)
def test_checks_on_something_else_or_broken_are_refused(tmp_path, text, message):
    path, runs = tmp_path / "checks.jsonl", parse_methods("center")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_checks(LineFile(path), {"model": "m"}, runs)
    path.unlink()
    make_checks(path, {"model": "m"}, runs, lambda known: checked("center:best", 1.0))
    assert len(read_checks(LineFile(path), {"model": "m"}, runs)) == len(STAGES)
    with pytest.raises(InputError, match="holds sanity checks of something else"):
        read_checks(LineFile(path), {"model": "other"}, runs)


def test_one_answer_is_not_enough(model):
    with pytest.raises(WherelookError, match="fewer than two"):
        list(check_sanity(model, [next(read_samples("scenes-tuning"))], parse_methods("center"), count=5))


def test_wrong_answers_are_left_out_on_demand(model):
    first, *others = itertools.islice(read_samples("scenes-tuning"), 3)
    samples = [replace(first, references=("The moon.",)), *others]

    def used(**options) -> list[str]:
        return sorted(
            {check.sample for check in check_sanity(model, samples, parse_methods("center"), count=2, **options)}
        )

    assert used() == sorted([first.id, others[0].id])
    assert used(only_right=True) == sorted(sample.id for sample in others)


def test_a_search_for_right_answers_that_finds_none_ends(model, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.search.WRONG_LIMIT", 3)
    wrong = (replace(sample, references=("The moon.",)) for sample in read_samples("scenes-tuning"))
    with pytest.raises(HardlyRightError, match=r"^3 of 3 answers are not right by rule"):
        list(check_sanity(model, wrong, parse_methods("center"), count=2, only_right=True))


def test_a_verdict():
    def verdict(*values: float | None) -> str:
        checks = [Check("1", "2", "a", stage, 1.0) for stage in STAGES if stage != "all weights"]
        return summarize([*checks, *(Check("1", "2", "a", "all weights", value) for value in values)], "a")[0]

    assert verdict(0.29, 0.3) == "passes"
    assert verdict(0.5, 0.2) == "fails"
    assert verdict(None, None) == "passes"
    assert verdict(None, 0.9) == "fails"
    assert summarize([Check("1", "2", "a", CONTROL, None)], "a")[0] == "no map"


def test_verdicts_are_kept_by_run_and_added_to(tmp_path):
    path, about = tmp_path / "sanity.json", {"model": "m", "seed": 0}
    runs = parse_methods("center,random")
    assert read_verdicts(path, about, runs) == {}
    first = to_rows([*checked("center:best", 1.0, 1.0), *checked("random:best", 0.1, 0.0)], runs, asked=2)
    assert [(row["verdict"], row["answers"]) for row in first] == [("fails", 2), ("passes", 2)]
    assert first[0]["all weights"]["mean"] == 1
    write_verdicts(path, about, first)
    write_verdicts(path, about, to_rows(checked("random:best", 0.9, 0.8, 0.7), runs[1:], asked=3))
    kept = read_verdicts(path, about, runs)
    assert kept["center:best"] == first[0]
    assert (kept["random:best"]["verdict"], kept["random:best"]["answers"]) == ("fails", 3)
    assert len(kept) == 2
    assert list(read_verdicts(path, about, runs[:1])) == ["center:best"]


def test_a_verdict_on_fewer_answers_does_not_replace_one_on_more(tmp_path):
    path, about, (run,) = tmp_path / "sanity.json", {"model": "m"}, parse_methods("center")
    for values, asked, kept in (((0.0, 0.1, 0.2), 9, 9), ((1.0, 1.0), 2, 9), ((1.0, 1.0, 1.0), 10, 10)):
        write_verdicts(path, about, to_rows(checked(run.name, *values), [run], asked=asked))
        assert read_verdicts(path, about, [run])[run.name]["asked"] == kept


def test_a_verdict_holds_for_its_settings_alone(tmp_path, monkeypatch):
    path, about, (run,) = tmp_path / "sanity.json", {"model": "m"}, parse_methods("rise:fast")
    write_verdicts(path, about, to_rows(checked(run.name, 0.0, 0.1, 0.2), [run], asked=3))
    assert read_verdicts(path, about, [run])[run.name]["verdict"] == "passes"
    presets = METHODS["rise"].presets
    monkeypatch.setitem(presets, "fast", replace(presets["fast"], masks=7))
    assert read_verdicts(path, about, [run]) == {}
    write_verdicts(path, about, to_rows(checked(run.name, 1.0, 1.0), [run], asked=2))
    assert read_verdicts(path, about, [run])[run.name]["verdict"] == "fails"


def test_verdicts_are_kept_apart_by_all_that_changes_them(model, tmp_path):
    usual = conditions(model, "embedded", "scenes")
    assert (usual["dtype"], usual["revision"]) == ("float32", model.description["revision"])
    others = [
        conditions(model, "embedded", "scenes", **change)
        for change in ({"wrong": True}, {"lend": True}, {"seed": 1}, {"prompt_template": "{image}{question}"})
    ]
    write_verdicts(tmp_path / "sanity.json", usual, [])
    for other in (*others, usual | {"dtype": "bfloat16"}, usual | {"revision": "b"}, usual | {"dataset": "d"}):
        with pytest.raises(InputError, match=r"holds sanity checks of something else .*: name a new folder"):
            read_verdicts(tmp_path / "sanity.json", other, [])


def test_an_interruption_leaves_the_earlier_verdicts(tmp_path, monkeypatch):
    path, about, (run,) = tmp_path / "sanity.json", {"model": "m"}, parse_methods("center")
    write_verdicts(path, about, to_rows(checked(run.name, 1.0, 1.0), [run], asked=2))
    before = path.read_bytes()

    def interrupted(*names: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_verdicts(path, about, to_rows(checked(run.name, 1.0, 1.0, 1.0), [run], asked=3))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"about": {"model": "other"}, "methods": []}', "holds sanity checks of something else"),
        *((text, r"sanity.json' is broken: move it away") for text in (
            "", "{", "[]", "{}", '{"methods": [3]}', '{"about": {"model": "m"}, "methods": [3]}',
            '{"about": {"model": "m"}, "methods": [{"method": "center:best", "verdict": "fails"}]}',
        )),
    ],
)  # fmt: skip
def test_verdicts_on_something_else_or_broken_are_refused(tmp_path, text, message):
    path = tmp_path / "sanity.json"
    path.write_text(text)
    for use in (lambda: read_verdicts(path, {"model": "m"}, []), lambda: write_verdicts(path, {"model": "m"}, [])):
        with pytest.raises(InputError, match=message):
            use()
    assert path.read_text() == text
