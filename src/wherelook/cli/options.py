"""Options that several commands share, and what they have in common on a terminal."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from wherelook.cli import terminal
from wherelook.errors import InputError, WherelookError

if TYPE_CHECKING:
    from wherelook import models
    from wherelook.data.datasets import Sample
    from wherelook.evaluation.method_spec import MethodSpec
    from wherelook.models import EndpointModel
    from wherelook.report.table import Table
    from wherelook.score import Progress as Report

ENTRY_WIDTH = 80
"""Columns of text about a named thing that does not go to a terminal."""

ModelOrAddress = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID, DIR or URL",
        help="Hub id or local folder of an image-text-to-text model, photos, embedded, things, zoo:NAME, or an "
        "endpoint such as http://localhost:8000/v1. [default: photos; for drawn scenes embedded]",
    ),
]
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures",
        metavar="DIR",
        help="Also write every plot as SVG and PDF, and every table as CSV, Parquet and Markdown, to this directory.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**62, help="Seed of everything random.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def model_of(model: str | None, dataset: str) -> str:
    """The model that was named, or the one that is meant for a dataset.

    Raises:
        InputError: none was named, and the one that is meant is not there.
    """
    from wherelook.data.datasets import DRAWN, read_samples
    from wherelook.models.zoo import default_model

    if model is not None:
        return model
    read_samples(dataset)  # what is wrong with it is told first
    return default_model(drawn=dataset in DRAWN)


def announce(endpoint: EndpointModel, requests: int, size: int, *, each: str = "") -> None:
    """What will be sent, on standard error, before it is.

    Args:
        requests: at most so many.
        size: bytes of one of them.
        each: what costs so many, where there are several.
    """
    key, proxy = endpoint.client.key_variable, endpoint.client.proxy
    typer.echo(
        f"endpoint   {endpoint.identifier}, model {endpoint.name}, {f'key from {key}' if key else 'no key'}"
        f"{f', through the proxy {proxy}' if proxy else ''}: at most "
        f"{requests} requests{f' for each {each}' if each else ''}, {endpoint.concurrency} at once, each of about "
        f"{size / 1e3:.0f} kB ({requests * size / 1e6:.1f} MB together)",
        err=True,
    )


def announce_samples(model: models.Model, samples: Iterable[Sample], methods: Sequence[MethodSpec]) -> Iterator[Sample]:
    """The same samples; what a map costs an endpoint is said before the first, if its image can be read."""
    from wherelook.config import ExplainConfig
    from wherelook.explain import most_requests
    from wherelook.models import EndpointModel

    for number, sample in enumerate(samples):
        if number == 0 and isinstance(model, EndpointModel):
            with suppress(WherelookError):
                picture = sample.image.picture
                requests = sum(
                    most_requests(
                        ExplainConfig(
                            method=one.method, preset=one.preset, settings=dict(one.overrides), replay_steps=0
                        ),
                        (picture.height, picture.width),
                    )
                    for one in methods
                )
                size = model.request_bytes(picture, sample.question)
                announce(model, requests, size, each="sample like the first, and more to measure its maps")
        yield sample


def make_folder(folder: Path, *, empty: bool = False, option: str = "--out") -> Path:
    """Makes the folder for results, before the work that would be lost if it could not be made.

    Raises:
        InputError: the name is taken by a file, the place cannot be written to, or `empty` is asked for and it is not.
        WherelookError: the disk is full.
    """
    from wherelook.storage import cannot_make

    shown = repr(str(folder))
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{option} {shown} is a file; expected a folder, or a new name")
        folder.mkdir(parents=True, exist_ok=True)
        if empty and any(folder.iterdir()):
            raise InputError(f"{option} {shown} is not empty; expected a new or an empty folder")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise cannot_make(f"{option} {shown[:200]}", error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{option} {shown} cannot be written to; choose another folder")
    return folder


def check_page(path: Path) -> None:
    """Refuses to write a page over a file that is no page of ours, before the work.

    Raises:
        InputError: it is something else.
    """
    from wherelook.html import is_page

    if path.exists() and not is_page(path):
        raise InputError(f"{str(path)!r} is there and is no page of wherelook: move it away, or name another file")


@contextmanager
def progress_bar() -> Iterator[Report | None]:
    """A progress bar on a terminal; None elsewhere."""
    console = Console(file=terminal.styled(sys.stderr))
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar, terminal.guarded():
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(Text(terminal.shown(stage)).markup, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield report


def warn(text: str) -> None:
    """A sentence on standard error, while the work goes on."""
    typer.echo(f"warning    {text}", err=True)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 sample", "2 samples"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(value: Any) -> None:
    """JSON on standard output; characters that would not be shown, or not be encoded, are escaped as JSON does it."""
    text = json.dumps(value, indent=2, ensure_ascii=not _speaks_unicode(sys.stdout), allow_nan=False)
    sys.stdout.write(text.translate(terminal.IN_JSON) + "\n")


def _speaks_unicode(stream: TextIO | io.TextIOBase) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def terminal_width() -> int | None:
    """Characters of a line of the terminal; None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(table: Table) -> None:
    """A table and its caption, as wide as the terminal, or as it needs to be where there is none."""
    typer.echo(table.to_text(terminal_width()))
    if table.caption:
        typer.echo(table.caption)


def print_entries(entries: Sequence[Sequence[str]]) -> None:
    """Entries of a name and lines about it, indented under it and wrapped: readable at 80 columns, and in a file."""
    width = terminal_width() or ENTRY_WIDTH
    for name, *lines in entries:
        print(name)
        for line in lines:
            print(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
