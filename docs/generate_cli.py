"""Writes docs/cli.md from the commands' own help: python docs/generate_cli.py"""

from __future__ import annotations

from pathlib import Path

import typer

from wherelook.cli.app import app

WIDTH = 100


def reference() -> str:
    """The page: one section per command."""
    group = typer.main.get_command(app)
    lines = ["# Command line", "", "Made from `--help` by `docs/generate_cli.py`; a test keeps it true.", ""]
    lines += [
        "Exit codes: 0 done (also when the honest result is that the answer does not depend on the image), 1 failed,",
        "2 bad input or usage, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM); what is finished is kept. An",
        "error is one line on standard error; `--debug` adds the traceback. Escape sequences and marks of direction in",
        "answers, names and messages are spelled out, and characters that the terminal's encoding lacks are replaced.",
        "A reader that stops reading (`| head`) ends no work.",
        "",
    ]
    for name, command in group.commands.items():
        context = command.make_context(f"wherelook {name}", [], resilient_parsing=True)
        context.max_content_width = context.terminal_width = WIDTH
        lines += [f"## wherelook {name}", "", "```", command.get_help(context).strip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    page = Path(__file__).with_name("cli.md")
    page.write_text(reference(), encoding="utf-8")
    print(f"wrote {page.name}")
