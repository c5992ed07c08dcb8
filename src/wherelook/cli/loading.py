"""The model of a command: loaded, or asked by its address, as the options say."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from wherelook.cli import terminal
from wherelook.errors import InputError
from wherelook.load_options import FOR_ENDPOINTS, FOR_MODELS_HERE, LoadOptions

if TYPE_CHECKING:
    from wherelook.config import MethodLike
    from wherelook.models import Model, VisionLanguageModel

AS_IT_IS = LoadOptions()
"""Nothing is chosen."""


def check_loading(model: str, loading: LoadOptions, methods: Iterable[MethodLike] = ()) -> bool:
    """Whether the model is behind an address; what is wrong with the options is found before anything is read.

    Raises:
        InputError: options of an endpoint without one, or of a model in this process with one; or a method that needs
            more than an endpoint's log-probabilities.
    """
    from wherelook.attribution import check_forward_only
    from wherelook.models.endpoint.address import is_address

    if not is_address(model):
        loading.refuse(FOR_ENDPOINTS, "is for an endpoint: give its address with --model, or leave it out")
        return False
    loading.refuse(FOR_MODELS_HERE, "is for a model in this process; --model names the address of one elsewhere")
    for method in methods:
        check_forward_only(method)
    return True


def open_model(model: str, loading: LoadOptions) -> Model:
    """The model.

    One line on standard error says, before weights are read, when they will not fit. Downloads and loading show their
    bars on a terminal only.

    Args:
        model: hub id, local folder, a bundled model's name, or the address of an endpoint.
        loading: how; see `check_loading`.
    """
    from wherelook.models import EndpointModel, load_model

    if check_loading(model, loading):
        return EndpointModel(model, loading)
    warn_of_memory(model, loading)
    with terminal.bars():
        return load_model(model, loading)


def warn_of_memory(model: str, loading: LoadOptions) -> None:
    """One line where the weights will not fit, if that can be known; before anything is downloaded with bars."""
    from wherelook.models import of_another_package
    from wherelook.models.huggingface.footprint import footprint
    from wherelook.models.huggingface.loading import quiet

    if not sys.stderr.isatty():
        quiet()
    if of_another_package(model):
        return
    needs = footprint(model, loading)
    if needs is not None and needs.warning is not None:
        typer.echo(f"memory     {needs.warning}", err=True)


def open_here(model: str, loading: LoadOptions) -> VisionLanguageModel:
    """As `open_model`, for work that an endpoint cannot do.

    Raises:
        InputError: the model is an address.
    """
    from wherelook.models import VisionLanguageModel

    if check_loading(model, loading):
        raise InputError(
            f"{model} is the address of an endpoint, which `wherelook explain`, `run` and `evaluate` can ask: "
            "this needs a model in this process"
        )
    opened = open_model(model, loading)
    if not isinstance(opened, VisionLanguageModel):
        raise InputError(f"{model} is no model of Transformers, which this needs")
    return opened
