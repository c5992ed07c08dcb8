"""One explanation, end to end: image and question in; answer, relevant words, map and honest figures out.

The whole path is `Explainer.explain`, top to bottom.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wherelook.attribution import METHODS, make_settings
from wherelook.baselines import UNSEEN, make_baseline
from wherelook.data.images import LoadedImage, load_image
from wherelook.explanation import Explanation, Focus, TokenMap
from wherelook.explanation.record import Curve
from wherelook.metrics import energy, focus_box, peak, pointing, replay, roc_area
from wherelook.metrics.replay import STEPS, replay_grid
from wherelook.models import VisionLanguageModel
from wherelook.models.hf import Prompt
from wherelook.models.memory import PeakMemory
from wherelook.models.scoring import HuggingFaceScore
from wherelook.request import AUTO_BASELINES, check_request
from wherelook.tokens import ALPHA, FLIP_FLOOR, Reliance, judge, measure_reliance, select
from wherelook.types import Attribution, InputError, Progress, Size, Status, Token, WherelookError

REPLAY_STEPS = {"best": STEPS, "paper": STEPS, "fast": STEPS // 4}

REPLAY_FIGURES = ("deletion", "insertion", "deletion_normalized", "insertion_normalized")


@dataclass(frozen=True)
class Relevance:
    """Whether an answer rests on the image, before any map is made.

    Attributes:
        status, reason, tokens, reliance: as in `Explanation`.
        answer: the text.
    """

    status: Status
    reason: str
    answer: str
    tokens: tuple[Token, ...]
    reliance: Reliance


@dataclass(frozen=True)
class _Case:
    """An answer ready to be explained."""

    image: LoadedImage
    prompt: Prompt
    relevance: Relevance
    score: HuggingFaceScore  # of all tokens, against the baseline named in the reliance
    notes: tuple[str, ...]

    def without_region(self) -> _Case:
        """The case after an optimiser that never moved its mask."""
        reason = "the optimiser found no region whose removal changes the answer: try --preset best or --baseline mean"
        return replace(self, relevance=replace(self.relevance, status="weak_gap", reason=reason))

    @property
    def selected(self) -> list[int]:
        return [index for index, token in enumerate(self.relevance.tokens) if token.selected]


class Explainer:
    """Explains the answers of one model.

    Args:
        model: an image-text-to-text model of Transformers, or a `VisionLanguageModel`.
        processor: the model's processor.
        options: passed to `VisionLanguageModel`.

    Example:
        >>> import wherelook
        >>> explainer = wherelook.Explainer.from_pretrained("embedded")
        >>> explainer.model.identifier
        'embedded'
    """

    def __init__(self, model: Any, processor: Any = None, **options: Any) -> None:
        if isinstance(model, VisionLanguageModel):
            self.model = model
        elif processor is None:
            raise InputError("Explainer(model, processor) needs the model's processor")
        else:
            self.model = VisionLanguageModel(model, processor, **options)

    @classmethod
    def from_pretrained(cls, name: str = "embedded", **options: Any) -> Explainer:
        """Loads a hub id, a local folder, or the embedded model.

        Args:
            name: which model.
            options: device, dtype, revision, trust_remote_code, batch_size, memory_limit, prompt_template; see
                `wherelook.models.loading.load` and `VisionLanguageModel`.

        Raises:
            InputError: no such model, or it cannot be loaded; the message says what to do.
        """
        return cls(VisionLanguageModel.from_pretrained(name, **options))

    def explain(
        self,
        image: str | Path | Image.Image | NDArray,
        question: str,
        *,
        answer: str | None = None,
        method: str = "igos+",
        preset: str = "best",
        tokens: str = "auto",
        baseline: str = "auto",
        alpha: float = ALPHA,
        per_token: bool = False,
        truth: NDArray[np.bool_] | None = None,
        settings: Mapping[str, str | float] | None = None,
        replay_steps: int | None = None,
        max_new_tokens: int = 64,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Explanation:
        """Shows which regions of `image` the answer to `question` came from.

        Args:
            image: a file, a PIL image, or an array (height, width, 3).
            question: what to ask.
            answer: the text to explain; None lets the model answer greedily.
            method: one of `wherelook methods`.
            preset: "best", "fast" (at most a quarter of the cost) or "paper" (its constants exactly).
            tokens: "auto" explains the words that rest on the image, "all" every word, else the words named.
            baseline: what replaces a removed region: one of `wherelook.baselines.BASELINES`; "auto" blurs, and takes
                the mean colour if no word depends on what the blur removes.
            alpha: nats of likelihood that a word must lose with the baseline to count as visually relevant.
            per_token: also a map for every selected token that loses at least 0.2 nats itself, each at the cost of the
                whole-answer map.
            truth: (height, width) boolean mask of the region that holds the evidence, for the localisation metrics.
            settings: constants of the method to change, by name.
            replay_steps: points of the deletion and insertion curves; 0 skips them; None takes the preset's.
            max_new_tokens: longest answer to generate.
            seed: of everything random.
            progress: called as progress(stage, done, total).

        Returns:
            The explanation. When its status is not "ok" the heatmap is all zeros, and `reason` says why.

        Raises:
            InputError: bad input: an unreadable image, an empty question, an unknown name.
            WherelookError: the model failed: logits that are not finite, or memory that does not suffice.
        """
        chosen = make_settings(method, preset, settings)
        steps = REPLAY_STEPS[preset] if replay_steps is None else replay_steps
        check_request(
            question,
            answer=answer,
            baseline=baseline,
            alpha=alpha,
            max_new_tokens=max_new_tokens,
            replay_steps=steps,
        )
        loaded = load_image(image)
        _check_truth(truth, loaded.size)
        meter = _Meter(self.model)
        run = partial(METHODS[method].run, settings=chosen, seed=seed)
        attribution, focus = None, None
        token_maps: tuple[TokenMap, ...] = ()
        curves: tuple[Curve, ...] = ()
        metrics: dict[str, float | None] = {}

        with self.model.evaluation():
            case = self._case(loaded, question, answer, tokens, baseline, alpha, max_new_tokens, seed)
            if case.relevance.status == "ok":
                guide = torch.from_numpy(case.image.pixels).permute(2, 0, 1) / 255
                score = case.score.select(case.selected)
                attribution = run(score, guide, progress=progress)
                case = case if attribution.saliency.any() else case.without_region()
            if attribution is not None and case.relevance.status == "ok":
                saliency = attribution.saliency
                focus = Focus(focus_box(saliency, case.image.size), peak(saliency, case.image.size))
                if per_token:
                    token_maps = tuple(_token_maps(case, partial(run, image=guide), attribution))
                if steps:
                    curves, metrics = self._replay(case, score, saliency, steps, seed)
                if truth is not None:
                    metrics |= localize(saliency, truth)

        relevance = case.relevance
        height, width = case.image.size
        return Explanation(
            status=relevance.status,
            reason=relevance.reason,
            model=self.model.description,
            image={"path": case.image.path, "width": width, "height": height, "sha256": case.image.sha256},
            question=question,
            answer=relevance.answer,
            tokens=relevance.tokens,
            reliance=asdict(relevance.reliance),
            method={
                "name": method,
                "preset": preset,
                "parameters": asdict(chosen),
                "overrides": dict(settings or {}),
                "tokens": tokens,
                "answer_given": answer is not None,
                "baseline": relevance.reliance.baseline,
                "replay_steps": steps,
                "seed": seed,
                "objective": [] if attribution is None else list(attribution.trace),
            },
            heatmap=_array(torch.zeros(replay_grid(case.image.size)) if attribution is None else attribution.saliency),
            focus=focus,
            metrics=metrics,
            cost=meter.read(),
            versions=versions(),
            pixels=case.image.pixels,
            curves=curves,
            token_maps=token_maps,
            notes=case.notes,
        )

    def relevance(
        self,
        image: str | Path | Image.Image | NDArray,
        question: str,
        *,
        answer: str | None = None,
        tokens: str = "auto",
        baseline: str = "auto",
        alpha: float = ALPHA,
        max_new_tokens: int = 64,
        seed: int = 0,
    ) -> Relevance:
        """Which words of the answer rest on the image, without a map: the cost of the answer and two to three passes.

        Arguments and errors are those of `explain`.
        """
        check_request(question, answer=answer, baseline=baseline, alpha=alpha, max_new_tokens=max_new_tokens)
        with self.model.evaluation():
            return self._case(
                load_image(image), question, answer, tokens, baseline, alpha, max_new_tokens, seed
            ).relevance

    def _case(
        self,
        loaded: LoadedImage,
        question: str,
        answer: str | None,
        wanted: str,
        baseline: str,
        alpha: float,
        max_new_tokens: int,
        seed: int,
    ) -> _Case:
        """Asks, and finds the words to explain, by the first baseline that shows any."""
        prompt = self.model.encode(loaded.picture, question)
        if answer is None:
            ids = self.model.generate(prompt, max_new_tokens=max_new_tokens)
        else:
            ids = self.model.tokenize_answer(prompt, answer)
        notes = loaded.notes + self._geometry_notes(loaded, seed)

        cases: list[_Case] = []
        for name in AUTO_BASELINES if baseline == "auto" else (baseline,):
            picture = self._baseline_image(loaded, name, seed)
            if not cases:
                score = self.model.score(prompt, picture, ids)
            else:
                score = cases[0].score.with_baseline(self.model.pixels(prompt, picture))
            relevance = self._judge(score, ids, wanted, name, alpha)
            cases.append(_Case(loaded, prompt, relevance, score, notes))
            if relevance.reliance.relevant_words:
                return cases[-1]
        return cases[0]

    def _judge(
        self, score: HuggingFaceScore, ids: tuple[int, ...], wanted: str, baseline: str, alpha: float
    ) -> Relevance:
        tokens = select(
            self.model.pieces(ids),
            ids,
            score.original.tolist(),
            score.baseline.tolist(),
            score.flips(),
            special=self.model.special(ids),
            wanted=wanted,
            alpha=alpha,
        )
        reliance = measure_reliance(tokens, alpha=alpha, baseline=baseline)
        status, reason = judge(tokens, reliance, wanted)
        return Relevance(status, reason, self.model.decode(ids).strip(), tokens, reliance)

    def _replay(
        self, case: _Case, score: HuggingFaceScore, saliency: Tensor, steps: int, seed: int
    ) -> tuple[tuple[Curve, ...], dict[str, float | None]]:
        """Deletion and insertion with the optimiser's baseline, then with one it never saw."""
        seen = case.relevance.reliance.baseline
        unseen = UNSEEN[seen]
        other = score.with_baseline(self.model.pixels(case.prompt, self._baseline_image(case.image, unseen, seed)))
        curves: list[Curve] = []
        metrics: dict[str, float | None] = {}
        for name, suffix, replayed in ((seen, "", score), (unseen, "_unseen", other)):
            result = replay(replayed, saliency, steps=steps)
            points = (result.fractions, result.deletion_curve, result.insertion_curve)
            curves.append(Curve(name, suffix == "", *(tuple(values.tolist()) for values in points)))
            metrics |= {f"{figure}{suffix}": getattr(result, figure) for figure in REPLAY_FIGURES}
        return tuple(curves), metrics

    def _baseline_image(self, loaded: LoadedImage, name: str, seed: int) -> Image.Image:
        return Image.fromarray(make_baseline(name, loaded.pixels, seed=seed))

    def _geometry_notes(self, loaded: LoadedImage, seed: int) -> tuple[str, ...]:
        """Refuses a processor through which a mask cannot be mapped; notes one where it is only roughly so."""
        error = self.model.check_blend(loaded.picture, self._baseline_image(loaded, "blur", seed))
        if error.verdict == "wrong":
            raise WherelookError(
                f"the processor of {self.model.identifier!r} treats images by their content (cropping or normalising): "
                f"a mask maps to its input only with an error of {error.mean:.1f} of 255; up to 4 would do"
            )
        if error.verdict == "approximate":
            return (f"the mask maps to the model's input with an error of {error.mean:.1f} of 255 (mean)",)
        return ()


class _Meter:
    """What an explanation costs, from here on."""

    def __init__(self, model: VisionLanguageModel) -> None:
        self.model = model
        self.before = replace(model.cost)
        self.started = time.perf_counter()
        self.memory = PeakMemory(model.device)

    def read(self) -> dict[str, float]:
        passes = {name: count - getattr(self.before, name) for name, count in asdict(self.model.cost).items()}
        return passes | {"seconds": time.perf_counter() - self.started, "peak_bytes": self.memory.bytes()}


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("wherelook", "torch", "transformers", "pillow", "numpy")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def localize(
    saliency: Float[Tensor, "rows columns"], truth: Bool[np.ndarray, "height width"]
) -> dict[str, float | None]:
    """The localisation metrics of a map against a ground-truth mask of the image's size."""
    return {
        "pointing": pointing(saliency, truth),
        "energy": energy(saliency, truth),
        "roc_area": roc_area(saliency, truth),
    }


def _token_maps(case: _Case, run: Callable[..., Attribution], whole: Attribution) -> Iterator[TokenMap]:
    """A map for each selected token that itself rests on the image; one that was asked for by name may not."""
    if len(case.selected) == 1:  # its map is the whole answer's
        yield TokenMap(case.selected[0], _array(whole.saliency))
        return
    for position in case.selected:
        score = case.score.select([position])
        if float((score.original - score.baseline).sum()) < FLIP_FLOOR:
            continue
        saliency = run(score).saliency
        if saliency.any():
            yield TokenMap(position, _array(saliency))


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.numpy().astype(np.float32)


def _check_truth(truth: NDArray[np.bool_] | None, size: Size) -> None:
    if truth is not None and (truth.shape != size or truth.dtype != bool or not truth.any()):
        raise InputError(
            f"the ground-truth mask must be boolean of shape {size} with at least one True; "
            f"got {truth.dtype} of shape {truth.shape}"
        )
