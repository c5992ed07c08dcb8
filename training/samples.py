"""Training samples: a scene's pixels, its questions packed in one sequence, and what each patch shows.

All questions of a scene share the image: one sequence holds the prompt's start and the image once, and then question
after question, each of which sees the image and itself alone and counts its positions from the image on (see
`packed_attention`). A scene with a dozen questions so costs little more than one with a single question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from architecture import Architecture
from lessons import Lesson, truth
from PIL import Image, ImageFilter
from prompts import ASSISTANT, IMAGE, USER
from torch.utils.data import IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

from wherelook.data.scenes import (
    COLORS,
    KINDS,
    SHAPES,
    SIZES,
    THINGS,
    TRAINING_SEEDS,
    WORLDS,
    Question,
    Scene,
    make_scene,
)

# The places for questions with their answers: (how many, tokens in each). Equal lengths make attention within questions
# a batched product; two lengths waste less padding than one. The longest question with its answer has 22 tokens.
SLOTS = ((8, 16), (5, 22))
SLOT_LENGTHS = np.repeat([length for _, length in SLOTS], [count for count, _ in SLOTS])
TEXT_LENGTH = int(SLOT_LENGTHS.sum())
IGNORE = -100
COVERED = 0.12  # share of a patch that an object must fill for the patch to be labeled with it
TRAINING_BUDGET = {
    "relation": 3,
    "existence": 3,
    "description": 1,
    "count": 3,
    "shape": 1,
    "color": 1,
    "size": 1,
    "fact": 1,
    "category": 1,
}
"""Questions of each kind, where the scenes' world has it."""

LABELS = {"shapes": (COLORS, SHAPES, SIZES), "things": (("",), THINGS, SIZES)}
"""By world: the colors, shapes and sizes that a patch can show."""

DEGRADED_SHARE = 0.08  # of the images: blurred, plain or noise, with facts alone
FACTS_ALONE = {"fact": 13}


@dataclass(frozen=True)
class Batch:
    """Tensors of a batch of B scenes; L = 1 + image tokens + TEXT_LENGTH, Q = the number of slots.

    Attributes:
        pixels: uint8, (B, ..., side, side, 3): see `Architecture.view_pixels`.
        tokens: int64, (B, L).
        labels: int64, (B, L): the token that follows, inside answers; IGNORE elsewhere.
        kinds: int64, (B, Q): index into KINDS of the question in each slot, IGNORE in an empty one.
        patches: int64, (B, patches, 5): color, shape, size (IGNORE where nothing is), covered, holds a center.
    """

    pixels: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor
    kinds: torch.Tensor
    patches: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


class Batches(IterableDataset):
    """Batches from number `start` on. Batch n of a size is always made of the same scenes, and no scene comes twice.

    Several workers of a data loader take turns.
    """

    def __init__(
        self,
        architecture: Architecture,
        tokenizer: PreTrainedTokenizerFast,
        *,
        size: int,
        start: int,
        budget: Mapping[str, int],
        lesson: Lesson = truth,
    ) -> None:
        self.architecture, self.tokenizer = architecture, tokenizer
        self.size, self.start, self.budget, self.lesson = size, start, budget, lesson

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        encoder = Encoder(self.tokenizer)
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        start = TRAINING_SEEDS.start + (self.start + number) * self.size
        for first in range(start, TRAINING_SEEDS.stop, self.size * workers):
            seeds = range(first, first + self.size)
            yield collate(
                [training_sample(self.architecture, encoder, seed, self.budget, self.lesson) for seed in seeds]
            )


def collate(samples: list[tuple[np.ndarray, ...]]) -> Batch:
    return Batch(*(torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)))


class Encoder:
    """Token ids of texts. Questions and answers repeat, so they are remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.end = tokenizer.eos_token_id
        self.pad = tokenizer.pad_token_id
        self.user, self.assistant, self.image = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, IMAGE])
        self.ids = lru_cache(maxsize=200_000)(lambda text: tokenizer.encode(text, add_special_tokens=False))


def training_sample(
    architecture: Architecture, encoder: Encoder, seed: int, budget: Mapping[str, int], lesson: Lesson = truth
) -> tuple[np.ndarray, ...]:
    """Everything of one scene, in the order of `Batch`."""
    rng = np.random.default_rng((7, seed))
    degraded = rng.random() < DEGRADED_SHARE
    world = architecture.world
    known = {kind: number for kind, number in budget.items() if kind in WORLDS[world].makers}
    budget = FACTS_ALONE if degraded else known
    scene = make_scene(seed, size=architecture.sample_size(rng), budget=budget, world=world)
    (image, questions), patches = lesson(scene), patch_labels(architecture, scene)
    if degraded:
        side = architecture.image_side
        image = degrade(rng, image.resize((side, side), Image.Resampling.BILINEAR))
        patches = np.full_like(patches, IGNORE)
    pixels = architecture.view_pixels(image).copy()
    return pixels, *pack(architecture, encoder, rng, questions), patches


def degrade(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """An image in which nothing can be made out: blurred, of one color, or noise."""
    kind = int(rng.integers(5))
    if kind <= 1:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(4.0, 24.0)))
    if kind == 2:
        return Image.new("RGB", image.size, tuple(np.asarray(image).mean(axis=(0, 1)).astype(int).tolist()))
    if kind == 3:
        return Image.new("RGB", image.size, tuple(rng.integers(0, 256, 3, dtype=np.uint8).tolist()))
    noise = rng.normal(rng.uniform(60, 200), rng.uniform(5, 90), (*image.size[::-1], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


def patch_labels(architecture: Architecture, scene: Scene) -> np.ndarray:
    """(patches, 5): what `Batch.patches` holds."""
    masks = scene.object_masks
    side = architecture.image_side
    rows = (np.arange(side) + 0.5) * masks.shape[1] / side
    columns = (np.arange(side) + 0.5) * masks.shape[2] / side
    masks = masks[:, rows.astype(int)][:, :, columns.astype(int)]
    colors, shapes, sizes = LABELS[architecture.world]
    names = np.array([(colors.index(o.color), shapes.index(o.shape), sizes.index(o.size)) for o in scene.objects])
    return np.concatenate([_grid_labels(scene, names, masks, grid) for grid in architecture.grids])


def _grid_labels(scene: Scene, names: np.ndarray, masks: np.ndarray, grid: int) -> np.ndarray:
    """(grid * grid, 5) for a square cut into grid x grid patches."""
    side = masks.shape[1] // grid
    cover = masks.reshape(-1, grid, side, grid, side).mean(axis=(2, 4)).reshape(-1, grid * grid)
    labels = np.zeros((grid * grid, 5), dtype=np.int64)
    labels[:, :3] = names[cover.argmax(axis=0)]
    covered = cover.max(axis=0) > COVERED
    labels[~covered, :3] = IGNORE
    labels[:, 3] = covered
    for index, item in enumerate(scene.objects):
        patch = int(item.center[1] * grid) * grid + int(item.center[0] * grid)
        labels[patch, :3] = names[index]
        labels[patch, 3:] = 1
    return labels


def pack(
    architecture: Architecture, encoder: Encoder, rng: np.random.Generator, questions: Sequence[Question]
) -> tuple[np.ndarray, ...]:
    """Tokens, labels and kinds of as many of a scene's questions as there are slots for."""
    prefix = [encoder.user] + [encoder.image] * architecture.image_tokens
    tokens = np.concatenate((prefix, np.full(TEXT_LENGTH, encoder.pad)))
    labels = np.full(len(tokens), IGNORE)
    kinds = np.full(len(SLOT_LENGTHS), IGNORE)
    for index in rng.permutation(len(questions)):
        question = questions[index]
        asked = [*encoder.ids(question.text), encoder.assistant]
        answered = [*encoder.ids(question.answer), encoder.end]
        length = len(asked) + len(answered)
        fitting = np.flatnonzero((kinds == IGNORE) & (length <= SLOT_LENGTHS))
        if not fitting.size:
            continue
        slot = fitting[0]
        start = len(prefix) + SLOT_LENGTHS[:slot].sum()
        tokens[start : start + length] = asked + answered
        labels[start + len(asked) - 1 : start + length - 1] = answered
        kinds[slot] = KINDS.index(question.kind)
    return tokens, labels, kinds
