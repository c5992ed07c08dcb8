"""Whether a chat template can be rendered in little memory and time: tried in another process before it is done here.

A template is a program that comes with a model. The sandbox that it runs in keeps it from the machine, not from a loop
without end or a text of ten gigabytes.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from wherelook.models import template_trial

WALL_SECONDS = 60.0
"""Ends a trial where the system does not count the seconds that it computes."""

STOPPED = {-getattr(signal, name, 0) for name in ("SIGPROF", "SIGKILL")} | {1}
"""Exit statuses of a process whose time ran out; 1 where a system has no signals."""

VERDICTS = {
    "long": f"it writes more than {template_trial.LONGEST_TEXT:,} characters",
    "memory": f"it takes more than {template_trial.MEMORY / 1e6:,.0f} MB of memory",
    "time": f"it computes for more than {template_trial.CPU_SECONDS:g} seconds",
    "end": "it ends the process that renders it",
}


def excess(template: str, variables: dict[str, Any]) -> str | None:
    """What a chat template takes too much of; None where it can be rendered, or raises, in reason.

    Args:
        template: Jinja's.
        variables: what it is given: plain types.
    """
    return VERDICTS.get(_trial(json.dumps({"template": template, "variables": variables}, default=str)))


@functools.lru_cache(maxsize=256)
def _trial(request: str) -> str:
    return _worker.ask(request)


class _Worker:
    """The other process: started when it is first asked, and again after it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, request: str) -> str:
        """One of `template_trial.ANSWERS`; "time" or "end" where that was the end of the process."""
        with self._lock:
            process = self._running()
            if process is None:
                return "fine"
            timer = threading.Timer(WALL_SECONDS, process.kill)
            timer.start()
            try:
                answer = _exchange(process, request)
            finally:
                timer.cancel()
            if answer:
                return answer
            self.close()
            return "time" if process.returncode in STOPPED else "end"

    def _running(self) -> subprocess.Popen[str] | None:
        """The process; None where none can be started."""
        if self._process is not None and self._owner == os.getpid():
            return self._process
        if not sys.executable or getattr(sys, "frozen", False):
            return None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", template_trial.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError:
            return None
        self._owner = os.getpid()
        if _exchange(self._process, json.dumps(sys.path)) != "ready":
            self.close()
        return self._process

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        with contextlib.suppress(OSError):  # the rest of a request that it did not read
            process.communicate()


def _exchange(process: subprocess.Popen[str], line: str) -> str:
    """Its answer to a line; nothing when it is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(line, file=process.stdin, flush=True)
    except OSError:
        return ""
    return process.stdout.readline().strip()


_worker = _Worker()
atexit.register(_worker.close)
