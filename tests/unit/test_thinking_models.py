"""Models that think before they answer, end to end: the answer is explained given the thought, which is kept apart."""

from __future__ import annotations

import itertools
import json
import shlex

import numpy as np
import pytest
from PIL import Image
from tools.families import build

from thinking_forms import ANSWER, FORMS, THOUGHT, make, script
from wherelook import Explainer
from wherelook.data.datasets import Sample
from wherelook.data.images import load_image
from wherelook.data.sources import ImageInMemory
from wherelook.errors import InputError, UnfinishedThoughtError
from wherelook.evaluation.local import Task
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.worker import ModelWorker, Procedure
from wherelook.explanation import command_line
from wherelook.models import VisionLanguageModel

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
QUESTION = "What color is it?"
CHEAP = {"method": "gradient", "replay_steps": 0, "tokens": "all"}

# GLM-4V's processor in Transformers, on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


@pytest.fixture(scope="module", params=list(FORMS))
def form(request):
    return FORMS[request.param]


@pytest.fixture(scope="module")
def explainer(form):
    return Explainer(*make(form), identifier="tiny")


def figures(result):
    return [(token.id, token.text, token.log_prob, token.log_prob_baseline, token.word) for token in result.tokens]


def test_thought_and_answer_are_split_and_the_answer_explained_given_the_thought(form, explainer, monkeypatch):
    prompts = script(monkeypatch, form.thought, ANSWER + form.after)
    found = explainer.explain(PICTURE, QUESTION, **CHEAP, **form.options)
    assert (found.reasoning, found.answer) == (THOUGHT, ANSWER)
    assert "".join(token.text for token in found.tokens) == ANSWER
    assert found.reliance["words"] == 2
    assert [prompt.opened is not None for prompt in prompts] == [form.opens]
    assert not any("cut" in note for note in found.notes)

    # The same answer, given after the same thought: to the letter, what comes before the answer too.
    before = found.method["before_answer"]
    given = explainer.explain(PICTURE, QUESTION, answer=ANSWER, reasoning=before, **CHEAP, **form.options)
    assert len(prompts) == 1, "nothing is generated"
    assert figures(given) == figures(found)
    assert given.heatmap.tobytes() == found.heatmap.tobytes()
    assert given.reasoning == THOUGHT
    assert "the answer follows a given thought" in given.notes

    # And given where the model thinks: its own thought comes first, which is said.
    placed = explainer.explain(PICTURE, QUESTION, answer=ANSWER, **CHEAP, **form.options)
    assert len(prompts) == 2
    assert figures(placed) == figures(found)
    assert placed.heatmap.tobytes() == found.heatmap.tobytes()
    assert "the given answer is placed after the thought that the model generated" in placed.notes

    # The thought matters: after an empty one the answer is another likely.
    nothing = "" if form.opens else form.thought.replace(THOUGHT, "")
    empty = explainer.explain(PICTURE, QUESTION, answer=ANSWER, reasoning=nothing, **CHEAP, **form.options)
    assert empty.reasoning == ""
    assert "the answer follows an empty thought" in empty.notes
    assert [row[0] for row in figures(empty)] == [row[0] for row in figures(found)]
    assert figures(empty) != figures(found)


def test_records_show_the_thought_and_never_as_words(form, explainer, monkeypatch, tmp_path):
    script(monkeypatch, form.thought, ANSWER + form.after)
    result = explainer.explain(PICTURE, QUESTION, method="center", replay_steps=0, **form.options)
    record = json.loads((result.save(tmp_path) / "explanation.json").read_text(encoding="utf-8"))
    assert (record["reasoning"], record["answer"]) == (THOUGHT, ANSWER)
    assert record["config"]["max_thinking_tokens"] == 4096
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'tabindex="0">{THOUGHT}</pre></details>' in page
    assert f'overflow: auto">{THOUGHT}</div></details>' in result._repr_html_()
    for mark in (form.thought.split(THOUGHT)[1].strip(), form.after.strip()):
        assert not mark or mark not in "".join(token["text"] for token in record["tokens"])


def test_a_thought_that_does_not_end_is_told_and_never_explained(form, explainer, monkeypatch):
    script(monkeypatch, form.thought.partition(THOUGHT)[0] + "so " * 90, "", ends=False)
    for answer in (None, ANSWER):
        with pytest.raises(UnfinishedThoughtError, match="does not come to its end within 70 tokens") as error:
            explainer.explain(PICTURE, QUESTION, answer=answer, max_thinking_tokens=70, **form.options)
        assert "--max-thinking-tokens" in str(error.value)
        assert "--think off" in str(error.value)
        assert error.value.reasoning.startswith("so so")


def test_64_tokens_of_answer_do_not_cut_a_long_thought(form, explainer, monkeypatch):
    long = form.thought.replace(THOUGHT, "so " * 300 + THOUGHT)
    script(monkeypatch, long, ANSWER + form.after)
    result = explainer.relevance(PICTURE, QUESTION, max_new_tokens=64, **form.options)
    assert result.answer == ANSWER
    cut = explainer.explain(PICTURE, QUESTION, method="center", replay_steps=0, max_new_tokens=2, **form.options)
    assert cut.reasoning == ("so " * 300 + THOUGHT)
    assert ANSWER.startswith(cut.answer)
    assert "the answer was cut after 2 tokens: allow more with max_new_tokens" in cut.notes


def test_thinking_off(form, explainer, monkeypatch):
    prompts = script(monkeypatch, form.thought, ANSWER)
    options = {**form.options, "think": "off"}
    if form.off is None:
        with pytest.raises(InputError, match="has no switch for thinking and opens no thought: leave --think out"):
            explainer.explain(PICTURE, QUESTION, **options)
        return
    result = explainer.explain(PICTURE, QUESTION, **CHEAP, **options)
    assert (result.reasoning, result.answer) == ("", ANSWER)
    assert result.prompt.endswith(form.off)
    assert len(prompts) == 1
    given = explainer.explain(PICTURE, QUESTION, answer=ANSWER, **CHEAP, **options)
    assert len(prompts) == 1, "nothing is generated for a given answer"
    assert figures(given) == figures(result)
    assert any("empty" in note for note in given.notes), "it is said after which thought the answer comes"
    closed = any("is closed, empty: think is off" in note for note in result.notes)
    assert closed == (form.opens and "enable_thinking" not in form.template)


def test_a_run_judges_the_answer_alone(form, monkeypatch):
    """And a sample whose thought has no end is a row with its error; the others go on."""
    model = VisionLanguageModel(*make(form), max_thinking_tokens=200, **form.options)
    sample = Sample("s", ImageInMemory(load_image(np.asarray(PICTURE))), QUESTION, references=(ANSWER,))
    worker = ModelWorker(Procedure("d", tuple(parse_methods("center,edges")), judge="exact", metrics=("map",)), model)
    script(monkeypatch, form.thought, ANSWER + form.after)
    rows = worker(Task(0, sample)).rows
    assert [(row["answer"], row["reasoning"], row["correct"]) for row in rows] == [(ANSWER, THOUGHT, True)] * 2
    assert worker.about["max_thinking_tokens"] == 200, "the record of the run tells the options"
    script(monkeypatch, form.thought.partition(THOUGHT)[0] + "so " * 300, "", ends=False)
    rows = worker(Task(1, sample)).rows
    assert {row["status"] for row in rows} == {"error"}
    assert all("does not come to its end within 200 tokens" in row["error"] for row in rows)
    assert all(row["reasoning"].startswith("so so") for row in rows)
    assert "correct" not in rows[0]


def test_the_answer_asked_for_again_has_no_closing_mark(form, monkeypatch):
    """Whether the baseline alone gives the same answer is seen by its text."""
    model = VisionLanguageModel(*make(form))
    script(monkeypatch, form.thought, ANSWER + form.after)
    reply = model.reply(model.encode(PICTURE, QUESTION, model.chat.changed(**form.options)))
    assert model.answer_text(reply.prompt) == reply.text == ANSWER


def test_another_question_is_asked_in_the_same_chat_and_after_the_same_thought(monkeypatch):
    form = FORMS["qwen3.5, switchable"]
    model = VisionLanguageModel(*make(form))
    script(monkeypatch, form.thought, ANSWER)
    for options, before in (({"think": "on"}, "<think>\n" + form.thought), ({"think": "off"}, form.off)):
        prompt = model.encode(PICTURE, QUESTION, model.chat.changed(system="Be brief.", **options))
        reply = model.reply(prompt)
        score = model.score(reply.prompt, PICTURE, reply.ids)
        text = model.tokenizer.decode(score._asked("Describe it.").conversation.inputs["input_ids"][0])
        first = model.tokenizer.decode(reply.prompt.inputs["input_ids"][0])
        assert text == first.replace(QUESTION, "Describe it.")
        assert text.endswith(before)
        assert "Be brief." in text


def test_a_thought_has_the_budget_of_its_prompts_chat(monkeypatch):
    form = FORMS["qwen3-vl-thinking"]
    model = VisionLanguageModel(*make(form))
    script(monkeypatch, "so " * 300, "", ends=False)
    with pytest.raises(UnfinishedThoughtError, match="within 70 tokens"):
        model.reply(model.encode(PICTURE, QUESTION, model.chat.changed(max_thinking_tokens=70)))


# ---- models that do not think, and options that do not fit ----


@pytest.fixture(scope="module")
def plain():
    return Explainer(*build("llava"), identifier="plain")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"think": "on"}, "has no switch that turns thinking on"),
        ({"think": "off"}, "has no switch for thinking and opens no thought"),
        ({"think": "maybe"}, "think is 'on', 'off' or None; got 'maybe'"),
        ({"system": " "}, "system is the text of a system message; got none"),
        ({"system": "Look at <image>."}, "the system message contains '<image>', which stands for the image"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "has no variable 'enable_thinking': leave it out"),
        ({"chat_template_kwargs": {"messages": []}}, "cannot hold 'messages', which is set by wherelook"),
        ({"chat_template_kwargs": {"a": object()}}, "chat_template_kwargs are values that JSON can write"),
        ({"max_thinking_tokens": 0}, "max_thinking_tokens is a whole number from 1 to"),
        ({"reasoning": "so red"}, "tells how it writes a thought: give it with its marks"),
        ({"reasoning": "<think><image></think>"}, "the thought contains '<image>', which stands for the image"),
        ({"answer": "<think>so</think>red"}, "contains '<think>', a mark of a thought: give the thought apart"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(plain, options, message):
    with pytest.raises(InputError) as error:
        plain.explain(PICTURE, QUESTION, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_thought_is_none_where_the_model_has_none(plain):
    result = plain.explain(PICTURE, QUESTION, answer=ANSWER, reasoning="", **CHEAP)
    without = plain.explain(PICTURE, QUESTION, answer=ANSWER, **CHEAP)
    assert (figures(result), result.prompt) == (figures(without), without.prompt)
    assert "nothing tells that this model writes thoughts: none is placed" in result.notes


def test_a_thought_with_its_marks_goes_to_any_model(plain):
    result = plain.explain(PICTURE, QUESTION, answer=ANSWER, reasoning="◁think▷so◁/think▷", **CHEAP)
    assert (result.reasoning, result.answer, result.method["before_answer"]) == ("so", ANSWER, "◁think▷so◁/think▷")


def test_a_thought_that_any_model_writes_is_no_answer(plain, monkeypatch):
    """The template says nothing of thoughts: the marks are enough."""
    script(monkeypatch, "<think>so</think>\n", ANSWER)
    assert plain.explain(PICTURE, QUESTION, **CHEAP).reasoning == "so"


def test_think_and_the_same_template_option_are_one_too_many():
    explainer = Explainer(*make(FORMS["qwen3.5, switchable"]))
    with pytest.raises(InputError, match="think and the template option 'enable_thinking' say the same thing"):
        explainer.explain(PICTURE, QUESTION, think="on", chat_template_kwargs={"enable_thinking": True})


@pytest.mark.parametrize("mark", ["</s>", "<s>", "<pad>", "<image>"])
@pytest.mark.parametrize("answer", ["{}", "red{}", "{}red", "a {} b"])
def test_a_special_token_in_a_given_answer_is_refused_in_one_line(plain, mark, answer):
    with pytest.raises(InputError, match=f"^the answer contains '{mark}', (a special token that no|which stands for)"):
        plain.explain(PICTURE, QUESTION, answer=answer.format(mark))


def test_the_command_says_all_of_it(monkeypatch):
    form = FORMS["qwen3.5, switchable"]
    explainer = Explainer(*make(form), identifier="tiny", chat_template_kwargs={"enable_thinking": True})
    script(monkeypatch, form.thought, ANSWER)
    result = explainer.explain(
        PICTURE, QUESTION, method="center", system="Be brief.", max_new_tokens=9, max_thinking_tokens=77
    )
    words = shlex.split(" ".join(command_line.words(result)))
    pairs = list(itertools.pairwise(words))
    for pair in [
        ("--system", "Be brief."),
        ("--template-option", "enable_thinking=true"),
        ("--max-thinking-tokens", "77"),
        ("--max-new-tokens", "9"),
    ]:
        assert pair in pairs
