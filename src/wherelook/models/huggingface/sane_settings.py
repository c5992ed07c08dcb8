"""Settings of a model folder that no model can have: found before any weight is read, and told in one line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from wherelook.errors import InputError

COUNTS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "patch_size",
    "image_size",
    "num_channels",
    "depth",
    "embed_dim",
    "num_heads",
)
"""Of a configuration: whole numbers from 1 up, or lists of them."""

LARGEST_COUNT = 10**8
LARGEST_SIDE = 10**9
"""Of an image processor's sizes, some of which are numbers of pixels."""

KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
"""What may name a repository of compiled code in a configuration."""


def check_config_numbers(config: Mapping[str, Any], name: str) -> None:
    """Refuses a configuration with counts and sizes that are no positive whole numbers, or far too large.

    Args:
        config: the content of config.json.
        name: of the model.

    Raises:
        InputError: names the setting, its value and what was expected.
    """
    for path, key, value in _settings(config):
        if key not in COUNTS or value is None:
            continue
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, float) and number.is_integer():
                number = int(number)  # noqa: PLW2901
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LARGEST_COUNT:
                raise InputError(
                    f"the config.json of model {name!r} has {path} = {_shown(value)}; expected a whole number from 1 up"
                    + ("" if not isinstance(number, int) or number < 1 else f" to {LARGEST_COUNT}")
                )


def check_no_kernels(config: Mapping[str, Any], name: str) -> None:
    """Refuses a configuration that would have compiled code fetched from a hub.

    Raises:
        InputError: it names a repository as an implementation.
    """
    for path, key, value in _settings(config):
        named = list(value.values()) if isinstance(value, Mapping) else [value]
        if key in KERNELS and any(isinstance(one, str) and "/" in one for one in named):
            raise InputError(
                f"the config.json of model {name!r} asks for code from a hub ({path} = {_shown(value)}), which is not "
                "run by default: read it, then pass --trust-remote-code"
            )


def check_processor_numbers(processor: Any, name: str) -> None:
    """Refuses a processor whose sizes, mean or deviation no image can be processed with.

    Args:
        processor: the model's processor; its image part is checked, too.
        name: of the model.

    Raises:
        InputError: names the setting, its value and what was expected.
    """

    def refuse(setting: str, value: Any, wanted: str) -> InputError:
        return InputError(f"the processor of model {name!r} has {setting} = {_shown(value)}; expected {wanted}")

    if getattr(processor, "image_processor", None) is not None:
        check_processor_numbers(processor.image_processor, name)
    for setting in ("size", "crop_size", "patch_size", "merge_size", "temporal_patch_size"):
        value = getattr(processor, setting, None)
        sides = value if isinstance(value, Mapping) else getattr(value, "__dict__", None)
        for side in sides.values() if isinstance(sides, Mapping) else [value]:
            if isinstance(side, int | float) and not isinstance(side, bool) and not 1 <= side <= LARGEST_SIDE:
                raise refuse(setting, value, f"numbers from 1 to {LARGEST_SIDE}")
    for setting in ("image_mean", "image_std"):
        value = getattr(processor, setting, None)
        numbers = value if isinstance(value, list | tuple) else [] if value is None else [value]
        finite = all(isinstance(one, int | float) and math.isfinite(one) for one in numbers)
        if value is not None and (len(numbers) not in (1, 3) or not finite):
            raise refuse(setting, value, "a number for each of 3 channels")
        if setting == "image_std" and 0 in numbers:
            raise refuse(setting, value, "numbers above 0")
    factor = getattr(processor, "rescale_factor", None)
    if isinstance(factor, int | float) and (not math.isfinite(factor) or factor == 0):
        raise refuse("rescale_factor", factor, "a number above 0, such as 1/255")


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Every setting of a configuration and of those inside it: its path, its name, its value."""
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        above, part = waiting.pop()
        for key, value in part.items():
            path = f"{above}.{key}" if above else str(key)
            yield path, str(key), value
            if isinstance(value, Mapping):
                waiting.append((path, value))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
