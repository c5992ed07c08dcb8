"""One explanation, end to end: ask, attribute, measure, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from os import PathLike
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from wherelook.answer import DEFAULT, AnsweredQuestion, Relevance, ask
from wherelook.arguments import FLIP_FLOOR, expected
from wherelook.attribution import FALLBACK, METHODS, make_settings, plain_settings
from wherelook.attribution.grids import superpixels
from wherelook.canvas import Size
from wherelook.config import AUTO_BASELINES, ExplainConfig
from wherelook.cost import Meter, add_costs, telling
from wherelook.data.images import ImageSource, load_images
from wherelook.errors import InputError
from wherelook.explanation import Explanation, TokenMap
from wherelook.explanation.per_image import image_parts
from wherelook.explanation.picture import OUTLINE_LEVEL
from wherelook.explanation.record import Curve
from wherelook.explanation.versions import versions
from wherelook.metrics import ImageShare, MapContext, image_shares, measure_map, top_area
from wherelook.metrics.answer_change import HALVINGS
from wherelook.metrics.context import SUPERPIXEL_READS
from wherelook.metrics.deletion_insertion import Replay, doubts, replay_grid, unexplained_word
from wherelook.models import Model, ModelScore, VisionLanguageModel, load_model
from wherelook.models.huggingface.given import take_model
from wherelook.models.score_cache import ScoreMemory
from wherelook.models.turns import in_turn
from wherelook.models.zoo import default_model
from wherelook.score import Attribution, Progress, Status
from wherelook.tokens import holds_words, selected_words

MAP_STAGE, WORDS_STAGE, REPLAY_STAGE = "map", "maps of words", "replay"
"""What `progress` is told about."""

SUPERPIXELS = 64
"""Of the image, for the metrics that replay a map by them."""

FALLBACK_AREA = 0.125
"""Share of the area that the map of a weak gap ranks first, and whose loss must tell."""

NO_REGION = "the method found no region whose removal changes the answer: try another method or --baseline mean"


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
        self.model: Model
        if isinstance(model, Model):
            self.model = model
        elif processor is None:
            take_model(model)  # says more where that is no model either
            raise InputError("Explainer(model, processor) needs the model's processor: AutoProcessor.from_pretrained")
        else:
            self.model = VisionLanguageModel(model, processor, **options)

    @classmethod
    def from_pretrained(cls, name: str | PathLike[str] | None = None, **options: Any) -> Explainer:
        """Loads a hub id, a local folder, or a model that comes with wherelook; or asks an endpoint by its address.

        Args:
            name: which model; an address such as http://localhost:8000/v1; None takes `photos`, the small model for
                photographs.
            options: see `wherelook.models.load_model`.

        Raises:
            InputError: no such model, or it cannot be loaded; the message says what to do.
        """
        return cls(load_model(default_model() if name is None else name, **options))

    def explain(
        self,
        image: ImageSource | Sequence[ImageSource],
        question: str,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> Explanation:
        """Shows which regions of `image` the answer to `question` came from.

        Args:
            image: a file, a PIL image, or an array (height, width, 3); or a list of them, which the prompt shows in
                this order before the question (see `Explanation.images`).
            question: what to ask.
            progress: called as progress(stage, done, total) with passes of the model, after each batch of them.
            options: the fields of `ExplainConfig`: answer, method, preset, tokens, baseline, per_token, seed and more.

        Returns:
            The explanation. When its status is not "ok" the heatmap is all zeros, and `reason` says why. The answer of
            a thinking model is explained given its thought, which is in `reasoning`.

        Raises:
            InputError: bad input: an unreadable image, an empty question, an unknown name, more images than the model
                takes in a prompt.
            UnfinishedThoughtError: a thought does not come to its end within max_thinking_tokens.
            WherelookError: the model failed: logits that are not finite, or memory that does not suffice.
        """
        return explain(self.model, image, question, ExplainConfig.of(options), progress=progress)

    def relevance(self, image: ImageSource | Sequence[ImageSource], question: str, **options: Any) -> Relevance:
        """Which words of the answer are visually grounded, without a map.

        It costs the answer and two passes, for the image and a baseline; with the baseline "auto" one more for each
        that is tried because the blur shows no grounded word, five at most, and a second answer where none shows one.
        Arguments and errors are those of `explain`.
        """
        config = ExplainConfig.of(options)
        images = load_images(image)
        with self.model.evaluation():
            return ask(self.model, images, question, config).relevance


def explain(
    model: Model,
    image: ImageSource | Sequence[ImageSource],
    question: str,
    config: ExplainConfig = DEFAULT,
    *,
    progress: Progress | None = None,
) -> Explanation:
    """See `Explainer.explain`; the whole path is `ask`, then `attribute`, `measure` and `result`."""
    if progress is not None and not callable(progress):
        raise expected("progress", "a function progress(stage, done, total)", progress)
    images = load_images(image)
    config.check_with(model, images)
    with model.evaluation():
        return explain_answer(ask(model, images, question, config), config, progress=progress)


@in_turn
def explain_answer(
    answered: AnsweredQuestion,
    config: ExplainConfig,
    *,
    human: Float[np.ndarray, "height width"] | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """The explanation of an answered question by one method. Threads that use one model wait for each other.

    Args:
        answered: from `ask`; several methods can share it.
        config: its method, preset, settings, per_token, per_token_words, truth, metrics, replay_steps and seed are
            followed.
        human: (height, width) of the image, where people looked, for the metrics that compare with it.
        progress: as in `Explainer.explain`.
    """
    config.check_with(answered.model, answered.images)
    meter = Meter(answered.model)
    found = attribute(answered, config, meter, progress)
    measured = measure(answered, found, config, human, progress) if found.status == "ok" else Measured()
    return result(answered, config, found, measured, add_costs(answered.cost, meter.read()))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a method found: the status, the map (zeros where there is none) and what made it, maps of tokens, cost."""

    status: Status
    reason: str
    saliency: Tensor
    attribution: Attribution | None = None
    fallback: str | None = None
    token_maps: tuple[TokenMap, ...] = ()
    notes: tuple[str, ...] = ()
    cost: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of a map, the curves behind them, the shares of several images, and what to know about them."""

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    shares: tuple[ImageShare, ...] = ()
    notes: tuple[str, ...] = ()


def attribute(answered: AnsweredQuestion, config: ExplainConfig, meter: Meter, progress: Progress | None) -> Found:
    """The map of the selected tokens, and of each; occlusion's where the score gap is too small for the method."""
    status, reason, cost = answered.relevance.status, answered.relevance.reason, meter.read()
    found: Attribution | None = None
    if status == "ok":
        found, token_maps, notes, cost = _by_method(answered, config, meter, progress)
        if found.saliency.any():
            notes += found.notes
            return Found(
                status=status,
                reason=reason,
                saliency=found.saliency,
                attribution=found,
                token_maps=token_maps,
                notes=notes,
                cost=cost,
            )
        status, reason = "weak_gap", NO_REGION
    if status == "weak_gap":
        found, lost = _by_occlusion(answered, config.seed)
        reason = f"{reason}; {lost}" if lost else reason
    return Found(
        status=status,
        reason=reason,
        saliency=torch.zeros(replay_grid(answered.image.size)) if found is None else found.saliency,
        attribution=found,
        fallback=None if found is None else FALLBACK,
        notes=() if found is None else found.notes,
        cost=cost,
    )


def measure(
    answered: AnsweredQuestion,
    found: Found,
    config: ExplainConfig,
    human: Float[np.ndarray, "height width"] | None,
    progress: Progress | None,
) -> Measured:
    """The metrics: deletion and insertion with the optimizer's baseline and with one it never saw, localization where
    the truth is known, and what else was asked for; and the shares of several images.
    """
    metrics = {name: one for name, one in config.chosen_metrics.items() if config.steps or one.level != "replay"}
    replayed = any(one.level == "replay" for one in metrics.values())
    context = map_context(answered, found.saliency, config, human)
    shares = image_shares(context.score, seed=config.seed)
    with telling(answered.model.cost, progress, REPLAY_STAGE, (4 * (config.steps - 1) + 1) * replayed):
        figures = measure_map(metrics, context)
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    if replayed:
        curves = (
            _curve(context.replay, answered.baseline, seen=True),
            _curve(context.unseen.replay, answered.unseen_baseline, seen=False),
        )
        words = [answered.relevance.tokens[position] for position in answered.selected]
        notes = unexplained_word(context.replay, found.saliency, words, outline=OUTLINE_LEVEL)
    return Measured(metrics=figures, curves=curves, shares=shares, notes=notes + doubts(figures, config.chosen_preset))


def map_context(
    answered: AnsweredQuestion,
    saliency: Tensor,
    config: ExplainConfig,
    human: Float[np.ndarray, "height width"] | None = None,
) -> MapContext:
    """What metrics may ask about a map of an answer."""
    score, words = answered.selected_score(), selected_words(answered.relevance.tokens)
    return MapContext(
        saliency=saliency,
        score=score,
        truth=config.mask,
        human=human,
        steps=config.steps,
        other_score=lambda: answered.against(score, answered.unseen_baseline),
        still_holds=lambda blended, mask: holds_words(answered.answer_to(cast(ModelScore, blended), mask), words),
        superpixels=lambda: superpixels(answered.guide, SUPERPIXELS).numpy(),
    )


def _curve(replayed: Replay, baseline: str, *, seen: bool) -> Curve:
    points = (replayed.fractions, replayed.deletion_curve, replayed.insertion_curve)
    fractions, deletion, insertion = (tuple(values.tolist()) for values in points)
    return Curve(baseline=baseline, seen=seen, fractions=fractions, deletion=deletion, insertion=insertion)


def result(
    answered: AnsweredQuestion, config: ExplainConfig, found: Found, measured: Measured, cost: Mapping[str, float]
) -> Explanation:
    """The record of all of it."""
    relevance, settings = answered.relevance, config.chosen_settings
    return Explanation(
        status=found.status,
        reason=found.reason,
        model=answered.model.description,
        execution=answered.model.execution,
        images=image_parts(answered.images, found.saliency, measured.shares),
        question=answered.question,
        answer=relevance.answer,
        tokens=relevance.tokens,
        reliance=asdict(relevance.reliance) | {"blind_answer": relevance.blind_answer},
        config=config.record | asdict(answered.chat),
        method={
            "parameters": plain_settings(settings),
            "fallback": found.fallback,
            "baseline": answered.baseline,
            "before_answer": answered.prompt.before,
            "objective": [] if found.attribution is None else list(found.attribution.trace),
            "cost": {name: found.cost[name] for name in ("forward", "backward", "seconds")},
        },
        metrics=measured.metrics,
        cost=cost,
        versions=versions(),
        curves=measured.curves,
        token_maps=found.token_maps,
        notes=answered.notes + found.notes + measured.notes,
        prompt=answered.prompt.text,
        reasoning=answered.reasoning,
    )


def _by_method(
    answered: AnsweredQuestion, config: ExplainConfig, meter: Meter, progress: Progress | None
) -> tuple[Attribution, tuple[TokenMap, ...], tuple[str, ...], dict[str, float]]:
    """The map of the selected tokens, maps of single tokens, a note about them, and what the first one cost."""
    method, score, settings = config.attribution, answered.selected_score(), config.chosen_settings
    run = partial(method.run, image=answered.guide, settings=settings, seed=config.seed)
    mapped, left = _mapped_tokens(answered, config.per_token_words) if config.per_token else ([], 0)
    # Methods whose masks are fixed are told of single tokens with the whole answer.
    memory = ScoreMemory(score, together=mapped if method.fixed_masks else ())
    announced = method.passes(settings, answered.image.size).forward
    with telling(answered.model.cost, progress, MAP_STAGE, announced):
        # A function of the user's announces nothing, and tells of its progress itself.
        own = progress if announced == 0 else None
        found = run(memory.select(answered.selected) if mapped else score, progress=own)
    cost = meter.read()
    if not found.saliency.any():
        return found, (), (), cost
    single = config.per_token and len(answered.selected) == 1  # its map is the whole answer's
    token_maps = [TokenMap(answered.selected[0], _array(found.saliency))] if single else []
    each = 0 if method.fixed_masks or method.forward_only else announced
    with telling(answered.model.cost, progress, WORDS_STAGE, each * len(mapped)):
        for position in mapped:
            saliency = run(memory.select([position])).saliency
            if saliency.any():
                token_maps.append(TokenMap(position, _array(saliency)))
    passes = int(meter.read()["forward"] - cost["forward"])
    return found, tuple(token_maps), _words_note(len(mapped), left, passes), cost


def _by_occlusion(answered: AnsweredQuestion, seed: int) -> tuple[Attribution | None, str]:
    """A map by occlusion where the score gap is too small for any method that lives on it, and what it shows.

    Losing the whole image may cost the words little because the baseline suggests them as well; losing one place may
    still cost them, because what is left then speaks against them. None where it does not.
    """
    score = answered.selected_score()
    found = METHODS[FALLBACK].run(score, answered.guide, make_settings(FALLBACK, "fast"), seed=seed)
    if not found.saliency.any():
        return None, ""
    without = score(1 - top_area(found.saliency, answered.canvas, FALLBACK_AREA)[None])
    lost = float(score.original.sum() - without.sum())
    if lost < FLIP_FLOOR:
        return None, ""
    one = len({token.word for token in answered.relevance.tokens if token.selected}) == 1
    return found, (
        f"the map is made by {FALLBACK} instead: without the {FALLBACK_AREA:.1%} of the area that it ranks first "
        f"{'the word loses' if one else 'the words lose'} {lost:.2f} nats"
    )


def _mapped_tokens(answered: AnsweredQuestion, most_words: int) -> tuple[list[int], int]:
    """Of several selected tokens those that are grounded themselves, and of how many words more there would be.

    One that was asked for by name may not be. Of more than `most_words` words (0: all) those that lose most.
    """
    if len(answered.selected) == 1:
        return [], 0
    tokens = answered.relevance.tokens
    words: dict[object, list[int]] = {}
    for position in answered.selected:
        if tokens[position].llr >= FLIP_FLOOR:
            word = tokens[position].word
            words.setdefault(("alone", position) if word is None else word, []).append(position)
    strongest = sorted(words.values(), key=lambda word: -sum(tokens[position].llr for position in word))
    kept = strongest[: most_words or None]
    return sorted(position for word in kept for position in word), len(strongest) - len(kept)


def _words_note(mapped: int, left: int, passes: int) -> tuple[str, ...]:
    """What the maps of single tokens took, and that there could be more."""
    if not left:
        return ()
    return (
        f"maps of {mapped} single tokens took {passes} forward passes more; {left} words that lose less have none:"
        " ask for more with --per-token-words (0: all)",
    )


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)


ASKING = 5
"""Requests for the answer, its tokens, the image, and the answer to the baseline with its tokens."""


def most_requests(config: ExplainConfig, size: Size) -> int:
    """The most requests that an explanation of an image of (height, width) sends to an endpoint, maps of single tokens
    apart.
    """
    baselines = len(AUTO_BASELINES) + (config.other_image is not None) if config.baseline == "auto" else 1
    for_map = config.attribution.passes(config.chosen_settings, size).forward
    fallback = METHODS[FALLBACK].passes(make_settings(FALLBACK, "fast"), size).forward + 1
    # Two curves with either of two baselines, the second baseline itself; superpixels, flip, keep, sufficient area.
    levels = {metric.level for metric in config.chosen_metrics.values()}
    measuring = (4 * (config.steps - 1) if config.steps and "replay" in levels else 0) + 1
    if "all" in levels:
        measuring += 2 * (SUPERPIXEL_READS - 1) + 2 + HALVINGS
    return ASKING + baselines + for_map + max(measuring, fallback)
