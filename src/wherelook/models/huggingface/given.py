"""A model and a processor as users have them: wrappers are taken off, and what is neither is told in one line.

A model's layers may be spread over devices, or wait on the CPU or the disk until they are needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import FeatureExtractionMixin, ImageProcessingMixin, PreTrainedTokenizerBase, ProcessorMixin

from wherelook.errors import InputError, WherelookError
from wherelook.models.huggingface.batching import is_out_of_memory

WHOLE = "expected AutoProcessor.from_pretrained(NAME), with the same NAME as the model"

FAILURES = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError)
"""What the code of a model raises on inputs that it cannot read."""


def take_model(model: Any) -> Any:
    """The model inside wrappers that change nothing of what it computes: torch.compile, DataParallel and its like.

    Raises:
        InputError: no model of Transformers that writes text, or one whose weights are spread by a wrapper.
    """
    kind = type(model).__name__
    if isinstance(model, str):
        raise InputError(f"the model is the text {model[:60]!r}: use Explainer.from_pretrained({model[:60]!r})")
    if isinstance(model, ProcessorMixin | PreTrainedTokenizerBase | ImageProcessingMixin):
        raise InputError(f"the model is a processor ({kind}): the order is Explainer(model, processor)")
    if not isinstance(model, nn.Module):
        if hasattr(model, "model") and hasattr(model, "processor"):
            raise InputError(f"the model is a {kind}: use Explainer(pipe.model, pipe.processor)")
        raise InputError(f"the model is a value of type {kind}; expected an image-text-to-text model of Transformers")
    while True:
        if isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            break
    kind = type(model).__name__
    if kind.startswith(("FullyShardedDataParallel", "FSDP", "DeepSpeedEngine")):
        raise InputError(f"the model is wrapped by {kind}, which spreads its weights: give the model as it was before")
    if not hasattr(model, "config") or not callable(getattr(model, "get_input_embeddings", None)):
        raise InputError(f"the model is a {kind}, which is none of Transformers; expected an image-text-to-text model")
    if not callable(getattr(model, "generate", None)) or getattr(model, "lm_head", True) is None:
        raise InputError(
            f"the model is a {kind}, which writes no text: give the whole model, with its language head "
            "(AutoModelForImageTextToText), not a part of it"
        )
    if getattr(model.config, "is_encoder_decoder", False):
        raise InputError(f"{kind} is an encoder-decoder model; only decoder models are supported")
    return model


def check_processor(processor: Any) -> None:
    """Refuses a part of a processor.

    Raises:
        InputError: says what was given, and what was expected.
    """
    kind = type(processor).__name__
    if isinstance(processor, PreTrainedTokenizerBase):
        raise InputError(f"the processor is a tokenizer alone ({kind}), which reads no images: {WHOLE}")
    if isinstance(processor, nn.Module):
        raise InputError(f"the processor is a model ({kind}): the order is Explainer(model, processor)")
    alone = isinstance(processor, ImageProcessingMixin | FeatureExtractionMixin)
    if alone and not isinstance(processor, ProcessorMixin):
        raise InputError(f"the processor is an image processor alone ({kind}), which reads no text: {WHOLE}")
    if not callable(processor):
        raise InputError(f"the processor is a value of type {kind}: {WHOLE}")


def input_device(model: nn.Module) -> torch.device:
    """The device that token ids go to: where the embedding of tokens runs.

    The parameter itself tells nothing of a layer that accelerate fetches when it is called: until then it is on the
    meta device.
    """
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    device = _execution_device(getattr(embedding, "_hf_hook", None))
    if device is not None:
        return device
    result: torch.device = next(embedding.parameters()).device
    return result


def _execution_device(hook: Any) -> torch.device | None:
    """The device of accelerate's hook, or of the first in a sequence of them that has one; an integer is a GPU."""
    for part in getattr(hook, "hooks", [hook]):
        device = getattr(part, "execution_device", None)
        if device is not None:
            return torch.device(device)
    return None


def check_vocabulary(ids: Tensor, model: Any, tokenizer: Any, pictures: Collection[int]) -> None:
    """Refuses a prompt with a word that the model has no embedding for: on a GPU it would end the process.

    Args:
        ids: of the prompt.
        model: whose embeddings they are for.
        tokenizer: that made them.
        pictures: ids that stand for images, whose embeddings are never read.

    Raises:
        InputError: the tokenizer is another model's.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    highest = int(ids.max())
    if highest < rows:
        return
    added = set(getattr(tokenizer, "added_tokens_decoder", ()))
    beyond = sorted({int(one) for one in ids[ids >= rows].tolist()} - set(pictures) - added)
    if beyond:
        raise InputError(
            f"the tokenizer makes the token {tokenizer.convert_ids_to_tokens(beyond[0])!r} with the id {beyond[0]}, "
            f"and the model knows {rows}: the processor is another model's"
        )


@contextlib.contextmanager
def first_pass(model: nn.Module) -> Iterator[None]:
    """What the model's own code raises inside becomes one line.

    Raises:
        WherelookError: for any error of the model's but memory that ran out.
    """
    try:
        yield
    except WherelookError:
        raise
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise WherelookError(
            f"{type(model).__name__} cannot read this prompt ({type(error).__name__}: {reason}): do model and "
            "processor belong together, from the same name and revision?"
        ) from error
