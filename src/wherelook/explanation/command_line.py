"""The command line that makes an explanation again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherelook.explanation.record import Explanation


PLAIN = (
    *("answer", "reasoning", "preset", "tokens", "alpha", "baseline", "replay_steps", "max_new_tokens", "seed"),
    *("per_token", "per_token_words"),
)
FLAGS = ("checkpointing", "compile", "trust_remote_code")


def to_words(options: Iterable[tuple[str, Any]]) -> list[str]:
    """Options as the command line takes them: True is a flag, None and False are left out, a list is repeated."""
    words: list[str] = []
    for name, value in options:
        if value is True:
            words.append(name)
        elif isinstance(value, list):
            words += [word for one in value for word in (name, str(one))]
        elif value is not None and value is not False:
            words += [name, str(value)]
    return words


def words(explanation: Explanation) -> list[str]:
    """The words of the command, each quoted for bash and zsh.

    An image that was no file is called IMAGE, one that was the baseline BASELINE_IMAGE, a function METHOD.
    """
    config, model, ran = explanation.config, explanation.model, explanation.execution
    limit, quantization = ran.get("memory_limit"), model.get("quantization")
    settings, baseline_image = config.get("settings") or {}, config.get("baseline_image")
    options: list[tuple[str, Any]] = [
        ("--model", model.get("id")),
        ("--model-name", model.get("name")),
        ("--revision", model.get("revision")),
        ("--dtype", model.get("dtype")),
        ("--max-pixels", model.get("max_pixels")),
        ("--quantize", quantization if quantization in ("int8", "int4") else None),  # else the checkpoint's own
        ("--attn-implementation", ran.get("attn_implementation")),
        ("--device", ran.get("device")),
        ("--batch-size", ran.get("batch_size")),
        ("--memory-limit", None if limit is None else limit / 1e9),
        ("--prompt-template", model.get("prompt_template")),
        *((name, value) for name, values in chat_words(config).items() for value in values),
        ("--method", "METHOD" if config.get("function") else config.get("method")),
        ("--set", [f"{name}={value}" for name, value in settings.items()]),
        ("--metric", list(config.get("metrics") or [])),
        ("--baseline-image", (baseline_image.get("path") or "BASELINE_IMAGE") if baseline_image else None),
        *((f"--{name.replace('_', '-')}", config.get(name)) for name in PLAIN),
        *((f"--{name.replace('_', '-')}", ran.get(name)) for name in FLAGS),
    ]
    plain = ["wherelook", "explain", *to_words(options)]
    first, *others = explanation.images
    if first.frame is not None:
        plain += ["--frames", str(len(explanation.images))]
        plain += ["--video"] if model.get("frames_per_second") else []
    else:
        for other in others:
            plain += ["--image", str(other.path or "IMAGE")]
    inputs = [str(first.path or "IMAGE"), explanation.question]
    if any(text.startswith("-") for text in inputs):
        plain.append("--")
    return [shell_quote(word) for word in plain + inputs]


def chat_words(chat: Mapping[str, Any]) -> dict[str, list[str]]:
    """The options of the chat around a question as the command line takes them: values by option.

    Args:
        chat: fields of `wherelook.chat_options.ChatOptions`, those that there are.
    """
    options = {"--think": "think", "--system": "system", "--max-thinking-tokens": "max_thinking_tokens"}
    words = {option: [str(chat[name])] for option, name in options.items() if chat.get(name) is not None}
    variables = chat.get("chat_template_kwargs") or {}
    values = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in variables.items()]
    return words | ({"--template-option": values} if values else {})


def shell_quote(text: str) -> str:
    """As `shlex.quote`; what cannot be seen is written out in bytes, so that a command does what it shows."""
    if text.isprintable():
        return shlex.quote(text)
    pieces = []
    for character in text:
        if character in "\\'":
            pieces.append("\\" + character)
        elif character.isprintable():
            pieces.append(character)
        else:  # a lone surrogate stands for a byte of a file name that is not UTF-8
            errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
            pieces += [f"\\x{byte:02x}" for byte in character.encode("utf-8", errors)]
    return "$'" + "".join(pieces) + "'"
