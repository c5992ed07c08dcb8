"""Arguments of an explanation: what is accepted, and one line for everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tools.families import build

from wherelook import Explainer
from wherelook.attribution import METHODS
from wherelook.check import test_picture as make_picture
from wherelook.config import ExplainConfig
from wherelook.errors import InputError
from wherelook.tokens import select

PICTURE = make_picture((60, 100))
QUESTION = "What color is the ring?"
GIVEN = {"answer": "The purple ring is left of the star.", "alpha": 0.0, "replay_steps": 0}


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(*build("llava"), identifier="tiny")


# ---- what is accepted ----


@pytest.mark.usefixtures("_as_users_run_it")
def test_numbers_of_numpy_become_plain_ones():
    made = ExplainConfig(
        alpha=np.float32(0.5),
        per_token=np.bool_(True),
        replay_steps=np.int64(4),
        max_new_tokens=np.uint8(9),
        seed=np.int16(3),
        settings={"iterations": np.int64(2)},
    )
    assert [made.alpha, made.per_token, made.replay_steps, made.max_new_tokens, made.seed] == [0.5, True, 4, 9, 3]
    kinds = [type(value) for value in (made.alpha, made.per_token, made.replay_steps, made.seed)]
    assert kinds == [float, bool, int, int]
    assert made.chosen_settings.iterations == 2


def test_a_list_of_words_is_these_words(explainer):
    listed = explainer.explain(PICTURE, QUESTION, method="center", tokens=["purple", "ring"], **GIVEN)
    named = explainer.explain(PICTURE, QUESTION, method="center", tokens="purple ring", **GIVEN)
    assert listed.tokens == named.tokens
    assert listed.config["tokens"] == "purple ring"


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["red car", "dog"], ["red", "car", "dog"]),
        (["dog", "red car#2"], ["dog", "red", "car"]),
        (["red car"], ["red", "car"]),
        (['"red car"', "dog"], ["red", "car", "dog"]),
        (["red"], ["red", "red", "red"]),
        (["all"], ["all"]),
    ],
)
def test_an_item_of_a_list_is_a_word_or_a_phrase(items, words):
    """Not every other red, and not every word for the one that is written "all"."""
    pieces = ["a", " red", " car", " a", " red", " dog", " a", " car", " red", " all"]
    if items[-1] == "red car#2":
        pieces += [" red", " car"]
    numbers = [0.0] * len(pieces)
    wanted = ExplainConfig(tokens=items).tokens
    tokens = select(pieces, range(len(pieces)), numbers, numbers, [False] * len(pieces), wanted=wanted)
    assert sorted(token.text.strip() for token in tokens if token.selected) == sorted(words)


def test_an_image_as_baseline_is_the_baseline_image(explainer):
    other = np.full((30, 40, 3), 200, np.uint8)
    direct = explainer.explain(PICTURE, QUESTION, method="center", baseline=other, **GIVEN)
    named = explainer.explain(PICTURE, QUESTION, method="center", baseline="image", baseline_image=other, **GIVEN)
    assert direct.tokens == named.tokens
    assert direct.method["baseline"] == "image"
    assert direct.config["baseline_image"] == named.config["baseline_image"]


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_a_mask_of_the_evidence_as_array_or_tensor(explainer, kind):
    truth = np.zeros((60, 100), bool)
    truth[20:40, 30:70] = True
    made = explainer.explain(PICTURE, QUESTION, method="center", truth=kind(truth), **GIVEN)
    assert made.metrics["pointing"] == 1  # the center's peak lies there


# ---- a function as the method ----


def left_half(score, image, settings, *, seed, progress):
    """The left half."""
    rows, columns = image.shape[1] // 10, image.shape[2] // 10
    saliency = torch.zeros(rows, columns)
    saliency[:, : columns // 2] = float(settings.get("height", 3.0))
    return saliency


@pytest.mark.parametrize("kind", [lambda value: value, lambda value: value.numpy().astype(np.float64)])
def test_a_function_is_a_method(explainer, kind):
    def method(*arguments, **options):
        return kind(left_half(*arguments, **options))

    made = explainer.explain(PICTURE, QUESTION, method=method, settings={"height": 5}, **GIVEN)
    assert made.status == "ok"
    expected = np.zeros((6, 10), np.float32)
    expected[:, :5] = 1
    assert np.array_equal(made.heatmap, expected)
    assert made.config["method"] == "method"
    assert made.config["function"].endswith("test_a_function_is_a_method.<locals>.method")
    assert made.method["parameters"] == {"height": 5}


def test_a_method_of_the_table_is_its_name(explainer):
    by_name = explainer.explain(PICTURE, QUESTION, method="edges", **GIVEN)
    by_itself = explainer.explain(PICTURE, QUESTION, method=METHODS["edges"], **GIVEN)
    assert by_itself.config["method"] == "edges"
    assert by_itself.config["function"] is None
    assert np.array_equal(by_name.heatmap, by_itself.heatmap)


def test_a_function_makes_a_map_for_each_token(explainer):
    made = explainer.explain(PICTURE, QUESTION, method=left_half, per_token=True, **GIVEN)
    assert len(made.token_maps) > 1


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "'method' returned a NoneType; expected a map"),
        (torch.zeros(2, 3, 4), r"'method' returned a tensor of shape \(2, 3, 4\)"),
        (torch.full((2, 3), -1.0), "'method' returned a map with values that are negative or not finite"),
        (torch.full((2, 3), torch.nan), "'method' returned a map with values that are negative or not finite"),
        ("map", "'method' returned a str"),
    ],
)
def test_what_a_function_must_not_return(explainer, returned, message):
    def method(score, image, settings, *, seed, progress):
        return returned

    with pytest.raises(InputError, match=message):
        explainer.explain(PICTURE, QUESTION, method=method, **GIVEN)


def test_a_function_takes_what_a_method_takes(explainer):
    with pytest.raises(InputError, match=r"'<lambda>' cannot be called as <lambda>\(score, image, settings, \*, seed"):
        explainer.explain(PICTURE, QUESTION, method=lambda image: image)


# ---- what is refused ----

REFUSED = [
    ({"question": None}, "question is text; got None"),
    ({"question": ["a", "b"]}, "question is text; got a value of type list"),
    ({"question": b"what"}, "question is text; got a value of type bytes"),
    ({"question": " \n"}, "the question is empty"),
    ({"answer": 3}, "answer is text; got 3"),
    ({"answer": ""}, "the answer is empty"),
    ({"method": None}, "method is a name of `wherelook methods` or a function"),
    ({"method": ["guided-igos"]}, "method is a name of `wherelook methods` or a function"),
    ({"method": "nothing"}, "unknown method 'nothing'; valid: guided-igos"),
    ({"preset": ["best"]}, "preset is text; got a value of type list"),
    ({"preset": "quick"}, "unknown preset of guided-igos 'quick'; valid: best, fast"),
    ({"preset": "paper"}, "unknown preset of guided-igos 'paper'; valid: best, fast"),
    ({"method": "rise:slow"}, "unknown preset of rise 'slow'; valid: paper, best, fast"),
    ({"method": "rise:fast", "preset": "best"}, "the preset is given twice: 'rise:fast' and 'best'"),
    ({"method": "igos+:best"}, "igos\\+:best of earlier versions is called guided-igos:best"),
    ({"method": "igos++", "preset": "fast"}, "igos\\+\\+:fast of earlier versions is called guided-igos:fast"),
    ({"tokens": None}, "tokens is 'auto', 'all', or words of the answer as text or as a list; got None"),
    ({"tokens": []}, "tokens is 'auto', 'all', or words"),
    ({"tokens": ["red", 3]}, "tokens is 'auto', 'all', or words"),
    ({"baseline": None}, "baseline is a name, or an image; got None"),
    ({"baseline": "grey"}, "unknown baseline 'grey'; valid: auto, blur"),
    ({"baseline": PICTURE, "baseline_image": PICTURE}, "baseline and baseline_image are both images: give one"),
    ({"alpha": "1"}, "alpha is a number; got '1'"),
    ({"alpha": float("nan")}, "alpha is a number of nats from 0 up; got nan"),
    ({"alpha": float("inf")}, "alpha is a number of nats from 0 up; got inf"),
    ({"alpha": 10**400}, "alpha is a number of nats from 0 up; got inf"),
    ({"alpha": True}, "alpha is a number; got True"),
    ({"per_token": "yes"}, "per_token is True or False; got 'yes'"),
    ({"per_token": 1}, "per_token is True or False; got 1"),
    ({"truth": "mask.png"}, "truth is a boolean array"),
    ({"truth": [[True]]}, "truth is a boolean array"),
    ({"settings": 3}, "settings is a mapping such as"),
    ({"settings": {"iterations": None}}, "setting iterations is text, a number, True or False; got None"),
    ({"settings": {3: 4}}, "a setting's name is text; got 3"),
    ({"settings": {"iterations": 10**5000}}, "setting iterations is text, a number"),
    ({"settings": {"speed": 1}}, r"unknown setting of guided-igos 'speed'; valid: "),
    ({"replay_steps": 2.5}, "replay_steps is a whole number; got 2.5"),
    ({"replay_steps": 1}, "replay steps are 0"),
    ({"max_new_tokens": 2.5}, "max_new_tokens is a whole number; got 2.5"),
    ({"max_new_tokens": True}, "max_new_tokens is a whole number; got True"),
    ({"max_new_tokens": 0}, "max_new_tokens is at least 1; got 0"),
    ({"max_new_tokens": -(10**5000)}, "max_new_tokens is a whole number; got a value of type int"),
    ({"seed": -1}, r"seed is a whole number from 0 to 2\*\*62; got -1"),
    ({"seed": None}, "seed is a whole number; got None"),
    ({"seed": torch.tensor(1)}, "seed is a whole number; got a value of type Tensor"),
    ({"methd": "rise"}, "unknown option 'methd'; valid: answer, reasoning, method"),
    ({"progress": 3}, r"progress is a function progress\(stage, done, total\); got 3"),
]


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_one_line_for_what_is_wrong(explainer, arguments, message):
    with pytest.raises(InputError, match=message) as raised:
        explainer.explain(PICTURE, **{"question": QUESTION, **arguments})
    assert "\n" not in str(raised.value)


JUNK = [
    None, True, 0, -1, 2.5, float("nan"), float("inf"), 10**5000, "", "x", "\udc80", "a\0b", b"bytes", [], ["x"],
    (), {}, {"x": 1}, {1: None}, set(), object(), object, len, Path("nothing"), np.int64(3), np.float64("nan"),
    np.zeros(0), np.zeros((2, 2)), np.array([["a", None]], dtype=object), np.array(3), torch.zeros(3),
    torch.tensor(True), 1j, range(3), lambda: None,
]  # fmt: skip
ARGUMENTS = [
    "image", "question", "answer", "method", "preset", "tokens", "baseline", "baseline_image", "alpha", "per_token",
    "per_token_words", "truth", "settings", "replay_steps", "max_new_tokens", "seed", "progress", "reasoning", "think",
    "system", "chat_template_kwargs", "max_thinking_tokens",
]  # fmt: skip


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_any_value_of_any_argument_works_or_is_refused_in_one_line(explainer, name):
    for junk in JUNK:
        arguments = {"image": PICTURE, "question": QUESTION, "method": "center", **GIVEN, name: junk}
        image, question = arguments.pop("image"), arguments.pop("question")
        problem = None
        try:
            explainer.explain(image, question, **arguments)
        except InputError as error:
            problem = str(error)
        assert problem is None or ("\n" not in problem and len(problem) < 800), (name, type(junk))
