"""Chat templates as they are published: wherever they stand, and whatever form of a message they take."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest
from PIL import Image
from tools.families import FAMILIES, Pair, build, missing_package

from wherelook import Explainer
from wherelook.check import check_model
from wherelook.errors import InputError
from wherelook.models import VisionLanguageModel

# The processors of some families in Transformers, on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
QUESTION = "Is {this} a 'cat' & <dog>?"

PARTS = (
    "{% for m in messages %}{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{{ '\\n' }}{% endfor %}assistant:"
)
"""Takes both forms and writes IMAGE for an image."""
STRING = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
"""Takes a string; of a list it shows the Python object."""
JOINED = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant:"
"""Takes a string; a list is a TypeError."""
STRIPPED = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | trim }}\n{% endfor %}assistant:"
DUMPED = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | tojson }}\n{% endfor %}assistant:"
INSISTS = (
    "{% if messages[0]['content'] is not string %}{{ raise_exception('content is a string') }}{% endif %}" + STRING
)
SILENT = PARTS.replace("IMAGE", "")
"""Writes no image whose part it is given."""


def with_template(pair: Pair, *, processor: str | None, tokenizer: str | None, **options) -> VisionLanguageModel:
    model = VisionLanguageModel(*pair, identifier="it", **options)
    model.processor.chat_template, model.tokenizer.chat_template = processor, tokenizer
    return model


@pytest.mark.parametrize("place", ["processor", "tokenizer"])
@pytest.mark.parametrize(
    ("family", "template", "image"),
    [
        ("llava", PARTS.replace("IMAGE", "<image>"), "<image>"),
        ("llava", STRING, "<image>\n"),
        ("llava", JOINED, "<image>\n"),
        ("llava", STRIPPED, "<image>\n"),
        ("llava", INSISTS, "<image>\n"),
        ("llava", SILENT, "<image>\n"),
        ("qwen2_vl", PARTS.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"), None),
        ("qwen2_vl", STRING, "<|vision_start|><|image_pad|><|vision_end|>"),
        ("qwen3_vl", SILENT, "<|vision_start|><|image_pad|><|vision_end|>"),
        ("paddleocr_vl", STRING, "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"),
        ("internvl", STRING, "<IMG_CONTEXT>\n"),  # its processor writes <img> and </img> itself
        ("idefics3", PARTS.replace("IMAGE", "<image>"), "<image>"),
        ("gemma3", PARTS.replace("IMAGE", "<start_of_image>"), "<start_of_image>"),
    ],
)
def test_the_prompt_holds_image_and_question_whatever_the_template_takes(place, family, template, image):
    texts = {"processor": None, "tokenizer": None} | {place: template}
    model = with_template(build(family), **texts)
    image = "<|vision_start|><|image_pad|><|vision_end|>" if image is None else image
    assert model.render(QUESTION) == f"user: {image}{QUESTION}\nassistant:"
    assert model.encode(PICTURE, QUESTION).inputs["input_ids"].shape[1] > 10


def test_the_template_that_writes_the_image_is_taken_of_two():
    other = STRING.replace("assistant:", "ASSISTANT:")
    model = with_template(build("llava"), processor=DUMPED, tokenizer=PARTS.replace("IMAGE", "<image>"))
    assert model.render("Why?") == "user: <image>Why?\nassistant:"
    model = with_template(build("llava"), processor="{{ raise_exception('no') }}", tokenizer=other)
    assert model.render("Why?") == "user: <image>\nWhy?\nASSISTANT:"


# pi0 writes no text: it is refused before it is asked.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "pi0" and missing_package(name) is None])
def test_a_template_says_the_same_beside_the_processor_and_in_the_tokenizer(name):
    model = VisionLanguageModel(*build(name), identifier=name)
    template = model.processor.chat_template
    if template is None:
        assert model.render("Why?").endswith("Why?")
        return
    beside = model.render("Why?")
    model.processor.chat_template, model.tokenizer.chat_template = None, template
    assert model.render("Why?") == beside


@pytest.mark.parametrize(
    "template", ["A fixed text.", "{% for m in messages %}{{ m.role }}{% endfor %}", "{{ messages[0].content[0] }}"]
)
def test_a_template_that_writes_no_image_is_named(template):
    model = with_template(build("llava"), processor=None, tokenizer=template)
    with pytest.raises(
        InputError,
        match=r"chat template of 'it' does not write both the image \('<image>'\) and the question .*--prompt-template",
    ):
        model.render("Why?")


def test_the_prompt_is_in_the_record_on_the_page_and_in_the_check(tmp_path):
    model = with_template(build("qwen2_vl"), processor=None, tokenizer=STRING)
    expected = "user: <|vision_start|><|image_pad|><|vision_end|>Why?\nassistant:"
    explanation = Explainer(model).explain(PICTURE, "Why?", method="center", replay_steps=0)
    assert explanation.to_dict()["prompt"] == explanation.prompt == expected
    page = explanation.to_html()
    assert "Prompt as the model read it" in page
    assert "&lt;|vision_start|&gt;&lt;|image_pad|&gt;" in page
    findings = {finding.name: finding.measured for finding in check_model(model)}
    assert "user: <|vision_start|><|image_pad|><|vision_end|>" in findings["prompt"]


FAILING = {
    "raised": ("{{ raise_exception('roles must alternate') }}", "TemplateError: roles must alternate"),
    "forbidden": ("{{ messages.__class__.__mro__ }}", "SecurityError: access to attribute '__class__'"),
    "undefined": ("{{ nothing.at_all }}", "UndefinedError: 'nothing' is undefined"),
    "syntax": ("{% for m in messages %}{{ m.content }}", "TemplateSyntaxError: Unexpected end of template"),
    "tag": ("{% include 'other.jinja' %}", "TypeError: no loader for this environment specified"),
    "filter": ("{{ messages | unheard_of }}", "TemplateAssertionError: No filter named 'unheard_of'"),
    "types": ("{{ messages[0].content + 1 }}", "TypeError: "),
    "key": ("{{ {}['a'].b }}", "UndefinedError: "),
    "zero": ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
    "depth": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError: "),
    "names": ({"tool_use": "{{ messages }}"}, "ValueError: "),
}
"""What a template that fails raises, by kind."""


@pytest.mark.parametrize("place", ["processor", "tokenizer"])
@pytest.mark.parametrize(("template", "reason"), FAILING.values(), ids=FAILING)
def test_a_template_that_fails_is_named_with_its_reason_and_the_way_out(place, template, reason):
    model = with_template(build("llava"), **{"processor": None, "tokenizer": None} | {place: template})
    with pytest.raises(InputError) as caught:
        model.render("Why?")
    text = str(caught.value)
    assert text.startswith(f"the chat template of 'it' fails: {reason}")
    assert "--prompt-template '{image}... {question} ...'" in text
    assert "\n" not in text
    own = with_template(build("llava"), processor=template, tokenizer=None, prompt_template="Q: {image}{question}")
    assert own.render("Why?") == "Q: <image>Why?"


EXCESSIVE = {
    "string": ("{{ 'x' * 10 ** 10 }}", "memory"),
    "list": ("{{ ([1] * 10 ** 10) | length }}", "memory"),
    "power": ("{{ 10 ** (10 ** 10) }}", "memory"),
    "doubling": (
        "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "memory",
    ),
    "filter": ("{{ 'x' | center(10000000000) }}", "memory"),
    "format": ("{{ '%10000000000d' % 1 }}", "memory"),
    "method": ("{{ 'x'.ljust(10000000000) }}", "memory"),
    "loop": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "3 seconds"),
    "tools": ("{% if tools is defined %}{{ 'x' * 10 ** 10 }}{% endif %}", "memory"),
    "documents": ("{% if documents is none %}{{ 'x' * 10 ** 10 }}{% endif %}", "memory"),
    "text": ("{% for a in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "1,000,000 characters"),
}
"""Templates that would take hours or all memory, by what is refused."""


@pytest.mark.parametrize(("template", "reason"), EXCESSIVE.values(), ids=EXCESSIVE)
def test_a_template_that_takes_too_much_is_refused(template, reason):
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = with_template(build("llava"), processor=None, tokenizer=STRING + template)
    with pytest.raises(InputError, match=f"the chat template of 'it' is refused: it .*{reason}.*--prompt-template"):
        model.render("Why?")
    assert time.monotonic() - started < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    assert with_template(build("llava"), processor=None, tokenizer=STRING).render("Why?")  # the next one is fine


ORDINARY = {
    "variables": "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }}",
    "tokens": "{{ eos_token }}{{ bos_token }}{{ pad_token }}",
    "json": "{{ {'b': '<é>', 'a': [1, none, true]} | tojson(indent=2) }}",
    "generation": "{% for i in range(3) %}{% generation %}{% set x = i %}{{ x }}{% endgeneration %}{% endfor %}{{ x }}",
    "loop": "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "namespace": "{% set n = namespace(self=1, found=false) %}{% set n.found = true %}{{ n.found }}{{ n.self }}",
    "dict": "{{ dict(a=1) }}{{ dict.fromkeys('ab', 2) }}",
    "blocks": "  {% if true %}\n  text\n  {% endif %}\n  {{- ' end ' -}}  \n",
    "products": "{{ '-' * 20 }}{{ 2 ** 10 }}{{ [0] * 3 }}{{ 0.5 * 4 }}",
    "characters": "\u00e9\u2028\U0001f600 {{ messages[0].content | string | upper }}",
    "absent": "{{ thinking_budget }}{{ messages[-1].reasoning_content }}",
}
"""What templates use, by kind."""


@pytest.mark.parametrize("template", ORDINARY.values(), ids=ORDINARY)
@pytest.mark.parametrize("place", ["processor", "tokenizer"])
def test_a_template_writes_what_transformers_writes(place, template):
    text = STRING + "{{ enable_thinking }}" + template
    model = with_template(
        build("llava"),
        **{"processor": None, "tokenizer": None} | {place: text},
        chat_template_kwargs={"enable_thinking": 1},
    )
    messages = [{"role": "user", "content": f"<image>\n{QUESTION}"}]
    theirs = getattr(model, place).apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False, enable_thinking=1
    )
    assert model.render(QUESTION) == theirs


@pytest.mark.parametrize("template", ["{{ none * 2 }}", "{{ nothing * 2 }}", "{{ 'a' * 'b' }}", "{{ 'a' ** 2 }}"])
def test_an_operator_raises_what_it_raises_in_transformers(template):
    model = with_template(build("llava"), processor=None, tokenizer=template)
    with pytest.raises(Exception, match=r".") as theirs:
        model.tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False)
    with pytest.raises(InputError) as ours:
        model.render("Why?")
    assert f"fails: {type(theirs.value).__name__}: {theirs.value};" in str(ours.value)


def test_a_namespace_takes_no_private_names():
    model = with_template(build("llava"), processor=None, tokenizer="{% set n = namespace(__class__=1) %}")
    with pytest.raises(InputError, match="fails: SecurityError: "):
        model.render("Why?")


def test_a_template_is_not_rendered_a_second_time_here(monkeypatch):
    model = with_template(build("llava"), processor=None, tokenizer=STRING)
    monkeypatch.setattr("transformers.utils.chat_template_utils._compile_jinja_template", None)
    assert model.render("Why?") == "user: <image>\nWhy?\nassistant:"


def test_a_method_of_the_processors_own_is_kept(monkeypatch):
    model = with_template(build("llava"), processor=INSISTS, tokenizer=None)

    def own(self, messages, **options):
        return "own: " + "".join(part.get("text", "<image>") for part in messages[0]["content"])

    monkeypatch.setattr(type(model.processor), "apply_chat_template", own)
    assert model.render("Why?") == "own: <image>Why?"
    model.processor.chat_template = "{{ 'x' * 10 ** 10 }}"
    with pytest.raises(InputError, match="is refused"):
        model.render("Why?")


JSON = 'Answer as {"type": "box", "at": [0, 1]}.'


@pytest.mark.parametrize("template", [STRING, STRIPPED], ids=["verbatim", "stripped"])
@pytest.mark.parametrize(
    ("question", "system"),
    [(JSON, None), (f" {JSON}\n", None), ("Why?", JSON), ("Why?", f"{JSON}\n"), (f"{JSON} ", f" {JSON} Always.")],
)
def test_json_in_what_is_asked_is_no_list_of_parts(template, question, system):
    model = with_template(build("llava"), processor=None, tokenizer=template, system=system)
    text = model.render(question)
    assert question.strip() in text
    assert "'text'" not in text
