"""One explanation from end to end on a tiny random LLaVA: statuses, figures, arguments, determinism."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build

from wherelook import Explainer
from wherelook.attribution import METHODS, make_settings
from wherelook.baselines import make_baseline
from wherelook.check import test_picture as make_picture
from wherelook.data.images import load_image
from wherelook.errors import InputError, WherelookError
from wherelook.explanation import Explanation, command_line
from wherelook.explanation.record import Curve
from wherelook.metrics import METRICS, energy, focus_box, peak, pointing, replay, roc_area
from wherelook.metrics.deletion_insertion import area
from wherelook.models import VisionLanguageModel
from wherelook.score import Attribution
from wherelook.tokens import FLIP_FLOOR, judge, measure_reliance, select

PICTURE = make_picture((60, 100))
QUESTION = "What color is the ring?"
ANSWER = "The purple ring is left of the star."
QUICK = {"answer": ANSWER, "preset": "fast", "alpha": 0.0, "replay_steps": 4}
"""A random model loses little without the image: every loss counts."""


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(*build("llava"), identifier="tiny")


@pytest.fixture(scope="module")
def explanation(explainer) -> Explanation:
    return explainer.explain(PICTURE, QUESTION, **QUICK)


# ---- what comes out ----


def test_the_parts_of_an_explanation_agree(explainer, explanation):
    assert explanation.status == "ok", explanation.reason
    assert explanation.answer == ANSWER
    assert "".join(token.text for token in explanation.tokens).strip() == explanation.answer
    for token in explanation.tokens:
        assert token.llr == pytest.approx(token.log_prob - token.log_prob_baseline)
    assert explanation.reliance["gap"] == pytest.approx(sum(t.llr for t in explanation.tokens if t.selected))
    assert f"{explanation.reliance['gap']:.2f} nats" in explanation.reason
    assert explanation.heatmap.dtype == np.float32
    assert explanation.heatmap.max() == 1
    assert explanation.canvas.size == (60, 100)
    assert explanation.model["id"] == "tiny"
    saliency = torch.from_numpy(explanation.heatmap)
    assert explanation.focus is not None
    assert explanation.focus.box == focus_box(saliency, (60, 100))
    assert explanation.focus.peak == peak(saliency, (60, 100))
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_the_answers_probabilities_are_those_of_the_score_function(explainer, explanation):
    model = explainer.model
    prompt = model.encode(PICTURE, QUESTION)
    blurred = Image.fromarray(make_baseline(explanation.reliance["baseline"], np.asarray(PICTURE)))
    score = model.score(prompt, blurred, [token.id for token in explanation.tokens])
    assert [token.log_prob for token in explanation.tokens] == pytest.approx(score.original.tolist())
    assert [token.log_prob_baseline for token in explanation.tokens] == pytest.approx(score.baseline.tolist())


def test_the_replays_are_those_of_the_map_with_both_baselines(explainer, explanation):
    model = explainer.model
    prompt = model.encode(PICTURE, QUESTION)
    ids = [token.id for token in explanation.tokens]
    positions = [index for index, token in enumerate(explanation.tokens) if token.selected]
    assert [curve.seen for curve in explanation.curves] == [True, False]
    assert {curve.baseline for curve in explanation.curves} == {"blur", "mean"}
    for curve, suffix in zip(explanation.curves, ("", "_unseen"), strict=True):
        picture = Image.fromarray(make_baseline(curve.baseline, np.asarray(PICTURE)))
        expected = replay(
            model.score(prompt, picture, ids).select(positions), torch.from_numpy(explanation.heatmap), steps=4
        )
        assert curve.deletion == pytest.approx(tuple(expected.deletion_curve), abs=1e-6)
        assert curve.insertion == pytest.approx(tuple(expected.insertion_curve), abs=1e-6)
        assert explanation.metrics[f"deletion{suffix}"] == pytest.approx(expected.deletion, abs=1e-6)
        assert explanation.metrics[f"insertion{suffix}"] == pytest.approx(expected.insertion, abs=1e-6)


@pytest.mark.parametrize(
    ("preset", "advice"), [("fast", "the preset 'best', or another method"), ("best", "another method")]
)
def test_a_map_whose_reverse_does_better_is_not_to_be_trusted(explainer, monkeypatch, preset, advice):
    made = explainer.explain(PICTURE, QUESTION, **QUICK | {"replay_steps": 28})
    assert made.metrics["insertion"] > made.metrics["deletion"]
    assert not any("trust" in note for note in made.notes)
    saliency = torch.from_numpy(made.heatmap)
    ranks = saliency.flatten().argsort(stable=True).argsort().reshape(saliency.shape) + 1
    reverse = Attribution(1 / ranks, ())
    monkeypatch.setitem(METHODS.ours, "guided-igos", replace(METHODS["guided-igos"], run=lambda *_, **__: reverse))
    found = explainer.explain(PICTURE, QUESTION, **QUICK | {"replay_steps": 28, "preset": preset})
    assert found.status == "ok"
    (note,) = found.notes
    assert note.startswith("do not trust this map: its reverse would do as well or better (deletion ")
    assert note.endswith(f"; try {advice}")


@pytest.mark.parametrize("preset", ["best", "fast", "paper"])
def test_every_preset_is_replayed_in_as_many_steps(explainer, preset):
    options = {name: value for name, value in QUICK.items() if name != "replay_steps"}
    made = explainer.explain(PICTURE, QUESTION, method="center", **options | {"preset": preset})
    assert made.config["replay_steps"] == 50
    assert [len(curve.fractions) for curve in made.curves] == [51, 51]


def test_a_curve_tells_what_a_perfect_map_has_in_as_many_steps():
    """In four steps: from 0.9 to 0.1 at the first, and from 0.1 to 0.9; the areas are trapezoids."""
    fractions = (0.0, 0.25, 0.5, 0.75, 1.0)
    curve = Curve("blur", True, fractions, (0.9, 0.1, 0.1, 0.1, 0.1), (0.1, 0.9, 0.9, 0.9, 0.9))
    assert curve.deletion_floor == pytest.approx(area(np.array(fractions), np.array(curve.deletion)))
    assert curve.insertion_ceiling == pytest.approx(area(np.array(fractions), np.array(curve.insertion)))
    assert curve.deletion_floor == pytest.approx(0.1 + 0.8 / 8)
    assert curve.to_dict()["insertion_ceiling"] == pytest.approx(0.9 - 0.8 / 8)
    worse = replace(curve, deletion=(0.9, 0.5, 0.4, 0.2, 0.1))
    assert worse.deletion_floor == curve.deletion_floor


def test_cost_is_counted_per_explanation(explainer):
    """The method's announced passes; three tell the given answer's first space, two are the ends, one is the unseen
    baseline, two replays take 2 * 3. Twice the same: what was counted before does not count."""
    unchecked = {**QUICK, "settings": {"verify": 0}}  # how many peaks there are to check depends on the map
    announced = METHODS["guided-igos"].passes(make_settings("guided-igos", "fast", {"verify": 0}), (60, 100))
    for _ in range(2):
        result = explainer.explain(PICTURE, QUESTION, **unchecked)
        assert result.cost["backward"] == announced.backward
        assert result.cost["forward"] == announced.forward + 3 + 2 + 1 + 2 * 6
        assert result.method["cost"]["forward"] == announced.forward
        assert result.cost["seconds"] > result.method["cost"]["seconds"] > 0
        assert result.cost["peak_bytes"] > 0


def test_without_replay_there_are_no_curves_and_no_passes_for_them(explainer):
    result = explainer.explain(PICTURE, QUESTION, **{**QUICK, "replay_steps": 0, "settings": {"verify": 0}})
    assert result.curves == ()
    free = {name for name, metric in METRICS.ours.items() if (metric.level, metric.needs) == ("map", "-")}
    assert set(result.metrics) == free
    # Whether the answer begins with a space: its first token, then both whole answers; and both ends.
    assert result.cost["forward"] == result.cost["backward"] + 3 + 2
    assert result.focus is not None


def test_a_map_for_every_selected_token(explainer, explanation):
    result = explainer.explain(PICTURE, QUESTION, **QUICK, per_token=True)
    lost = [index for index, token in enumerate(result.tokens) if token.selected and token.llr >= FLIP_FLOOR]
    assert [item.position for item in result.token_maps] == lost
    assert len(lost) > 1
    for item in result.token_maps:
        assert item.heatmap.shape == result.heatmap.shape
        assert item.heatmap.max() == 1
    assert not np.array_equal(result.token_maps[0].heatmap, result.token_maps[1].heatmap)
    np.testing.assert_array_equal(result.heatmap, explanation.heatmap)
    assert explanation.token_maps == ()


@pytest.mark.parametrize("method", ["occlusion", "strips", "rise"])
def test_maps_of_tokens_cost_nothing_where_the_masks_are_the_same(explainer, method):
    options = {**QUICK, "method": method, "replay_steps": 0}
    alone = explainer.explain(PICTURE, QUESTION, **options)
    together = explainer.explain(PICTURE, QUESTION, **options, per_token=True)
    assert len(together.token_maps) > 1
    assert together.cost["forward"] == alone.cost["forward"]
    assert together.method["cost"]["forward"] == alone.method["cost"]["forward"]
    np.testing.assert_array_equal(together.heatmap, alone.heatmap)


def test_gradients_of_tokens_share_a_forward(explainer):
    options = {**QUICK, "method": "gradient-x-input", "replay_steps": 0}
    alone = explainer.explain(PICTURE, QUESTION, **options)
    together = explainer.explain(PICTURE, QUESTION, **options, per_token=True)
    assert together.cost["forward"] == alone.cost["forward"] + 1
    assert together.cost["backward"] == alone.cost["backward"] + len(together.token_maps)
    assert together.method["cost"]["backward"] == alone.method["cost"]["backward"] == 1


def test_one_tokens_map_is_that_of_its_word_alone(explainer):
    options = {**QUICK, "replay_steps": 0}
    together = explainer.explain(PICTURE, QUESTION, **options, per_token=True)
    alone = explainer.explain(PICTURE, QUESTION, **options, tokens="star")  # a word of one token
    (position,) = [index for index, token in enumerate(alone.tokens) if token.selected]
    (expected,) = [item.heatmap for item in together.token_maps if item.position == position]
    assert alone.status == "ok"
    np.testing.assert_allclose(alone.heatmap, expected, atol=1e-4)


def test_localization_against_the_truth(explainer, explanation):
    truth = np.zeros((60, 100), bool)
    truth[20:40, 30:60] = True
    metrics = explainer.explain(PICTURE, QUESTION, **QUICK, truth=truth).metrics
    saliency = torch.from_numpy(explanation.heatmap)
    assert metrics["pointing"] == pointing(saliency, truth)
    assert metrics["energy"] == pytest.approx(energy(saliency, truth))
    assert metrics["roc_area"] == pytest.approx(roc_area(saliency, truth))
    assert "pointing" not in explanation.metrics


def test_the_models_own_answer(explainer):
    result = explainer.explain(PICTURE, QUESTION, preset="fast", tokens="all", max_new_tokens=3, replay_steps=0)
    model = explainer.model
    ids = model.generate(model.encode(PICTURE, QUESTION), max_new_tokens=3)
    assert tuple(token.id for token in result.tokens) == ids
    assert result.answer == model.decode(ids).strip()


def test_relevance_alone_is_that_of_the_explanation(explainer, explanation):
    before = explainer.model.cost.backward
    relevance = explainer.relevance(PICTURE, QUESTION, answer=ANSWER, alpha=0.0)
    assert (relevance.status, relevance.reason, relevance.tokens, relevance.answer) == (
        explanation.status, explanation.reason, explanation.tokens, explanation.answer,
    )  # fmt: skip
    assert explainer.model.cost.backward == before


@pytest.mark.parametrize(
    "method", ["guided-igos:fast", "igos+:paper", "igos++:paper", "random:paper", "random:fast", "center:fast"]
)
def test_every_method_runs(explainer, method):
    settings = {"iterations": 1, "steps": 2} if "igos" in method else {}
    options = {**QUICK, "preset": None, "method": method, "settings": settings}
    result = explainer.explain(PICTURE, QUESTION, **options)
    assert result.status == "ok"
    assert f"{result.config['method']}:{result.config['preset']}" == method
    assert result.method["parameters"].items() >= settings.items()
    assert np.isfinite(result.heatmap).all()


@pytest.mark.parametrize("baseline", ["blur", "mean", "zeros", "noise"])
def test_the_chosen_baseline_is_used_and_named(explainer, baseline):
    result = explainer.explain(PICTURE, QUESTION, **QUICK, baseline=baseline)
    assert result.reliance["baseline"] == result.method["baseline"] == baseline
    assert [curve.baseline for curve in result.curves if curve.seen] == [baseline]
    assert [curve.baseline for curve in result.curves if not curve.seen] != [baseline]


PLAIN = Image.new("RGB", (100, 60), (120, 60, 30))
"""Its own blur and its own mean: no baseline that is made from it shows anything."""


def test_another_image_is_the_baseline_where_no_other_shows_a_word(explainer):
    options = {"answer": ANSWER, "alpha": 0.05, "preset": "fast", "replay_steps": 4}
    assert explainer.relevance(PLAIN, QUESTION, answer=ANSWER, alpha=0.05).status == "not_visual"
    result = explainer.explain(PLAIN, QUESTION, **options, baseline_image=PICTURE)
    assert result.status == "ok"
    assert result.reliance["baseline"] == result.method["baseline"] == "image"
    assert result.config["baseline_image"] == {"path": None, "sha256": load_image(PICTURE).sha256}
    assert [curve.baseline for curve in result.curves] == ["image", "noise"]
    assert "--baseline-image BASELINE_IMAGE" in " ".join(command_line.words(result))
    named = explainer.explain(PLAIN, QUESTION, **options, baseline="image", baseline_image=PICTURE)
    np.testing.assert_allclose(result.heatmap, named.heatmap, atol=1e-5)  # one batch holds two images, one a single one
    assert [token.selected for token in named.tokens] == [token.selected for token in result.tokens]


def test_another_image_is_not_tried_where_a_baseline_shows_a_word(explainer, explanation):
    result = explainer.explain(PICTURE, QUESTION, **QUICK, baseline_image=PLAIN)
    assert result.method["baseline"] == explanation.method["baseline"]
    assert result.cost["forward"] == explanation.cost["forward"]
    np.testing.assert_array_equal(result.heatmap, explanation.heatmap)


def test_another_image_is_resized(explainer, tmp_path):
    small = PICTURE.resize((31, 17))
    small.save(tmp_path / "small.png")
    options = {"answer": ANSWER, "baseline": "image"}
    first, second = (
        explainer.relevance(PLAIN, QUESTION, **options, baseline_image=image)
        for image in (tmp_path / "small.png", small.resize((100, 60)))
    )
    assert first == second


# ---- determinism ----


def test_same_seed_same_bytes(explainer):
    """With noise on every path image, and other explanations in between."""
    options = {**QUICK, "preset": None, "method": "igos+", "settings": {"iterations": 1, "steps": 2}, "replay_steps": 0}
    first, other, second = (explainer.explain(PICTURE, QUESTION, **options, seed=seed) for seed in (3, 4, 3))
    assert first.heatmap.tobytes() == second.heatmap.tobytes()
    assert first.heatmap.tobytes() != other.heatmap.tobytes()


def test_batches_of_one_and_of_eight_agree(explainer):
    maps = []
    for batch_size in (1, 8):
        model = VisionLanguageModel(explainer.model.model, explainer.model.processor, batch_size=batch_size)
        result = Explainer(model).explain(PICTURE, QUESTION, **QUICK)
        maps.append(result)
    np.testing.assert_allclose(maps[0].heatmap, maps[1].heatmap, atol=1e-4, rtol=0)
    for name, value in maps[0].metrics.items():
        assert maps[1].metrics[name] == (None if value is None else pytest.approx(value, abs=1e-4))


def test_nothing_of_the_users_is_changed(explainer):
    values = np.array(PICTURE)
    before = values.copy()
    settings = {"steps": 2}
    explainer.model.model.train()
    try:
        explainer.explain(values, QUESTION, **{**QUICK, "replay_steps": 0}, settings=settings)
        assert explainer.model.model.training
    finally:
        explainer.model.model.eval()
    np.testing.assert_array_equal(values, before)
    assert settings == {"steps": 2}


@pytest.mark.parametrize("method", ["guided-igos", "rise"])
def test_progress_is_told_of_every_batch_of_passes(explainer, method):
    """Also `fast`, whose optimizer has a single iteration, has many steps of progress; replays have theirs."""
    calls: list[tuple[str, int, int]] = []
    settings = {"masks": 40} if method == "rise" else {"verify": 0}
    made = explainer.explain(
        PICTURE, QUESTION, **QUICK, method=method, settings=settings, progress=lambda *state: calls.append(state)
    )
    passes = METHODS[method].passes(make_settings(method, "fast", settings), PICTURE.size[::-1]).forward
    for stage, total in (("map", passes), ("replay", 4 * 3 + 1)):
        done = [call[1] for call in calls if call[0] == stage]
        assert {call[2] for call in calls if call[0] == stage} == {total}
        assert done == sorted(done)
        assert done[0] == 0
        assert done[-1] == total
        assert len(set(done)) > 3
    assert made.method["cost"]["forward"] == passes
    before = len(calls)
    explainer.relevance(PICTURE, QUESTION, answer=ANSWER)
    assert len(calls) == before


def test_a_long_answer_has_maps_of_its_strongest_words_unless_all_are_asked_for(explainer):
    options = {**QUICK, "replay_steps": 0, "method": "gradient-x-input", "tokens": "all", "per_token": True}
    every = explainer.explain(PICTURE, QUESTION, **options, per_token_words=0)
    few = explainer.explain(PICTURE, QUESTION, **options, per_token_words=1)
    lost: dict[object, float] = {}
    for token_map in every.token_maps:
        token = every.tokens[token_map.position]
        lost[token.word] = lost.get(token.word, 0.0) + token.llr
    assert len(lost) > 2
    strongest = max(lost, key=lambda word: lost[word])
    assert {few.tokens[token_map.position].word for token_map in few.token_maps} == {strongest}
    assert not any("--per-token-words" in note for note in every.notes)
    (note,) = [note for note in few.notes if "--per-token-words" in note]
    assert f"; {len(lost) - 1} words that lose less have none" in note
    assert " --per-token-words 1 " in " ".join(command_line.words(few))
    assert few.config["per_token_words"] == 1


def test_what_maps_of_words_cost_is_told_before_they_are_made(explainer):
    calls: list[tuple[str, int, int]] = []
    options = {**QUICK, "replay_steps": 0, "tokens": "all", "per_token": True, "per_token_words": 2}
    settings = {"start_steps": 2, "steps": 1, "verify": 0, "rest": 0}
    made = explainer.explain(PICTURE, QUESTION, **options, settings=settings, progress=lambda *c: calls.append(c))
    passes = METHODS["guided-igos"].passes(make_settings("guided-igos", "fast", settings), (60, 100)).forward
    first = next(call for call in calls if call[0] == "maps of words")
    assert first[1:] == (0, passes * len(made.token_maps))
    assert calls.index(first) > calls.index(("map", passes, passes))


# ---- when there is nothing to explain ----


def test_an_image_that_is_its_own_baseline(explainer):
    """Plain color: nothing is lost, so nothing is visual; no map is drawn, no gradient is spent."""
    plain = Image.new("RGB", (90, 50), (120, 60, 30))
    result = explainer.explain(plain, QUESTION, answer=ANSWER)
    assert result.status == "not_visual"
    assert not result.meaningful
    assert all(abs(token.llr) < 1e-5 for token in result.tokens)
    assert result.reliance["score"] == pytest.approx(0, abs=1e-4)
    assert result.reason.startswith("no word passes the 1-nat threshold with the blur baseline (largest drop: ")
    assert "shown the blur baseline instead, the model answers" in result.reason
    assert result.heatmap.shape == (21, 38)
    assert not result.heatmap.any()
    assert (result.focus, result.metrics, result.curves) == (None, {}, ())
    assert result.cost["backward"] == 0
    json.dumps(result.to_dict(), allow_nan=False)


def test_an_answer_of_punctuation_has_no_words(explainer):
    result = explainer.explain(PICTURE, QUESTION, answer="...!", alpha=0.0)
    assert result.status == "not_visual"
    assert "no words to explain" in result.reason


def test_a_named_word_that_loses_too_little(explainer):
    """No optimizer has anything to hold on to; occlusion tells where the word is lost all the same."""
    result = explainer.explain(PICTURE, QUESTION, answer=ANSWER, tokens="of")
    assert result.status == "weak_gap"
    assert "the selected word gets likelier without the image, by 0." in result.reason
    assert "the map is made by occlusion instead: without the 12.5% of the area" in result.reason
    assert result.method["fallback"] == "occlusion"
    assert result.meaningful
    assert result.heatmap.max() == 1
    assert [token.text.strip() for token in result.tokens if token.selected] == ["of"]
    assert result.cost["backward"] == 0


def test_a_word_that_nothing_moves_has_no_map(explainer, monkeypatch):
    monkeypatch.setattr("wherelook.explain.FLIP_FLOOR", 100.0)
    result = explainer.explain(PICTURE, QUESTION, answer=ANSWER, tokens="of")
    assert (result.status, result.method["fallback"], result.focus) == ("weak_gap", None, None)
    assert not result.heatmap.any()
    assert not result.meaningful


def test_the_mean_color_is_tried_where_blur_shows_nothing(explainer, monkeypatch):
    """An alpha between the strongest word's ratio with blur and with the mean color, which here takes more."""
    # A flipped word needs less than alpha: here this is about alpha alone.
    monkeypatch.setattr("wherelook.tokens.FLIP_FLOOR", 100.0)
    answer, ratios = "blue", {}
    for name in ("blur", "mean"):
        relevance = explainer.relevance(PICTURE, QUESTION, answer=answer, baseline=name, alpha=0.0)
        ratios[name] = -np.log1p(-relevance.reliance.score)
    assert ratios["mean"] > ratios["blur"] + 0.1
    between = (ratios["mean"] + ratios["blur"]) / 2
    options = {"answer": answer, "alpha": between}
    assert explainer.relevance(PICTURE, QUESTION, **options, baseline="blur").status == "not_visual"
    assert explainer.relevance(PICTURE, QUESTION, **options).reliance.baseline == "mean"
    nothing = explainer.relevance(PICTURE, QUESTION, answer=answer, alpha=50.0)
    assert (nothing.status, nothing.reliance.baseline) == ("not_visual", "blur")


@pytest.mark.parametrize(
    ("ratios", "options", "status", "reason"),
    [
        ([0.1, 2.0, 0.5], {}, "ok", "1 of 3 words is visually grounded: it loses 2.00 nats of log-likelihood with the"),
        ([0.1, 2.0, 1.5], {}, "ok", "2 of 3 words are visually grounded: together they lose 3.50 nats"),
        (
            [0.5, 0.9, 0.5],
            {},
            "not_visual",
            "no word passes the 1-nat threshold with the blur baseline (largest drop: 'red', 0.90",
        ),
        (
            [-0.5, -0.9, -0.6],
            {},
            "not_visual",
            "baseline (every word gets likelier without the image, 'A' least, by 0.50 nats)",
        ),
        ([-0.004, -0.9, -0.6], {}, "not_visual", "baseline (largest drop: 'A', 0.00 nats)"),
        ([0.0, -0.9, -0.6], {}, "not_visual", "baseline (largest drop: 'A', 0.00 nats)"),
        ([0.5, 0.5, 0.19], {"wanted": "car"}, "weak_gap", "the selected word loses only 0.19 nats"),
        (
            [0.5, 2.0, -3.0],
            {"wanted": "car"},
            "weak_gap",
            "the selected word gets likelier without the image, by 3.00 nats of log-likelihood with the blur baseline: "
            "there is no drop for mask optimization; the largest drop",
        ),
        (
            [0.5, -2.1, 0.0],
            {"wanted": "all"},
            "weak_gap",
            "the 3 selected words together get likelier without the image, by 1.60 nats",
        ),
        ([0.5, 0.5, -0.004], {"wanted": "car"}, "weak_gap", "the selected word loses only 0.00 nats"),
        ([0.5, 0.5, -0.006], {"wanted": "car"}, "weak_gap", "likelier without the image, by 0.01 nats"),
        (
            [0.5, 2.0, -3.0],
            {"wanted": "car"},
            "weak_gap",
            "; the largest drop of a word of the answer is that of 'red', 2.00 nats",
        ),
        ([0.5, 2.0, 0.21], {"wanted": "car"}, "ok", "the selected word loses 0.21 nats"),
        ([0.5, 2.0, 0.21], {"wanted": "red car"}, "ok", "the 2 selected words lose 2.21 nats"),
        ([1.0, 2.0, -2.9], {"wanted": "all"}, "weak_gap", "the 3 selected words lose only 0.10 nats"),
        ([0.0, 0.15, 0.0], {"alpha": 0.1}, "weak_gap", "the drop is too small for mask optimization"),
        ([0.0, 45.0, 0.0], {"alpha": 50.0}, "not_visual", "no word passes the 50-nat threshold"),
    ],
)
def test_status_and_reason(ratios, options, status, reason):
    tokens = select(["A", " red", " car"], [1, 2, 3], [0.0] * 3, [-ratio for ratio in ratios], [False] * 3, **options)
    reliance = measure_reliance(tokens, alpha=options.get("alpha", 1.0), baseline="blur")
    found, why = judge(tokens, reliance, options.get("wanted", "auto"))
    assert found == status
    assert reason in why


def test_the_strongest_word_is_judged_whole():
    """Two tokens of 0.4 nats are a word of 0.8: the figure in the reason is the one that the rule compared."""
    tokens = select([" el", "ephant"], [1, 2], [0.0, 0.0], [-0.4, -0.4], [False, False])
    _, why = judge(tokens, measure_reliance(tokens, alpha=1.0, baseline="blur"), "auto")
    assert "(largest drop: 'elephant', 0.80 nats)" in why


# ---- what is refused ----


@pytest.fixture
def no_model_call(explainer, monkeypatch) -> None:
    """Bad arguments must be found before any work."""

    def refuse(*arguments, **options):
        raise AssertionError("the model was called")

    monkeypatch.setattr(explainer.model.model, "generate", refuse)
    monkeypatch.setattr(explainer.model.model, "forward", refuse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"question": " \n"}, "the question is empty"),
        ({"question": "x" * 8001}, "the question has 8001 characters; the limit is 8000"),
        ({"answer": " "}, "the answer .*is empty"),
        ({"method": "gradcam"}, "unknown method 'gradcam'; valid: guided-igos"),
        ({"preset": "slow"}, "unknown preset of guided-igos 'slow'; valid: best, fast"),
        ({"settings": {"speed": 1}}, "unknown setting of guided-igos 'speed'"),
        ({"settings": {"steps": "a few"}}, "setting steps='a few' is not a whole number"),
        ({"baseline": "gray"}, "unknown baseline 'gray'; valid: auto, blur, mean, strong-blur, zeros, noise, image"),
        ({"baseline": "image"}, "the baseline 'image' is another image: give one \\(baseline_image, --baseline-image"),
        ({"baseline": "blur", "baseline_image": PICTURE}, "goes with the baseline 'image' or 'auto'; got 'blur'"),
        ({"baseline_image": "no/such/image.png"}, "no.* image file.*no/such/image.png"),
        ({"alpha": -1.0}, "alpha is a number of nats from 0 up; got -1"),
        ({"alpha": float("nan")}, "alpha is a number of nats"),
        ({"alpha": float("inf")}, "alpha is a number of nats"),
        ({"replay_steps": 1}, "replay steps are 0 \\(no replay\\) or at least 2 and at most 500; got 1"),
        ({"replay_steps": -2}, "replay steps are 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is at least 1; got 0"),
        ({"image": "no/such/image.png"}, "no.* image file.*no/such/image.png"),
        ({"image": np.zeros((4, 4, 7), np.uint8)}, "an image array has shape"),
        ({"truth": np.zeros((60, 100), bool)}, "the ground-truth mask must be boolean of shape \\(60, 100\\)"),
        ({"truth": np.ones((100, 60), bool)}, "got bool of shape \\(100, 60\\)"),
    ],
)
def test_bad_arguments_are_found_before_the_model_is_run(explainer, no_model_call, options, message):
    arguments = {"image": PICTURE, "question": QUESTION, **options}
    with pytest.raises(InputError, match=message) as caught:
        explainer.explain(**arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_word_that_the_answer_does_not_have(explainer):
    with pytest.raises(
        InputError, match="tokens 'dog': 'dog' is not a word of the answer; valid: auto, all, or words of the answer"
    ):
        explainer.explain(PICTURE, QUESTION, answer=ANSWER, tokens="dog")


def test_a_model_without_its_processor():
    with pytest.raises(InputError, match="needs the model's processor"):
        Explainer(build("llava")[0])


def test_logits_that_are_not_finite_are_reported_not_drawn():
    model, processor = build("llava")
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = float("nan")
    with pytest.raises(WherelookError, match="logits are not finite"):
        Explainer(model, processor).explain(PICTURE, QUESTION, answer=ANSWER)


def test_a_processor_that_looks_at_the_content_is_refused(explainer, monkeypatch):
    model = VisionLanguageModel(explainer.model.model, explainer.model.processor)
    process = model.prompting.process

    def normalized(image, text, **options):
        inputs = process(image, text, **options)
        pixels = inputs["pixel_values"]
        return inputs | {"pixel_values": (pixels - pixels.mean()) / (pixels.std() + 0.1)}

    monkeypatch.setattr(model.prompting, "process", normalized)
    with pytest.raises(WherelookError, match="by their content \\(cropping or normalizing\\)"):
        Explainer(model).explain(PICTURE, QUESTION, answer=ANSWER)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 5), (8, 8)])
def test_tiny_images_are_explained(explainer, size):
    """Of noise, which has no smooth part: the picture is enlarged, and the mask with it."""
    values = np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = explainer.explain(values, QUESTION, **{**QUICK, "replay_steps": 0})
    assert result.status in ("ok", "not_visual", "weak_gap")
    assert np.isfinite(result.heatmap).all()


def test_the_record_can_be_replaced_but_not_changed(explanation):
    assert replace(explanation, question="other").question == "other"
    with pytest.raises(AttributeError):
        explanation.question = "other"


def test_an_answer_that_was_cut_says_so(explainer):
    short = explainer.explain(PICTURE, QUESTION, **{**QUICK, "answer": None, "max_new_tokens": 2})
    assert "the answer was cut after 2 tokens: allow more with max_new_tokens" in short.notes
    assert not any("cut" in note for note in explainer.explain(PICTURE, QUESTION, **QUICK).notes)
