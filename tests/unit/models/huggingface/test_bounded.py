"""The process that chat templates are rendered in: it ends, is ended, or cannot be started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wherelook.models.huggingface import bounded, template_trial
from wherelook.models.huggingface.bounded import ExcessError, FailureError


@pytest.fixture
def worker(monkeypatch):
    """A helper of the test's own."""
    own = bounded._Worker()
    monkeypatch.setattr(bounded, "_worker", own)
    yield own
    own.close()


def rendered() -> str | None:
    return bounded.render("{{ a }}!", {"a": "Yes"})


def end(process: subprocess.Popen[str], name: str) -> None:
    process.send_signal(getattr(signal, name))
    process.wait(timeout=30)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGPROF"])
def test_a_helper_that_others_ended_is_started_again(worker, name):
    assert rendered() == "Yes!"
    first = worker._process
    end(first, name)
    assert rendered() == "Yes!"
    assert worker._process.pid != first.pid


def test_a_request_whose_helper_ends_is_asked_once_more(worker, monkeypatch):
    exchange, ended = bounded._exchange, []

    def ending(process, line):
        if "template" in line and len(ended) < most:
            ended.append(process)
            end(process, "SIGKILL")
        return exchange(process, line)

    monkeypatch.setattr(bounded, "_exchange", ending)
    most = 1
    assert rendered() == "Yes!"
    most = 3
    with pytest.raises(ExcessError, match="ends the process"):
        rendered()
    assert rendered() == "Yes!"  # nothing is kept of it


def test_after_too_much_time_the_next_template_is_fine(worker, monkeypatch):
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    assert rendered() == "Yes!"
    monkeypatch.setattr(bounded, "WALL_SECONDS", 0.2)
    with pytest.raises(ExcessError, match="seconds"):
        bounded.render(loop, {})
    monkeypatch.undo()
    assert worker._process is None


def test_an_interrupt_ends_the_helper(worker, monkeypatch):
    assert rendered() == "Yes!"
    process, exchange = worker._process, bounded._exchange

    def interrupted(process, line):
        exchange(process, line)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bounded, "_exchange", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rendered()
    assert process.poll() is not None
    assert rendered() == "Yes!"


@pytest.mark.parametrize("kind", ["no program", "no answer", "late"])
def test_a_start_that_fails_is_remembered(worker, monkeypatch, tmp_path, kind):
    silent = tmp_path / "silent.py"
    silent.write_text("import sys; sys.stdin.read()" if kind == "late" else "")
    monkeypatch.setattr(template_trial, "__file__", str(silent))
    monkeypatch.setattr(bounded, "WALL_SECONDS", 0.2 if kind == "late" else 60)
    if kind == "no program":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    starts, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: starts.append(1) or popen(*args, **options))
    assert [rendered() for _ in range(4)] == [None] * 4
    assert len(starts) == bounded.MOST_FAILED_STARTS


def test_the_search_path_may_hold_other_things_than_text(worker, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, Path("here"), None])
    assert rendered() == "Yes!"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_helper_of_its_own(worker):
    assert rendered() == "Yes!"
    with worker._lock:  # as while another thread asks
        child = os.fork()
        if child == 0:
            os._exit(0 if rendered() == "Yes!" and bounded._worker._process.pid != worker._process.pid else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert rendered() == "Yes!"


@pytest.mark.parametrize(
    ("known", "limits", "expected"),
    [
        (False, (-1, -1), []),
        (True, (-1, -1), [template_trial.MEMORY]),
        (True, (-1, 1000), [1000]),
        (True, (1000, 2**40), [1000]),
        (True, (2**40, 2**40), [template_trial.MEMORY]),
    ],
)
def test_memory_is_limited_where_the_system_can(monkeypatch, known, limits, expected):
    calls = []

    class Resource:
        RLIMIT_AS, RLIM_INFINITY = 9, -1

        def getrlimit(self, kind):
            return limits

        def setrlimit(self, kind, limits):
            calls.append(limits)
            raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setitem(sys.modules, "resource", Resource() if known else None)
    template_trial._limit_memory()
    assert calls == [(limit, limit) for limit in expected]


def test_what_a_template_raises_is_told(worker):
    with pytest.raises(FailureError, match=r"^TemplateError: no such role$"):
        bounded.render("{{ raise_exception('no such\\n role') }}", {})
    with pytest.raises(FailureError, match=r"^TemplateError: x{200,}$"):
        bounded.render("{{ raise_exception('x' * 10 ** 7) }}", {})
