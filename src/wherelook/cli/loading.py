"""What every command that loads a model is told about it: the same options, defined once."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from wherelook.arguments import key_values
from wherelook.cli import terminal

if TYPE_CHECKING:
    from wherelook.models import VisionLanguageModel

FOOTPRINT_OPTIONS = ("device", "dtype", "revision", "trust_remote_code", "quantize")
"""Options of loading that tell how much memory the weights need."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded, run and spoken to: a field for each option of the command line.

    Raises:
        InputError: see `check`, which is called before anything is read.
    """

    device: Annotated[
        str | None,
        typer.Option("--device", help="cpu, cuda, cuda:N, mps, or auto (layers over all devices). [default: the best]"),
    ] = None
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="float32, bfloat16, float16 or auto. [default: the checkpoint's; float32 on cpu]"),
    ] = None
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a model on the hub.")] = (
        None
    )
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
    ] = False
    quantize: Annotated[
        str | None,
        typer.Option("--quantize", help="int8 or int4: weights in fewer bits (needs the extra `quantized`)."),
    ] = None
    attn_implementation: Annotated[
        str | None,
        typer.Option(
            "--attn-implementation",
            metavar="NAME",
            help="eager, sdpa, flash_attention_2, flash_attention_3 or flex_attention. [default: Transformers chooses]",
        ),
    ] = None
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Gradients with less memory, for one more forward pass each.")
    ] = False
    compile: Annotated[
        bool,
        typer.Option("--compile", help="torch.compile the model's layers: minutes at the first answer, faster after."),
    ] = False
    prompt_template: Annotated[
        str | None,
        typer.Option(
            "--prompt-template", help="A text with {image} and {question} instead of the model's chat template."
        ),
    ] = None
    think: Annotated[
        str | None,
        typer.Option(
            "--think", metavar="on|off", help="For models that can think before they answer. [default: theirs]"
        ),
    ] = None
    system: Annotated[str | None, typer.Option("--system", help="Text of a system message before the question.")] = None
    template_option: Annotated[
        list[str] | None,
        typer.Option(
            "--template-option",
            metavar="KEY=VALUE",
            help="A variable of the chat template, such as enable_thinking=false. Repeatable.",
        ),
    ] = None
    max_thinking_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-thinking-tokens", min=1, help="Longest thought; the answer has its own limit. [default: 4096]"
        ),
    ] = None
    max_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-pixels",
            min=3136,
            help="Most pixels of an image: fewer image tokens, where a processor makes more of a larger one.",
        ),
    ] = None
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Most images per forward pass, reduced to fit memory.")
    ] = 16
    memory_limit: Annotated[
        float | None,
        typer.Option(
            "--memory-limit", min=0.001, max=1e6, help="GB that one batch may use. [default: most of what is free]"
        ),
    ] = None

    def check(self) -> None:
        """Whether a model can be loaded so at all.

        Raises:
            InputError: a wrong option; of the device, whether there is one is not asked: it may be another machine's.
        """
        from wherelook.models.huggingface.prompt import check_prompt_template
        from wherelook.models.load_options import LoadOptions

        LoadOptions(**self._named(LoadOptions) | {"device": None})
        if self.prompt_template is not None:
            check_prompt_template(self.prompt_template)
        _ = self.chat

    @property
    def here(self) -> dict[str, Any]:
        """The options of a model in this process that one behind an address has not."""
        chat = {"think", "system", "template_option", "max_thinking_tokens"}
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in chat | {"batch_size"}}

    @property
    def chat(self) -> dict[str, Any]:
        """The options of the chat around a question, those that are given, as models take them.

        Raises:
            InputError: one is wrong; this is seen before a model is loaded.
        """
        from wherelook.models.chat_options import ChatOptions

        given: dict[str, Any] = {
            "think": self.think,
            "system": self.system,
            "chat_template_kwargs": _template_values(self.template_option) if self.template_option else None,
            "max_thinking_tokens": self.max_thinking_tokens,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        ChatOptions().changed(**chosen)
        return chosen

    @property
    def options(self) -> dict[str, Any]:
        """All of them as `VisionLanguageModel.from_pretrained` takes them."""
        limit = None if self.memory_limit is None else int(self.memory_limit * 1e9)
        return self.here | {"memory_limit": limit, "batch_size": self.batch_size} | self.chat

    def _named(self, record: type) -> dict[str, Any]:
        """The values of a record's fields."""
        return {one.name: getattr(self, one.name) for one in fields(record)}


AS_IT_IS = Loading()
"""Nothing is chosen."""


def takes_loading(command: Callable[..., None]) -> Callable[..., None]:
    """A command of Typer with the fields of `Loading` as options where its parameter `loading` stands."""
    hints = get_type_hints(Loading, include_extras=True)
    names = [one.name for one in fields(Loading)]
    own = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        if parameter.name != "loading":
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        parameters += [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
            for one in fields(Loading)
        ]

    def with_options(**given: Any) -> None:
        chosen = Loading(**{name: given.pop(name) for name in names})
        command(**given, loading=chosen)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__module__, with_options.__qualname__ = command.__module__, command.__qualname__
    with_options.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options


def load_model(model: str, loading: Loading, **more: Any) -> VisionLanguageModel:
    """The model, loaded as the options say.

    One line on standard error says, before weights are read, when they will not fit.

    Args:
        model: hub id, local folder, or a bundled model's name.
        more: of `VisionLanguageModel`, that are no options of their own.
    """
    from wherelook.models import VisionLanguageModel
    from wherelook.models.huggingface.footprint import footprint

    ready = model_options(loading) | more
    needs = footprint(model, **{name: ready[name] for name in FOOTPRINT_OPTIONS})
    if needs is not None and needs.warning is not None:
        typer.echo(f"memory     {needs.warning}", err=True)
    with terminal.bars():
        return VisionLanguageModel.from_pretrained(model, **ready)


def model_options(loading: Loading) -> dict[str, Any]:
    """The options as `VisionLanguageModel.from_pretrained` takes them, checked.

    Downloads and loading show their bars on a terminal only.
    """
    from wherelook.models.huggingface.loading import quiet

    loading.check()
    if not sys.stderr.isatty():
        quiet()
    return loading.options


WORDS = {"true": True, "false": False, "none": None, "null": None}


def _template_values(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value that is JSON, or Python's True, False or None, is what it says, any other one text."""
    values: dict[str, Any] = {}
    for name, text in key_values(pairs, option="--template-option", example="enable_thinking=false").items():
        if text.lower() in WORDS:
            values[name] = WORDS[text.lower()]
            continue
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values
