"""The embedded model before training: tokenizer, processor, configuration, and a vision tower that starts well."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

IMAGE_SIDE, PATCH = 128, 16
GRID = IMAGE_SIDE // PATCH
WIDTH, HEADS = 160, 5
VISION_LAYERS, VISION_MLP = 4, 480
TEXT_LAYERS, TEXT_MLP = 5, 448
PAD, END, USER, ASSISTANT, IMAGE = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>"

# Images come first whatever the order in the message: the model saw no other order in training.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>' }}{% else %}{{ '<|user|>' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(questions: Iterable[str], answers: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that keeps every word of the questions and answers whole.

    Merges go on until nothing is left to merge, so each word becomes one token: as it stands in the texts, and
    the answers' words also with and without the space before them.
    """
    pieces: set[str] = set()
    for text in questions:
        pieces.update(re.findall(r" ?\w+", text))
    for text in answers:
        for word in re.findall(r"\w+", text):
            pieces.update((word, " " + word))
        pieces.update(re.findall(r" ?\w+", text))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=50_000,
        min_frequency=1,
        special_tokens=[PAD, END, USER, ASSISTANT, IMAGE],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(pieces), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="left",
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    image_processor = SiglipImageProcessor(
        size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        resample=2,  # bilinear: no ringing at edges
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=0,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The untrained model, in float32; reads torch's global seed."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=TEXT_MLP,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        initializer_range=0.05,
    )
    vision = SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=VISION_MLP,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    config = LlavaConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=GRID * GRID,
        tie_word_embeddings=True,
        projector_hidden_act="gelu",
    )
    config.eos_token_id, config.pad_token_id = end, pad
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad, max_new_tokens=32, do_sample=False)
    return model


def vision_layers(model: LlavaForConditionalGeneration) -> torch.nn.Module:
    """The tower's module that holds `embeddings` and `encoder`; some versions of Transformers wrap it once more."""
    tower = model.model.vision_tower
    return getattr(tower, "vision_model", tower)


@torch.no_grad()
def initialise_vision(model: LlavaForConditionalGeneration, sample: torch.Tensor) -> None:
    """Give the vision tower what a small one spends most of its training on finding.

    The patch embedding starts as the lowest frequencies of each patch (luminance and two colour differences), scaled
    to unit variance on `sample` (batch, 3, side, side); 32 channels hold the patch's position as sines and cosines;
    four heads in each of the first two layers start by looking at one of the eight neighbours.
    """
    tower = vision_layers(model)
    embeddings = tower.embeddings
    positions = _position_channels()
    channels = positions.shape[1]
    filters = torch.zeros_like(embeddings.patch_embedding.weight)
    luminance, red_green, blue_yellow = (1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (-0.25, -0.25, 0.5)
    free = WIDTH - channels
    counts = (free - 2 * (free // 4), free // 4, free // 4)
    row = channels
    for mixture, count in zip((luminance, red_green, blue_yellow), counts, strict=True):
        for basis in _cosine_basis(count):
            filters[row] = torch.tensor(mixture)[:, None, None] * basis
            row += 1
    response = torch.nn.functional.conv2d(sample, filters, stride=PATCH)
    spread = response.std(dim=(0, 2, 3)).clamp(min=1e-6)
    spread[:channels] = 1.0
    embeddings.patch_embedding.weight.copy_(filters / spread[:, None, None, None])
    embeddings.patch_embedding.bias.zero_()
    embeddings.position_embedding.weight.zero_()
    embeddings.position_embedding.weight[:, :channels] = positions

    size = WIDTH // HEADS
    offsets = ((0, -1), (0, 1), (-1, 0), (1, 0)), ((-1, -1), (-1, 1), (1, -1), (1, 1))
    for layer, directions in zip(tower.encoder.layers[:2], offsets, strict=True):
        attention = layer.self_attn
        for head, (down, right) in enumerate(directions):
            rows = slice(head * size, (head + 1) * size)
            for projection, shift in ((attention.q_proj, (down, right)), (attention.k_proj, (0, 0))):
                projection.weight[rows] *= 0.1
                projection.weight[rows, :channels] += 1.7 * _shift_matrix(shift)


_FREQUENCIES = 2 * np.pi / 16 * np.arange(1, 9)  # 16 positions per period: none of the 8 wraps around


def _position_channels() -> torch.Tensor:
    """(patches, 32): cosine and sine of the row, then of the column, for eight frequencies."""
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    parts = [function(place[:, None] * _FREQUENCIES) for place in (row, column) for function in (np.cos, np.sin)]
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)


def _shift_matrix(shift: tuple[int, int]) -> torch.Tensor:
    """(32, 32): turns the channels of a position into those of the position `shift` = (down, right) away."""
    matrix = np.zeros((32, 32))
    for axis, steps in enumerate(shift):
        for index, frequency in enumerate(_FREQUENCIES):
            c, s = 16 * axis + index, 16 * axis + 8 + index
            turn = steps * frequency
            matrix[c, c], matrix[c, s] = np.cos(turn), -np.sin(turn)
            matrix[s, c], matrix[s, s] = np.sin(turn), np.cos(turn)
    return torch.tensor(matrix, dtype=torch.float32)


def _cosine_basis(count: int) -> torch.Tensor:
    """(count, PATCH, PATCH): the two-dimensional cosine functions of lowest frequency."""
    place = (np.arange(PATCH) + 0.5) * np.pi / PATCH
    order = sorted(((u, v) for u in range(PATCH) for v in range(PATCH)), key=lambda uv: (uv[0] ** 2 + uv[1] ** 2, uv))
    waves = [np.outer(np.cos(u * place), np.cos(v * place)) for u, v in order[:count]]
    return torch.tensor(np.stack(waves), dtype=torch.float32)
