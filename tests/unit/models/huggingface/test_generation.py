"""Generation takes no notice of a checkpoint's settings but of what ends an answer: the answer is the plain argmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build
from transformers import GenerationConfig, WatermarkingConfig

from wherelook.errors import WherelookError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.model import Prompt

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
STEPS = 8

SETTINGS = {
    "sampling": {"do_sample": True, "temperature": 5.0, "top_k": 3, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.3},
    "cutoffs": {"do_sample": True, "epsilon_cutoff": 0.01, "eta_cutoff": 0.01, "top_h": 0.5},
    "beams": {"num_beams": 3, "early_stopping": True, "length_penalty": 2.0},
    "several sequences": {"num_beams": 3, "num_return_sequences": 3},
    "sampled sequences": {"do_sample": True, "num_return_sequences": 2},
    "penalties": {"repetition_penalty": 1.8, "no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.5},
    "guidance": {"guidance_scale": 3.0},
    "token healing": {"token_healing": True},
    "watermark": {"watermarking_config": WatermarkingConfig(bias=9.0)},
    "forced end": {"forced_eos_token_id": 2},
    "lengths": {"min_new_tokens": 3, "min_length": 500, "max_length": 3, "max_time": 1e-9},
    "length decay": {"exponential_decay_length_penalty": (1, 50.0)},
    "cache": {"use_cache": False},
    "static cache": {"cache_implementation": "static"},
    "speculation": {"prompt_lookup_num_tokens": 3},
    "beam groups": {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "layers": {"dola_layers": "high"},
    "what comes back": {"return_dict_in_generate": False, "output_scores": True, "output_attentions": True},
    "own entries": {"mine": 3},
}


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return VisionLanguageModel(*build("llava"))


@pytest.fixture(scope="module")
def prompt(model) -> Prompt:
    return model.encode(PICTURE, "Why?")


@pytest.fixture(scope="module")
def likeliest(model, prompt) -> tuple[int, ...]:
    """The argmax at each step, by forwards alone."""
    inputs = dict(prompt.inputs)
    found: list[int] = []
    with torch.no_grad():
        for _ in range(STEPS):
            token = model.model(**inputs).logits[:, -1:].argmax(-1)
            found.append(int(token))
            for name, value in (("input_ids", token), ("attention_mask", torch.ones_like(token))):
                inputs[name] = torch.cat([inputs[name], value], dim=1)
    return tuple(found)


def settings_of(likeliest: tuple[int, ...]) -> dict[str, dict]:
    """The table, with those settings that name tokens of the answer."""
    first = likeliest[0]
    return SETTINGS | {
        "suppressed": {"suppress_tokens": [first], "begin_suppress_tokens": [first]},
        "biased": {"sequence_bias": [[[first], -50.0]]},
        "bad words": {"bad_words_ids": [[first]]},
        "forced words": {"force_words_ids": [[5]], "num_beams": 2},
    }


@pytest.mark.parametrize("name", settings_of((0,)))
def test_settings_of_the_checkpoint_change_nothing(model, prompt, likeliest, name):
    network = model.model
    before = network.generation_config
    own = GenerationConfig(eos_token_id=before.eos_token_id, pad_token_id=before.pad_token_id)
    for key, value in settings_of(likeliest)[name].items():
        setattr(own, key, value)
    written = own.to_dict()
    network.generation_config = own
    try:
        assert model.generate_ids(prompt, max_new_tokens=STEPS) == likeliest
        assert model.generation_log_probabilities(prompt, likeliest).shape == (STEPS,)
        assert network.generation_config is own, "the user's settings are put back"
        assert own.to_dict() == written
    finally:
        network.generation_config = before


def test_settings_in_the_models_configuration_change_nothing(model, prompt, likeliest, monkeypatch):
    """Where older checkpoints have them, and Transformers refuses to generate."""
    monkeypatch.setattr(model.model.config, "repetition_penalty", 1.9, raising=False)
    assert model.generate_ids(prompt, max_new_tokens=STEPS) == likeliest


def test_the_users_settings_are_put_back_after_an_error(model, prompt, monkeypatch):
    before = model.model.generation_config

    def fails(**_):
        raise RuntimeError("no")

    monkeypatch.setattr(model.model, "generate", fails)
    with pytest.raises(WherelookError, match="RuntimeError: no"):
        model.generate(prompt)
    assert model.model.generation_config is before


@pytest.mark.parametrize("several", [False, True])
def test_a_stop_string_ends_the_answer_before_it(model, prompt, likeliest, monkeypatch, several):
    """It is no word of the answer; a text that does not come ends nothing."""
    pieces = model.pieces(likeliest)
    text = "".join(pieces)
    stop = next(text[end - 3 : end] for end in range(6, len(text)) if text.index(text[end - 3 : end]) == end - 3)
    monkeypatch.setattr(model.model.generation_config, "stop_strings", ["\u2206", stop] if several else stop)
    ids = model.generate(prompt, max_new_tokens=STEPS)
    assert ids == likeliest[: len(ids)]
    assert len(ids) < STEPS
    assert model.decode(likeliest[: len(ids)]).startswith(text[: text.index(stop)])
    assert stop not in model.decode(ids)
    generated = model.generate_ids(prompt, max_new_tokens=STEPS)
    assert stop in model.decode(generated), "generation itself ends with it"
    assert len(generated) < STEPS or text.endswith(stop)


def test_a_stop_string_that_does_not_come_ends_nothing(model, prompt, likeliest, monkeypatch):
    monkeypatch.setattr(model.model.generation_config, "stop_strings", ["\u2206"])
    assert model.generate(prompt, max_new_tokens=STEPS) == likeliest
