"""Families with one view of the image: a stretched or padded square, or the image's own shape."""

from __future__ import annotations

from typing import Any

import transformers

from wherelook.models.families.parts import (
    BEGIN_OF_TEXT,
    PATCH_SIDE,
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_processor,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)


def gemma3() -> Pair:
    """One stretched square; attention in both directions inside the image; a template with the begin token."""
    side, placeholders = 64, 16
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessorPil(size=square(side)),
        tokenizer=tokenizer,
        image_seq_length=placeholders,
        chat_template=make_chat_template("<start_of_image>", begin=BEGIN_OF_TEXT),
    )
    config = transformers.Gemma3Config(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        },
        vision_config=transformers.SiglipVisionConfig(**vision_settings(image_side=side), vision_use_head=False),
        mm_tokens_per_image=placeholders,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def paligemma() -> Pair:
    """One stretched square; no chat template; attention in both directions in the prompt, not in the answer."""
    side = 48
    tokenizer = make_tokenizer(named={"image_token": "<image>"})
    processor = transformers.PaliGemmaProcessor(
        image_processor=transformers.SiglipImageProcessorPil(size=square(side), image_seq_length=36),
        tokenizer=tokenizer,
    )
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(image_side=side), vision_use_head=False),
        text_config=transformers.GemmaConfig(**text_settings(tokenizer), head_dim=16),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        image_token_index=processor.image_token_id,
    )
    return transformers.PaliGemmaForConditionalGeneration(config), processor


def deepseek_vl_hybrid() -> Pair:
    """Two pixel tensors of different sizes, padded to squares, for a SigLIP and a SAM encoder."""
    tokenizer = make_tokenizer(named={"image_token": "<image_placeholder>"}, adds_begin=True)
    processor = transformers.DeepseekVLHybridProcessor(
        image_processor=transformers.DeepseekVLHybridImageProcessorPil(
            size=square(TILE_SIDE), high_res_size=square(2 * TILE_SIDE)
        ),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>"),
    )
    config = transformers.DeepseekVLHybridConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        high_res_vision_config=transformers.SamVisionConfig(
            **{
                key: value
                for key, value in vision_settings(image_side=2 * TILE_SIDE).items()
                if key != "intermediate_size"
            },
            mlp_dim=2 * WIDTH,
            output_channels=16,
            window_size=4,
            global_attn_indexes=[1],
        ),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekVLHybridForConditionalGeneration(config), processor


def _pixtral_processor(spatial_merge_size: int) -> Any:
    return transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessorPil(
            size={"longest_edge": 96}, patch_size=square(2 * PATCH_SIDE)
        ),
        tokenizer=make_tokenizer(extra=["[IMG_BREAK]", "[IMG_END]", "[IMG]"], adds_begin=True),
        patch_size=2 * PATCH_SIDE // spatial_merge_size,
        spatial_merge_size=spatial_merge_size,
        chat_template=make_chat_template("[IMG]"),
    )


def pixtral() -> Pair:
    """Any size up to 96 pixels in patches of 16; a break token after each row; LLaVA's model class."""
    processor = _pixtral_processor(spatial_merge_size=1)
    config = transformers.LlavaConfig(
        vision_config=transformers.PixtralVisionConfig(
            **{**vision_settings(image_side=96), "patch_size": 2 * PATCH_SIDE}
        ),
        text_config=transformers.MistralConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def mistral3() -> Pair:
    """As Pixtral, with patches of 8 merged two by two."""
    processor = _pixtral_processor(spatial_merge_size=2)
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision_settings(image_side=96)),
        text_config=transformers.MistralConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        spatial_merge_size=2,
    )
    return transformers.Mistral3ForConditionalGeneration(config), processor


def lighton_ocr() -> Pair:
    """As Mistral 3, with one token per merged patch and none between rows."""
    tokenizer = make_tokenizer(
        named={
            "image_break_token": "<|vision_pad|>",
            "image_end_token": "<|vision_end|>",
            "image_token": "<|image_pad|>",
        }
    )
    processor = transformers.LightOnOcrProcessor(
        image_processor=transformers.PixtralImageProcessorPil(
            size={"longest_edge": 96}, patch_size=square(2 * PATCH_SIDE)
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        spatial_merge_size=2,
        chat_template=make_chat_template("<|image_pad|>"),
    )
    config = transformers.LightOnOcrConfig(
        vision_config=transformers.PixtralVisionConfig(**vision_settings(image_side=96)),
        text_config=transformers.Qwen3Config(**text_settings(tokenizer), head_dim=16),
        image_token_id=processor.image_token_id,
        spatial_merge_size=2,
    )
    return transformers.LightOnOcrForConditionalGeneration(config), processor


def deepseek_vl() -> Pair:
    """One image padded to a square."""
    tokenizer = make_tokenizer(named={"image_token": "<image_placeholder>"}, adds_begin=True)
    processor = transformers.DeepseekVLProcessor(
        image_processor=transformers.DeepseekVLImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>"),
    )
    config = transformers.DeepseekVLConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekVLForConditionalGeneration(config), processor


def janus() -> Pair:
    """One image padded to a square; a second, discrete encoder that only makes images."""
    named = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    processor = transformers.JanusProcessor(
        image_processor=transformers.JanusImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>\n"),
    )
    vision = {key: value for key, value in vision_settings().items() if key != "intermediate_size"}
    config = transformers.JanusConfig(
        vision_config={**vision, "mlp_ratio": 2.0, "projection_dim": WIDTH, "num_image_tokens": 16},
        vq_config={
            "embed_dim": 4,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1],
            "num_res_blocks": 1,
            "projection_dim": WIDTH,
            "image_token_embed_dim": WIDTH,
        },
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=tokenizer.image_token_id,
    )
    return transformers.JanusForConditionalGeneration(config), processor


def idefics2() -> Pair:
    """The image's own shape with a pixel mask; a fixed number of tokens asked for by learned queries."""
    tokenizer = make_tokenizer(extra=["<fake_token_around_image>", "<image>", "<end_of_utterance>"], adds_begin=True)
    processor = transformers.Idefics2Processor(
        image_processor=transformers.Idefics2ImageProcessorPil(
            size={"shortest_edge": 32, "longest_edge": 96}, do_image_splitting=False
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.Idefics2Config(
        vision_config=vision_settings(image_side=96),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        text_config=transformers.MistralConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.Idefics2ForConditionalGeneration(config), processor


def aria() -> Pair:
    """One image padded to a square of 490 pixels (it takes no smaller one); experts; learned queries."""
    side, patch, queries = 490, 70, 8
    tokenizer = make_tokenizer(named={"image_token": "<|img|>"})
    processor = transformers.AriaProcessor(
        image_processor=transformers.AriaImageProcessorPil(max_image_size=side, min_image_size=98),
        tokenizer=tokenizer,
        size_conversion={side: queries},
        chat_template=make_chat_template("<|img|>"),
    )
    processor.images_kwargs = {**processor.images_kwargs, "max_image_size": side}
    config = transformers.AriaConfig(
        vision_config={**vision_settings(image_side=side), "patch_size": patch, "model_type": "idefics3_vision"},
        text_config={
            **text_settings(tokenizer),
            "moe_num_experts": 4,
            "moe_topk": 2,
            "moe_num_shared_experts": 1,
        },
        projector_patch_to_query_dict={(side // patch) ** 2: queries},
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.AriaForConditionalGeneration(config), processor


def gemma4() -> Pair:
    """Flattened patches with their positions, pooled three by three; padding to a fixed number of patches."""
    named = {
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "audio_token": "<|audio|>",
    }
    tokenizer = make_tokenizer(named=named, extra=["<|video|>"], adds_begin=True)
    processor = make_processor(
        transformers.Gemma4Processor,
        video_processor="Gemma4VideoProcessor",
        feature_extractor=transformers.Gemma4AudioFeatureExtractor(),
        image_processor=transformers.Gemma4ImageProcessorPil(
            patch_size=PATCH_SIDE, max_soft_tokens=70, pooling_kernel_size=3
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>", begin=BEGIN_OF_TEXT),
    )
    config = transformers.Gemma4Config(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "global_head_dim": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "vocab_size_per_layer_input": len(tokenizer),
            "hidden_size_per_layer_input": 8,
        },
        vision_config={
            **{key: value for key, value in vision_settings().items() if key != "image_size"},
            "num_key_value_heads": 2,
            "head_dim": 16,
            "pooling_kernel_size": 3,
            "position_embedding_size": 256,
        },
        audio_config=None,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        image_token_id=tokenizer.image_token_id,
        video_token_id=processor.video_token_id,
    )
    return transformers.Gemma4ForConditionalGeneration(config), processor


def fuyu() -> Pair:
    """Flattened patches straight into the decoder, of the image padded to a rectangle; no vision tower."""
    tokenizer = make_tokenizer(extra=["|SPEAKER|", "|NEWLINE|", "<0x04>"])
    processor = transformers.FuyuProcessor(
        image_processor=transformers.FuyuImageProcessor(size=square(2 * TILE_SIDE), patch_size=square(2 * PATCH_SIDE)),
        tokenizer=tokenizer,
    )
    config = transformers.FuyuConfig(
        text_config={**text_settings(tokenizer), "model_type": "persimmon"},
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        patch_size=2 * PATCH_SIDE,
        image_size=2 * TILE_SIDE,
        image_token_id=processor.image_token_id,
    )
    return transformers.FuyuForCausalLM(config), processor


def _query_tower() -> dict[str, Any]:
    """A Q-Former: learned queries that ask the vision tower."""
    return {
        "vocab_size": 512,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "encoder_hidden_size": WIDTH,
        "cross_attention_frequency": 1,
    }


def _opt(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "word_embed_proj_dim": WIDTH,
        "ffn_dim": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def blip_2() -> Pair:
    """One stretched square; learned queries; the processor puts the image tokens before the text by itself."""
    queries = 8
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.Blip2Processor(
        image_processor=transformers.BlipImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_query_tokens=queries,
    )
    config = transformers.Blip2Config(
        vision_config=vision_settings(),
        qformer_config=_query_tower(),
        text_config=_opt(tokenizer),
        num_query_tokens=queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.Blip2ForConditionalGeneration(config), processor


def instructblip() -> Pair:
    """As BLIP-2, and the queries read the question too."""
    queries = 8
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.InstructBlipProcessor(
        image_processor=transformers.BlipImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        qformer_tokenizer=make_tokenizer(),
        num_query_tokens=queries,
    )
    config = transformers.InstructBlipConfig(
        vision_config=vision_settings(),
        qformer_config=_query_tower(),
        text_config=_opt(tokenizer),
        num_query_tokens=queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.InstructBlipForConditionalGeneration(config), processor


def git() -> Pair:
    """One square crop, read before the text and beside it: there is no image token."""
    tokenizer = make_tokenizer()
    processor = transformers.GitProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square(TILE_SIDE)),
        tokenizer=tokenizer,
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_key_value_heads"}
    config = transformers.GitConfig(vision_config=vision_settings(), **settings)
    return transformers.GitForCausalLM(config), processor


def chameleon() -> Pair:
    """One square crop whose cells become words of a codebook."""
    named = {
        "image_token": "<image>",
        "boi_token": "<racm3:break>",
        "eoi_token": "<eoss>",
        "sep_token": "<reserved08706>",
    }
    words = [f"IMGIMG{tens}{ones}Z" for tens in "ABCD" for ones in "ABCD"]
    tokenizer = make_tokenizer(named=named, extra=words)
    processor = transformers.ChameleonProcessor(
        image_processor=transformers.ChameleonImageProcessorPil(
            size={"shortest_edge": TILE_SIDE}, crop_size=square(TILE_SIDE)
        ),
        tokenizer=tokenizer,
        image_seq_length=16,
    )
    config = transformers.ChameleonConfig(
        **text_settings(tokenizer),
        vq_config={
            "embed_dim": 8,
            "num_embeddings": len(words),
            "latent_channels": 8,
            "resolution": TILE_SIDE,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
        },
        vocabulary_map=tokenizer.get_vocab(),
    )
    return transformers.ChameleonForConditionalGeneration(config), processor
