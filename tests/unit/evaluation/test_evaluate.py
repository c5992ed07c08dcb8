"""Rows of an evaluation: one for every answer and method, whatever happens, and never twice."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from wherelook.answer import ask
from wherelook.attribution import METHODS
from wherelook.data.datasets import read_samples
from wherelook.data.images import load_image
from wherelook.data.sources import Boxes, ImageFile, ImageInMemory
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.evaluate import LEND_AHEAD, NO_RUN, read_rows
from wherelook.evaluation.evaluate import evaluate as evaluate_rows
from wherelook.evaluation.method_spec import MethodSpec, parse_methods, sweep_methods
from wherelook.evaluation.search import HardlyRightError
from wherelook.models import VisionLanguageModel
from wherelook.storage import LineFile

RUNS = parse_methods("igos+:fast,center")
evaluate = partial(evaluate_rows, replay_steps=6)
GRAY = ImageInMemory(load_image(np.full((64, 64, 3), 128, np.uint8)))


@pytest.fixture(scope="module")
def model():
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def samples():
    return list(itertools.islice(read_samples("scenes-tuning"), 4))


@pytest.fixture(scope="module")
def rows(model, samples):
    return list(evaluate(model, samples, RUNS, count=2, stability=1))


def test_every_answer_has_a_row_for_every_run(rows, samples):
    assert [(row["sample"], row["run"]) for row in rows] == [
        (sample.id, run.name) for sample in samples[:2] for run in RUNS
    ]
    for row in rows:
        assert row["status"] == "ok"
        assert row["correct"] is True
        assert np.array(row["mask"]).max() == 1
        for name in ("pointing", "deletion", "insertion_unseen", "deletion_superpixels", "flip", "keep", "compactness"):
            assert 0 <= row[name] <= 1
    json.dumps(rows, allow_nan=False)


def test_a_map_on_the_evidence_flips_the_answer_and_the_centre_does_not_always(rows):
    ours = [row for row in rows if row["run"] == "igos+:fast"]
    assert all(row["flip"] == 1 and row["pointing"] == 1 for row in ours)
    assert any(row["flip"] == 0 for row in rows if row["run"] == "center:best")


def test_the_cost_is_the_methods_own(rows):
    ours, center = rows[:2]
    assert ours["backward"] == METHODS["igos+"].passes(RUNS[0].settings, (224, 224)).backward
    assert (center["forward"], center["backward"]) == (0, 0)


def test_stability_is_measured_on_the_first_answers(rows):
    assert rows[0]["stability_seed"] == pytest.approx(1)  # igos+:fast draws nothing
    assert rows[0]["stability_noise"] > 0.3
    assert "stability_seed" not in rows[2]


def test_a_paraphrase_keeps_the_answer_and_the_words(model, samples):
    sample = next(sample for sample in read_samples("scenes-tuning") if sample.paraphrase)
    case = ask(model, sample.image, sample.question)
    assert torch.equal(case.asked(sample.question).original, case.selected_score().original)
    score = case.asked(sample.paraphrase)
    assert score.conversation.answer == tuple(token.id for token in case.relevance.tokens)
    assert score.selected == tuple(case.selected)
    assert not torch.equal(score.original, case.selected_score().original)
    options = {"runs": parse_methods("center,igos+:fast"), "count": 1, "stability": 1}
    flat, ours = evaluate(model, [sample], **options)
    assert flat["stability_paraphrase"] == pytest.approx(1)  # the centre hears no question
    assert 0.3 < ours["stability_paraphrase"] <= 1
    (other,) = evaluate(model, [replace(sample, paraphrase=None)], **{**options, "runs": [MethodSpec("center")]})
    assert other["stability_paraphrase"] is None
    blind = replace(sample, paraphrase="How many sides does a triangle have?")
    (none,) = evaluate(model, [blind], **{**options, "runs": parse_methods("igos+:fast")})
    assert (none["status"], none["stability_paraphrase"]) == ("ok", None)  # it leaves nothing to explain


def plain(samples, name: str):
    """The first question about an image that is all gray."""
    return replace(samples[0], id=name, source=GRAY, references=(), evidence=None)


def test_the_next_image_is_lent_as_a_baseline_where_no_other_shows_a_word(model, samples):
    """A plain image is its own blur and its own mean."""
    gray = plain(samples, "plain")
    options = {"runs": parse_methods("center"), "count": 2, "stability": 1, "only_right": False}
    alone = list(evaluate(model, [gray, samples[1]], **options))
    assert [row["status"] for row in alone] == ["not_visual", "ok"]
    lent = list(evaluate(model, [gray, samples[1]], **options, lend=True))
    assert [(row["status"], row["baseline"]) for row in lent] == [("ok", "image"), ("ok", alone[1]["baseline"])]
    assert lent[0]["stability_noise"] == pytest.approx(1)  # the centre stays where it is
    (last,) = evaluate(model, [gray], **options, lend=True)
    assert last["status"] == "not_visual"


def test_the_same_picture_is_not_lent(model, samples):
    """Several questions on one image: the first image that is another one is lent, if it comes soon."""
    options = {"runs": [MethodSpec("center")], "count": 1, "only_right": False, "lend": True}

    def first(between: int) -> str:
        same = [plain(samples, str(number)) for number in range(between + 1)]
        return next(evaluate(model, [*same, samples[1]], **options))["status"]

    assert [first(between) for between in (0, 1, LEND_AHEAD - 1)] == ["ok"] * 3
    assert first(LEND_AHEAD) == "not_visual"


@pytest.mark.parametrize(("lend", "needed"), [(False, 2), (True, 3)])
def test_no_more_samples_are_read_than_needed(model, samples, lend, needed):
    read = []

    def source():
        for sample in samples:
            read.append(sample.id)
            yield sample

    rows = list(evaluate(model, source(), [MethodSpec("center")], count=2, lend=lend))
    assert [row["status"] for row in rows] == ["ok"] * 2
    assert read == [sample.id for sample in samples[:needed]]
    read.clear()
    done = {(row["sample"], row["run"]): row["fingerprint"] for row in rows}
    assert list(evaluate(model, source(), [MethodSpec("center")], count=2, lend=lend, done=done)) == []
    assert len(read) == 2


@pytest.mark.parametrize("paraphrase", ["", "What is in the <image>?"])
def test_a_paraphrase_that_cannot_be_asked_leaves_the_map(model, samples, paraphrase):
    sample = replace(samples[0], paraphrase=paraphrase)
    (row,) = evaluate(model, [sample], [MethodSpec("center")], count=1, stability=1)
    assert (row["status"], row["stability_paraphrase"]) == ("ok", None)
    assert row["stability_seed"] == pytest.approx(1)


def test_what_is_done_is_not_done_again(model, samples, rows):
    done = {(row["sample"], row["run"]): row["fingerprint"] for row in rows}
    assert list(evaluate(model, samples, RUNS, count=2, done=done)) == []
    more = list(evaluate(model, samples, [*RUNS, MethodSpec("random")], count=2, done=done))
    assert [row["run"] for row in more] == ["random:best"] * 2
    straight = list(evaluate(model, samples, RUNS, count=3, done=done))
    assert {row["sample"] for row in straight} == {samples[2].id}


def test_a_wrong_answer_has_a_row_and_does_not_count(model, samples):
    wrong = replace(samples[0], references=("The moon.",))
    found = list(evaluate(model, [wrong, samples[1]], [MethodSpec("center")], count=1))
    assert [(row["status"], row["run"], row["correct"]) for row in found] == [
        ("wrong_answer", NO_RUN, False), ("ok", "center:best", True),
    ]  # fmt: skip
    (kept,) = evaluate(model, [wrong], [MethodSpec("center")], count=1, only_right=False)
    assert (kept["status"], kept["correct"]) == ("ok", False)


def test_a_search_for_right_answers_that_finds_hardly_any_ends(model, samples, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.search.WRONG_LIMIT", 2)
    wrong = itertools.chain(
        samples[:1], (replace(sample, references=("The moon.",)) for sample in itertools.cycle(samples))
    )
    made = []
    with pytest.raises(
        HardlyRightError, match=r"^2 of 3 answers are not right by rule normalised .*, expected 'The moon\.'"
    ):
        made.extend(evaluate(model, wrong, parse_methods("center"), count=5))
    assert [row["status"] for row in made] == ["ok", "wrong_answer", "wrong_answer"]


def test_no_right_answer_at_all_is_an_error_after_the_rows(model, samples):
    wrong = [replace(sample, references=("The moon.",)) for sample in samples[:2]]
    rows = evaluate(model, wrong, parse_methods("center"), count=5)
    assert [next(rows)["status"], next(rows)["status"]] == ["wrong_answer"] * 2
    with pytest.raises(HardlyRightError, match=r"^2 of 2 answers .* --wrong explains such answers, too$"):
        next(rows)
    done = {(sample.id, NO_RUN): sample.fingerprint for sample in wrong}
    with pytest.raises(HardlyRightError, match=r"^2 of 2 answers"):
        next(evaluate(model, wrong, parse_methods("center"), count=5, done=done))


def test_an_answer_that_fails_has_a_row_with_the_error(model, samples):
    broken = replace(samples[0], question=" ")
    first, second = evaluate(model, [broken, samples[1]], [MethodSpec("center")], count=1)
    assert (first["status"], first["error"]) == ("error", "the question is empty")
    assert second["status"] == "ok"


def test_a_changed_setting_has_its_name(model, samples):
    runs = sweep_methods("igos+", "fast", {"l1": "1,10", "alpha": "0.5", "seed": "3"})
    assert [run.name for run in runs] == [
        "igos+:fast", "igos+:fast[l1=1]", "igos+:fast[l1=10]", "igos+:fast[alpha=0.5]", "igos+:fast[seed=3]",
    ]  # fmt: skip
    base, same, other = evaluate(model, samples, runs[:3], count=1)
    assert base["mask"] == same["mask"]
    assert base["mask"] != other["mask"]


def test_rows_survive_an_interruption(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert read_rows(LineFile(path)) == []
    first, second, failed = ({"sample": name, "run": "a", "status": status, "fingerprint": "f"} for name, status in (
        ("1", "ok"), ("2", "ok"), ("3", "error"),
    ))  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in (first, failed, second))
    path.write_text(text + '{"sample": ')
    lines = LineFile(path)
    assert read_rows(lines) == [first, second]  # errors are tried again, and stay until newer rows are there
    assert path.read_text() == text
    lines.add(failed | {"status": "ok"})
    assert read_rows(LineFile(path)) == [first, failed | {"status": "ok"}, second]
    path.write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="holds something else than rows of an evaluation: name a new folder"):
        read_rows(LineFile(path))


def test_what_is_wrong_with_one_sample_is_its_own_row(model, samples, tmp_path):
    unreadable = replace(samples[0], id="unreadable", source=ImageFile(tmp_path, "missing.png"))
    elsewhere = replace(samples[0], id="elsewhere", evidence=Boxes(((500.0, 0.0, 600.0, 9.0),)))
    rows = list(evaluate(model, [unreadable, elsewhere, samples[0]], parse_methods("center"), count=2, lend=True))
    assert [(row["sample"], row["status"]) for row in rows] == [
        ("unreadable", "error"),
        ("elsewhere", "error"),
        (samples[0].id, "ok"),
    ]
    assert "'missing.png' is not a file inside the folder" in rows[0]["error"]
    assert (rows[0].get("image_width"), rows[1]["image_width"]) == (None, 224)
    assert "does not lie on the image of 224 x 224 pixels" in rows[1]["error"]


def test_any_of_several_right_answers_is_right(model, samples):
    several = replace(samples[0], references=("Something else.", *samples[0].references))
    (row,) = evaluate(model, [several], parse_methods("center"), count=1)
    assert (row["correct"], row["reference"]) == (True, "Something else.")


def test_an_evaluation_in_which_every_method_failed_is_a_failure(tmp_path):
    """Its files are written all the same, and the commonest error is told."""
    from wherelook.analysis.method_table import summarize
    from wherelook.cli.evaluate import _finish

    rows = [
        {"sample": str(index), "run": "rise:best", "status": "error", "error": "out of memory"} for index in range(3)
    ]
    with pytest.raises(WherelookError, match=r"no method made a map in .*\(3 of 3 rows\): out of memory"):
        _finish(tmp_path, "page", rows, summarize(rows, ["rise:best"]), False)
    assert (tmp_path / "rows.parquet").is_file()
