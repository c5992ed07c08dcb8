"""`ExplainConfig`: everything that can be chosen about an explanation, checked once, when the record is made.

`Explainer.explain(**options)`, the command line, a run and the record of a result are made from it. `LoadOptions` is
its counterpart for a model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from wherelook.arguments import (
    ALPHA,
    LARGEST,
    STEPS,
    check_text,
    expected,
    key_values,
    number,
    option,
    text,
    truth_value,
    whole,
)
from wherelook.chat_options import ChatOptions
from wherelook.errors import InputError, unknown_name
from wherelook.registry import called, check_call

if TYPE_CHECKING:  # nothing heavy is imported for the options of the command line: `--help` takes no seconds
    import torch

    from wherelook.attribution import Method
    from wherelook.baselines import Baseline
    from wherelook.data.images import ImageSource, LoadedImage
    from wherelook.metrics import Metric, MetricLike
    from wherelook.models import Model

    MethodLike = str | Method | Callable[..., Any]
    """A name of `wherelook methods`, a `Method`, or a function as `wherelook.attribution.own_method` describes it."""

AUTO_BASELINES = ("blur", "mean", "strong-blur")
"""What the baseline "auto" tries: the first one; if no word of the answer is visually grounded by that difference, of
the others the one with the largest score gap; another image, if one is given, where none of these shows a grounded word
either. Noise is not among them: a model shown noise leaves what it was trained on, and any word may then change."""

REASONING_LIMIT = 1_000_000
"""Characters of a given thought: thinking models write long ones."""

STEPS_LIMIT = 500


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """What to explain and how. The fields are the options of `Explainer.explain`.

    Numbers of numpy become Python's. A list of tokens becomes the words and phrases in it. A baseline that is an image
    becomes the baseline image, which is loaded.

    Attributes:
        answer: the text to explain; None lets the model answer greedily.
        reasoning: for a model that thinks before it answers: the thought after which the answer comes, "" for an empty
            one. With its closing mark in it, it is taken to the letter. None lets the model think.
        method: one of `wherelook methods`, also with its preset, as "rise:fast"; or a function
            method(score, image, settings, *, seed, progress) that returns a map (rows, columns) of numbers from 0 up;
            see `wherelook.attribution.own_method`.
        preset: "best", "fast" (at most a quarter of the cost) or "paper" (its constants exactly), of those that the
            method has. None is the default, best, or the only one.
        settings: constants of the method to change, by name.
        tokens: "auto" explains the visually grounded words, "all" every word, else the words named, as text or as a
            list.
        baseline: what replaces a removed region: one of `wherelook.baselines.BASELINES`, or a function (image, seed)
            that returns an image of the same size, RGB uint8 (height, width, 3); "image" for `baseline_image`, or that
            image itself (but no text: that names a baseline); "auto" blurs, and takes the mean color or a stronger
            blur if no word depends on what the blur removes.
        baseline_image: another image whose parts replace removed ones; it is resized. With the baseline "auto" it is
            taken only where no other shows a grounded word. It may hold the answer too.
        alpha: nats of likelihood that a word must lose with the baseline to count as visually grounded.
        per_token: also a map for every selected token that loses at least 0.2 nats itself. Occlusion, strips and RISE
            make them from what the whole-answer map took; other methods spend more, see docs/metrics.md.
        per_token_words: of how many words at most, those that lose most; 0 for all. A note says what it took.
        truth: (height, width) boolean mask of the region that holds the evidence, for the localization metrics; with
            one image only.
        metrics: names of `wherelook metrics`, metrics, or functions from a `wherelook.metrics.MapContext` to a number;
            "map", "replay" and "all" stand for several, see `wherelook.metrics.LEVELS`. One that needs what is not
            known, such as `truth`, is left out.
        replay_steps: points of the deletion and insertion curves, the same for every preset, as figures of different
            numbers do not compare; 0 skips them. None is the default, 50.
        max_new_tokens: longest answer to generate.
        seed: of everything random.
        think: "on" or "off" for models that have a switch; None leaves it to the model's chat template.
        system: text of a system message before the question.
        chat_template_kwargs: variables of the chat template, such as {"enable_thinking": False}.
        max_thinking_tokens: longest thought; None for the model's option, which is 4096 by default.

    Raises:
        InputError: a value of another type, out of range, or an unknown name; the message says what was expected.

    Example:
        >>> ExplainConfig(seed=3).seed
        3
        >>> ExplainConfig(method="rise:fast").chosen_settings.masks
        50
    """

    answer: str | None = option(None, "Explain this text instead of letting the model answer.")
    reasoning: str | None = option(
        None, "The thought after which the answer comes; '' for an empty one.", metavar="TEXT"
    )
    method: MethodLike = option("guided-igos", "See `wherelook methods`.", kind=str, metavar="NAME[:PRESET]")
    preset: str | None = option(
        None, "best, fast, or paper (the paper's constants exactly). [default: best, or the only one]"
    )
    settings: Mapping[str, str | float] | None = option(
        None, "Change a constant of the method. Repeatable.", flag="--set", metavar="KEY=VALUE", parse=key_values
    )
    tokens: str | Sequence[str] = option(
        "auto",
        "What to explain: auto (the visually grounded words), all, or words of the answer: a phrase such as "
        "'red car', words in any order, red#2 for the second 'red'.",
        kind=str,
    )
    baseline: str | Baseline | ImageSource = option(
        "auto",
        "What replaces a removed region: auto, blur, strong-blur, mean, zeros, noise, image, or another package's.",
        kind=str,
    )
    baseline_image: ImageSource | None = option(
        None,
        "Another image as the baseline; with auto only where no other baseline shows a grounded word.",
        kind=str,
        metavar="FILE",
    )
    alpha: float = option(
        ALPHA, "Nats a word must lose without the image to be visually grounded; 0.2 if the word itself changes."
    )
    per_token: bool = option(False, "Also a heatmap for each selected token that loses 0.2 nats itself.")
    per_token_words: int = option(8, "Of how many words, those that lose most; 0: all.", least=0)
    truth: NDArray[np.bool_] | torch.Tensor | None = None
    metrics: Sequence[MetricLike] = option(
        ("replay",),
        "See `wherelook metrics`; or map (what costs no pass), replay (deletion and insertion too), all. Repeatable.",
        flag="--metric",
        metavar="NAME",
        kind=list[str],
    )
    replay_steps: int | None = option(
        None, f"Points of the deletion and insertion curves; 0: none. [default: {STEPS}]", kind=int
    )
    max_new_tokens: int = option(64, "Longest answer to generate.", least=1, most=4096)
    seed: int = option(0, "Seed of everything random.", least=0, most=LARGEST)
    think: str | None = None
    system: str | None = None
    chat_template_kwargs: Mapping[str, Any] | None = None
    max_thinking_tokens: int | None = None

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_baseline()
        self._check_numbers()
        self.chat(ChatOptions())  # wrong values show here, and below unknown names
        self._set("metrics", _several(self.metrics))
        self.chosen_settings, self.chosen_metrics  # noqa: B018

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: the fields. What is made of them is made there again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_texts(self) -> None:
        from wherelook.attribution import split_method

        if self.answer is not None:
            check_text("answer", text("answer", self.answer))
        if self.reasoning is not None and text("reasoning", self.reasoning):
            check_text("reasoning", self.reasoning, limit=REASONING_LIMIT)
        if self.preset is not None:
            text("preset", self.preset)
        given = self.method
        method, preset = split_method(given, self.preset)
        self._set("method", method)
        if method is not given or self.preset is not None:
            self._set("preset", preset)
        self._set("tokens", _words(self.tokens))
        if self.settings is not None:
            self._set("settings", _changes(self.settings))

    def _check_baseline(self) -> None:
        from wherelook.baselines import BASELINES, OTHER_IMAGE
        from wherelook.data.images import load_image

        if not isinstance(self.baseline, str) and not callable(self.baseline):
            if self.baseline_image is not None:
                raise InputError("baseline and baseline_image are both images: give one")
            if self.baseline is None:
                raise expected("baseline", "a name, or an image", None)
            self._set("baseline_image", self.baseline)
            self._set("baseline", OTHER_IMAGE)
        if callable(self.baseline):
            check_call("baseline", self.baseline, "(image, seed)", None, 0)
        names = ("auto", *BASELINES, OTHER_IMAGE)
        if isinstance(self.baseline, str) and self.baseline not in names:
            raise unknown_name("baseline", str(self.baseline), names)
        if self.baseline == OTHER_IMAGE and self.baseline_image is None:
            raise InputError(
                f"the baseline {OTHER_IMAGE!r} is another image: give one (baseline_image, --baseline-image)"
            )
        if self.baseline_image is not None:
            if self.baseline not in ("auto", OTHER_IMAGE):
                raise InputError(
                    f"a baseline image goes with the baseline {OTHER_IMAGE!r} or 'auto'; got {self.baseline_name!r}"
                )
            self._set("baseline_image", load_image(self.baseline_image))

    def _check_numbers(self) -> None:
        self._set("alpha", number("alpha", self.alpha))
        if not 0 <= self.alpha < math.inf:
            raise InputError(f"alpha is a number of nats from 0 up; got {self.alpha}")
        self._set("per_token", truth_value("per_token", self.per_token))
        for name, least, what in (("per_token_words", 0, "0 (all) or more"), ("max_new_tokens", 1, "at least 1")):
            self._set(name, whole(name, getattr(self, name)))
            if getattr(self, name) < least:
                raise InputError(f"{name} is {what}; got {getattr(self, name)}")
        self._set("seed", whole("seed", self.seed))
        if not 0 <= self.seed <= LARGEST:
            raise InputError(f"seed is a whole number from 0 to 2**62; got {self.seed}")
        steps = STEPS if self.replay_steps is None else whole("replay_steps", self.replay_steps)
        if steps != 0:
            check_replay_steps(steps)
        self._set("replay_steps", steps)
        self._set("truth", _mask(self.truth))

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ExplainConfig:
        """The configuration with these options.

        Raises:
            InputError: an option that there is not, or see the class.
        """
        names = [one.name for one in fields(cls)]
        for name in options:
            if name not in names:
                raise unknown_name("option", name, names)
        return cls(**options)

    @cached_property
    def attribution(self) -> Method:
        """The method that makes the map."""
        from wherelook.attribution import find_method

        return find_method(self.method)

    @cached_property
    def chosen_settings(self) -> Any:
        """The method's settings: its preset's, changed by `settings`."""
        from wherelook.attribution import make_settings

        return make_settings(self.method, self.chosen_preset, self.settings)

    @property
    def method_name(self) -> str:
        """What a record calls the method."""
        from wherelook.attribution import method_name

        return method_name(self.method)

    @cached_property
    def chosen_metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        from wherelook.metrics import choose_metrics

        return choose_metrics(self.metrics)

    @property
    def baseline_name(self) -> str:
        """What a record calls the baseline."""
        return self.baseline if isinstance(self.baseline, str) else called(self.baseline)

    def baseline_of(self, name: str) -> str | Baseline:
        """What makes the baseline of this name: the function that was given, or its name."""
        own = callable(self.baseline) and name == self.baseline_name
        return cast("Baseline", self.baseline) if own else name

    @property
    def chosen_preset(self) -> str:
        """`preset`, or what is the method's where it is None."""
        from wherelook.attribution import split_method

        return split_method(self.method, self.preset)[1]

    @property
    def steps(self) -> int:
        """`replay_steps` as a number."""
        return cast(int, self.replay_steps)

    @property
    def words(self) -> str:
        """`tokens` as text."""
        return cast(str, self.tokens)

    @property
    def other_image(self) -> LoadedImage | None:
        """`baseline_image`, loaded."""
        return cast("LoadedImage | None", self.baseline_image)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """`truth` as an array."""
        return cast("NDArray[np.bool_] | None", self.truth)

    def chat(self, own: ChatOptions) -> ChatOptions:
        """The chat around the question: the model's `own` options, but for what is chosen here."""
        names = ("think", "system", "chat_template_kwargs", "max_thinking_tokens")
        return own.changed(**{name: getattr(self, name) for name in names})

    def check_with(self, model: Model, images: Sequence[LoadedImage]) -> None:
        """What goes with some models and images alone.

        Raises:
            InputError: the method needs more than an endpoint tells; or `truth` is no mask of the only image.
        """
        from wherelook.attribution import check_forward_only

        if model.forward_only:
            check_forward_only(self.method)
        if self.mask is None:
            return
        if len(images) > 1:
            raise InputError(f"a ground-truth mask goes with one image; got {len(images)} images")
        size = images[0].size
        if self.mask.shape != size or self.mask.dtype != bool or not self.mask.any():
            raise InputError(
                f"the ground-truth mask must be boolean of shape {size} with at least one True; "
                f"got {self.mask.dtype} of shape {self.mask.shape}"
            )

    @property
    def record(self) -> dict[str, Any]:
        """All of it as plain values for JSON: of functions their names, of an image its file and SHA-256, of a mask the
        number of its pixels and their SHA-256.
        """
        from wherelook.attribution import Method
        from wherelook.metrics import metric_name

        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        other, mask = self.other_image, self.mask
        function = self.method if callable(self.method) and not isinstance(self.method, Method) else None
        return plain | {
            "method": self.method_name,
            "preset": self.chosen_preset,
            "function": None if function is None else _place(function),
            "settings": dict(self.settings or {}),
            "baseline": self.baseline_name,
            "metrics": [metric_name(one) for one in self.metrics],
            "baseline_image": None if other is None else {"path": other.path, "sha256": other.sha256},
            "truth": None
            if mask is None
            else {"pixels": int(mask.sum()), "sha256": hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()},
        }


def check_replay_steps(replay_steps: int) -> None:
    """Raises InputError unless curves of so many steps can be made."""
    if not 2 <= replay_steps <= STEPS_LIMIT:
        raise InputError(f"replay steps are 0 (no replay) or at least 2 and at most {STEPS_LIMIT}; got {replay_steps}")


def _place(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"


def _several(value: Any) -> tuple[MetricLike, ...]:
    """A list, or one for a list of it alone."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _words(value: Any) -> str:
    """Words to explain, as text: each item of a list is a word, or a phrase, which then stands in quotes."""
    if isinstance(value, list | tuple) and value and all(isinstance(word, str) for word in value):
        named = [*value] in (["auto"], ["all"])  # a word of the answer, and not the rule of this name
        value = " ".join(
            f'"{word}"' if '"' not in word and (named or len(word.split()) > 1) else word for word in value
        )
    if not isinstance(value, str):
        raise expected("tokens", "'auto', 'all', or words of the answer as text or as a list", value)
    return str(value)


def _changes(value: Any) -> dict[str, str | float]:
    if not isinstance(value, Mapping):
        raise expected("settings", "a mapping such as {'iterations': 8}", value)
    changes: dict[str, str | float] = {}
    for name, new in value.items():
        if not isinstance(name, str):
            raise expected("a setting's name", "text", name)
        if isinstance(new, np.generic):
            new = new.item()  # noqa: PLW2901
        if not isinstance(new, str | bool | int | float) or (isinstance(new, int) and abs(new) > LARGEST):
            raise expected(f"setting {name}", "text, a number, True or False", new)
        changes[name] = new
    return changes


def _mask(value: Any) -> NDArray[np.bool_] | None:
    import torch

    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy() if value.dtype == torch.bool else value
    if not isinstance(value, np.ndarray):
        raise expected("truth", "a boolean array (height, width)", value)
    return value
