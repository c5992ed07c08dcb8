"""The score function of one answer: masks in, log-probabilities of the selected answer tokens out.

Nothing is computed that is not needed: the sequence ends before the last selected token, logits and most of the last
layer (`models.speedups.last_layer`) are made only where a selected token is predicted, and one backward follows each
micro-batch, so that memory depends neither on the number of masks nor on the size of the vocabulary times the length of
the prompt.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Size
from wherelook.errors import InputError, WherelookError
from wherelook.geometry import Geometry, pool, sample
from wherelook.models.huggingface.batching import BatchPlan
from wherelook.models.huggingface.given import first_pass
from wherelook.models.huggingface.internals import Inside
from wherelook.models.huggingface.nonfinite import forward_error, gradient_error
from wherelook.models.huggingface.teacher_forcing import Conversation, teacher_forced_inputs
from wherelook.models.speedups.checkpointing import recomputing
from wherelook.models.speedups.compilation import compiled
from wherelook.models.speedups.last_layer import only_at, parts_at_selected
from wherelook.models.speedups.patch_embedding import as_products, patch_embeddings
from wherelook.models.speedups.patching import Forward, frozen
from wherelook.models.speedups.precision import exact_convolutions
from wherelook.models.turns import in_turn
from wherelook.score import Cost, ImageTokens, Noise


@dataclass(frozen=True)
class _Ends:
    """The scores of the image (first row) and the baseline (second): log-probabilities and chosen tokens."""

    log_probabilities: Tensor
    choices: Tensor

    def select(self, columns: Sequence[int]) -> _Ends:
        return _Ends(self.log_probabilities[:, columns], self.choices[:, columns])


@dataclass(eq=False, repr=False)
class HuggingFaceScore:
    """An `AnswerScore`, a `PixelGradient` and an `OpensInside` (see wherelook.score) on a Transformers model.

    Args:
        model: the model, in evaluation mode.
        conversation: prompt and answer.
        image_pixels: pixel tensors of the image, by input name.
        baseline_pixels: pixel tensors of the baseline image, same names and shapes.
        geometry: where each of their elements lies in the image.
        selected: positions in the answer of the tokens to score, ascending.
        plan: batch sizes; shared by all scores of a model.
        cost: counts passes; shared likewise.
        ask: (question) -> the conversation about the same image in which it was asked, without an answer.
        known: the scores of image and baseline, if they are known already.
        image_tokens: those found in this prompt so far; shared by all scores of an image and a question.
        layers: compiled forwards of some of the model's layers, see `wherelook.models.speedups.compilation`.
    """

    model: torch.nn.Module
    conversation: Conversation
    image_pixels: Mapping[str, Tensor]
    baseline_pixels: Mapping[str, Tensor]
    geometry: Geometry
    _: KW_ONLY
    selected: Sequence[int]
    plan: BatchPlan
    cost: Cost
    ask: Callable[[str], Conversation] | None = None
    known: _Ends | None = None
    image_tokens: dict[Size, ImageTokens] = field(default_factory=dict)
    layers: Mapping[torch.nn.Module, Forward] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.canvas = self.geometry.canvas
        self.selected = tuple(self.selected)
        self._inputs = teacher_forced_inputs(self.conversation, self.selected)
        # On the CPU, from where any device can be indexed: a model spread over several makes its logits on the last.
        self._positions = torch.tensor([self.conversation.prompt_length - 1 + position for position in self.selected])
        accepted = inspect.signature(self.model.forward).parameters
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values())
        self._options = {"use_cache": False} if takes_any or "use_cache" in accepted else {}
        self._keeps_logits = "logits_to_keep" in accepted
        self._targets = torch.tensor([self.conversation.answer[i] for i in self.selected], device=self.plan.device)

    @property
    def device(self) -> torch.device:
        return self.plan.device

    @property
    def original(self) -> Float[Tensor, " tokens"]:
        return self._ends().log_probabilities[0]

    @property
    def baseline(self) -> Float[Tensor, " tokens"]:
        return self._ends().log_probabilities[1]

    def flips(self) -> list[bool]:
        """For each token: whether the model chooses it with the image and another one with the baseline."""
        chosen = self._ends().choices == self._targets
        return (chosen[0] & ~chosen[1]).tolist()

    def _ends(self) -> _Ends:
        """Image and baseline in one batch, the first time they are asked for."""
        if self.known is None:
            with first_pass(self.model):
                self.known = _Ends(*self._evaluate(torch.tensor([1.0, 0.0], dtype=torch.float32).reshape(2, 1, 1)))
        return self.known

    def select(self, selected: Sequence[int]) -> HuggingFaceScore:
        """The score of some of the tokens of this one, given as positions in the answer."""
        columns = [self.selected.index(position) for position in selected]
        known = None if self.known is None else self.known.select(columns)
        return self._again(selected=selected, known=known, image_tokens=self.image_tokens)

    def with_baseline(self, baseline_pixels: Mapping[str, Tensor]) -> HuggingFaceScore:
        """The score of the same tokens on the same image against another baseline; the image is not scored again."""
        other = self._again(baseline_pixels=baseline_pixels, image_tokens=self.image_tokens)
        if self.known is not None:
            bare = _Ends(*other._evaluate(torch.zeros(1, 1, 1, dtype=torch.float32)))
            other.known = _Ends(
                torch.cat([self.known.log_probabilities[:1], bare.log_probabilities]),
                torch.cat([self.known.choices[:1], bare.choices]),
            )
        return other

    def __call__(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """See `AnswerScore`. Where autograd records, all masks are held in one graph: use `gradient` for many."""
        if torch.is_grad_enabled() and masks.requires_grad:
            return self._log_probabilities(masks)
        return self._evaluate(masks)[0]

    @in_turn
    def _evaluate(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Without a graph: log-probabilities (masks, tokens), and the token that the model would choose instead."""
        values = torch.empty(len(masks), len(self.selected), device=self.device, dtype=torch.float32)
        choices = torch.empty(len(masks), len(self.selected), device=self.device, dtype=torch.long)

        def step(rows: slice) -> None:
            with torch.no_grad(), self._computing():
                logits = self._logits(masks[rows].to(self.device), None)
                values[rows] = self._gather(logits)
                choices[rows] = logits.argmax(dim=-1)

        self.plan.run(len(masks), step, with_graph=False)
        return values, choices

    def gradient(
        self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks height width"]]:
        """See `AnswerScore`."""
        values, gradients = self._gradients(masks, noise, each=False)
        return values, gradients[:, 0]

    def token_gradients(
        self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks tokens height width"]]:
        """As `gradient`, but of each token alone: a backward for every token, on the graph of one forward."""
        return self._gradients(masks, noise, each=True)

    @in_turn
    def _gradients(self, masks: Tensor, noise: Noise | None, *, each: bool) -> tuple[Tensor, Tensor]:
        """Log-probabilities, and for each mask the gradients: of every token, or of their sum alone."""
        sums = len(self.selected) if each else 1
        values = torch.empty(len(masks), len(self.selected), device=self.device, dtype=torch.float32)
        gradients = torch.empty(len(masks), sums, *masks.shape[1:], device=self.device, dtype=torch.float32)

        def step(rows: slice) -> None:
            leaf = masks[rows].detach().to(self.device).requires_grad_()
            part = replace(noise, seeds=noise.seeds[rows]) if noise is not None else None
            with torch.enable_grad(), self._for_gradient(), self.plan.measuring(len(leaf)):
                log_probabilities = _differentiable(self._log_probabilities(leaf, part))
                totals = log_probabilities.sum(dim=0) if each else log_probabilities.sum()[None]
                for index, total in enumerate(totals):
                    (gradients[rows, index],) = torch.autograd.grad(total, leaf, retain_graph=index < sums - 1)
            values[rows] = log_probabilities.detach()
            self.cost.add(backward=len(leaf) * sums)

        self.plan.run(len(masks), step, with_graph=True)
        broken = (~gradients.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
        if broken:
            rows = slice(broken[0], broken[0] + 1)
            raise gradient_error(self.model, lambda: step(rows), of="mask")
        return values, gradients

    def pixel_gradient(self, grid: Size, *, noise: Noise | None = None) -> Float[Tensor, "height width"]:
        """See `PixelGradient`."""
        pooled = torch.zeros(grid, device=self.device, dtype=torch.float32)
        for name, gradient in self.pixel_gradients(noise=noise).items():
            place = self.geometry.tensors[name]
            pooled += pool(gradient.abs() * place.value_range * place.pixel, place, grid)
        if not torch.isfinite(pooled).all():
            raise gradient_error(self.model, lambda: self.pixel_gradients(noise=noise), of="pixels")
        return pooled

    @in_turn
    def pixel_gradients(self, *, noise: Noise | None = None) -> dict[str, Tensor]:
        """Gradient of the summed log-probabilities with respect to every pixel tensor of the image, by input name.

        With `noise` the mean over its draws; zero where the model does not read a tensor.
        """
        # One seed stands for the untouched image: without noise it draws nothing.
        seeds = (0,) if noise is None else noise.seeds
        totals = {
            name: torch.zeros(self.image_pixels[name].shape, device=self.device, dtype=torch.float32)
            for name in self.geometry.tensors
        }

        def step(rows: slice) -> None:
            count = rows.stop - rows.start
            part = None if noise is None else replace(noise, seeds=seeds[rows])
            pixels = self.blend(torch.ones(count, 1, 1, device=self.device, dtype=torch.float32), part)
            leaves = {name: pixels[name].detach().requires_grad_() for name in totals}
            with torch.enable_grad(), self._for_gradient(), self.plan.measuring(count):
                log_probabilities = _differentiable(self._gather(self._predict(pixels | leaves, count)))
                gradients = torch.autograd.grad(log_probabilities.sum(), list(leaves.values()), allow_unused=True)
            for (name, total), gradient in zip(totals.items(), gradients, strict=True):
                if gradient is not None:  # a tensor that the model does not read with this answer
                    totals[name] = total + gradient.float().reshape(count, *total.shape).sum(dim=0)
            self.cost.add(backward=count)

        self.plan.run(len(seeds), step, with_graph=True)
        return {name: total / len(seeds) for name, total in totals.items()}

    def inside(self) -> Inside:
        """See `OpensInside`."""
        ids = self._inputs["input_ids"]
        return Inside(
            self.model,
            predict=self._predict,
            log_probabilities=self._gather,
            reference=lambda: self.original,
            ask=lambda question: self._asked(question).inside(),
            pixels=self.image_pixels,
            geometry=self.geometry,
            ids=ids,
            from_end=tuple((ids.shape[1] - self._positions).tolist()),
            targets=tuple(self._targets.tolist()),
            plan=self.plan,
            cost=self.cost,
            measured=self.image_tokens,
        )

    def _asked(self, question: str) -> HuggingFaceScore:
        """The score of an answer's first token to another question about the image."""
        if self.ask is None:
            raise InputError("this score was made without a way to ask its model another question")
        conversation = replace(self.ask(question), answer=self.conversation.answer[:1])
        return self._again(conversation=conversation, selected=(0,))

    def _again(self, **changes: Any) -> HuggingFaceScore:
        """Another score on the same model and image; nothing that this one has measured is known to it."""
        same = {one.name: getattr(self, one.name) for one in fields(self)} | {"known": None, "image_tokens": {}}
        return HuggingFaceScore(**same | changes)

    def _log_probabilities(self, masks: Tensor, noise: Noise | None = None) -> Tensor:
        return self._gather(self._logits(masks.to(self.device), noise))

    def _gather(self, logits: Tensor) -> Tensor:
        # float32: in half precision the log of a small softmax is minus infinity.
        log_probabilities = torch.log_softmax(logits.to(self.device).float(), dim=-1)
        targets = self._targets.expand(len(logits), -1)[..., None]
        chosen = log_probabilities.gather(-1, targets)[..., 0]
        if not torch.isfinite(chosen).all():
            raise WherelookError(
                "the model's logits are not finite: use --dtype float32 (or bfloat16, not float16), "
                "or check that its weights are loaded"
            )
        return chosen

    def _logits(self, masks: Tensor, noise: Noise | None) -> Tensor:
        """(masks, tokens, vocabulary): one forward of len(masks) images."""
        return self._predict(self.blend(masks, noise), len(masks))

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Exact where it can be; what the selected tokens do not read is not computed, backward passes included."""
        from_end = self._inputs["input_ids"].shape[1] - self._positions
        with (
            exact_convolutions(),
            as_products(self._patch_embeddings),
            only_at(self._parts_at_selected, from_end),
            compiled(self.layers),
        ):
            yield

    @functools.cached_property
    def _patch_embeddings(self) -> tuple[torch.nn.Module, ...]:
        return patch_embeddings(self.model)

    @functools.cached_property
    def _parts_at_selected(self) -> tuple[torch.nn.Module, ...]:
        return parts_at_selected(self.model)

    @contextlib.contextmanager
    def _for_gradient(self) -> Iterator[None]:
        """No gradient for weights, and what need not be kept is not; otherwise as `_computing`."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(frozen(self.model))
            stack.enter_context(self._computing())
            if self.plan.recompute:
                stack.enter_context(recomputing(self.model))
            yield

    @in_turn
    def _predict(self, pixels: Mapping[str, Tensor], count: int) -> Tensor:
        """(count, tokens, vocabulary): one forward of `count` images, given as their pixel tensors."""
        inputs = {name: _repeat(value, count) for name, value in self._inputs.items()}
        inputs |= pixels
        options: dict[str, Any] = dict(self._options)
        if self._keeps_logits:
            # From the end, where the answer is: a model may put its image tokens in itself.
            options["logits_to_keep"] = self._positions - self._inputs["input_ids"].shape[1]
        logits: Tensor = self.model(**inputs, **options).logits
        self.cost.add(forward=count)  # after the call: one that ran out of memory is repeated in parts
        if not (logits < math.inf).all():  # false for what is not a number, too; minus infinity rules a token out
            raise forward_error(self.model, lambda: self.model(**inputs, **options))
        if self._keeps_logits:
            return logits
        from_end = inputs["input_ids"].shape[1] - self._positions
        return logits[:, logits.shape[1] - from_end]

    def blend(self, masks: Float[Tensor, "masks height width"], noise: Noise | None = None) -> dict[str, Tensor]:
        """Phi(M) = B + M (I - B) for every pixel tensor, the masks stacked along its first dimension."""
        blended = {}
        for name, image in self.image_pixels.items():
            base = self.baseline_pixels[name]
            place = self.geometry.tensors.get(name)
            if place is None:
                blended[name] = _repeat(image, len(masks))
                continue
            kept = sample(masks.float(), place)
            mixed = base.float() + kept * (image.float() - base.float())
            if noise is not None:
                scale = place.value_range if noise.relative else 1.0
                mixed = mixed + scale * _draw(noise, image.shape, masks.device) * place.pixel
            blended[name] = mixed.to(image.dtype).reshape(-1, *image.shape[1:])
        return blended


def _differentiable(log_probabilities: Tensor) -> Tensor:
    """Refuses scores without a graph back to the pixels."""
    if not log_probabilities.requires_grad:
        raise WherelookError(
            "the answer has no gradient with respect to the image: the model turns it into discrete codes; "
            "use a method without gradients, for example --method occlusion"
        )
    return log_probabilities


def _repeat(value: Tensor, count: int) -> Tensor:
    """`count` copies along the first dimension."""
    return value.repeat(count, *[1] * (value.dim() - 1))


def _draw(noise: Noise, shape: torch.Size, device: torch.device) -> Tensor:
    """(masks, *shape) Gaussian noise, a generator per mask: independent of how masks are batched."""
    rows = [
        torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32) for seed in noise.seeds
    ]
    return noise.standard_deviation * torch.stack(rows).to(device)
