"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

import importlib
import importlib.util
from collections.abc import Callable
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

from wherelook.arguments import expected  # noqa: E402
from wherelook.load_options import LoadOptions, model_name  # noqa: E402
from wherelook.models.endpoint import EndpointModel  # noqa: E402
from wherelook.models.endpoint.address import is_address  # noqa: E402
from wherelook.models.huggingface.model import VisionLanguageModel  # noqa: E402
from wherelook.models.protocol import Model, ModelScore  # noqa: E402
from wherelook.models.zoo import EMBEDDED  # noqa: E402
from wherelook.registry import Registry, check_call  # noqa: E402

Loader = Callable[[str, LoadOptions], Model | tuple[Any, Any]]
"""(name, options) to a model, or to one of Transformers with its processor."""


def _loader(name: str, found: Any) -> Loader:
    check_call("model", found, "(name, options)", "", None)
    return found  # type: ignore[no-any-return]


MODELS: Registry[Loader] = Registry("model", "wherelook.models", {}, _loader)
"""What loads models of other packages, by what stands before the colon in NAME:REST: entry points of the group
wherelook.models. They are called with REST and the `LoadOptions`.
"""


def load_model(name: str | PathLike[str], options: LoadOptions | None = None, **more: Any) -> Model:
    """Loads a hub id, a local folder, a bundled model or one of another package; or asks an endpoint by its address.

    Args:
        name: which model; an address such as http://localhost:8000/v1; NAME:REST for a name of `MODELS`.
        options: how; or
        more: the fields of `LoadOptions`; `device_map` and `torch_dtype` are understood.

    Raises:
        InputError: no such model, or it cannot be loaded; the message says what to do.
    """
    place = model_name(name)
    chosen = LoadOptions.of(more) if options is None else options
    if is_address(place):
        return EndpointModel(place, chosen)
    if of_another_package(place):
        prefix, _, rest = place.partition(":")
        return _taken(place, MODELS[prefix](rest, chosen), chosen)
    return VisionLanguageModel.from_pretrained(place, chosen)


def of_another_package(name: str) -> bool:
    """Whether a model's name is NAME:REST, with a name of `MODELS`."""
    return ":" in name and name.partition(":")[0] in MODELS


def _taken(name: str, loaded: Any, options: LoadOptions) -> Model:
    if isinstance(loaded, tuple) and len(loaded) == 2:
        return VisionLanguageModel.of_loaded(*loaded, options, identifier=name)
    if not isinstance(loaded, Model):
        raise expected(f"what loads the model {name!r}", "a function that returns one, or (model, processor)", loaded)
    return loaded


__all__ = [
    "EMBEDDED",
    "MODELS",
    "EndpointModel",
    "LoadOptions",
    "Model",
    "ModelScore",
    "VisionLanguageModel",
    "load_model",
]
