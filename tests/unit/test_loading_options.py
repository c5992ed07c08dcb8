"""Every command that loads a model takes the same options about it, and passes them on."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from typing import Annotated

import pytest
import typer

from wherelook import Explainer
from wherelook.check import test_picture as make_picture
from wherelook.cli.app import app, run
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS
from wherelook.errors import InputError
from wherelook.explanation import command_line
from wherelook.load_options import FOR_ENDPOINTS, LoadOptions
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface import footprint

COMMANDS = {command.name: command.callback for command in app.registered_commands}
LOADING = [
    name
    for name, callback in COMMANDS.items()
    if {"open_model", "open_here", "check_loading", "carry_out"} & vars(sys.modules[callback.__module__]).keys()
    and name != "demo"
]
"""Commands that load a model that the user names."""

NOT_ASKED = {"most_images", "frames_per_second", "retries"}
"""What the command line finds out by itself, or leaves as it is."""

GIVEN = {
    "--device": ("device", "cpu"),
    "--dtype": ("dtype", "bfloat16"),
    "--revision": ("revision", "v2"),
    "--trust-remote-code": ("trust_remote_code", True),
    "--quantize": ("quantize", "int8"),
    "--attn-implementation": ("attn_implementation", "eager"),
    "--checkpointing": ("checkpointing", True),
    "--compile": ("compile", True),
    "--prompt-template": ("prompt_template", "{image} {question}"),
    "--think": ("think", "off"),
    "--system": ("system", "Be brief."),
    "--template-option": ("chat_template_kwargs", {"effort": 2}),
    "--max-thinking-tokens": ("max_thinking_tokens", 7),
    "--max-pixels": ("max_pixels", 4000),
    "--batch-size": ("batch_size", 3),
    "--memory-limit": ("memory_limit", 2_500_000_000),
}
WRITTEN = {"--template-option": "effort=2", "--memory-limit": "2.5"}


class Asked(InputError):
    """Instead of a model."""


@pytest.fixture
def asked(monkeypatch) -> list[LoadOptions]:
    """The options that models were to be loaded with."""
    found: list[LoadOptions] = []

    def stop(cls, name, options):
        found.append(options)
        raise Asked("no model is loaded here")

    monkeypatch.setattr(VisionLanguageModel, "from_pretrained", classmethod(stop))
    monkeypatch.setattr(footprint, "footprint", lambda name, options: None)
    return found


@pytest.fixture
def words(tmp_path) -> dict[str, list[str]]:
    """A command line of each command."""
    make_picture((40, 60)).save(tmp_path / "picture.png")
    out = ["--out", str(tmp_path / "out")]
    return {
        "explain": ["explain", str(tmp_path / "picture.png"), "What is it?", "--model", "embedded", *out],
        "check": ["check", "embedded"],
        "run": ["run", "scenes", "--limit", "1", *out],
        "evaluate": ["evaluate", "--answers", "1", *out],
        "sanity": ["sanity", *out],
        "sweep": ["sweep", "--set", "alpha=1,2", *out],
    }


def test_these_commands_load_models(words):
    assert sorted(LOADING) == sorted(words)


@pytest.mark.parametrize("name", LOADING)
def test_a_command_that_loads_a_model_takes_all_that_can_be_chosen(name):
    command = next(one for one in app.registered_commands if one.name == name)
    options = {
        option for one in typer.main.get_command_from_info(
            command, pretty_exceptions_short=True, rich_markup_mode=None
        ).params for option in one.opts
    }  # fmt: skip
    assert options >= GIVEN.keys()
    wanted = {one.name for one in fields(LoadOptions)} - NOT_ASKED - set(FOR_ENDPOINTS)
    assert wanted == {field for field, _ in GIVEN.values()}


@pytest.mark.parametrize("name", LOADING)
def test_a_command_passes_all_of_it_on(name, words, asked):
    given = [
        word
        for option, (_, value) in GIVEN.items()
        for word in ([option] if value is True else [option, WRITTEN.get(option, str(value))])
    ]
    assert run([*words[name], *given]) == 2
    (options,) = asked
    assert {name: getattr(options, name) for name, _ in GIVEN.values()} == dict(GIVEN.values())


@pytest.mark.parametrize("name", LOADING)
def test_a_command_that_is_told_nothing_chooses_nothing(name, words, asked):
    assert run(words[name]) == 2
    (options,) = asked
    assert options == AS_IT_IS


@pytest.mark.parametrize("name", LOADING)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--attn-implementation", "flash", "unknown attn_implementation 'flash'"),
        ("--dtype", "float12", "unknown dtype 'float12'"),
        ("--quantize", "int3", "unknown quantization 'int3'"),
        ("--revision", " ", "the revision is empty"),
        ("--prompt-template", "no place for it", "{image}"),
        ("--max-pixels", "100", "Invalid value for '--max-pixels'"),
    ],
)
def test_a_wrong_one_is_seen_before_anything_is_loaded(name, option, value, message, words, asked, capsys, tmp_path):
    assert run([*words[name], option, value]) == 2
    assert message in capsys.readouterr().err
    assert asked == []
    assert not (tmp_path / "out").exists()


def test_the_options_stand_where_the_command_has_them():
    def command(first: str, loading: LoadOptions = AS_IT_IS, last: int = 3) -> None:
        """Does it."""
        told.append((first, loading, last))

    told: list = []
    made = configured(command)
    named = [one.name for one in fields(LoadOptions) if "option" in one.metadata]
    assert list(inspect.signature(made).parameters) == ["first", *named, "last"]
    assert (made.__name__, made.__doc__) == ("command", "Does it.")
    made(first="a", last=4, **{name: getattr(AS_IT_IS, name) for name in named} | {"dtype": "float16"})
    assert told == [("a", LoadOptions(dtype="float16"), 4)]


def test_a_command_may_take_some_of_the_options():
    def command(chosen: Annotated[LoadOptions, ("timeout", "model_name")] = AS_IT_IS) -> None:
        told.append(chosen)

    told: list = []
    made = configured(command)
    assert set(inspect.signature(made).parameters) == {"timeout", "model_name"}
    made(timeout=3.0, model_name=None)
    assert told == [LoadOptions(timeout=3.0)]


@pytest.mark.parametrize("chosen", [None, "eager"])
def test_an_attention_that_was_asked_for_is_asked_for_again(chosen):
    """What Transformers chose by itself is not: a part of a model may have no other."""
    given = {} if chosen is None else {"attn_implementation": chosen}
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu", **given)
    assert model.description["attention"] == (chosen or "sdpa")
    assert model.execution.get("attn_implementation") == chosen
    explanation = Explainer(model).explain(
        make_picture((60, 80)),
        "What color is it?",
        answer="red",
        tokens="all",
        alpha=0.0,
        method="center",
        replay_steps=0,
    )
    words = " ".join(command_line.words(explanation))
    assert ("--attn-implementation eager" in words) == (chosen == "eager")
    assert ("--attn-implementation" in words) == (chosen is not None)


def test_a_limit_of_pixels_makes_another_model_of_a_run():
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu", max_pixels=4000)
    assert model.identity()["max_pixels"] == 4000
