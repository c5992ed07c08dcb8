"""Parts that the tiny models share: tokenizer, chat template, sizes, weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = (
    "What color is it? The large red circle is left of the small blue square. A green star and a yellow triangle "
    "are above the purple ring. There are two gray crosses on the right; none is below. Yes, the image shows one."
)
PADDING = "<pad>"
BEGIN_OF_TEXT = "<s>"
END_OF_TEXT = "</s>"
UNLIKELY = 0.1
"""How much smaller than a word's the logit of a token is that no answer should hold."""

WIDTH = 32
TILE_SIDE = 32
PATCH_SIDE = 8
# (height, width) of the tile grids that a family may choose from: up to six tiles.
TILE_GRIDS = [
    [rows * TILE_SIDE, columns * TILE_SIDE] for rows in (1, 2, 3) for columns in (1, 2, 3) if rows * columns <= 6
]

Pair = tuple[transformers.PreTrainedModel, transformers.ProcessorMixin]


@lru_cache(maxsize=1)
def _byte_level_model() -> str:
    """A byte-level BPE model over `WORDS`, as JSON: the 256 bytes and some merges, no special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, min_frequency=1, show_progress=False)
    tokenizer.train_from_iterator([WORDS], trainer)
    return tokenizer.to_str()


def make_tokenizer(
    *, named: dict[str, str] | None = None, extra: list[str] | None = None, adds_begin: bool = False
) -> Any:
    """A byte-level tokenizer with the special tokens of a family.

    Args:
        named: attribute name -> token, for tokens that a processor reads as `tokenizer.image_token`.
        extra: further special tokens, in order; the last one gets the highest id.
        adds_begin: whether encoding puts the begin token first, as Llama's and Gemma's tokenizers do.
    """
    backend = Tokenizer.from_str(_byte_level_model())
    named = dict(named or {})
    specials = [PADDING, BEGIN_OF_TEXT, END_OF_TEXT, *named.values(), *(extra or [])]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    if adds_begin:
        begin = (BEGIN_OF_TEXT, backend.token_to_id(BEGIN_OF_TEXT))
        backend.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN_OF_TEXT} $A", pair=f"{BEGIN_OF_TEXT} $A $B", special_tokens=[begin]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PADDING,
        bos_token=BEGIN_OF_TEXT,
        eos_token=END_OF_TEXT,
        extra_special_tokens=named,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def make_chat_template(image: str, *, video: str = "", begin: str = "") -> str:
    """A chat template `USER: <image>question / ASSISTANT:` with `image` where a message holds an image."""
    return (
        f"{begin}"
        "{% for message in messages %}{{ message['role'] | upper }}: "
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] %}"
        f"{{% if part['type'] == 'image' %}}{image}{{% elif part['type'] == 'video' %}}{video}"
        "{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )


def text_settings(tokenizer: transformers.PreTrainedTokenizerFast, *, layers: int = 2) -> dict[str, Any]:
    """What every decoder configuration takes, at the size used here: two heads of 16 channels."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def vision_settings(*, image_side: int = TILE_SIDE) -> dict[str, Any]:
    """What CLIP-like vision configurations take, at the size used here: patches of 8 x 8 pixels."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": image_side,
        "patch_size": PATCH_SIDE,
    }


def square(side: int) -> dict[str, Any]:
    """A square size as image processors write it."""
    return {"height": side, "width": side}


def token_ids(tokenizer: transformers.PreTrainedTokenizerFast, **tokens: str) -> dict[str, Any]:
    """Configuration name -> id for configuration name -> token."""
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def make_image_processor(name: str, **settings: Any) -> Any:
    """An image processor by name: the types of many do not tell the settings that they take."""
    return getattr(transformers, name)(**settings)


def make_processor(
    processor_class: type, *, video_processor: str, video: Mapping[str, Any] | None = None, **parts: Any
) -> Any:
    """A processor with its video half where torchvision is installed, else without: images never use it.

    Args:
        processor_class: what to make.
        video_processor: name of the class of its video half.
        video: settings of that; without them frames have a size that the tiny model does not take.
        parts: the others.
    """
    if transformers.utils.is_torchvision_available():
        return processor_class(video_processor=getattr(transformers, video_processor)(**(video or {})), **parts)

    class ImageOnly(processor_class):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> type:
            if argument_name == "video_processor":
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    ImageOnly.__name__ = processor_class.__name__
    return ImageOnly(video_processor=None, **parts)


@torch.no_grad()
def spread_weights(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Draw matrices with variance 1 / fan-in, so that signals keep their size from pixels to logits.

    With the usual 0.02 a model this narrow passes almost nothing of the image on, and the gates (single numbers)
    of Mllama and DeepSeek-VL start closed.
    """
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.numel() == 1:
            parameter.fill_(1.0)
        elif parameter.ndim < 2:
            parameter.add_(0.1 * noise)
        else:
            parameter.copy_(noise * (parameter.shape[0] / parameter.numel()) ** 0.5)


@torch.no_grad()
def only_generate_words(model: transformers.PreTrainedModel, tokenizer: transformers.PreTrainedTokenizerFast) -> None:
    """Make single bytes and special tokens unlikely: random answers are readable and never hold a placeholder.

    By the weights of the head, since generation takes no notice of the settings that could forbid them.
    """
    single_bytes = {index for token, index in tokenizer.get_vocab().items() if len(token) < 2}
    unwanted = sorted(single_bytes | set(tokenizer.added_tokens_decoder))
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    # Some models do not tell: it is then the last layer of so many outputs.
    head: Any = model.get_output_embeddings() or [each for each in linears if each.out_features >= max(unwanted)][-1]
    rows = torch.tensor([index for index in unwanted if index < head.weight.shape[0]])
    head.weight[rows] *= UNLIKELY
    if getattr(head, "bias", None) is not None:
        head.bias[rows] = 0
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
