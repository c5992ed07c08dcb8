"""Options of commands made from the fields of the configurations: said once, in `ExplainConfig` and `LoadOptions`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from wherelook.arguments import Option
from wherelook.errors import InputError


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """A command of Typer whose parameters of a configuration's type are an option for each of its fields.

    The command then gets the configuration, made of what was typed. A parameter annotated as
    `Annotated[ExplainConfig, ("seed", "max_new_tokens")]` has options for these fields alone. The parameter's own
    default is that of the options.

    Raises:
        InputError: when the command is called: a value that the configuration refuses.
    """
    own = inspect.signature(command, eval_str=True)
    made: dict[str, tuple[type, list[Field[Any]]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        record, names = _record(parameter.annotation)
        if record is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        chosen = [one for one in fields(record) if "option" in one.metadata and (not names or one.name in names)]
        made[parameter.name] = record, chosen
        parameters += [_parameter(one, getattr(parameter.default, one.name, one.default)) for one in chosen]

    def with_options(**given: Any) -> None:
        records = {name: make(record, chosen, given) for name, (record, chosen) in made.items()}
        command(**given, **records)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__module__, with_options.__qualname__ = command.__module__, command.__qualname__
    with_options.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options


def make(record: type, chosen: list[Field[Any]], given: dict[str, Any]) -> Any:
    """The configuration of what was typed, which is taken out of `given`."""
    values = {}
    for one in chosen:
        value, option = given.pop(one.name), one.metadata["option"]
        if value is not None and option.parse is not None:
            value = option.parse(value)
        values[one.name] = value
    return record(**values)


def _record(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """The configuration that a parameter stands for, and which of its fields; None for any other parameter."""
    names: tuple[str, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        names = next((one for one in more if isinstance(one, tuple)), ())
    if not (is_dataclass(annotation) and any("option" in one.metadata for one in fields(annotation))):
        return None, ()
    if unknown := set(names) - {one.name for one in fields(annotation)}:
        raise InputError(f"no fields of {annotation!r}: {sorted(unknown)}")
    return annotation, names


def _parameter(one: Field[Any], default: Any) -> inspect.Parameter:
    option: Option = one.metadata["option"]
    kind: Any = option.kind or _plain(str(one.type))
    if option.parse is not None and option.kind is None:
        kind = list[str]
    flag = option.flag or f"--{one.name.replace('_', '-')}"
    said = typer.Option(flag, help=option.help, metavar=option.metavar, min=option.least, max=option.most)
    optional = kind | None if one.default is None else kind
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[optional, said]
    )


def _plain(annotation: str) -> Any:
    """The type of a field without None. Annotations are text: some name what is not imported until it is needed."""
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "Path": Path}
    return kinds.get(annotation.removesuffix(" | None"), str)
