"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

import importlib
import importlib.util
from os import PathLike
from typing import Any

from wherelook.errors import InputError


def check_torchvision() -> None:
    """Refuses a torchvision that cannot be imported: with one, not even models that do without it can be loaded.

    Transformers imports torchvision wherever it is installed, and its own error names neither it nor the cause, which
    is nearly always a build for another version of torch.

    Raises:
        InputError: torchvision is installed and broken.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # compiled operators that cannot load raise many types
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"the installed torchvision cannot be imported ({reason}): it was probably built "
            "for another torch; install a matching pair, or `pip uninstall torchvision` (most models do without)"
        ) from error


check_torchvision()  # before the first import of Transformers

from wherelook.load_options import LoadOptions, model_name  # noqa: E402
from wherelook.models.endpoint import EndpointModel, EndpointScore  # noqa: E402
from wherelook.models.endpoint.address import is_address  # noqa: E402
from wherelook.models.huggingface.model import VisionLanguageModel  # noqa: E402
from wherelook.models.huggingface.score import HuggingFaceScore  # noqa: E402
from wherelook.models.zoo import EMBEDDED  # noqa: E402

AnyModel = VisionLanguageModel | EndpointModel
"""Whoever answers: a model in this process, or one behind an address."""

AnyScore = HuggingFaceScore | EndpointScore
"""The score function of an answer of either."""


def load_model(name: str | PathLike[str], options: LoadOptions | None = None, **more: Any) -> AnyModel:
    """Loads a hub id, a local folder or a bundled model; or asks an endpoint by its address.

    Args:
        name: which model; an address such as http://localhost:8000/v1.
        options: how; or
        more: the fields of `LoadOptions`; `device_map` and `torch_dtype` are understood.

    Raises:
        InputError: no such model, or it cannot be loaded; the message says what to do.
    """
    place = model_name(name)
    chosen = LoadOptions.of(more) if options is None else options
    return EndpointModel(place, chosen) if is_address(place) else VisionLanguageModel.from_pretrained(place, chosen)


__all__ = ["EMBEDDED", "AnyModel", "AnyScore", "EndpointModel", "LoadOptions", "VisionLanguageModel", "load_model"]
