"""The command line. Commands live in one file each; this one runs them and turns errors into lines and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading

from wherelook.errors import INTERRUPTED, TERMINATED

# Tokenizers warn about forks, Transformers about optional packages: not the user's concern here.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Threads that spin while they wait are many times slower beside another busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM): all that can be kept is kept, as where the user interrupts it.

    Attributes:
        asked: whether that has happened. Typer makes exit code 130 of every interruption.
    """

    asked = False


def terminate(*_: object) -> None:
    """Handler of SIGTERM."""
    Terminated.asked = True
    raise Terminated


def main() -> None:
    """Entry point of the `wherelook` command. Exits with 0 (done), 1 (failed), 2 (bad input), 130 or 143 (ended)."""
    try:
        signal.signal(signal.SIGTERM, terminate)
        from wherelook.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command begins, or once more when it is about to end
        print(f"wherelook: {'terminated' if Terminated.asked else 'interrupted'}", file=sys.stderr)
        os._exit(TERMINATED if Terminated.asked else INTERRUPTED)
    waiting = [
        thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    ]
    if code in (INTERRUPTED, TERMINATED) and waiting:  # requests under way would be waited for: minutes
        os._exit(code)
    sys.exit(code)
