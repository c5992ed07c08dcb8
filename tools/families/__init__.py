"""Tiny vision-language models with random weights and their own working processors, made from configurations.

Nothing is downloaded. A forward takes a few milliseconds, yet each image processor keeps what makes its family
special: tiles and thumbnails, flattened patches, padding, several pixel tensors. `build(name)` seeds a builder,
spreads the weights and leaves the global random state alone; `NEEDS` says what a family cannot be built without.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from tools.families.cambrian import cambrian, cambrian_phi3
from tools.families.crops import molmo2, step3p7
from tools.families.early import blip, emu3, fuyu, idefics, kosmos2, kosmos2_5
from tools.families.flattened import (
    cohere_compass,
    cosmos3_edge,
    cosmos3_omni,
    hunyuan_vl,
    hyperclovax_vision_v2,
    lfm3_vl,
    muse_glimmer,
    muse_spark,
)
from tools.families.gemma import (
    diffusion_gemma,
    gemma3,
    gemma3n,
    gemma4,
    gemma4_unified,
    paligemma,
    shieldgemma2,
)
from tools.families.glm import glm4v, glm4v_moe, glm46v, glm_ocr, glmga
from tools.families.llava import (
    fast_vlm,
    granite4_vision,
    llava,
    llava_next,
    llava_next_video,
    llava_onevision,
    video_llava,
    vipllava,
)
from tools.families.minicpm import minicpm_ocr, minicpmv4_6, minicpmv4_7
from tools.families.native import mini_gemini, mini_gemini_hd
from tools.families.ocr import deepseek_ocr2, unlimited_ocr
from tools.families.omni import (
    evolla,
    nemotron_h_omni,
    perception_lm,
    pi0,
    qwen2_5_omni_thinker,
    qwen3_omni_moe_thinker,
)
from tools.families.parts import Pair, only_generate_words, spread_weights
from tools.families.queries import aria, blip_2, idefics2, instructblip, instructblipvideo
from tools.families.qwen import (
    ernie4_5_vl_moe,
    exaone4_5,
    paddleocr_vl,
    qwen2_5_vl,
    qwen2_vl,
    qwen3_5,
    qwen3_5_moe,
    qwen3_vl,
    qwen3_vl_moe,
    video_llama_3,
)
from tools.families.single import (
    chameleon,
    deepseek_vl,
    deepseek_vl_hybrid,
    git,
    janus,
    lighton_ocr,
    mistral3,
    mistral4,
    mistral_large4,
    pixtral,
)
from tools.families.sparse import (
    dots3_note,
    glm5_next,
    inkling2,
    inkling_mm_model,
    kimi_k25,
    minimax_m3_vl,
    qwen4_exp,
)
from tools.families.tiled import (
    aya_vision,
    cohere2_vision,
    got_ocr2,
    granite_docling,
    idefics3,
    internvl,
    lfm2_vl,
    llama4,
    mllama,
    ovis2,
    pp_chart2table,
    qianfan_ocr,
    smolvlm,
)

FAMILIES: dict[str, Callable[[], Pair]] = {
    "llava": llava,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "vipllava": vipllava,
    "llava_next_video": llava_next_video,
    "video_llava": video_llava,
    "granite4_vision": granite4_vision,
    "fast_vlm": fast_vlm,
    "idefics3": idefics3,
    "granite_docling": granite_docling,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "aya_vision": aya_vision,
    "ovis2": ovis2,
    "mllama": mllama,
    "cohere2_vision": cohere2_vision,
    "llama4": llama4,
    "lfm2_vl": lfm2_vl,
    "got_ocr2": got_ocr2,
    "pp_chart2table": pp_chart2table,
    "qianfan_ocr": qianfan_ocr,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_5": qwen3_5,
    "qwen3_vl_moe": qwen3_vl_moe,
    "qwen3_5_moe": qwen3_5_moe,
    "exaone4_5": exaone4_5,
    "video_llama_3": video_llama_3,
    "paddleocr_vl": paddleocr_vl,
    "ernie4_5_vl_moe": ernie4_5_vl_moe,
    "cohere_compass": cohere_compass,
    "cosmos3_edge": cosmos3_edge,
    "cosmos3_omni": cosmos3_omni,
    "hyperclovax_vision_v2": hyperclovax_vision_v2,
    "lfm3_vl": lfm3_vl,
    "qwen4_exp": qwen4_exp,
    "hunyuan_vl": hunyuan_vl,
    "kimi_k25": kimi_k25,
    "inkling_mm_model": inkling_mm_model,
    "inkling2": inkling2,
    "minimax_m3_vl": minimax_m3_vl,
    "muse_glimmer": muse_glimmer,
    "muse_spark": muse_spark,
    "glm5_next": glm5_next,
    "dots3_note": dots3_note,
    "qwen2_5_omni_thinker": qwen2_5_omni_thinker,
    "qwen3_omni_moe_thinker": qwen3_omni_moe_thinker,
    "nemotron_h_omni": nemotron_h_omni,
    "molmo2": molmo2,
    "perception_lm": perception_lm,
    "step3p7": step3p7,
    "minicpmv4_6": minicpmv4_6,
    "minicpmv4_7": minicpmv4_7,
    "minicpm_ocr": minicpm_ocr,
    "glm4v": glm4v,
    "glm4v_moe": glm4v_moe,
    "glm46v": glm46v,
    "glmga": glmga,
    "glm_ocr": glm_ocr,
    "gemma3": gemma3,
    "gemma4_unified": gemma4_unified,
    "diffusion_gemma": diffusion_gemma,
    "gemma3n": gemma3n,
    "paligemma": paligemma,
    "gemma4": gemma4,
    "shieldgemma2": shieldgemma2,
    "idefics2": idefics2,
    "aria": aria,
    "blip-2": blip_2,
    "instructblip": instructblip,
    "instructblipvideo": instructblipvideo,
    "deepseek_vl_hybrid": deepseek_vl_hybrid,
    "pixtral": pixtral,
    "mistral3": mistral3,
    "mistral_large4": mistral_large4,
    "mistral4": mistral4,
    "deepseek_ocr2": deepseek_ocr2,
    "unlimited_ocr": unlimited_ocr,
    "lighton_ocr": lighton_ocr,
    "deepseek_vl": deepseek_vl,
    "janus": janus,
    "git": git,
    "chameleon": chameleon,
    "idefics": idefics,
    "kosmos-2": kosmos2,
    "kosmos-2.5": kosmos2_5,
    "blip": blip,
    "emu3": emu3,
    "fuyu": fuyu,
    "pi0": pi0,
    "evolla": evolla,
    "mini_gemini": mini_gemini,
    "mini_gemini_hd": mini_gemini_hd,
    "cambrian": cambrian,
    "cambrian_phi3": cambrian_phi3,
}

VARIANTS: dict[str, str] = {
    "pixtral": "LlavaForConditionalGeneration",
    "mini_gemini": "MiniGeminiForConditionalGeneration",
    "mini_gemini_hd": "MiniGeminiForConditionalGeneration",
    "cambrian": "CambrianForConditionalGeneration",
    "cambrian_phi3": "CambrianForConditionalGeneration",
}
"""Families that Transformers' list lacks, and their classes: its own under another processor, and this package's."""

_DISCRETE = "the image becomes discrete codes, through which no gradient passes"
REFUSED: dict[str, str] = {
    "chameleon": _DISCRETE,
    "emu3": _DISCRETE,
    "kosmos-2.5": "each image is normalized by its own mean and deviation, which a mask cannot follow",
    "hunyuan_vl": "its positions count the images of a batch through, which changes answers; --batch-size 1 works",
    "fuyu": "its image processor without torchvision turns patches with numpy's transpose, of a tensor",
    "unlimited_ocr": "its processor gives the number of tiles as a list, which is not handed on",
    "blip": "its generation drops the prompt's last token, which its forward reads",
    "diffusion_gemma": "it writes the words of an answer together, not one after the other",
    "instructblipvideo": "it reads videos of four frames, not images",
    "mistral4": "the class that Transformers lists is the language model alone",
    "pi0": "it makes movements of a robot, not words",
    "evolla": "it reads proteins, not images",
}
"""Families that can be built and do not work. `python -m tools.families` measures it again."""

NEEDS: dict[str, str] = {
    "smolvlm": "num2words",
    "pixtral": "torchvision",
    "mistral3": "torchvision",
    "mistral_large4": "torchvision",
    "mistral4": "torchvision",
    "kimi_k25": "torchvision",
    "minimax_m3_vl": "torchvision",
    "minicpm_ocr": "torchvision",
    "unlimited_ocr": "torchvision",
    "inkling_mm_model": "torchvision",
    "inkling2": "torchvision",
    "muse_glimmer": "torchvision",
    "muse_spark": "torchvision",
    "molmo2": "torchvision",
    "step3p7": "torchvision",
    "nemotron_h_omni": "torchvision",
    "gemma4_unified": "torchvision",
    "instructblipvideo": "torchvision",
    "pi0": "torchvision",
    "perception_lm": "timm",
    "gemma3n": "timm",
    "fast_vlm": "timm",
    "cohere2_vision": "torchvision",
    "llama4": "torchvision",
    "lfm2_vl": "torchvision",
}
"""Packages that the processor class itself asks for. A video processor is left out where torchvision is missing."""


def missing_package(name: str) -> str | None:
    """The package without which this family cannot be built here, or None."""
    package = NEEDS.get(name)
    return package if package is not None and importlib.util.find_spec(package) is None else None


def build(name: str, *, seed: int = 0) -> Pair:
    """A family's model (float32, evaluation mode, no parameter gradients) and processor, equal for equal seeds.

    Raises:
        KeyError: no such family.
        ImportError: see `missing_package`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = FAMILIES[name]()
    spread_weights(model, torch.Generator().manual_seed(seed))
    if model.can_generate():
        only_generate_words(model, processor.tokenizer)
    return model.float().eval().requires_grad_(False), processor
