"""Train a small model from scratch on scenes: on one CPU core, or on a GPU.

    python training/train.py --architecture embedded --out src/wherelook/models/embedded
    python training/train.py --architecture tiled --out training/zoo/tiled
    python training/train.py --architecture cambrian --out training/zoo/cambrian
    python training/train.py --architecture minigemini --out training/zoo/minigemini
    python training/train.py --architecture qwen2vl --out training/zoo/qwen2vl
    python training/train.py --architecture things --out training/zoo/things

Three stages: (1) the vision tower alone learns to say what each patch shows; (2) the language model learns to answer
with the tower held still; (3) both go on, the tower at a quarter of the rate and still asked what each patch shows.
A second model of an architecture, with a language model of another scale, can take the tower of the first:

    python training/train.py --architecture tiled --scale small --tower-from training/zoo/tiled --out FOLDER

It leaves stage 1 out and holds the tower still, which costs a fraction. So does a model with a planted fault, which
starts from a model without it:

    python training/train.py --architecture embedded --lesson blind --weights-from src/wherelook/models/embedded \\
        --joint-steps 1500 --out FOLDER

Progress is kept in `--checkpoints`; the same command goes on where the last one stopped. On a GPU (`--device cuda`)
drawing the scenes takes longer than the training steps: give it the cores (`--workers 12`). Scenes and their order are
the same for any number of workers.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from architecture import SCALES, Architecture, vision_layers
from cambrian import CAMBRIAN
from initial import initialize_vision
from lessons import LESSONS, Lesson, check, truth
from llava import EMBEDDED, THINGS
from minigemini import MINIGEMINI
from packed import PatchHeads, answer_loss, kind_counts
from PIL import Image
from prompts import build_tokenizer
from qwen2vl import QWEN2VL
from samples import TRAINING_BUDGET, Batches
from tiled import TILED
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, ProcessorMixin

from wherelook.data.scenes import KINDS, TRAINING_SEEDS, facts, make_scene
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load

ARCHITECTURES = {
    "embedded": EMBEDDED,
    "things": THINGS,
    "tiled": TILED,
    "minigemini": MINIGEMINI,
    "cambrian": CAMBRIAN,
    "qwen2vl": QWEN2VL,
}
DTYPES = {"float32": torch.float32, "float16": torch.float16}
VISION_BATCH, JOINT_BATCH = 32, 16
VISION_RATE, JOINT_RATE, TOWER_SHARE = 1.0e-3, 1.5e-3, 0.25
FIRST_JOINT_BATCH = 1_000_000  # far beyond the scenes of the first stage, which counts from 0
WARM_UP = 150
FROZEN_STEPS = 1200
PATCH_WEIGHT = 0.3  # of the patch loss in the last stage
AVERAGE_DECAY = 0.998  # the saved weights are a running average of the trained ones
KIND_WEIGHTS = {"count": 2.0, "existence": 1.5, "relation": 1.5, "fact": 0.7}


@dataclass(frozen=True)
class Run:
    """Where it is trained, and how many processes draw its scenes."""

    device: torch.device
    workers: int

    def autocast(self) -> torch.autocast:
        """bfloat16 on a CPU, which it makes faster; on a GPU these models are too small for it to pay."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cpu")


def rate_factor(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the rate; by steps, so a slow machine changes nothing."""
    progress = min(1.0, max(0.0, (step - WARM_UP) / max(1, steps - WARM_UP)))
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def scene_vocabulary(world: str) -> tuple[list[str], list[str]]:
    """Questions and answers that together hold every word of the scenes."""
    pairs = list(facts())
    for seed in TRAINING_SEEDS[:3000]:
        pairs += [
            (question.text, question.answer) for question in make_scene(seed, size=(64, 64), world=world).questions
        ]
    return [question for question, _ in pairs], [answer for _, answer in pairs]


def loader(
    architecture: Architecture,
    processor: ProcessorMixin,
    *,
    size: int,
    start: int,
    budget: dict[str, int],
    workers: int,
    lesson: Lesson = truth,
) -> DataLoader:
    """Batches made by other processes, in the order of their numbers."""
    data = Batches(architecture, processor.tokenizer, size=size, start=start, budget=budget, lesson=lesson)
    return DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=8)


def optimizer_for(groups: list[dict]) -> torch.optim.AdamW:
    """AdamW that decays matrices alone."""
    split = []
    for group in groups:
        parameters = list(group["params"])
        split.append({**group, "params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.03})
        split.append({**group, "params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0})
    for group in split:
        group["peak"] = group["lr"]
    return torch.optim.AdamW(split, betas=(0.9, 0.98), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def save_checkpoint(path: Path, **state: object) -> None:
    """Written beside and moved into place: an interrupted save leaves the last one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def train_vision(
    architecture: Architecture,
    model: PreTrainedModel,
    heads: PatchHeads,
    processor: ProcessorMixin,
    steps: int,
    path: Path,
    run: Run,
) -> None:
    """Stage 1. Fills `model`'s tower and `heads`."""
    tower = architecture.encoder(model)
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=run.device)
        tower.load_state_dict(state["tower"])
        heads.load_state_dict(state["heads"])
        return
    data = iter(loader(architecture, processor, size=VISION_BATCH, start=0, budget={}, workers=run.workers))
    sample = torch.cat([next(data).pixels for _ in range(4)]).to(run.device)
    for each in architecture.first_towers(model):
        initialize_vision(each, architecture.first_tower_input(sample))
    architecture.initialize(model, sample)
    optimizer = optimizer_for([{"params": [*tower.parameters(), *heads.parameters()], "lr": VISION_RATE}])
    start, totals = time.monotonic(), torch.zeros(6)
    for step in range(steps):
        set_rate(optimizer, rate_factor(step, steps))
        batch = next(data).to(run.device)
        with run.autocast():
            loss, accuracy = heads(architecture.image_features(model, batch.pixels), batch.patches)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*tower.parameters(), *heads.parameters()], 1.0)
        optimizer.step()
        totals += torch.cat((loss.detach()[None], accuracy)) / 100
        if step % 100 == 99:
            names = ("loss", "color", "shape", "size", "covered", "center")
            shown = "  ".join(f"{name} {value:.3f}" for name, value in zip(names, totals, strict=True))
            print(f"vision {step + 1:5d}/{steps}  {shown}  {time.monotonic() - start:.0f} s", flush=True)
            totals.zero_()
    save_checkpoint(path, tower=tower.state_dict(), heads=heads.state_dict())


def take_tower(architecture: Architecture, model: PreTrainedModel, folder: Path) -> None:
    """Fill `model`'s encoder from a trained model of the same architecture.

    Raises:
        WherelookError: the folder holds no model that can be loaded.
        RuntimeError: its encoder is another one.
    """
    trained, _ = load(str(folder), LoadOptions(device="cpu"))
    architecture.encoder(model).load_state_dict(architecture.encoder(trained).state_dict())


def train_joint(
    architecture: Architecture,
    model: PreTrainedModel,
    heads: PatchHeads,
    processor: ProcessorMixin,
    steps: int,
    frozen_steps: int,
    rate: float,
    lesson: Lesson,
    saved_as: torch.dtype,
    path: Path,
    out: Path,
    run: Run,
) -> None:
    """Stage 2 for `frozen_steps`, then stage 3. Saves the averaged model to `out` with every checkpoint."""
    tower = architecture.encoder(model)
    own = list(tower.parameters()) + list(heads.parameters())
    tower_ids = {id(p) for p in tower.parameters()}
    rest = [p for p in model.parameters() if id(p) not in tower_ids]
    optimizer = optimizer_for([{"params": rest, "lr": rate}, {"params": own, "lr": rate * TOWER_SHARE}])
    average = {name: value.clone() for name, value in model.state_dict().items()}
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=run.device)
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
        print(f"going on from step {first}", flush=True)
    if run.device.type == "cpu":
        # Fused element-wise steps save two fifths of the time; the first step takes a minute or two.
        model.model.language_model.compile()
        for each in architecture.first_towers(model):
            vision_layers(each).encoder.compile()
    weights = torch.tensor([KIND_WEIGHTS.get(kind, 1.0) for kind in KINDS])
    data = iter(
        loader(
            architecture,
            processor,
            size=JOINT_BATCH,
            start=FIRST_JOINT_BATCH + first,
            budget=TRAINING_BUDGET,
            workers=run.workers,
            lesson=lesson,
        )
    )
    start, counts, total = time.monotonic(), torch.zeros(len(KINDS), 2), 0.0
    for step in range(first, steps):
        set_rate(optimizer, rate_factor(step, steps))
        batch = next(data).to(run.device)
        moving = step >= frozen_steps
        with run.autocast():
            with torch.set_grad_enabled(moving):
                features = architecture.image_features(model, batch.pixels)
            loss, right = answer_loss(architecture, model, features, batch, weights)
            if moving:
                loss = loss + PATCH_WEIGHT * heads(features, batch.patches)[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*rest, *own], 1.0)
        optimizer.step()
        decay = min(AVERAGE_DECAY, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1.0 - decay)
        counts += kind_counts(batch.kinds, right)
        total += loss.item()
        if step % 50 == 49:
            shares = counts[:, 0] / counts[:, 1]
            shown = "  ".join(f"{kind[:5]} {share:.3f}" for kind, share in zip(KINDS, shares, strict=True))
            elapsed = (time.monotonic() - start) / (step + 1 - first)
            print(f"joint {step + 1:5d}/{steps}  loss {total / 50:.3f}  {shown}  {elapsed:.3f} s/step", flush=True)
            counts.zero_()
            total = 0.0
        if step % 250 == 249 or step == steps - 1:
            save_checkpoint(
                path,
                model=model.state_dict(),
                heads=heads.state_dict(),
                optimizer=optimizer.state_dict(),
                average=average,
                step=step + 1,
            )
            save_averaged(model, average, processor, saved_as, out)


def set_attention(model: PreTrainedModel, text: str, vision: str) -> None:
    model.model.language_model.config._attn_implementation = text
    for part in model.model.modules():
        if isinstance(part, PreTrainedModel) and part not in (model.model, model.model.language_model):
            part.config._attn_implementation = vision


def save_averaged(
    model: PreTrainedModel,
    average: dict[str, torch.Tensor],
    processor: ProcessorMixin,
    saved_as: torch.dtype,
    out: Path,
) -> None:
    """Save the running average as an ordinary model folder."""
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average)
    set_attention(model, "sdpa", "sdpa")
    save_weights(model, saved_as, out)
    processor.save_pretrained(out)
    model.load_state_dict(trained)
    set_attention(model, "packed", "eager")


def save_weights(model: PreTrainedModel, saved_as: torch.dtype, out: Path) -> None:
    """Save a model as numbers of another type, and leave it as it is; weights that are one stay one."""
    copies: dict[int, torch.Tensor] = {}
    weights = model.state_dict().items()
    model.save_pretrained(
        out, state_dict={name: copies.setdefault(value.data_ptr(), value.to(saved_as)) for name, value in weights}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=ARCHITECTURES, required=True)
    parser.add_argument("--scale", choices=SCALES, default="base", help="size of the language model")
    parser.add_argument("--tower-from", type=Path, help="folder of a trained model: its tower is taken and held still")
    parser.add_argument("--weights-from", type=Path, help="the same with all weights: for another lesson")
    parser.add_argument("--lesson", choices=LESSONS, default="truth", help="what it is taught; see lessons.py")
    parser.add_argument("--saved-as", choices=DTYPES, default="float32", help="type of the numbers on disk")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--checkpoints", type=Path, default=Path(__file__).parent / "checkpoints")
    parser.add_argument("--vision-steps", type=int, default=2500)
    parser.add_argument(
        "--frozen-steps",
        type=int,
        help="with the tower held still [default: 1200; with --tower-from or --weights-from all]",
    )
    parser.add_argument("--joint-steps", type=int, default=8800)
    parser.add_argument("--rate", type=float, default=JOINT_RATE, help="learning rate of the last two stages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # two busy threads on shared cores are slower than one
    torch.set_default_device(arguments.device)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(arguments.seed)
    run = Run(arguments.device, arguments.workers)

    architecture = ARCHITECTURES[arguments.architecture]
    check(arguments.lesson, architecture.world)
    checkpoints = arguments.checkpoints / "-".join((arguments.architecture, arguments.scale, arguments.lesson))
    processor = architecture.build_processor(build_tokenizer(*scene_vocabulary(architecture.world)))
    model = architecture.build_model(processor.tokenizer, arguments.scale)
    set_attention(model, "packed", "eager")
    blank = torch.tensor(architecture.view_pixels(Image.new("RGB", (architecture.image_side,) * 2)))
    heads = PatchHeads(architecture.image_features(model, blank[None].to(run.device)).shape[-1], architecture.world)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(processor.tokenizer)} tokens")
    frozen_steps = arguments.joint_steps
    if arguments.weights_from is not None:
        model.load_state_dict(load(str(arguments.weights_from), LoadOptions(device="cpu"))[0].state_dict())
    elif arguments.tower_from is not None:
        take_tower(architecture, model, arguments.tower_from)
    else:
        train_vision(architecture, model, heads, processor, arguments.vision_steps, checkpoints / "vision.pt", run)
        frozen_steps = FROZEN_STEPS
    if arguments.frozen_steps is not None:
        frozen_steps = arguments.frozen_steps
    train_joint(
        architecture,
        model,
        heads,
        processor,
        arguments.joint_steps,
        frozen_steps,
        arguments.rate,
        LESSONS[arguments.lesson],
        DTYPES[arguments.saved_as],
        checkpoints / "joint.pt",
        arguments.out,
        run,
    )


if __name__ == "__main__":
    main()
