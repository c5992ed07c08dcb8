"""The generic adapter: prompts, answers and their pieces, geometry, on tiny models and tokenizers."""

from __future__ import annotations

import copy
import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tools.families import Pair, build, missing_package
from transformers import PreTrainedTokenizerFast

from contracted import CONTRACTED
from wherelook import Explainer
from wherelook.errors import InputError, WherelookError
from wherelook.models import VisionLanguageModel

# GLM-4V's processor in Transformers, on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def pair() -> Pair:
    return build("llava")


@pytest.fixture
def model(pair) -> VisionLanguageModel:
    return VisionLanguageModel(*pair)


# ---- prompt ----


def test_the_chat_template_renders_the_prompt(model):
    assert model.render("Why?") == "USER: <image>\nWhy?\nASSISTANT:"


def test_a_model_without_template_takes_the_users(pair):
    plain = VisionLanguageModel(*build("paligemma"))
    assert plain.render("Why?") == "<image>Why?"
    answer = VisionLanguageModel(*build("paligemma"), prompt_template="{image}answer en {question}\n")
    assert answer.render("Why?") == "<image>answer en Why?\n"


@pytest.mark.parametrize("name", ["llava", "gemma3", "mllama", "idefics3", "qwen2_vl"])
def test_the_begin_token_comes_once_at_most(name):
    """Whether the template writes it, the tokenizer adds it, both, or neither."""
    model = VisionLanguageModel(*build(name))
    ids = model.encode(PICTURE, "Why?").inputs["input_ids"][0].tolist()
    begin = model.tokenizer.bos_token_id
    assert ids.count(begin) == (0 if name == "qwen2_vl" else 1)
    if name != "qwen2_vl":
        assert ids[0] == begin


def test_braces_and_template_marks_in_a_question_are_text(model):
    for question in ("What is {this}?", "{{ messages }}", "{% raw %}", "100 % of {0}"):
        assert question in model.render(question)
        assert question in VisionLanguageModel(*build("paligemma")).render(question)


def test_an_image_that_the_processor_refuses_is_an_input_error(model, monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("absolute aspect ratio must be smaller than 200,\n got 500")

    monkeypatch.setattr(type(model.processor), "__call__", refuse)
    with pytest.raises(
        InputError, match="refuses this image of 64 x 40: absolute aspect ratio must be smaller than 200"
    ):
        model.encode(PICTURE, "Why?")


# ---- answer ----


class Scripted:
    """A model whose greedy answer is given: the logits after n generated tokens prefer the n-th."""

    def __init__(self, pair: Pair, answer: list[int], monkeypatch) -> None:
        network = pair[0]
        self.steps = 0

        def generate(**options):
            count = min(len(answer), options["generation_config"].max_new_tokens)
            sequences = torch.cat([options["input_ids"], torch.tensor([answer[:count]])], dim=1)
            return type("Output", (), {"sequences": sequences})

        monkeypatch.setattr(network, "generate", generate)


def test_generation_ends_before_the_end_token(pair, model, monkeypatch):
    words = model.tokenizer(" red circle", add_special_tokens=False)["input_ids"]
    end = model.tokenizer.eos_token_id
    Scripted(pair, [*words, end, words[0]], monkeypatch)
    prompt = model.encode(PICTURE, "Why?")
    assert model.generate(prompt) == tuple(words)
    assert model.generate_ids(prompt, max_new_tokens=99)[: len(words) + 1] == (*words, end)


def test_every_end_token_of_the_checkpoint_ends_an_answer(pair, model, monkeypatch):
    words = model.tokenizer(" red circle", add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(model.model.generation_config, "eos_token_id", [9999, words[-1]])
    Scripted(pair, words, monkeypatch)
    assert model.generate(model.encode(PICTURE, "Why?")) == tuple(words[:-1])


def test_an_empty_answer_is_an_error_with_advice(pair, model, monkeypatch):
    Scripted(pair, [model.tokenizer.eos_token_id], monkeypatch)
    with pytest.raises(WherelookError, match="the model's answer is empty: rephrase the question"):
        model.generate(model.encode(PICTURE, "Why?"))


def test_generation_is_greedy_and_settings_of_sampling_do_not_disturb_it(model):
    prompt = model.encode(PICTURE, "Why?")
    configuration = model.model.generation_config
    plain = model.generate(prompt, max_new_tokens=5)
    configuration.update(do_sample=True, temperature=7.0, top_p=0.5, top_k=3)
    try:
        assert model.generate(prompt, max_new_tokens=5) == plain
    finally:
        configuration.update(do_sample=False, temperature=None, top_p=None, top_k=None)


@pytest.mark.parametrize("name", [name for name in CONTRACTED if missing_package(name) is None])
def test_a_given_answer_is_tokenized_as_it_would_follow_the_prompt(name):
    model = VisionLanguageModel(*build(name))
    prompt = model.encode(PICTURE, "Why?")
    text = "The red circle is left of it."
    ids = model.tokenize_answer(prompt, f"  {text}\n")
    with torch.no_grad():
        inputs = {name: model._cast(value) for name, value in prompt.inputs.items()}
        next_token = model.model(**inputs).logits[0, -1]
    before = model.tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
    ways = [model.tokenizer(prompt.text + gap + text, add_special_tokens=False)["input_ids"] for gap in ("", " ")]
    starts = [way[len(before)] for way in ways]
    likely = torch.softmax(next_token.float(), dim=-1)[starts]
    if likely.max() < 0.01:  # neither is a start that the model would choose: the answers as a whole tell
        black = Image.new("RGB", PICTURE.size)
        likely = torch.stack([model.score(prompt, black, way[len(before) :]).original.sum() for way in ways])
    likelier = ways[int(likely[1] > likely[0])]  # with or without a space before it
    assert [*before, *ids] == likelier
    assert model.decode(ids).strip() == text
    assert "".join(model.pieces(ids)) == model.decode(ids)
    assert not set(ids) & set(model.tokenizer.all_special_ids)


def test_where_neither_start_is_likely_the_whole_answer_tells_whether_it_begins_with_a_space(model, monkeypatch):
    """A first token of the tail may be the likelier one by chance, and the rest speak against it."""
    prompt = model.encode(PICTURE, "Why?")
    tight, spaced = (model._continue(prompt.text, text) for text in ("red circle", " red circle"))
    assert tight[0] != spaced[0]
    whole = model._next_log_probabilities

    def tell(first: dict[int, float], rest: dict[tuple[int, ...], float]):
        def next_log_probabilities(prompt, ids):
            found = torch.full_like(whole(prompt, ids), -20.0)
            if not ids:
                for token, value in first.items():
                    found[-1, token] = value
            for place, token in enumerate(ids):
                found[place, token] = rest[tuple(ids)]
            return found

        monkeypatch.setattr(model, "_next_log_probabilities", next_log_probabilities)
        return model.tokenize_answer(prompt, "red circle")

    for better, worse in ((tight, spaced), (spaced, tight)):
        rest = {better: -1.0, worse: -9.0}
        assert tell({better[0]: -8.0, worse[0]: -7.0}, rest) == better
        assert tell({better[0]: -8.0, worse[0]: -1.0}, rest) == worse  # a likely start tells by itself


def test_no_vocabulary_is_spread_over_a_prompt_to_place_an_answer(model):
    """A prompt of 3,000 tokens and a vocabulary of 150,000 would be 2 GB."""
    prompt = model.encode(PICTURE, "Why?")
    head, places = model.model.get_output_embeddings(), list[int]()
    handle = head.register_forward_hook(lambda module, inputs, output: places.append(output.shape[1]))
    try:
        ids = model.tokenize_answer(prompt, "red circle")
    finally:
        handle.remove()
    assert places in ([1], [1, len(ids), len(ids)])


def test_a_generated_answer_given_back_has_the_same_tokens(model):
    """Round trip, for an answer in the tokenizer's own cut."""
    prompt = model.encode(PICTURE, "Why?")
    ids = model.tokenize_answer(prompt, "A green star and a yellow triangle.")
    assert model.tokenize_answer(prompt, model.decode(ids)) == ids


def test_where_the_border_merges_the_answer_is_tokenized_alone(model):
    """The prompt's last piece would swallow the answer's first: its ids must stay the prompt's."""
    ids = model._continue("Fill in: gre", "en star")
    assert model.decode(ids) == "en star"


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_an_empty_given_answer_is_refused(model, answer):
    with pytest.raises(InputError, match="the answer to explain is empty"):
        model.tokenize_answer(model.encode(PICTURE, "Why?"), answer)


# ---- pieces ----


@given(st.text(alphabet="ab \u00e9\u8f66\U0001f642'.\n", max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_join_to_the_answer(model, text):
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = model.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == model.decode(ids) == text


@given(st.lists(st.integers(0, 339), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_pieces_join_for_any_tokens_also_broken_characters(model, ids):
    assert "".join(model.pieces(ids)) == model.decode(ids)


def test_a_character_of_several_tokens_belongs_to_its_last(model):
    ids = model.tokenizer("a\U0001f642b", add_special_tokens=False)["input_ids"]
    assert model.pieces(ids) == ["a", "", "", "", "\U0001f642", "b"]


def test_special_tokens_add_nothing(model):
    words = model.tokenizer(" red", add_special_tokens=False)["input_ids"]
    end = model.tokenizer.eos_token_id
    assert model.pieces([*words, end]) == [*model.pieces(words), ""]


def word_start_tokenizer() -> PreTrainedTokenizerFast:
    """As SentencePiece: a mark before each word, dropped from the front of a decoded text."""
    vocabulary = {"<unk>": 0, "</s>": 1, "\u2581The": 2, "\u2581red": 3, "\u2581car": 4, "s": 5, ".": 6}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", continuing_subword_prefix=""))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def test_word_start_marks_become_spaces(model, monkeypatch):
    monkeypatch.setattr(model.processor, "tokenizer", word_start_tokenizer())
    assert model.pieces([2, 3, 4, 5, 6, 1]) == ["The", " red", " car", "s", ".", ""]
    assert model.decode([2, 3, 4, 5, 6, 1]) == "The red cars."


def test_an_answer_between_marks_keeps_its_first_letter_where_decoding_drops_a_space(pair, model, monkeypatch):
    prompt = model.encode(PICTURE, "Why?")
    tokenizer = word_start_tokenizer()
    tokenizer.add_tokens(["<answer>", "</answer>"])
    monkeypatch.setattr(model.processor, "tokenizer", tokenizer)
    opening, closing = tokenizer.convert_tokens_to_ids(["<answer>", "</answer>"])
    Scripted(pair, [opening, 3, 4, closing, 1], monkeypatch)
    reply = model.reply(prompt)
    assert (reply.text, reply.pieces, reply.ids) == ("red car", ("red", " car"), (3, 4))


# ---- copies ----


def test_models_and_scores_can_be_copied(model):
    prompt = model.encode(PICTURE, "Why?")
    score = model.score(prompt, PICTURE, model.tokenize_answer(prompt, "red"))
    passes = (score.original.tolist(), model.cost.forward)
    other, its_score = copy.deepcopy((model, score))
    assert other.cost is its_score.cost, "what is shared stays shared"
    assert (its_score.original.tolist(), other.cost.forward) == passes
    its_score(torch.ones(1, 8, 8))
    assert (other.cost.forward, model.cost.forward) == (passes[1] + 1, passes[1])
    assert other.cost.of_this_thread().forward == 1


def test_what_stands_around_a_model_can_be_sent_to_another_process(model):
    """The model itself is up to Transformers, which puts hooks on it that only some ways of sending can take."""
    model.cost.add(forward=3, backward=2, generated_tokens=1)
    cost, prompting, _ = pickle.loads(pickle.dumps((model.cost, model.prompting, model.plan)))
    assert (cost.forward, cost.backward, cost.generated_tokens) == (3, 2, 1)
    cost.add(forward=1)
    assert (cost.forward, cost.of_this_thread().forward, model.cost.forward) == (4, 1, 3)
    assert prompting.render("Why?") == model.render("Why?")


# ---- batches ----


@pytest.mark.parametrize(("name", "largest"), [("llava", 16), ("minicpmv4_6", 1), ("molmo2", 1)])
def test_a_model_whose_processor_packs_or_numbers_the_images_of_a_batch_is_asked_one_by_one(name, largest):
    """MiniCPM-V's processor puts the slices of all images in one row; Molmo 2's numbers their patches through."""
    if missing_package(name):
        pytest.skip(f"{name} needs {missing_package(name)}")
    model = VisionLanguageModel(*build(name))
    score = model.score(model.encode(PICTURE, "Why?"), Image.new("RGB", PICTURE.size), (300, 65))
    assert model.plan.largest == largest
    both = score(torch.tensor([[[0.2]], [[0.8]]]))
    torch.testing.assert_close(both[1:], score(torch.tensor([[[0.8]]])), atol=1e-5, rtol=0)
    assert (both[0] - both[1]).abs().max() > 1e-4


# ---- geometry ----


def test_geometry_is_measured_once_per_size_and_forgotten_in_turn(model, monkeypatch):
    calls = []
    assert model.prompting.picture_ids  # asked of the processor, once
    process = model.prompting.process
    monkeypatch.setattr(
        model.prompting, "process", lambda images, text: calls.append(images[0].size) or process(images, text)
    )
    model.geometry((20, 30))
    assert calls == [(30, 20)] * 8
    model.geometry((20, 30))
    assert len(calls) == 8
    for height in range(1, 9):
        model.geometry((height, 30))
    calls.clear()
    model.geometry((8, 30))
    assert not calls
    model.geometry((20, 30))
    assert len(calls) == 8


def test_the_geometry_is_the_images_not_the_questions(model):
    first = model.geometry((33, 47)).tensors["pixel_values"].grid
    second = VisionLanguageModel(model.model, model.processor).geometry(
        (33, 47), question="A longer question, on what?"
    )
    assert torch.equal(first, second.tensors["pixel_values"].grid)


# ---- construction ----


def test_what_a_result_says_about_the_model(model):
    assert model.description["class"] == "LlavaForConditionalGeneration"
    assert model.description["dtype"] == "float32"
    json.dumps(model.description)
    named = VisionLanguageModel(model.model, model.processor, identifier="me/mine", revision="abc")
    assert (named.description["id"], named.description["revision"]) == ("me/mine", "abc")


def test_what_cannot_work_is_refused_at_once(pair, monkeypatch):
    with pytest.raises(InputError, match="batch size 0 is not positive"):
        VisionLanguageModel(*pair, batch_size=0)
    monkeypatch.setattr(pair[0].config, "is_encoder_decoder", True, raising=False)
    with pytest.raises(InputError, match="is an encoder-decoder model; only decoder models are supported"):
        VisionLanguageModel(*pair)


@pytest.mark.parametrize("training", [False, True])
def test_evaluation_mode_ends_as_it_began_also_after_an_error(model, training):
    model.model.train(training)
    try:
        with model.evaluation():
            assert not model.model.training
        assert model.model.training is training
        with pytest.raises(WherelookError), model.evaluation():
            raise WherelookError("stop")
        assert model.model.training is training
    finally:
        model.model.eval()


def test_modules_keep_their_own_mode(model):
    """A user's model in training with one frozen part in evaluation mode, such as batch norm."""
    part = model.model.get_submodule("model.vision_tower")
    model.model.train()
    part.eval()
    try:
        with model.evaluation():
            assert not any(module.training for module in model.model.modules())
        assert not part.training
        assert model.model.training
    finally:
        model.model.eval()


# ---- several images ----


def test_several_images_come_before_the_question(model):
    """The family's template writes an image and a line end for each."""
    assert model.render("Why?", 2) == "USER: <image>\n<image>\nWhy?\nASSISTANT:"
    plain = VisionLanguageModel(*build("paligemma"))
    assert plain.render("Why?", 3) == "<image><image><image>Why?"
    template = VisionLanguageModel(*build("paligemma"), prompt_template="{image}answer en {question}\n")
    assert template.render("Why?", 2) == "<image><image>answer en Why?\n"


def test_a_model_of_one_image_says_so_before_it_does_anything(pair, monkeypatch):
    model = VisionLanguageModel(*pair, identifier="single", most_images=1)
    monkeypatch.setattr(model.prompting, "process", lambda images, text: pytest.fail("processed"))
    with pytest.raises(InputError, match=r"^'single' was trained on prompts of 1 image\(s\), not 2: choose a model"):
        model.encode([PICTURE, PICTURE], "Why?")


def test_a_processor_that_drops_an_image_is_refused_before_the_model_runs(pair, monkeypatch):
    network, processor = pair
    model = VisionLanguageModel(network, processor)
    process = model.prompting.process
    # Only the first image's pixels, for all.
    monkeypatch.setattr(model.prompting, "process", lambda images, text: process([images[0]] * len(images), text))
    monkeypatch.setattr(network, "forward", lambda *_, **__: pytest.fail("the model ran"))
    with pytest.raises(InputError, match="drops image 2 of 2: this model takes fewer images in a prompt"):
        Explainer(model).explain([PICTURE, PICTURE], "Why?")


def test_a_processor_that_refuses_several_images_is_quoted(pair, monkeypatch):
    model = VisionLanguageModel(*pair, identifier="single")

    def refuse(*_, **__):
        raise ValueError("Expected one image,\n got several")

    monkeypatch.setattr(type(model.processor), "__call__", refuse)
    expected = (
        r"^the processor of 'single' refuses these 2 images \(64 x 40, 64 x 40\) together: "
        "Expected one image, got several$"
    )
    with pytest.raises(InputError, match=expected):
        model.encode([PICTURE, PICTURE], "Why?")


# ---- a video ----


def test_a_video_is_what_the_chat_template_writes_and_one_image_is_not():
    model = VisionLanguageModel(*build("llava_onevision"), frames_per_second=2)
    assert model.render("Why?", 3) == "USER: <video>\nWhy?\nASSISTANT:"
    assert model.render("Why?") == "USER: <image>\nWhy?\nASSISTANT:"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llava", r"^'llava' has no video input here; it takes images only: show the frames as images$"),
        ("kimi_k25", r"chat template of 'kimi_k25' writes no '.*' for a video: show the frames as images, or"),
    ],
)
def test_a_model_without_a_video_input_says_so(name, expected):
    model = VisionLanguageModel(*build(name), identifier=name, frames_per_second=2)
    with pytest.raises(InputError, match=expected):
        model.encode([PICTURE, PICTURE], "Why?")


def test_a_video_without_torchvision_says_what_is_missing(monkeypatch):
    model = VisionLanguageModel(*build("qwen2_vl"), identifier="qwen", frames_per_second=2)
    monkeypatch.setattr(model.processor, "video_processor", None)
    with pytest.raises(InputError, match=r"^'qwen' has no video input here; .* torchvision: install it, or show the"):
        model.encode([PICTURE, PICTURE], "Why?")


def test_frames_of_different_sizes_are_no_video():
    model = VisionLanguageModel(*build("qwen2_vl"), frames_per_second=2)
    with pytest.raises(InputError, match=r"^the frames of a video have one size; got 64 x 40, 80 x 40$"):
        model.encode([PICTURE, PICTURE.resize((80, 40))], "Why?")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_frames_per_second_are_a_positive_number(rate):
    with pytest.raises(InputError, match=r"^frames per second are a positive number; got"):
        VisionLanguageModel(*build("llava"), frames_per_second=rate)


def test_the_processor_is_told_how_fast_a_video_is():
    """Qwen3-VL writes the time of every two frames into the prompt."""
    times = []
    for rate in (1, 4):
        model = VisionLanguageModel(*build("qwen3_vl"), frames_per_second=rate)
        if getattr(model.processor, "video_processor", None) is None:
            pytest.skip("needs torchvision")
        ids = model.encode([PICTURE] * 4, "Why?").inputs["input_ids"][0].tolist()
        times.append(re.findall(r"<([\d.]+) seconds>", model.tokenizer.decode(ids)))
    assert times == [["0.5", "2.5"], ["0.1", "0.6"]]
