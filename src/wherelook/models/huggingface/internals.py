"""Reading a Transformers model inside while it scores an answer: image tokens, attention, hidden states.

No code per family. The language model is what `get_decoder` returns; what it reads and does is seen by forward hooks.
Which of the tokens it reads stand for the image, and for what part of it, is measured: noise is added to one row or
column of the image at a time, and the tokens that change belong there. An image token stands for a rectangle (a patch,
or several merged ones), so a profile over rows times one over columns is its place.

Every hook is removed and every switch put back, also after an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from wherelook.canvas import Size
from wherelook.errors import InputError
from wherelook.geometry import Geometry, sample
from wherelook.models.huggingface.batching import BatchPlan
from wherelook.models.speedups.patching import check_differentiable
from wherelook.models.speedups.precision import exact_convolutions
from wherelook.models.turns import in_turn
from wherelook.score import Attention, Cost, ImageTokens, Readout, States

NOISE = 0.5  # standard deviation, as a share of the range from black to white
SUBCELLS = 8  # steps of a strip's profile per cell: `sample` interpolates between them, and a strip should have edges
BACKGROUND = 0.25  # quantile of a token's profile: what it moves wherever the noise is, as towers attend globally
SHARPNESS = 2.0  # power of what stands out of the background
NO_TOKENS = (
    "the image comes in by cross-attention, perhaps): choose a method that works on any model, such as guided-igos"
)
NORMS = ("norm", "final_layernorm", "ln_f")  # names of the norm after the last layer


@dataclass(frozen=True)
class Inside:
    """A `ModelInside` (see wherelook.score). `HuggingFaceScore.inside` makes one.

    Attributes:
        model: the model, in evaluation mode.
        predict: (pixel tensors, count) -> logits where selected tokens are predicted, (count, tokens, vocabulary).
        log_probabilities: of the selected tokens, from these logits.
        reference: their log-probabilities for the untouched image; called when needed.
        ask: the inside of the model while it answers another question about the image.
        pixels: pixel tensors of the image, by input name.
        geometry: where their elements lie in the image.
        ids: what the model reads, (1, length).
        from_end: for each selected token, how far before the end of `ids` it is predicted (1: at the last one).
        targets: vocabulary ids of the selected tokens.
        plan: batch sizes.
        cost: counts passes; one that stops before the language model counts as a forward.
        measured: image tokens by grid, filled as they are asked for.
    """

    model: nn.Module
    predict: Callable[[Mapping[str, Tensor], int], Tensor]
    log_probabilities: Callable[[Tensor], Tensor]
    reference: Callable[[], Tensor]
    ask: Callable[[str], Inside]
    pixels: Mapping[str, Tensor]
    geometry: Geometry
    ids: Int[Tensor, "1 length"]
    from_end: tuple[int, ...]
    targets: tuple[int, ...]
    plan: BatchPlan
    cost: Cost
    measured: dict[Size, ImageTokens]

    @in_turn
    def image_tokens(self, grid: Size) -> ImageTokens:
        """See `ModelInside`."""
        if grid not in self.measured:
            rows, columns = grid
            finer = (rows * SUBCELLS, columns * SUBCELLS)
            places = [
                torch.eye(rows, dtype=torch.float32).repeat_interleave(SUBCELLS, dim=1),
                self.geometry.canvas.resize(torch.eye(columns, dtype=torch.float32)[:, None], (1, finer[1]))[:, 0],
            ]
            strips = torch.cat([places[0][:, :, None].expand(-1, *finer), places[1][:, None, :].expand(-1, *finer)])
            changes = self._changes(torch.cat([torch.ones(1, *finer, dtype=torch.float32), strips]))
            positions = self._moved(changes[0])
            vertical, horizontal = (place_profile(part).T for part in changes[1:, positions].split([rows, columns]))
            self.measured[grid] = ImageTokens(positions, vertical[:, :, None] * horizontal[:, None, :])
        return self.measured[grid]

    @in_turn
    def attention(self, *, weighted: bool = False, question: str | None = None) -> Attention:
        """See `ModelInside`. The probabilities are seen in eager attention, which no answer is ever scored with."""
        if question is not None:
            other = self.ask(question)
            if not torch.equal(other._image_positions(), self._image_positions()):
                raise InputError(
                    "the image's place in the prompt depends on the question: two questions do not compare"
                )
            return other.attention(weighted=weighted)
        decoder = find_decoder(self.model)
        attending = [layer.self_attn for layer in decoder.layers if hasattr(layer, "self_attn")]
        layers: dict[int, Tensor] = {}
        hooks = [_watch_attention(module, layers, index, weighted) for index, module in enumerate(attending)]
        with removing(hooks), eager_attention(self.model, decoder):
            found, length = self._forward(decoder, with_gradient=weighted)
        if not layers:
            raise InputError(f"{type(decoder).__name__} has no layer that shows its attention probabilities")
        difference = float((found - self.reference()).abs().max())
        return Attention(
            torch.stack([layers[index].cpu() for index in sorted(layers)]), self._predicting(length), difference
        )

    @in_turn
    def states(self, depth: float, positions: Int[Tensor, " image_tokens"]) -> States:
        """See `ModelInside`."""
        seen: dict[str, Tensor] = {}

        def note(hidden: Tensor) -> None:
            seen["values"] = hidden.detach()[0, positions.to(hidden.device)].float().cpu()

            def store(gradient: Tensor) -> None:
                seen["gradients"] = gradient[0, positions.to(gradient.device)].float().cpu()

            hidden.register_hook(store)

        decoder = find_decoder(self.model)
        with removing([_watch_input(_at_depth(decoder, depth), note)]):
            self._forward(decoder, with_gradient=True)
        return States(seen["values"], seen.get("gradients", torch.zeros_like(seen["values"])))

    @in_turn
    def readout(self, depth: float, positions: Int[Tensor, " image_tokens"]) -> Readout:
        """See `ModelInside`. A cap or a factor that a family puts on its logits is left out: it changes no order."""
        seen: list[Tensor] = []
        decoder = find_decoder(self.model)
        with removing([_watch_input(_at_depth(decoder, depth), seen.append)]):
            _, length = self._forward(decoder, with_gradient=False)
        hidden = seen[-1][0, positions.to(seen[-1].device)]
        first = self._end_of_image(int(positions.max()), length)  # of the text: what follows the image
        ids = [*self.ids[0].tolist()[len(self.ids[0]) - (length - first) :], self.targets[-1]]
        head = self.model.get_output_embeddings()  # type: ignore[operator]
        with torch.no_grad():
            normed = _norm(decoder)(hidden).to(head.weight.device).float()
            bias = getattr(head, "bias", None)
            rows = torch.tensor(ids, device=head.weight.device)
            logits = functional.linear(normed, head.weight[rows].float(), None if bias is None else bias[rows].float())
        selected = tuple((self._predicting(length) + 1 - first).tolist())
        return Readout(logits.T.cpu(), tuple(ids), selected)

    def _end_of_image(self, last: int, length: int) -> int:
        """The place after the image and its last cell: a newline of the image may follow under the same id."""
        end, ids = last + 1, self.ids[0].tolist()
        while len(ids) == length and end < length and ids[end] == ids[last]:
            end += 1
        return end

    def _predicting(self, length: int) -> Tensor:
        # A model may put its image tokens in itself: count from the end, where the answer is.
        return length - torch.tensor(self.from_end)

    def _image_positions(self) -> Tensor:
        if self.measured:
            return next(iter(self.measured.values())).positions
        return self._moved(self._changes(torch.ones(1, 1, 1, dtype=torch.float32))[0])

    def _moved(self, changes: Tensor) -> Tensor:
        """Positions that noise all over the image changes: text is looked up, and stays the same to the last bit."""
        positions = torch.nonzero(changes > 0)[:, 0]
        if not len(positions):
            raise InputError(f"{type(self.model).__name__} gives its language model no image tokens ({NO_TOKENS}")
        return positions

    def _changes(self, strips: Tensor) -> Float[Tensor, "strips length"]:
        """How far noise where a strip is 1 moves each of the language model's input embeddings (Euclidean)."""
        plain = self._embeddings(self.pixels, 1).float()
        changes = torch.empty(len(strips), plain.shape[1], dtype=torch.float32)

        def step(rows: slice) -> None:
            part = strips[rows].to(self.plan.device)
            moved = self._embeddings(self._with_noise(part), len(part)).float()
            changes[rows] = (moved - plain).norm(dim=-1).cpu()

        self.plan.run(len(strips), step, with_graph=False)
        return changes

    def _with_noise(self, strips: Tensor) -> dict[str, Tensor]:
        """The pixels with noise where a strip is 1, for each strip; always the same noise."""
        noisy = {}
        for name, image in self.pixels.items():
            place = self.geometry.tensors.get(name)
            if place is None:
                noisy[name] = image.repeat(len(strips), *[1] * (image.dim() - 1))
                continue
            noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(
                image.device
            )
            noise = NOISE * place.value_range * noise * place.pixel
            mixed = image.float() + sample(strips, place) * noise
            noisy[name] = mixed.to(image.dtype).reshape(-1, *image.shape[1:])
        return noisy

    def _embeddings(self, pixels: Mapping[str, Tensor], count: int) -> Tensor:
        """(count, length, channels): what the language model reads. The forward stops there: the rest costs nothing."""

        def stop(module: nn.Module, arguments: Any, inputs: Any) -> None:
            raise _Stop(_embeddings_of(module, inputs))

        decoder = find_decoder(self.model)
        with removing([decoder.register_forward_pre_hook(stop, with_kwargs=True)]), torch.no_grad():
            try:
                self.predict(pixels, count)
            except _Stop as reached:
                self.cost.add(forward=count)
                return reached.embeddings
        raise InputError(
            f"{type(self.model).__name__} does not run its language model through {type(decoder).__name__}"
        )

    def _forward(self, decoder: nn.Module, *, with_gradient: bool) -> tuple[Tensor, int]:
        """(log-probabilities of the selected tokens, length of the language model's input); a backward of their sum.

        The gradient ends at the language model's input: the vision side needs none.
        """
        if with_gradient:
            check_differentiable(self.model)
        seen: list[Tensor] = []

        def begin(module: nn.Module, arguments: Any, inputs: Any) -> Any:
            embeddings = _embeddings_of(module, inputs)
            seen.append(embeddings.detach().requires_grad_() if with_gradient else embeddings)
            return arguments, {**inputs, "inputs_embeds": seen[-1]}

        values = []

        def step(rows: slice) -> None:
            seen.clear()
            with exact_convolutions(), torch.set_grad_enabled(with_gradient):
                log_probabilities = self.log_probabilities(self.predict(self.pixels, 1))[0]
                if with_gradient:
                    torch.autograd.grad(log_probabilities.sum(), seen[0])
                    self.cost.add(backward=1)
            values.append(log_probabilities.detach())

        with removing([decoder.register_forward_pre_hook(begin, with_kwargs=True)]):
            self.plan.run(1, step, with_graph=with_gradient)
        return values[-1], seen[0].shape[1]


class _Stop(Exception):
    """Ends a forward where the language model would begin."""

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embeddings = embeddings


def place_profile(changes: Float[Tensor, "places tokens"]) -> Float[Tensor, "places tokens"]:
    """Each token's share of each place along one axis, from how far noise there moves it.

    Towers with global attention move every token a little wherever the noise is: that background is taken off, and what
    stands out of it is sharpened. The shares of a token add up to 1; those of a token that nothing moves are zero.
    """
    raised = (changes - changes.quantile(BACKGROUND, dim=0)).clamp_min(0)
    sharpened = (raised / raised.amax(dim=0).clamp_min(torch.finfo(raised.dtype).tiny)) ** SHARPNESS
    return sharpened / sharpened.sum(dim=0).clamp_min(torch.finfo(raised.dtype).tiny)


def find_decoder(model: nn.Module) -> Any:
    """The language model's stack of layers.

    Raises:
        InputError: there is none where Transformers' models have it.
    """
    inner: Any = getattr(model, "get_base_model", lambda: model)()  # an adapter wraps the model
    module = inner.get_decoder() if hasattr(inner, "get_decoder") else inner
    while not hasattr(module, "layers") and hasattr(module, "model"):
        module = module.model
    if module is inner or not isinstance(getattr(module, "layers", None), nn.ModuleList):
        raise InputError(
            f"cannot find the layers of the language model in {type(inner).__name__}: "
            "choose a method that works on any model, such as guided-igos"
        )
    return module


@contextlib.contextmanager
def removing(hooks: list[RemovableHandle]) -> Iterator[None]:
    """Removes the hooks at the end, also after an error."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def eager_attention(model: nn.Module, decoder: nn.Module) -> Iterator[None]:
    """Eager attention in the language model inside, and what there was after.

    Not by `set_attn_implementation`, which switches the vision side too. The outer models' own setting is switched with
    it: some make the attention mask that the language model is given, in the form that their setting asks for.
    """
    concerned = [module for module in model.modules() if any(part is decoder for part in module.modules())]
    found: dict[int, Any] = {
        id(module.config): module.config
        for module in (*concerned, *decoder.modules())
        if hasattr(getattr(module, "config", None), "_attn_implementation")
    }
    before = [(configuration, configuration._attn_implementation) for configuration in found.values()]
    try:
        for configuration, _ in before:
            configuration._attn_implementation = {"": "eager"}  # this one alone, not the configurations in it
        yield
    finally:
        for configuration, implementation in before:
            configuration._attn_implementation = {"": implementation}


def _embeddings_of(decoder: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    embeddings = inputs.get("inputs_embeds")
    if not isinstance(embeddings, Tensor) or embeddings.dim() != 3:
        raise InputError(f"{type(decoder).__name__} is given no image tokens ({NO_TOKENS}")
    return embeddings


def _norm(decoder: nn.Module) -> nn.Module:
    for name in NORMS:
        if isinstance(getattr(decoder, name, None), nn.Module):
            result: nn.Module = getattr(decoder, name)
            return result
    raise InputError(f"{type(decoder).__name__} has no norm after its last layer that is called {', '.join(NORMS)}")


def _at_depth(decoder: Any, depth: float) -> nn.Module:
    """The module that reads what the language model holds at a depth: a layer, or the norm after the last one."""
    result: nn.Module = [*decoder.layers, _norm(decoder)][int(depth * len(decoder.layers))]
    return result


def _watch_input(module: nn.Module, note: Callable[[Tensor], None]) -> RemovableHandle:
    def hook(module: nn.Module, arguments: Any, inputs: Any) -> None:
        note(arguments[0] if arguments else inputs["hidden_states"])

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _watch_attention(module: nn.Module, layers: dict[int, Tensor], index: int, weighted: bool) -> RemovableHandle:
    """Writes what `Attention.layers` holds of one layer into `layers[index]`."""

    def hook(module: nn.Module, arguments: Any, output: Any) -> None:
        probabilities = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        if not isinstance(probabilities, Tensor) or probabilities.dim() != 4:
            raise InputError(f"{type(module).__name__} does not show its attention probabilities")
        values = probabilities.detach()
        if not weighted:
            layers[index] = values[0].float().mean(dim=0)
            return

        # Reduced as the backward pass reaches the layer, so that no two layers' gradients exist at a time.
        def reduce(gradient: Tensor) -> None:
            layers[index] = (values * gradient)[0].float().clamp_min(0).mean(dim=0)

        probabilities.register_hook(reduce)

    return module.register_forward_hook(hook)
