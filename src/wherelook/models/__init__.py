"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

import inspect
from os import PathLike
from typing import Any

from wherelook.models.huggingface.requirements import check_torchvision

check_torchvision()  # before the first import of Transformers

from wherelook.models.endpoint import EndpointModel, EndpointScore  # noqa: E402
from wherelook.models.endpoint.address import is_address  # noqa: E402
from wherelook.models.endpoint.client import Client  # noqa: E402
from wherelook.models.huggingface.model import VisionLanguageModel  # noqa: E402
from wherelook.models.huggingface.score import HuggingFaceScore  # noqa: E402
from wherelook.models.load_options import known_options, model_name  # noqa: E402
from wherelook.models.zoo import EMBEDDED  # noqa: E402

AnyModel = VisionLanguageModel | EndpointModel
"""Whoever answers: a model in this process, or one behind an address."""

AnyScore = HuggingFaceScore | EndpointScore
"""The score function of an answer of either."""


def load_model(name: str | PathLike[str], **options: Any) -> AnyModel:
    """Loads a hub id, a local folder or a bundled model; or asks an endpoint by its address.

    Args:
        name: which model; an address such as http://localhost:8000/v1.
        options: device, dtype, revision, trust_remote_code, quantize, attn_implementation, batch_size, memory_limit,
            checkpointing, compile, prompt_template, frames_per_second; see `VisionLanguageModel.from_pretrained`. For
            an address: model_name, concurrency, timeout, retries; see `EndpointModel`.

    Raises:
        InputError: no such model, or it cannot be loaded; the message says what to do.
    """
    place = model_name(name)
    if not is_address(place):
        return VisionLanguageModel.from_pretrained(place, **options)
    valid = inspect.signature(EndpointModel).parameters.keys() | inspect.signature(Client).parameters.keys()
    return EndpointModel(place, **known_options(options, valid - {"address", "options"}))


__all__ = ["EMBEDDED", "AnyModel", "AnyScore", "EndpointModel", "VisionLanguageModel", "load_model"]
