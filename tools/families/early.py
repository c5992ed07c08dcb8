"""Early families: a fixed square, read beside the text, or across it."""

from __future__ import annotations

from typing import Any

import transformers
from tokenizers.processors import TemplateProcessing
from tools.families.parts import (
    BEGIN_OF_TEXT,
    END_OF_TEXT,
    PATCH_SIDE,
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_image_processor,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)


def idefics() -> Pair:
    """One stretched square, read through gated cross-attention after each layer; the prompt is a list of parts."""
    tokenizer = make_tokenizer(extra=["<fake_token_around_image>", "<image>"])
    processor = transformers.IdeficsProcessor(
        image_processor=make_image_processor("IdeficsImageProcessorPil", image_size=TILE_SIDE),
        tokenizer=tokenizer,
        image_size=TILE_SIDE,
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_key_value_heads"}
    vision = vision_settings()
    vision["embed_dim"] = vision.pop("hidden_size")
    config = transformers.IdeficsConfig(
        **{**settings, "vocab_size": len(tokenizer) - 2},
        additional_vocab_size=2,
        vision_config=vision,
        alpha_initializer="ones",
    )
    return transformers.IdeficsForVisionText2Text(config), processor


def fuyu() -> Pair:
    """Patches of the image's own shape straight into the language model, a newline token after each row."""
    tokenizer = make_tokenizer(extra=["|SPEAKER|", "|NEWLINE|", "<0x04>"])
    processor = transformers.FuyuProcessor(
        image_processor=make_image_processor(
            "FuyuImageProcessorPil", size=square(2 * TILE_SIDE), patch_size=square(PATCH_SIDE)
        ),
        tokenizer=tokenizer,
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_key_value_heads"}
    config = transformers.FuyuConfig(
        text_config={"model_type": "persimmon", **settings},
        patch_size=PATCH_SIDE,
        image_size=2 * TILE_SIDE,
        image_token_id=processor.image_token_id,
    )
    return transformers.FuyuForCausalLM(config), processor


def kosmos2() -> Pair:
    """One stretched square, resampled to a fixed number of tokens that the processor puts first."""
    tokens = 4
    tokenizer = make_tokenizer(extra=["<unk>", *[f"<image_{index}>" for index in range(tokens)]])
    tokenizer.unk_token = "<unk>"
    processor = transformers.Kosmos2Processor(
        image_processor=transformers.CLIPImageProcessorPil(size=square(TILE_SIDE), do_center_crop=False),
        tokenizer=tokenizer,
        num_patch_index_tokens=4,
    )
    processor.num_image_tokens = tokens
    config = transformers.Kosmos2Config(
        text_config=_kosmos_text(tokenizer),
        vision_config=vision_settings(),
        latent_query_num=tokens,
    )
    return transformers.Kosmos2ForConditionalGeneration(config), processor


def kosmos2_5() -> Pair:
    """Patches of the image's own shape, each image normalized by its own mean and deviation."""
    tokens = 4
    named = {"image_token": "<image>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = make_tokenizer(named=named)
    processor: Any = transformers.Kosmos2_5Processor(
        image_processor=make_image_processor("Kosmos2_5ImageProcessorPil", patch_size=square(PATCH_SIDE)),
        tokenizer=tokenizer,
        num_image_tokens=tokens,
    )
    processor.images_kwargs = {**processor.images_kwargs, "max_patches": 36}
    config = transformers.Kosmos2_5Config(
        text_config=_kosmos_text(tokenizer),
        vision_config={
            "hidden_size": WIDTH,
            "patch_embed_hidden_size": 3 * PATCH_SIDE**2,
            "intermediate_size": 2 * WIDTH,
            "head_dim": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_num_patches": 36,
        },
        latent_query_num=tokens,
    )
    return transformers.Kosmos2_5ForConditionalGeneration(config), processor


def _kosmos_text(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "embed_dim": WIDTH,
        "layers": 2,
        "ffn_dim": 2 * WIDTH,
        "attention_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def blip() -> Pair:
    """One stretched square, read through cross-attention of a BERT that generates."""
    tokenizer = make_tokenizer()
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (BEGIN_OF_TEXT, END_OF_TEXT)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{BEGIN_OF_TEXT} $A {END_OF_TEXT}", special_tokens=ends
    )
    processor = transformers.BlipProcessor(
        image_processor=transformers.BlipImageProcessorPil(size=square(TILE_SIDE)), tokenizer=tokenizer
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_key_value_heads"}
    config = transformers.BlipConfig(
        text_config={**settings, "sep_token_id": tokenizer.eos_token_id, "encoder_hidden_size": WIDTH},
        vision_config=vision_settings(),
    )
    return transformers.BlipForConditionalGeneration(config), processor


def emu3() -> Pair:
    """An image of the size it has, whose cells become words of a codebook."""
    named = {
        "image_token": "<image>",
        "boi_token": "<|image start|>",
        "eoi_token": "<|image end|>",
        "image_wrapper_token": "<|image token|>",
        "eof_token": "<|extra_201|>",
    }
    words = [f"<|visual token {index:06}|>" for index in range(16)]
    tokenizer = make_tokenizer(named=named, extra=[*words, "<|extra_200|>"])
    processor = transformers.Emu3Processor(
        image_processor=transformers.Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=64 * 64),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.Emu3Config(
        vq_config={
            "codebook_size": len(words),
            "embed_dim": 8,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "hidden_size": 32,
        },
        text_config=text_settings(tokenizer),
        vocabulary_map=tokenizer.get_vocab(),
    )
    return transformers.Emu3ForConditionalGeneration(config), processor
