"""The families that the contract tests run: one or more of each kind."""

from __future__ import annotations

from tools.families import FAMILIES, REFUSED

VERIFIED = {
    *("cohere_compass", "cosmos3_omni", "deepseek_ocr2", "dots3_note", "fast_vlm", "gemma3n", "gemma4_unified"),
    *("glm5_next", "granite_docling", "hyperclovax_vision_v2", "idefics", "inkling_mm_model", "kimi_k25", "kosmos-2"),
    *("lfm3_vl", "minicpm_ocr", "minicpmv4_7", "minimax_m3_vl", "mistral_large4", "muse_glimmer", "muse_spark"),
    *("nemotron_h_omni", "perception_lm", "qwen2_5_omni_thinker", "qwen3_omni_moe_thinker", "qwen4_exp", "step3p7"),
}
"""Families that `python -m tools.families` measures and no test repeats: each is like one of the others, or slow."""
CONTRACTED = [name for name in FAMILIES if name not in REFUSED and name not in VERIFIED]
