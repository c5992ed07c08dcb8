"""Reading inside tiny models of several families: against what Transformers itself returns, and leaving no trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build, missing_package
from torch import Tensor

from wherelook.baselines import make_baseline
from wherelook.errors import InputError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.internals import Inside, find_decoder, place_profile
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.score import OpensInside

# PaliGemma's processor in Transformers, on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

SIZE = (70, 130)
GRID = (10, 19)
QUESTION = "What color is the star?"
ANSWER = "The green star is left."
# A crop, tiles with a thumbnail, flattened patches, tiles of merged patches, a language model that sees both ways.
FAMILIES = ["llava", "llava_next", "qwen2_vl", "idefics3", "paligemma", "cambrian"]


def make_score(family: str) -> HuggingFaceScore:
    missing = missing_package(family)
    if missing:
        pytest.skip(f"{family} needs {missing}")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    model = VisionLanguageModel(*build(family), identifier=family)
    prompt = model.encode(picture, QUESTION)
    return model.score(prompt, baseline, model.tokenize_answer(prompt, ANSWER))


@pytest.fixture(scope="module", params=FAMILIES)
def score(request) -> HuggingFaceScore:
    return make_score(request.param)


@pytest.fixture(scope="module")
def llava() -> HuggingFaceScore:
    return make_score("llava")


def implementations(model: torch.nn.Module) -> list[str | None]:
    return [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")]


def hooks(model: torch.nn.Module) -> int:
    """Transformers leaves some of its own after the first forward."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def inputs_embeddings(score: HuggingFaceScore, masks: Tensor) -> Tensor:
    """What the language model reads, seen by a hook of the test's own while the whole model runs."""
    seen: list[Tensor] = []

    def note(module, arguments, inputs):
        seen.append(inputs["inputs_embeds"].detach())

    hook = find_decoder(score.model).register_forward_pre_hook(note, with_kwargs=True)
    score(masks)
    hook.remove()
    return torch.cat(seen)


# ---- image tokens ----


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_tokens_that_change_with_a_region_are_those_mapped_there(score, corner):
    """A quarter of the image replaced by the baseline moves the tokens of that quarter more than all others."""
    tokens = score.inside().image_tokens(GRID)
    quarter = torch.zeros(GRID)
    rows, columns = (
        slice(side // 2, None) if far else slice(0, side // 2) for side, far in zip(GRID, corner, strict=True)
    )
    quarter[rows, columns] = 1.0
    before, after = inputs_embeddings(score, torch.stack([torch.ones(GRID), 1 - quarter]))
    change = (after - before).norm(dim=-1)[tokens.positions]
    inside = (tokens.weights * quarter).sum(dim=(1, 2))
    within, without = change[inside > 0.8], change[inside < 0.2]
    assert len(within) > 0
    assert len(without) > len(within)
    # The towers have random weights, and attention over the whole image: some of it reaches everywhere.
    above = (within[:, None] > without).float().mean()
    assert above > 0.9


def test_image_tokens_are_the_placeholders(score):
    """Positions, and no others: all the model's image tokens, or those of them that are not separators."""
    tokens = score.inside().image_tokens(GRID)
    placeholders = score._inputs["input_ids"][0] == score.model.config.image_token_id
    assert placeholders[tokens.positions].all()
    assert len(tokens.positions) > 0.8 * int(placeholders.sum())
    assert tokens.positions.tolist() == sorted(set(tokens.positions.tolist()))


def test_the_shares_of_a_token_add_up_to_one(score):
    weights = score.inside().image_tokens(GRID).weights
    assert weights.shape[1:] == GRID
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(len(weights)))


def test_what_the_processor_crops_off_has_no_token(llava):
    """LLaVA's crop is the middle square: 70 of 130 columns, 30 off at each side, which are 4.4 of 19 cells."""
    tokens = llava.inside().image_tokens(GRID)
    seen = tokens.weights.sum(dim=(0, 1)) > 0
    assert not seen[:4].any()
    assert not seen[-4:].any()
    assert seen[5:-5].all()
    assert not tokens.paint(torch.ones(len(tokens.positions)))[:, :4].any()


def test_llavas_tokens_lie_in_reading_order(llava):
    weights = llava.inside().image_tokens(GRID).weights
    row = (weights.sum(dim=2) * torch.arange(GRID[0])).sum(dim=1).reshape(6, 6).mean(dim=1)
    column = (weights.sum(dim=1) * torch.arange(GRID[1])).sum(dim=1).reshape(6, 6).mean(dim=0)
    assert (row.diff() > 1).all()
    assert (column.diff() > 1).all()


def test_image_tokens_are_measured_once_without_the_language_model(monkeypatch):
    score = make_score("llava")
    ran = []
    hook = find_decoder(score.model).layers[0].register_forward_pre_hook(lambda *arguments: ran.append(1))
    before = score.cost.forward
    first = score.inside().image_tokens((4, 5))
    assert score.cost.forward - before == 4 + 5 + 2
    assert score.select([1]).inside().image_tokens((4, 5)) is first
    assert score.cost.forward - before == 4 + 5 + 2
    assert not ran
    hook.remove()


def test_a_profile_is_what_stands_out_of_the_background():
    """Closed form: the background is 1; 5 and 3 stand out by 4 and 2, squares 16 and 4, shares 0.8 and 0.2."""
    changes = torch.tensor([[1.0, 0.0], [5.0, 0.0], [3.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    expected = torch.tensor([[0.0, 0.0], [0.8, 0.0], [0.2, 0.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(place_profile(changes), expected)


def test_a_model_without_image_tokens_is_refused():
    score = make_score("mllama")
    with pytest.raises(InputError, match=r"no image tokens .*choose a method that works on any model"):
        score.inside().image_tokens(GRID)
    assert hooks(score.model) == 0


def test_a_model_without_layers_where_they_are_expected_is_refused():
    with pytest.raises(InputError, match="cannot find the layers of the language model in Identity"):
        find_decoder(torch.nn.Identity())


# ---- attention ----


def test_attention_is_what_transformers_returns_in_eager_mode(score):
    read = score.inside().attention()
    model, before = score.model, score.model.config._attn_implementation
    assert before != "eager"
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(**score._inputs, **score.image_pixels, output_attentions=True, use_cache=False)
    model.set_attn_implementation(before)
    expected = torch.stack([layer[0].mean(dim=0) for layer in output.attentions])
    torch.testing.assert_close(read.layers, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(read.layers.sum(dim=-1), torch.ones(read.layers.shape[:2]))
    log_probabilities = output.logits[0].log_softmax(dim=-1)[read.predicting]
    targets = torch.tensor(score.conversation.answer)
    torch.testing.assert_close(log_probabilities.gather(1, targets[:, None])[:, 0], score.original, atol=1e-4, rtol=0)
    assert 0 <= read.difference < 1e-4


def test_the_difference_that_eager_attention_makes_is_reported(llava, monkeypatch):
    shifted = HuggingFaceScore.original.fget(llava) + torch.tensor([0.0, 0.25, 0, 0, 0, 0, 0, 0])[: len(llava.selected)]
    monkeypatch.setattr(HuggingFaceScore, "original", shifted)
    assert llava.inside().attention().difference == pytest.approx(0.25, abs=1e-4)


def test_weighted_attention_is_attention_times_its_gradient(llava):
    """Against the gradient that autograd gives for the probabilities that Transformers returns."""
    read = llava.inside().attention(weighted=True)
    model, before = llava.model, llava.model.config._attn_implementation
    model.set_attn_implementation("eager")
    pixels = {name: value.clone().requires_grad_() for name, value in llava.image_pixels.items()}
    output = model(**llava._inputs, **pixels, output_attentions=True, use_cache=False)
    model.set_attn_implementation(before)
    log_probabilities = output.logits[0].log_softmax(dim=-1)[read.predicting]
    total = log_probabilities.gather(1, torch.tensor(llava.conversation.answer)[:, None]).sum()
    gradients = torch.autograd.grad(total, output.attentions)
    expected = [(a * g).clamp_min(0)[0].mean(dim=0) for a, g in zip(output.attentions, gradients, strict=True)]
    torch.testing.assert_close(read.layers, torch.stack(expected).detach(), atol=1e-6, rtol=1e-3)
    assert read.layers.abs().max() > 1e-3


def test_attention_to_another_question(llava):
    other = llava.inside().attention(question="Is it a square?")
    assert other.predicting.shape == (1,)
    assert other.difference < 1e-4
    assert other.layers.shape[1] == other.predicting.item() + 1 != llava.inside().attention().layers.shape[1]
    same = llava.inside().attention(question=QUESTION)
    length = same.layers.shape[1]
    ours = llava.inside().attention().layers[:, :length, :length]
    torch.testing.assert_close(same.layers, ours, atol=1e-5, rtol=0)


def test_only_the_layers_that_attend_are_read():
    """Qwen3.5's first layer is recurrent."""
    assert len(make_score("qwen3_5").inside().attention().layers) == 1


# ---- hidden states ----


@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_states_are_the_hidden_states_and_their_gradient(llava, depth):
    positions = llava.inside().image_tokens(GRID).positions
    states = llava.inside().states(depth, positions)
    pixels = {name: value.clone().requires_grad_() for name, value in llava.image_pixels.items()}
    output = llava.model(**llava._inputs, **pixels, output_hidden_states=True, use_cache=False)
    index = round(depth * 2)  # of two layers
    if depth < 1:  # Transformers' last hidden state is behind the norm
        hidden = output.hidden_states[index]
        predicting = output.logits.shape[1] - torch.tensor(llava.inside().from_end)
        log_probabilities = output.logits[0].log_softmax(dim=-1)[predicting]
        total = log_probabilities.gather(1, torch.tensor(llava.conversation.answer)[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, hidden)
        torch.testing.assert_close(states.values, hidden.detach()[0, positions], atol=1e-5, rtol=0)
        torch.testing.assert_close(states.gradients, gradient[0, positions], atol=1e-5, rtol=1e-3)
        assert states.gradients.abs().max() > 1e-3
    else:
        assert not states.gradients.any()


def test_the_last_readout_is_the_models_own_logits(score):
    tokens = score.inside().image_tokens(GRID)
    read = score.inside().readout(1.0, tokens.positions)
    with torch.no_grad():
        logits = score.model(**score._inputs, **score.image_pixels, use_cache=False).logits[0]
    torch.testing.assert_close(read.logits, logits[tokens.positions][:, list(read.ids)].T, atol=1e-4, rtol=1e-4)
    assert tuple(read.ids[row] for row in read.selected) == score.conversation.answer
    last = int(tokens.positions.max())
    placeholder = score._inputs["input_ids"][0, last]  # newlines of the image have it too, as after its last row
    text = [token for token in score._inputs["input_ids"][0, last + 1 :].tolist() if token != placeholder]
    assert list(read.ids) == [*text, score.conversation.answer[-1]]


# ---- no trace is left ----


def readings(inside: Inside) -> dict[str, object]:
    positions = torch.tensor([8, 9])
    return {
        "image_tokens": lambda: inside.image_tokens((3, 3)),
        "attention": inside.attention,
        "weighted": lambda: inside.attention(weighted=True),
        "states": lambda: inside.states(0.5, positions),
        "readout": lambda: inside.readout(0.5, positions),
    }


@pytest.mark.parametrize("name", ["image_tokens", "attention", "weighted", "states", "readout"])
@pytest.mark.parametrize("place", ["vision", "layer", "head", None])
def test_hooks_are_removed_and_attention_is_restored(name, place, monkeypatch):
    """Also when an error is raised in the vision side, in a layer of the language model, or in its head."""
    score = make_score("llava")
    reference = score.original
    before = implementations(score.model), hooks(score.model)
    broken = {
        "vision": score.model.model.vision_tower,
        "layer": find_decoder(score.model).layers[1].mlp,
        "head": score.model.lm_head,
        None: None,
    }[place]

    def fail(*arguments, **inputs):
        raise ArithmeticError("broken")

    if broken is not None:
        monkeypatch.setattr(broken, "forward", fail)
    if place is None or (name == "image_tokens" and place != "vision"):
        readings(score.inside())[name]()
    else:
        with pytest.raises(ArithmeticError, match="broken"):
            readings(score.inside())[name]()
    assert (implementations(score.model), hooks(score.model)) == before
    monkeypatch.undo()
    torch.testing.assert_close(score(torch.ones(1, 1, 1))[0], reference, atol=1e-5, rtol=0)


def test_a_layer_that_hides_its_attention_is_refused(monkeypatch):
    score = make_score("llava")
    assert score.original.isfinite().all()
    before = hooks(score.model)
    module = find_decoder(score.model).layers[0].self_attn
    forward = module.forward
    monkeypatch.setattr(module, "forward", lambda *arguments, **inputs: (forward(*arguments, **inputs)[0], None))
    with pytest.raises(InputError, match="LlamaAttention does not show its attention probabilities"):
        score.inside().attention()
    assert hooks(score.model) == before


@pytest.mark.parametrize(
    ("name", "forward", "backward"), [("attention", 1, 0), ("weighted", 1, 1), ("states", 1, 1), ("readout", 1, 0)]
)
def test_passes_are_counted(llava, name, forward, backward):
    assert isinstance(llava, OpensInside)
    assert llava.original.isfinite().all()
    before = llava.cost.forward, llava.cost.backward
    readings(llava.inside())[name]()
    assert (llava.cost.forward - before[0], llava.cost.backward - before[1]) == (forward, backward)
