"""Loading models: names, devices, dtypes, processors, and what is said when a part is missing."""

from __future__ import annotations

import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tools import families

from wherelook import check
from wherelook.errors import InputError, WherelookError
from wherelook.load_options import LoadOptions, check_device
from wherelook.models import check_torchvision
from wherelook.models.huggingface import loading
from wherelook.models.huggingface.loading import (
    check_complete,
    explain_failure,
    load,
    load_processor,
    locate,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    model, processor = families.build("llava")
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


# ---- names and devices ----


def test_locate(folder, tmp_path, monkeypatch):
    assert locate(str(folder)) == str(folder)
    assert locate("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"
    assert locate("embedded").endswith("embedded")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert locate(f"~/{folder.name}") == str(folder)
    monkeypatch.chdir(folder.parent)
    assert locate(folder.name) == folder.name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".hidden/x", "/x/y", "../no/such", "a/b/c", "a", "a b/c", "a\0/b", "a/\u00fc", "-a/b", "b" * 5000],
)
def test_names_that_are_neither_folder_nor_hub_id(name):
    with pytest.raises(InputError, match="expected a folder, a hub id 'owner/name', 'photos', 'embedded' or 'things'"):
        locate(name)


def test_devices(monkeypatch):
    assert check_device("cpu") == "cpu"
    assert check_device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert check_device(None) == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert check_device(None) == check_device("mps") == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert check_device(None) == "cuda"
    assert check_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match=r"'cuda:2' is not available here: this machine has cpu, cuda:0, cuda:1, mps"):
        check_device("cuda:2")


@pytest.mark.parametrize(
    ("device", "message"),
    [("tpu", "unknown device 'tpu'"), ("", "unknown device"), ("meta", "'meta' is not available here")],
)
def test_devices_that_are_not_there(device, message):
    with pytest.raises(InputError, match=message):
        check_device(device)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(None, torch.float32), ("auto", torch.bfloat16), ("float16", torch.float16), ("float32", torch.float32)],
)
def test_dtype(folder, dtype, expected):
    model, _ = load(str(folder), LoadOptions(device="cpu", dtype=dtype))
    assert model.dtype == expected
    assert not model.training


@pytest.mark.parametrize(("pays", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_checkpoint_in_bfloat16_stays_so_where_the_processor_multiplies_it(folder, pays, expected, monkeypatch):
    monkeypatch.setattr(loading, "bfloat16_pays", lambda: pays)
    assert load(str(folder), LoadOptions(device="cpu"))[0].dtype == expected
    assert load(str(folder), LoadOptions(device="cpu", dtype="float32"))[0].dtype == torch.float32
    assert load("embedded", LoadOptions(device="cpu"))[0].dtype == torch.float32


def test_unknown_dtype_names_the_valid_ones(folder):
    with pytest.raises(InputError, match="unknown dtype 'half'; valid: auto, float32, bfloat16, float16"):
        load(str(folder), LoadOptions(device="cpu", dtype="half"))


def test_a_revision_needs_a_hub(folder):
    with pytest.raises(InputError, match="'v1' is for models on the hub"):
        load(str(folder), LoadOptions(device="cpu", revision="v1"))


# ---- weights ----


def test_weights_are_those_of_the_file(folder):
    model, _ = load(str(folder), LoadOptions(device="cpu"))
    expected, _ = families.build("llava")
    for name, value in expected.to(torch.bfloat16).state_dict().items():
        assert torch.equal(model.state_dict()[name], value.float()), name


@pytest.mark.parametrize("damage", ["drop", "cut"])
def test_weights_that_would_stay_random_are_refused(folder, tmp_path, damage):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if name.endswith("mlp.down_proj.weight"))
    tensors[name] = tensors[name][:3].contiguous()
    if damage == "drop":
        del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=r"1 tensors are missing or of another shape .*mlp\.down_proj\.weight"):
        load(str(tmp_path), LoadOptions(device="cpu"))
    assert torch.equal(state, torch.get_rng_state())


def test_a_complete_report_passes():
    check_complete("x", {"missing_keys": set(), "mismatched_keys": set(), "unexpected_keys": {"spare"}})
    with pytest.raises(InputError, match="2 tensors are missing or of another shape and would stay random, such as a;"):
        check_complete("x", {"missing_keys": {"a"}, "mismatched_keys": {("b", (1,), (2,))}})


# ---- processors ----

VIDEO = ["glm4v", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_vl"]
"""Families whose processor `AutoProcessor` cannot load without torchvision, for its video part."""


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # GLM-4V's processor on numpy 2
@pytest.mark.parametrize("name", VIDEO)
def test_the_image_only_processor_gives_the_same_tensors(name, tmp_path):
    """Saved with its video part, loaded without: nothing changes for an image."""
    if not transformers.utils.is_torchvision_available():
        pytest.skip("saving the video part needs torchvision")
    model, processor = families.build(name)
    model.config.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    full = load_processor(str(tmp_path))
    without = loading.load_image_only_processor(str(tmp_path))
    assert type(without).__name__ == type(full).__name__
    assert without.chat_template == full.chat_template
    picture = check.test_picture((90, 120))
    content = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    text = full.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    first, second = (one(text=[text], images=[picture], return_tensors="pt") for one in (full, without))
    assert set(first) == set(second)
    for key in first:
        assert torch.equal(first[key], second[key]), key


def test_a_missing_torchvision_leads_to_the_image_only_processor(monkeypatch):
    processor = families.build("llava")[1]

    def refuse(*arguments, **options):
        raise ImportError("\nQwen2VLVideoProcessor requires the Torchvision library but it was not found")

    monkeypatch.setattr(loading.AutoProcessor, "from_pretrained", refuse)
    monkeypatch.setattr(loading, "load_image_only_processor", lambda place, **options: processor)
    monkeypatch.setattr(loading, "is_torchvision_available", lambda: False)
    assert load_processor("x") is processor
    with pytest.raises(ImportError, match="VideoProcessor"):  # a model's own code may need more than the image part
        load_processor("x", trust_remote_code=True)


def test_a_tokenizer_alone_is_no_processor(monkeypatch):
    """What AutoProcessor falls back to where it finds no processor."""
    tokenizer = families.build("llava")[1].tokenizer
    monkeypatch.setattr(loading.AutoProcessor, "from_pretrained", lambda place, **options: tokenizer)
    with pytest.raises(InputError, match=r"found \w+, which is no processor for images and text: expected preproc"):
        load_processor("x")


# ---- messages ----

FAILURES = [
    (ImportError("X requires the Torchvision library"), "the processor of 'm' needs torchvision: pip install"),
    (ValueError("loading requires trust_remote_code=True"), "read it, then pass --trust-remote-code"),
    (ValueError("The repository contains custom code"), "brings its own Python code"),
    (ImportError("requires the num2words library"), "needs a package that is missing: requires the num2words"),
    (ValueError("Unrecognized configuration class <class 'a.b.TConfig'> for"), "image-text-to-text model (TConfig)"),
    (OSError("m is not a local folder and is not a valid model identifier"), "and for gated models `hf auth login`"),
    (OSError("x is not a valid git identifier (branch name"), "check the name, the revision and the network"),
    (OSError("m does not appear to have a file named model.safetensors"), "pickled weights are not loaded"),
    (Exception("Error while deserializing header: x"), "damaged or incomplete (Error while deserializing header: x)"),
    (RuntimeError("strange"), "the weights of model 'm' cannot be used: strange"),
    (KeyError(), "the weights of model 'm' cannot be used: KeyError"),
    (RuntimeError("long " * 1000), "long ..."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "part"), FAILURES)
def test_failures_become_a_line_that_says_what_to_do(error, part, monkeypatch):
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    told = explain_failure("m", "weights", error)
    assert isinstance(told, InputError)
    assert part in str(told)
    assert "\n" not in str(told)
    assert len(str(told)) < 500


def test_a_model_that_does_not_fit_is_no_fault_of_the_input():
    told = explain_failure("m", "weights", torch.OutOfMemoryError("CUDA out of memory"))
    assert str(told) == "model 'm' does not fit: use --dtype bfloat16 or --device auto"
    assert told.exit_code == WherelookError.exit_code


def test_a_broken_torchvision_is_refused_before_transformers_sees_it(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms\\ndoes not exist')"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(InputError, match=r"\(operator torchvision::nms does not exist\).*`pip uninstall torchvision`"):
        check_torchvision()
    monkeypatch.setattr(sys, "path", [])
    check_torchvision()  # none is fine
