"""The command-line application: its commands, and how errors reach the user."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from wherelook import __version__, keys
from wherelook.cli import (
    Terminated,
    check,
    compare,
    demo,
    evaluate,
    explain,
    listings,
    power,
    report,
    scenes,
    terminal,
)
from wherelook.cli.judge import judge
from wherelook.cli.run import run as run_command
from wherelook.errors import BAD_USAGE, FAILED, INTERRUPTED, TERMINATED, WherelookError, machine_failure

app = typer.Typer(
    name="wherelook",
    help="Shows where a vision-language model looks when it answers a question about an image.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Newer Typers carry their own copy of click, older ones use the package: this is the one that its errors derive from.
UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _version(show: bool) -> bool:
    if show:
        typer.echo(f"wherelook {__version__}")
        raise typer.Exit
    return show


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


app.command("explain")(explain.explain)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("models")(listings.models)
app.command("zoo")(listings.zoo)
app.command("methods")(listings.methods)
app.command("metrics")(listings.metrics)
app.command("datasets")(listings.datasets)
app.command("scenes")(scenes.scenes)
app.command("run")(run_command)
app.command("judge")(judge)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("evaluate")(evaluate.evaluate)
app.command("sanity")(evaluate.sanity)
app.command("sweep")(evaluate.sweep)
app.command("power")(power.power)


def run(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code; errors become one line on standard error."""
    with terminal.guarded() as streams:
        code = _run(arguments)
        streams.out.flush()
        if streams.out.sink.failure is not None:
            _complain(f"standard output cannot be written: {streams.out.sink.failure.strerror}; files are complete")
            code = code or FAILED
    return code


def _run(arguments: Sequence[str]) -> int:
    debug = "--debug" in arguments
    # `--debug` may stand anywhere: it is about how errors look, not about one command.
    arguments = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    try:
        with warnings.catch_warnings():
            if not debug:  # what libraries warn their programmers about
                warnings.simplefilter("ignore")
            code = typer.main.get_command(app).main(args=arguments, prog_name="wherelook", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:
        if debug:
            print(keys.cut(traceback.format_exc()), end="", file=sys.stderr)
        text, code = _describe(error)
        _complain(text)
        return code
    if code == INTERRUPTED:
        code = TERMINATED if Terminated.asked else INTERRUPTED
        _complain("terminated" if Terminated.asked else "interrupted")
    return code if isinstance(code, int) else 0


def _describe(error: Exception) -> tuple[str, int]:
    """What to tell the user about an error, and the exit code."""
    if isinstance(error, WherelookError):
        return str(error), error.exit_code
    if isinstance(error, UsageError):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "wherelook"
        return f"{error.format_message().rstrip('.')}; try '{command} --help'", BAD_USAGE
    if (told := machine_failure(error)) is not None:
        return told, FAILED
    # A defect of ours, or of a library: still one line.
    text = keys.cut(" ".join(str(error).split()))[:300]
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)", FAILED


def _complain(text: str) -> None:
    """One line about what went wrong. Whatever it quotes, it holds no key."""
    print(f"wherelook: {keys.cut(' '.join(text.split()))}", file=sys.stderr)
