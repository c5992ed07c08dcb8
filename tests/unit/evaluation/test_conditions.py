"""Maps under conditions, in one run with the plain ones: what is made of what, and what is not made again."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from wherelook.analysis.sanity import check, correlations, with_stability
from wherelook.answer import ask
from wherelook.data.datasets import read_samples
from wherelook.data.images import load_image
from wherelook.data.sources import Boxes, ImageFile, ImageInMemory
from wherelook.evaluation.conditions import (
    OTHER_IMAGE,
    OTHER_SEED,
    SANITY,
    STABILITY,
    WEIGHT_STAGES,
    shuffled_weights,
)
from wherelook.evaluation.failures import Watch
from wherelook.evaluation.method_spec import parse_methods, sweep_methods
from wherelook.evaluation.records import TIMES
from wherelook.evaluation.rows import WRONG
from wherelook.evaluation.run import Extent, execute
from wherelook.evaluation.run_folder import open_run, read_run
from wherelook.evaluation.search import HardlyRightError
from wherelook.evaluation.worker import NO_MAP, ModelWorker, Procedure
from wherelook.models import VisionLanguageModel

GRAY = ImageInMemory(load_image(np.full((64, 64, 3), 128, np.uint8)))


@pytest.fixture(scope="module")
def model():
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def samples():
    return list(itertools.islice(read_samples("scenes-tuning"), 5))


@pytest.fixture
def run(model, tmp_path):
    """Runs samples in a folder, and returns how far it came and all rows."""

    def run(samples, methods, *, folder="run", warn=None, options=None, **extent):
        specs = tuple(parse_methods(methods)) if isinstance(methods, str) else tuple(methods)
        procedure = Procedure("scenes", specs, **{"metrics": ("map",), "right_only": True} | (options or {}))
        extent = Extent(**extent, baseline_from_dataset=procedure.baseline_from_dataset)
        path, watch = tmp_path / folder, Watch(warn or (lambda _: None), "auto")
        with open_run(path, {"model": "embedded", **procedure.record}, {}) as opened:
            tally = execute(
                lambda: iter(samples), opened, lambda: ModelWorker(procedure, model), extent=extent, watch=watch
            )
        return tally, read_run(path, conditions=True)[1].to_pylist()

    return run


@pytest.fixture
def one_stage(monkeypatch):
    """Weights are shuffled in one stage of the four, which all go the same way."""
    monkeypatch.setattr("wherelook.evaluation.run.WEIGHT_STAGES", ("all weights",))


def without_times(rows):
    kept = ({name: value for name, value in row.items() if name not in TIMES} for row in rows)
    return sorted(kept, key=lambda row: (row["position"], row["run"], row["condition"]))


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


def test_weights_come_back_after_an_error(model):
    before = weights(model)
    with pytest.raises(KeyboardInterrupt), shuffled_weights(model.model, "all weights"):
        raise KeyboardInterrupt
    assert all(torch.equal(before[name], value) for name, value in weights(model).items())


def test_sanity_and_stability_are_rows_of_the_run_and_added_to_it(run, model, samples):
    """A method, stability and checks that are added one by one give the rows of a run that had them at once."""
    before = weights(model)
    _, rows = run(samples, "gradient,center", answers=2, stability=1, sanity=2)
    assert all(torch.equal(before[name], value) for name, value in weights(model).items())
    made = {(row["position"], row["condition"]) for row in rows if row["run"] == "gradient:best"}
    places = sorted({place for place, _ in made})
    assert {condition for place, condition in made if place == places[0]} == {"", *STABILITY, *SANITY}
    assert {condition for place, condition in made if place == places[1]} == {"", *SANITY}
    found = correlations(rows)
    ours, center = (check(found, name) for name in ("gradient:best", "center:best"))
    assert (ours["verdict"], ours["answers"]) == ("passes", 2)
    assert ours[OTHER_SEED]["mean"] == pytest.approx(1)
    assert center["verdict"] == "fails"  # it knows nothing of the model, and cannot change
    assert all(center[stage]["mean"] == pytest.approx(1) for stage in SANITY)
    first, second = (row for row in with_stability(rows, found) if row["run"] == "center:best")
    assert [first[f"stability_{name}"] for name in ("seed", "noise")] == pytest.approx([1, 1])
    assert "stability_seed" not in second

    run(samples, "center", folder="other", answers=1)
    run(samples, "gradient,center", folder="other", answers=1, stability=1)
    run(samples, "gradient,center", folder="other", answers=2, stability=1)
    tally, added = run(samples, "gradient,center", folder="other", answers=2, stability=1, sanity=2)
    assert tally.now == 0
    assert without_times(added) == without_times(rows)


@pytest.mark.usefixtures("one_stage")
def test_nothing_that_is_there_is_made_again(run, samples, monkeypatch):
    extent = {"answers": 2, "stability": 2, "sanity": 2}
    _, rows = run(samples, "center", **extent)
    with monkeypatch.context() as patched:
        patched.setattr(ModelWorker, "__call__", lambda *_: pytest.fail("it is there"))
        assert run(samples, "center", **extent)[1] == rows


@pytest.mark.usefixtures("one_stage")
def test_more_answers_to_check_have_the_partners_that_they_would_have_had(run, samples):
    _, straight = run(samples, "center", folder="straight", answers=3, sanity=3)
    run(samples, "center", answers=2, sanity=2)
    _, rows = run(samples, "center", answers=3, sanity=3)
    assert without_times(rows) == without_times(straight)


@pytest.mark.usefixtures("one_stage")
def test_a_change_that_nobody_can_be_lent_for_is_left_out_and_told(run, samples):
    said = []
    same = [replace(samples[0], id=str(number)) for number in range(2)]
    _, rows = run(same, "center", sanity=2, warn=said.append)
    assert not {row["condition"] for row in rows} & {OTHER_IMAGE, "other question"}
    assert sum("no other sample has another image" in text for text in said) == 1


def test_one_answer_is_not_enough(run, samples):
    tally, rows = run(samples[:1], "center", sanity=5)
    assert "fewer than two of the answers are visually grounded" in str(tally.failure)
    assert [row["condition"] for row in rows] == [""]


def test_a_paraphrase_keeps_the_answer_and_the_words(run, model, samples):
    sample = next(sample for sample in read_samples("scenes-tuning") if sample.paraphrase)
    answered = ask(model, sample.image, sample.question)
    assert torch.equal(answered.asked(sample.question).original, answered.selected_score().original)
    score = answered.asked(sample.paraphrase)
    assert score.conversation.answer == tuple(token.id for token in answered.relevance.tokens)
    assert score.selected == tuple(answered.selected)
    assert not torch.equal(score.original, answered.selected_score().original)
    blind = replace(sample, id="blind", paraphrase="How many sides does a triangle have?")
    odd = replace(sample, id="odd", paraphrase="What is in the <image>?")
    none = replace(sample, id="none", paraphrase=None)
    _, rows = run([sample, blind, odd, none], "center,gradient", stability=4)
    found = {
        (row["sample"], row["run"]): row["stability_paraphrase"] for row in with_stability(rows, correlations(rows))
    }
    assert found[sample.id, "center:best"] == pytest.approx(1)  # the center hears no question
    assert 0.3 < found[sample.id, "gradient:best"] <= 1
    assert [found[name, "center:best"] for name in ("blind", "odd", "none")] == [None] * 3  # nothing to explain, or ask
    assert {row["status"] for row in rows if row["condition"] == "paraphrase" and row["sample"] == "blind"} == {NO_MAP}


@pytest.mark.usefixtures("one_stage")
def test_the_next_image_is_lent_as_a_baseline_where_no_other_shows_a_word(run, samples):
    """A plain image is its own blur and its own mean."""
    gray = replace(samples[0], id="plain", source=GRAY, references=(), evidence=None)
    options = {"right_only": False}
    _, alone = run([gray, samples[1]], "center", options=options)
    assert [row["status"] for row in alone] == ["not_visual", "ok"]
    lending = options | {"baseline_from_dataset": True}
    tally, rows = run([gray, samples[1], samples[2]], "center", folder="lent", options=lending, stability=1, sanity=2)
    plain = [row for row in rows if not row["condition"]]
    assert [(row["status"], row["baseline"], row["partner"]) for row in plain] == [
        ("ok", "image", samples[1].id), ("ok", alone[1]["baseline"], None), ("ok", plain[2]["baseline"], None),
    ]  # fmt: skip
    found = correlations(rows)
    assert found[0, "center:best", "noise"] == pytest.approx(1)  # the center stays where it is
    # Where another image was lent there is nothing to check, and the next one counts.
    assert {row["position"] for row in rows if row["condition"] == "all weights"} == {1, 2}
    assert tally.failure is None


def test_a_wrong_answer_has_a_row_and_does_not_count(run, samples):
    wrong = replace(samples[0], references=("The moon.",))
    tally, rows = run([wrong, *samples[1:]], "center,random", answers=1)
    assert [(row["position"], row["status"], row["correct"]) for row in rows] == [
        (0, WRONG, False), (0, WRONG, False), (1, "ok", True), (1, "ok", True),
    ]  # fmt: skip
    assert (tally.done, tally.at, tally.of) == (2, 1, 1)
    _, (kept,) = run([wrong], "center", folder="other", options={"right_only": False})
    assert (kept["status"], kept["correct"]) == ("ok", False)


def test_a_search_for_right_answers_that_finds_hardly_any_ends(run, samples, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.search.WRONG_LIMIT", 2)
    wrong = itertools.cycle(samples)
    endless = [samples[0], *(replace(next(wrong), id=str(number), references=("The moon.",)) for number in range(9))]
    message = r"of 3 answers are not right by rule normalized .*, expected 'The moon\.'"
    for _ in range(2):
        tally, rows = run(endless, "center", answers=5)
        assert [row["status"] for row in rows] == ["ok", WRONG, WRONG]
        with pytest.raises(HardlyRightError, match=rf"^2 {message if tally.now else 'of 3 answers are not right'}"):
            raise tally.failure
    tally, _ = run(endless[1:3], "center", folder="none", answers=5)
    assert str(tally.failure).endswith("--wrong explains such answers, too")
    assert run(endless[1:3], "center", folder="all")[0].failure is None  # nothing was searched for


def test_what_is_wrong_with_one_sample_is_its_own_row(run, samples, tmp_path):
    unreadable = replace(samples[0], id="unreadable", source=ImageFile(tmp_path, "missing.png"))
    elsewhere = replace(samples[0], id="elsewhere", evidence=Boxes(((500.0, 0.0, 600.0, 9.0),)))
    options = {"baseline_from_dataset": True}
    _, rows = run([unreadable, elsewhere, samples[0]], "center", answers=2, options=options)
    assert [(row["sample"], row["status"]) for row in rows] == [
        ("unreadable", "error"),
        ("elsewhere", "error"),
        (samples[0].id, "ok"),
    ]
    assert "'missing.png' is not a file inside the folder" in rows[0]["error"]
    assert (rows[0]["image_width"], rows[1]["image_width"]) == (None, 224)
    assert "does not lie on the image of 224 x 224 pixels" in rows[1]["error"]


def test_an_error_under_a_condition_is_a_row(run, samples, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("by nothing")

    with monkeypatch.context() as patched:
        patched.setattr("wherelook.evaluation.worker.change", broken)
        _, rows = run(samples, "center", answers=1, stability=1)
    assert {row["error"] for row in rows if row["condition"]} == {"ZeroDivisionError: by nothing"}
    assert run(samples, "center", answers=1, stability=1)[1] == rows  # until it is retried


def test_settings_are_methods_of_a_run(run, samples):
    methods = sweep_methods(parse_methods("guided-igos:fast"), {"l1": "1,10", "alpha": "0.5", "seed": "3"})
    assert [one.name for one in methods] == [
        "guided-igos:fast", "guided-igos:fast[l1=1]", "guided-igos:fast[l1=10]",
        "guided-igos:fast[alpha=0.5]", "guided-igos:fast[seed=3]",
    ]  # fmt: skip
    _, rows = run(samples, methods, answers=1)
    base, same, other, alpha, seed = rows
    assert base["mask"] == same["mask"]
    assert base["mask"] != other["mask"]
    assert (seed["seed"], alpha["tokens"]) == (3, base["tokens"])
    assert [row["error"] for row in rows] == [None] * 5
