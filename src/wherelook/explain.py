"""One explanation, end to end: image and question in; answer, relevant words, map and honest figures out.

The whole path: `wherelook.answer.open_case` asks and finds the words that rest on the image, `explain_case` makes the
map and scores it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wherelook.answer import Case, Meter, Relevance, add_costs, open_case
from wherelook.attribution import METHODS, Method, check_forward_only, find_method, make_settings, method_name
from wherelook.config import ExplainConfig, MethodLike
from wherelook.data.images import ImageSource, LoadedImage, load_images
from wherelook.errors import InputError
from wherelook.explanation import Explanation, TokenMap
from wherelook.explanation.per_image import focus_of, image_parts
from wherelook.explanation.record import Curve
from wherelook.metrics import ImageShare, image_shares, top_area
from wherelook.metrics.deletion_insertion import STEPS, replay_grid
from wherelook.models import AnyModel, EndpointModel, VisionLanguageModel
from wherelook.models.endpoint.address import is_address
from wherelook.models.endpoint.client import Client
from wherelook.models.huggingface.given import take_model
from wherelook.models.load_options import known_options, model_name
from wherelook.models.score_cache import ScoreMemory
from wherelook.models.turns import in_turn
from wherelook.request import PER_TOKEN_WORDS
from wherelook.score import Attribution, Cost, Progress
from wherelook.scores import doubts, localize, replay_both
from wherelook.tokens import ALPHA, FLIP_FLOOR

MAP_STAGE, WORDS_STAGE, REPLAY_STAGE = "map", "maps of words", "replay"
"""What `progress` is told about."""

FALLBACK, FALLBACK_AREA = "occlusion", 0.125
"""What makes a map where the score gap is too small, and the share of the area whose loss must tell."""

NO_REGION = "the method found no region whose removal changes the answer: try --preset best or --baseline mean"


class Explainer:
    """Explains the answers of one model.

    Args:
        model: an image-text-to-text model of Transformers, a `VisionLanguageModel` or an `EndpointModel`.
        processor: the model's processor.
        options: passed to `VisionLanguageModel`.

    Example:
        >>> import wherelook
        >>> explainer = wherelook.Explainer.from_pretrained("embedded")
        >>> explainer.model.identifier
        'embedded'
    """

    def __init__(self, model: Any, processor: Any = None, **options: Any) -> None:
        self.model: AnyModel
        if isinstance(model, VisionLanguageModel | EndpointModel):
            self.model = model
        elif processor is None:
            take_model(model)  # says more where that is no model either
            raise InputError("Explainer(model, processor) needs the model's processor: AutoProcessor.from_pretrained")
        else:
            self.model = VisionLanguageModel(model, processor, **options)

    @classmethod
    def from_pretrained(cls, name: str | PathLike[str] = "embedded", **options: Any) -> Explainer:
        """Loads a hub id, a local folder, or the embedded model; or asks an endpoint by its address.

        Args:
            name: which model; an address such as http://localhost:8000/v1.
            options: device, dtype, revision, trust_remote_code, quantize, attn_implementation, batch_size,
                memory_limit, checkpointing, compile, prompt_template, frames_per_second; see
                `wherelook.models.huggingface.loading.load` and `VisionLanguageModel`. For an address: model_name,
                concurrency, timeout, retries; see `EndpointModel`.

        Raises:
            InputError: no such model, or it cannot be loaded; the message says what to do.
        """
        place = model_name(name)
        if is_address(place):
            valid = inspect.signature(EndpointModel).parameters.keys() | inspect.signature(Client).parameters.keys()
            return cls(EndpointModel(place, **known_options(options, valid - {"address", "options"})))
        return cls(VisionLanguageModel.from_pretrained(place, **options))

    def explain(
        self,
        image: ImageSource | Sequence[ImageSource],
        question: str,
        *,
        answer: str | None = None,
        method: MethodLike = "igos+",
        preset: str = "best",
        tokens: str | list[str] | tuple[str, ...] = "auto",
        baseline: str | ImageSource = "auto",
        baseline_image: ImageSource | None = None,
        alpha: float = ALPHA,
        per_token: bool = False,
        per_token_words: int = PER_TOKEN_WORDS,
        truth: NDArray[np.bool_] | Tensor | None = None,
        settings: Mapping[str, str | float] | None = None,
        replay_steps: int | None = None,
        max_new_tokens: int = 64,
        seed: int = 0,
        progress: Progress | None = None,
        reasoning: str | None = None,
        think: str | None = None,
        system: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        max_thinking_tokens: int | None = None,
    ) -> Explanation:
        """Shows which regions of `image` the answer to `question` came from.

        Args:
            image: a file, a PIL image, or an array (height, width, 3); or a list of them, which the prompt shows in
                this order before the question (see `Explanation.images`).
            question: what to ask.
            answer: the text to explain; None lets the model answer greedily.
            method: one of `wherelook methods`, or a function method(score, image, settings, *, seed, progress) that
                returns a map (rows, columns) of numbers from 0 up; see `wherelook.attribution.user_function`.
            preset: "best", "fast" (at most a quarter of the cost) or "paper" (its constants exactly).
            tokens: "auto" explains the words that rest on the image, "all" every word, else the words named, as text
                or as a list.
            baseline: what replaces a removed region: one of `wherelook.baselines.BASELINES`; "image" for
                `baseline_image`, or that image itself (but no text: that names a baseline); "auto" blurs, and takes the
                mean colour or a stronger blur if no word depends on what the blur removes.
            baseline_image: another image, as `image`, whose parts replace removed ones; it is resized. With the
                baseline "auto" it is taken only where no other shows a relevant word. It may hold the answer too.
            alpha: nats of likelihood that a word must lose with the baseline to count as visually relevant.
            per_token: also a map for every selected token that loses at least 0.2 nats itself. Occlusion, strips and
                RISE make them from what the whole-answer map took; other methods spend more, see docs/metrics.md.
            per_token_words: of how many words at most, those that lose most; 0 for all. A note says what it took.
            truth: (height, width) boolean mask of the region that holds the evidence, for the localisation metrics;
                with one image only.
            settings: constants of the method to change, by name.
            replay_steps: points of the deletion and insertion curves, the same for every preset: figures of
                different numbers do not compare. None takes 50; 0 skips the replay.
            max_new_tokens: longest answer to generate.
            seed: of everything random.
            progress: called as progress(stage, done, total) with passes of the model, after each batch of them.
            reasoning: for a model that thinks before it answers: the thought after which the answer comes, "" for an
                empty one. With its closing mark in it, it is taken to the letter. None lets the model think.
            think: "on" or "off" for models that have a switch; None leaves it to the model's chat template.
            system: text of a system message before the question.
            chat_template_kwargs: variables of the chat template, such as {"enable_thinking": False}.
            max_thinking_tokens: longest thought; None for the model's option, which is 4096 by default.

        Returns:
            The explanation. When its status is not "ok" the heatmap is all zeros, and `reason` says why. The answer of
            a thinking model is explained given its thought, which is in `reasoning`.

        Raises:
            InputError: bad input: an unreadable image, an empty question, an unknown name, more images than the model
                takes in a prompt.
            UnfinishedThoughtError: a thought does not come to its end within max_thinking_tokens.
            WherelookError: the model failed: logits that are not finite, or memory that does not suffice.
        """
        config = ExplainConfig(
            question,
            answer=answer,
            method=method,
            preset=preset,
            tokens=tokens,
            baseline=baseline,
            baseline_image=baseline_image,
            alpha=alpha,
            per_token=per_token,
            per_token_words=per_token_words,
            truth=truth,
            settings=settings,
            replay_steps=replay_steps,
            max_new_tokens=max_new_tokens,
            seed=seed,
            progress=progress,
            reasoning=reasoning,
            think=think,
            system=system,
            chat_template_kwargs=chat_template_kwargs,
            max_thinking_tokens=max_thinking_tokens,
        )
        _check_method(self.model, config.method)
        loaded = load_images(image)
        _check_truth(config.mask, loaded)
        with self.model.evaluation():
            case = open_case(self.model, loaded, config.question, **config.asking(self.model.chat))
            return explain_case(
                case,
                method=config.method,
                preset=config.preset,
                settings=config.chosen_settings,
                overrides=config.settings,
                per_token=config.per_token,
                per_token_words=config.per_token_words,
                truth=config.mask,
                replay_steps=config.replay_steps,
                seed=config.seed,
                progress=config.progress,
            )

    def relevance(
        self,
        image: ImageSource | Sequence[ImageSource],
        question: str,
        *,
        answer: str | None = None,
        tokens: str | list[str] | tuple[str, ...] = "auto",
        baseline: str | ImageSource = "auto",
        baseline_image: ImageSource | None = None,
        alpha: float = ALPHA,
        max_new_tokens: int = 64,
        seed: int = 0,
        reasoning: str | None = None,
        think: str | None = None,
        system: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        max_thinking_tokens: int | None = None,
    ) -> Relevance:
        """Which words of the answer rest on the image, without a map.

        It costs the answer and two passes, for the image and a baseline; with the baseline "auto" one more for each
        that is tried because the blur shows no relevant word, five at most, and a second answer where none shows one.
        Arguments and errors are those of `explain`.
        """
        config = ExplainConfig(
            question,
            answer=answer,
            tokens=tokens,
            baseline=baseline,
            baseline_image=baseline_image,
            alpha=alpha,
            max_new_tokens=max_new_tokens,
            seed=seed,
            reasoning=reasoning,
            think=think,
            system=system,
            chat_template_kwargs=chat_template_kwargs,
            max_thinking_tokens=max_thinking_tokens,
        )
        loaded = load_images(image)
        with self.model.evaluation():
            return open_case(self.model, loaded, config.question, **config.asking(self.model.chat)).relevance


@in_turn
def explain_case(
    case: Case,
    *,
    method: MethodLike = "igos+",
    preset: str = "best",
    settings: Any = None,
    overrides: Mapping[str, str | float] | None = None,
    per_token: bool = False,
    per_token_words: int = PER_TOKEN_WORDS,
    truth: NDArray[np.bool_] | None = None,
    replay_steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """The map of an answered question by one method. Threads that use one model wait for each other.

    Args:
        case: from `open_case`; several methods can share it.
        settings: of the method; None makes them from `preset` and `overrides`.
        method, preset, overrides, per_token, per_token_words, truth, replay_steps, seed, progress: as in
            `Explainer.explain`.
    """
    chosen = make_settings(method, preset, overrides) if settings is None else settings
    _check_method(case.model, method)
    steps = STEPS if replay_steps is None else replay_steps
    meter = Meter(case.model)
    attributing = find_method(method)
    run = partial(attributing.run, settings=chosen, seed=seed)
    relevance = case.relevance
    attribution, focus = None, None
    shares: tuple[ImageShare, ...] = ()
    token_maps: tuple[TokenMap, ...] = ()
    curves: tuple[Curve, ...] = ()
    metrics: dict[str, float | None] = {}
    hidden: tuple[str, ...] = ()
    map_cost = meter.read()
    words_note: tuple[str, ...] = ()

    if relevance.status == "ok":
        score = case.selected_score()
        mapped, left = _mapped_tokens(case, per_token_words) if per_token else ([], 0)
        memory = ScoreMemory(score, together=mapped if attributing.fixed_masks else ())
        announced = attributing.passes(chosen, case.image.size).forward
        told = partial(_telling, case.model.cost, progress)
        with told(MAP_STAGE, announced):
            attribution = run(
                memory.select(case.selected) if mapped else score,
                case.guide,
                progress=progress if announced == 0 else None,  # a function of the user's announces nothing
            )
        map_cost = meter.read()
        saliency = attribution.saliency
        if saliency.any():
            focus = focus_of(case.images, saliency)
            shares = image_shares(score, seed=seed)
            if per_token and len(case.selected) == 1:  # its map is the whole answer's
                token_maps = (TokenMap(case.selected[0], _array(saliency)),)
            # Methods whose masks are fixed or need no gradient were told of single tokens with the whole answer.
            each = 0 if attributing.fixed_masks or attributing.forward_only else announced
            with told(WORDS_STAGE, each * len(mapped)):
                token_maps += tuple(_token_maps(memory, mapped, partial(run, image=case.guide)))
            words_note = _words_note(mapped, left, int(meter.read()["forward"] - map_cost["forward"]))
            if steps:
                with told(REPLAY_STAGE, 4 * (steps - 1) + 1):
                    curves, metrics, hidden = replay_both(case, score, saliency, steps)
            if truth is not None:
                metrics |= localize(saliency, truth)
        else:
            relevance = replace(relevance, status="weak_gap", reason=NO_REGION)
    fallback = None
    if relevance.status == "weak_gap":
        attribution, relevance = _complementary(case, relevance, seed)
        if attribution is not None:
            fallback = FALLBACK
            focus = focus_of(case.images, attribution.saliency)

    saliency = (
        torch.zeros(replay_grid(case.image.size), dtype=torch.float32) if attribution is None else attribution.saliency
    )
    height, width = case.image.size
    return Explanation(
        status=relevance.status,
        reason=relevance.reason,
        model=case.model.description,
        execution=case.model.execution,
        image={"path": case.image.path, "width": width, "height": height, "sha256": case.image.sha256},
        question=case.question,
        answer=relevance.answer,
        tokens=relevance.tokens,
        reliance=asdict(relevance.reliance) | {"blind_answer": relevance.blind_answer},
        method={
            "name": method_name(method),
            **_own_function(method),
            "fallback": fallback,
            "preset": preset,
            "parameters": dict(chosen) if isinstance(chosen, Mapping) else asdict(chosen),
            "overrides": dict(overrides or {}),
            "tokens": case.tokens,
            "answer_given": case.answer_given,
            "reasoning_given": case.reasoning_given,
            "before_answer": case.prompt.before,
            "max_new_tokens": case.max_new_tokens,
            **asdict(case.chat),
            "baseline": case.baseline,
            "baseline_image": _named_image(case.baseline_image),
            "replay_steps": steps,
            "per_token_words": per_token_words if per_token else None,
            "seed": seed,
            "objective": [] if attribution is None else list(attribution.trace),
            "cost": {name: map_cost[name] for name in ("forward", "backward", "seconds")},
        },
        heatmap=_array(saliency),
        focus=focus,
        metrics=metrics,
        cost=add_costs(case.cost, meter.read()),
        versions=versions(),
        pixels=case.image.pixels,
        curves=curves,
        token_maps=token_maps,
        notes=case.notes
        + words_note
        + (() if attribution is None else attribution.notes)
        + hidden
        + doubts(metrics, preset),
        images=image_parts(case.images, saliency, shares),
        prompt=case.prompt.text,
        reasoning=case.reasoning,
    )


def _complementary(case: Case, relevance: Relevance, seed: int) -> tuple[Attribution | None, Relevance]:
    """A map by occlusion where the score gap is too small for any method that lives on it, and the reason with it.

    Losing the whole image may cost the words little because the baseline suggests them as well; losing one place may
    still cost them, because what is left then speaks against them. None where it does not.
    """
    score = case.selected_score()
    attribution = METHODS[FALLBACK].run(score, case.guide, make_settings(FALLBACK, "fast"), seed=seed)
    if not attribution.saliency.any():
        return None, relevance
    without = score(1 - top_area(attribution.saliency, case.canvas, FALLBACK_AREA)[None])
    lost = float(score.original.sum() - without.sum())
    if lost < FLIP_FLOOR:
        return None, relevance
    words = (
        "the word loses" if len({token.word for token in relevance.tokens if token.selected}) == 1 else "the words lose"
    )
    reason = (
        f"{relevance.reason}; the map is made by {FALLBACK} instead: without the {FALLBACK_AREA:.1%} of the area that "
        f"it ranks first {words} {lost:.2f} nats"
    )
    return attribution, replace(relevance, reason=reason)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("wherelook", "torch", "transformers", "pillow", "numpy")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def _own_function(method: MethodLike) -> dict[str, str]:
    """Where a method that is the user's own function comes from; a record tells it beside its name."""
    if isinstance(method, str | Method):
        return {}
    return {"function": f"{getattr(method, '__module__', '')}.{getattr(method, '__qualname__', type(method).__name__)}"}


def _check_method(model: AnyModel, method: MethodLike) -> None:
    if isinstance(model, EndpointModel):
        check_forward_only(method)


def _mapped_tokens(case: Case, most_words: int) -> tuple[list[int], int]:
    """Of several selected tokens those that rest on the image themselves, and of how many words more there would be.

    One that was asked for by name may not rest on it. Of more than `most_words` words (0: all) those that lose most.
    """
    if len(case.selected) == 1:
        return [], 0
    tokens = case.relevance.tokens
    words: dict[object, list[int]] = {}
    for position in case.selected:
        if tokens[position].llr >= FLIP_FLOOR:
            word = tokens[position].word
            words.setdefault(("alone", position) if word is None else word, []).append(position)
    strongest = sorted(words.values(), key=lambda word: -sum(tokens[position].llr for position in word))
    kept = strongest[: most_words or None]
    return sorted(position for word in kept for position in word), len(strongest) - len(kept)


def _words_note(mapped: Sequence[int], left: int, passes: int) -> tuple[str, ...]:
    """What the maps of single tokens took, and that there could be more."""
    if not left:
        return ()
    return (
        f"maps of {len(mapped)} single tokens took {passes} forward passes more; {left} words that lose less have none:"
        " ask for more with --per-token-words (0: all)",
    )


@contextlib.contextmanager
def _telling(cost: Cost, progress: Progress | None, stage: str, passes: int) -> Iterator[None]:
    """Inside, `progress` is told of every pass, of `passes` at most."""
    if progress is None or passes == 0:
        yield
        return
    before = cost.of_this_thread().forward
    progress(stage, 0, passes)
    with cost.watched(lambda: progress(stage, min(cost.of_this_thread().forward - before, passes), passes)):
        yield
    progress(stage, passes, passes)


def _token_maps(memory: ScoreMemory, positions: Sequence[int], run: Callable[..., Attribution]) -> Iterator[TokenMap]:
    """A map of each of these tokens that has one."""
    for position in positions:
        saliency = run(memory.select([position])).saliency
        if saliency.any():
            yield TokenMap(position, _array(saliency))


def _named_image(image: LoadedImage | None) -> dict[str, str | None] | None:
    return None if image is None else {"path": image.path, "sha256": image.sha256}


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)


def _check_truth(truth: NDArray[np.bool_] | None, images: Sequence[LoadedImage]) -> None:
    if truth is None:
        return
    if len(images) > 1:
        raise InputError(f"a ground-truth mask goes with one image; got {len(images)} images")
    size = images[0].size
    if truth.shape != size or truth.dtype != bool or not truth.any():
        raise InputError(
            f"the ground-truth mask must be boolean of shape {size} with at least one True; "
            f"got {truth.dtype} of shape {truth.shape}"
        )
