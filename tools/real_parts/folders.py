"""Model folders with the published settings of their processors and the published form of their chat templates.

Sizes of images, patches, tiles and vocabularies are those of the published models; layers are few and narrow, and
weights are random.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tools.families.parts import Pair, make_processor, spread_weights, square
from tools.real_parts.tokenizers import load_tokenizer

WIDTH = 32

# ---- chat templates, written in the form of the published ones ----

VICUNA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
INSTRUCTION = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}"
    " [/INST]{% else %}{{ ' ' + message['content'][0]['text'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_SMALL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}[SYSTEM_PROMPT]"
    "{{ message['content'] if message['content'] is string else message['content'][0]['text'] }}[/SYSTEM_PROMPT]"
    "{% elif message['role'] == 'user' %}[INST]"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for block in message['content'] %}"
    "{% if block['type'] == 'text' %}{{ block['text'] }}{% elif block['type'] in ['image', 'image_url'] %}[IMG]"
    "{% else %}{{ raise_exception('Only text and image blocks are supported') }}{% endif %}{% endfor %}{% endif %}"
    "[/INST]{% endif %}{% endfor %}"
)


def chat_ml(image: str, *, system: str = "", end: str = "\n", opened: str = "", video: str = "") -> str:
    """The turns of ChatML, with a system message by default as Qwen's have, and a thought that is opened."""
    first = (
        "{% if loop.first and messages[0]['role'] != 'system' %}<|im_start|>system\n"
        + system
        + "<|im_end|>\n{% endif %}"
        if system
        else ""
    )
    return (
        "{% set image_count = namespace(value=0) %}{% for message in messages %}" + first + "<|im_start|>"
        "{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for content in message['content'] %}"
        "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
        "{% set image_count.value = image_count.value + 1 %}" + image +
        "{% elif content['type'] == 'video' %}" + video +
        "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>" + end +
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n" + opened + "{% endif %}"
    )  # fmt: skip


def user_turns(image: str, *, begin: str, turn: str, end: str, answer: str, trim: bool = False) -> str:
    """A begin token, and turns between marks with a ROLE in them."""
    text = "{{ content['text'] | trim }}" if trim else "{{ content['text'] }}"
    role = "{{ 'model' if message['role'] == 'assistant' else message['role'] }}"
    return (
        begin + "{% for message in messages %}" + turn.replace("ROLE", role) +
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
        "{% if content['type'] == 'image' %}" + image + "{% elif content['type'] == 'text' %}" + text +
        "{% endif %}{% endfor %}{% endif %}" + end +
        "{% endfor %}{% if add_generation_prompt %}" + answer + "{% endif %}"
    )  # fmt: skip


SMOL = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
LLAMA3 = user_turns(
    "<|image|>",
    begin="{{ bos_token }}",
    turn="<|start_header_id|>ROLE<|end_header_id|>\n\n",
    end="<|eot_id|>",
    answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
)
GEMMA = user_turns(
    "<start_of_image>",
    begin="{{ bos_token }}",
    turn="<start_of_turn>ROLE\n",
    end="<end_of_turn>\n",
    answer="<start_of_turn>model\n",
    trim=True,
)
DEEPSEEK = user_turns("<image_placeholder>", begin="", turn="ROLE: ", end="\n\n", answer="Assistant:")
GLM = user_turns(
    "<|begin_of_image|><|image|><|end_of_image|>",
    begin="[gMASK]<sop>",
    turn="<|ROLE|>\n",
    end="",
    answer="<|assistant|>\n",
)

# ---- models ----


def text(tokenizer: Any, *, layers: int = 2, **changes: Any) -> dict[str, Any]:
    """A narrow language model with the whole vocabulary."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32768,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
        **changes,
    }


def vision(side: int, patch: int) -> dict[str, Any]:
    """A narrow vision tower of the published image and patch size."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
    }


def ids(tokenizer: Any, **tokens: str) -> dict[str, int]:
    """Names of a configuration with the ids of these tokens."""
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def llava_1_5(cache: Path) -> Pair:
    tokenizer = load_tokenizer(cache, "llama2", extra=["<image>"], pad_token="<pad>")
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=square(336)),
        tokenizer=tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=VICUNA,
    )  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(336, 14), projection_dim=WIDTH),
        text_config=transformers.LlamaConfig(**text(tokenizer)),
        image_token_index=processor.image_token_id,
        image_seq_length=576,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_next(cache: Path) -> Pair:
    grids = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    tokenizer = load_tokenizer(cache, "mistral", extra=["<image>"], pad_token="<pad>")
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": 336}, crop_size=square(336), image_grid_pinpoints=grids
        ),
        tokenizer=tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=INSTRUCTION,
    )  # fmt: skip
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(336, 14), projection_dim=WIDTH),
        text_config=transformers.MistralConfig(**text(tokenizer)),
        image_token_index=processor.image_token_id, image_grid_pinpoints=grids, image_seq_length=576,
    )  # fmt: skip
    return transformers.LlavaNextForConditionalGeneration(config), processor


def llava_onevision(cache: Path) -> Pair:
    grids = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    tokenizer = load_tokenizer(cache, "qwen3", extra=["<image>", "<video>"])
    processor = make_processor(
        transformers.LlavaOnevisionProcessor, video_processor="LlavaOnevisionVideoProcessor",
        image_processor=transformers.LlavaOnevisionImageProcessorPil(size=square(384), image_grid_pinpoints=grids),
        tokenizer=tokenizer, num_image_tokens=729, vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        chat_template=chat_ml("<image>\n", end="", video="<video>\n"),
    )  # fmt: skip
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision(384, 14), vision_use_head=False),
        text_config=transformers.Qwen2Config(**text(tokenizer)),
        image_token_index=processor.image_token_id, video_token_index=processor.video_token_id,
        image_grid_pinpoints=grids, vision_aspect_ratio="anyres_max_9",
    )  # fmt: skip
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
QWEN_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
SECTIONS: dict[str, Any] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1000000.0}


def _qwen_processor(name: str, cache: Path, video: str, template: str, patch: int, sizes: tuple[int, int]) -> Any:
    size = {"shortest_edge": sizes[0], "longest_edge": sizes[1]}
    return make_processor(
        getattr(transformers, name), video_processor=video, video={"patch_size": patch, "merge_size": 2},
        image_processor=transformers.Qwen2VLImageProcessorPil(size=size, patch_size=patch, merge_size=2),
        tokenizer=load_tokenizer(cache, "qwen3"), chat_template=template,
    )  # fmt: skip


def _qwen_tower(patch: int, **settings: Any) -> dict[str, Any]:
    return {
        "depth": 2, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2, "out_hidden_size": WIDTH,
        "patch_size": patch, **settings,
    }  # fmt: skip


SYSTEM = "You are a helpful assistant."


def qwen2_vl(cache: Path) -> Pair:
    template = chat_ml(QWEN_IMAGE, system=SYSTEM, video=QWEN_VIDEO)
    processor = _qwen_processor("Qwen2VLProcessor", cache, "Qwen2VLVideoProcessor", template, 14, (3136, 12845056))
    config = transformers.Qwen2VLConfig(
        text_config={**text(processor.tokenizer), "rope_parameters": dict(SECTIONS)},
        vision_config={"depth": 2, "embed_dim": WIDTH, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2,
                       "patch_size": 14},
        **ids(processor.tokenizer, **QWEN_IDS),
    )  # fmt: skip
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_vl(cache: Path) -> Pair:
    template = chat_ml(QWEN_IMAGE, system=SYSTEM, video=QWEN_VIDEO)
    processor = _qwen_processor("Qwen2_5_VLProcessor", cache, "Qwen2VLVideoProcessor", template, 14, (3136, 12845056))
    config = transformers.Qwen2_5_VLConfig(
        text_config={**text(processor.tokenizer), "rope_parameters": dict(SECTIONS)},
        vision_config=_qwen_tower(14, window_size=112, fullatt_block_indexes=[1]),
        **ids(processor.tokenizer, **QWEN_IDS),
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_vl(cache: Path, *, opened: str = "") -> Pair:
    template = chat_ml(QWEN_IMAGE, video=QWEN_VIDEO, opened=opened)
    processor = _qwen_processor("Qwen3VLProcessor", cache, "Qwen3VLVideoProcessor", template, 16, (65536, 16777216))
    config = transformers.Qwen3VLConfig(
        text_config={**text(processor.tokenizer), "head_dim": 16,
                     "rope_parameters": {**SECTIONS, "mrope_interleaved": True}},
        vision_config=_qwen_tower(16, num_position_embeddings=2304, deepstack_visual_indexes=[0]),
        **ids(processor.tokenizer, **QWEN_IDS),
    )  # fmt: skip
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def qwen3_vl_thinking(cache: Path) -> Pair:
    return qwen3_vl(cache, opened="<think>\n")


def _tile_marks(rows: int) -> list[str]:
    return [f"<row_{row}_col_{column}>" for row in range(1, rows + 1) for column in range(1, rows + 1)]


def smolvlm(cache: Path) -> Pair:
    extra = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *_tile_marks(6)]
    tokenizer = load_tokenizer(cache, "smollm2", extra=extra)
    processor = make_processor(
        transformers.SmolVLMProcessor, video_processor="SmolVLMVideoProcessor",
        image_processor=transformers.SmolVLMImageProcessorPil(
            size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}
        ),
        tokenizer=tokenizer, image_seq_len=64, chat_template=SMOL,
    )  # fmt: skip
    config = transformers.SmolVLMConfig(
        vision_config=vision(512, 16), text_config=transformers.LlamaConfig(**text(tokenizer)),
        image_token_id=processor.image_token_id, scale_factor=4,
    )  # fmt: skip
    return transformers.SmolVLMForConditionalGeneration(config), processor


def idefics3(cache: Path) -> Pair:
    extra = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *_tile_marks(6)]
    tokenizer = load_tokenizer(cache, "llama3", extra=extra, pad_token="<|reserved_special_token_0|>")
    processor = transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessorPil(
            size={"longest_edge": 1456}, max_image_size={"longest_edge": 364}
        ),
        tokenizer=tokenizer, image_seq_len=169, chat_template=SMOL.replace("<|im_start|>", "<|begin_of_text|>"),
    )  # fmt: skip
    config = transformers.Idefics3Config(
        vision_config=vision(364, 14), text_config=transformers.LlamaConfig(**text(tokenizer)),
        image_token_id=processor.image_token_id, scale_factor=2,
    )  # fmt: skip
    return transformers.Idefics3ForConditionalGeneration(config), processor


def gemma3(cache: Path) -> Pair:
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = load_tokenizer(cache, "gemma3", named=named)
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessorPil(size=square(896)),
        tokenizer=tokenizer, image_seq_length=256, chat_template=GEMMA,
    )  # fmt: skip
    config = transformers.Gemma3Config(
        text_config={**text(tokenizer), "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 512,
                     "layer_types": ["sliding_attention", "full_attention"]},
        vision_config=transformers.SiglipVisionConfig(**vision(896, 14), vision_use_head=False),
        mm_tokens_per_image=256, boi_token_index=tokenizer.boi_token_id, eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )  # fmt: skip
    return transformers.Gemma3ForConditionalGeneration(config), processor


def paligemma(cache: Path) -> Pair:
    tokenizer = load_tokenizer(cache, "gemma3", named={"image_token": "<image>"}, eos_token="<eos>")
    processor = transformers.PaliGemmaProcessor(
        image_processor=transformers.SiglipImageProcessorPil(size=square(224), image_seq_length=256),
        tokenizer=tokenizer,
    )
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**vision(224, 14), vision_use_head=False),
        text_config=transformers.GemmaConfig(**text(tokenizer), head_dim=16),
        projection_dim=WIDTH, hidden_size=WIDTH, image_token_index=processor.image_token_id,
    )  # fmt: skip
    return transformers.PaliGemmaForConditionalGeneration(config), processor


def internvl3(cache: Path) -> Pair:
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
             "video_token": "<video>"}  # fmt: skip
    tokenizer = load_tokenizer(cache, "qwen3", named=named)
    processor = make_processor(
        transformers.InternVLProcessor, video_processor="InternVLVideoProcessor", video={"size": square(448)},
        image_processor=transformers.GotOcr2ImageProcessorPil(
            size=square(448), crop_to_patches=True, min_patches=1, max_patches=12
        ),
        tokenizer=tokenizer, image_seq_length=256,
        chat_template=chat_ml("<IMG_CONTEXT>\n", video="<video>\n"),
    )  # fmt: skip
    config = transformers.InternVLConfig(
        vision_config=vision(448, 14), text_config=transformers.Qwen2Config(**text(tokenizer)),
        image_token_id=processor.image_token_id, image_seq_length=256,
    )  # fmt: skip
    return transformers.InternVLForConditionalGeneration(config), processor


def mllama(cache: Path) -> Pair:
    extra = ["<|python_tag|>", "<|image|>"]
    tokenizer = load_tokenizer(cache, "llama3", extra=extra, pad_token="<|reserved_special_token_0|>")
    processor = transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessorPil(size=square(560), max_image_tiles=4),
        tokenizer=tokenizer, chat_template=LLAMA3,
    )  # fmt: skip
    tower = {key: value for key, value in vision(560, 14).items() if key != "num_attention_heads"}
    config = transformers.MllamaConfig(
        vision_config={**tower, "attention_heads": 2, "num_global_layers": 1, "intermediate_layers_indices": [0],
                       "vision_output_dim": 2 * WIDTH, "max_num_tiles": 4},
        text_config={**text(tokenizer, layers=3, tie_word_embeddings=False), "vocab_size": processor.image_token_id,
                     "cross_attention_layers": [1]},
        image_token_index=processor.image_token_id,
    )  # fmt: skip
    return transformers.MllamaForConditionalGeneration(config), processor


def deepseek_vl(cache: Path) -> Pair:
    tokenizer = load_tokenizer(
        cache, "deepseek_v3", named={"image_token": "<image_placeholder>"}, pad_token="<｜▁pad▁｜>"
    )
    processor = transformers.DeepseekVLProcessor(
        image_processor=transformers.DeepseekVLImageProcessorPil(size=square(384)),
        tokenizer=tokenizer, num_image_tokens=576, chat_template=DEEPSEEK,
    )  # fmt: skip
    config = transformers.DeepseekVLConfig(
        vision_config=transformers.SiglipVisionConfig(**vision(384, 16), vision_use_head=False),
        text_config=transformers.LlamaConfig(**text(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekVLForConditionalGeneration(config), processor


def mistral_small(cache: Path) -> Pair:
    tokenizer = load_tokenizer(
        cache, "mistral", pad_token="<pad>",
        extra=["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"],
    )  # fmt: skip
    processor = transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessorPil(size={"longest_edge": 1540}, patch_size=square(28)),
        tokenizer=tokenizer, patch_size=14, spatial_merge_size=2, chat_template=MISTRAL_SMALL,
    )  # fmt: skip
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision(1540, 14)),
        text_config=transformers.MistralConfig(**text(tokenizer)),
        image_token_index=processor.image_token_id, spatial_merge_size=2,
    )  # fmt: skip
    return transformers.Mistral3ForConditionalGeneration(config), processor


def glm_4_6v(cache: Path) -> Pair:
    tokens = {
        "image_start_token_id": "<|begin_of_image|>", "image_end_token_id": "<|end_of_image|>",
        "video_start_token_id": "<|begin_of_video|>", "video_end_token_id": "<|end_of_video|>",
        "video_token_id": "<|video|>", "image_token_id": "<|image|>",
    }  # fmt: skip
    marks = ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    tokenizer = load_tokenizer(cache, "gpt4o", extra=[*tokens.values(), *marks], eos_token="<|endoftext|>")
    size = {"shortest_edge": 12544, "longest_edge": 9633792}
    processor = make_processor(
        transformers.Glm46VProcessor, video_processor="Glm46VVideoProcessor",
        video={"size": size, "patch_size": 14, "merge_size": 2},
        image_processor=transformers.Glm46VImageProcessorPil(size=size, patch_size=14, merge_size=2),
        tokenizer=tokenizer, chat_template=GLM,
    )  # fmt: skip
    rotary = {**SECTIONS, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
    config = transformers.Glm46VConfig(
        text_config={**text(tokenizer), "model_type": "glm4v_text", "rope_parameters": rotary},
        vision_config={**_qwen_tower(14, image_size=336), "model_type": "glm4v_vision"},
        **ids(tokenizer, **tokens),
    )
    return transformers.Glm46VForConditionalGeneration(config), processor


FOLDERS: dict[str, Callable[[Path], Pair]] = {
    "llava-1.5": llava_1_5,
    "llava-next": llava_next,
    "llava-onevision": llava_onevision,
    "qwen2-vl": qwen2_vl,
    "qwen2.5-vl": qwen2_5_vl,
    "qwen3-vl": qwen3_vl,
    "qwen3-vl-thinking": qwen3_vl_thinking,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "gemma3": gemma3,
    "internvl3": internvl3,
    "mllama": mllama,
    "deepseek-vl": deepseek_vl,
    "mistral-small": mistral_small,
    "glm-4.6v": glm_4_6v,
    "paligemma": paligemma,
}
"""Folders by name."""

QUICK = ("llava-1.5", "llava-next", "qwen2-vl", "qwen3-vl-thinking", "mistral-small")
"""Those that the tests look at: each takes a few seconds."""

OLDER = ("llava-1.5", "qwen2-vl", "smolvlm")
"""Their chat template stands in tokenizer_config.json alone, as in folders of an older form."""


def build_folder(name: str, tokenizers: Path, folder: Path) -> Path:
    """Writes a model folder, unless it is there. Returns it."""
    if (folder / "complete").is_file():
        return folder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = FOLDERS[name](tokenizers)
    spread_weights(model, torch.Generator().manual_seed(0))
    model.float().eval().save_pretrained(folder)
    template = processor.chat_template
    if name in OLDER:
        processor.chat_template = None
    processor.save_pretrained(folder)
    if name in OLDER:
        settings = folder / "tokenizer_config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))
    (folder / "complete").touch()
    return folder
