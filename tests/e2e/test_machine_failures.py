"""What a machine does to a command: signals, a full disk, files that cannot be used, no memory."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from scripted_server import serving
from wherelook.case import open_case
from wherelook.errors import machine_failure
from wherelook.study.folder import read_run
from wherelook.study.records import write_whole

OPTIONS = ("--method", "strips", "--preset", "fast", "--replay-steps", "0")


def reply(_, body):
    if body is None:
        return 200, {}, {"data": [{"id": "small"}]}
    if "prompt_logprobs" not in body:
        return 200, {}, {"choices": [{"message": {"content": "A cat"}}]}
    value = -10.0 * 0.9998 ** len(json.dumps(body))
    places = [{token: {"logprob": value, "decoded_token": text}} for token, text in (("5", "A"), ("6", " cat"))]
    return 200, {}, {"choices": [{}], "prompt_logprobs": [None, *places]}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class OutOfMemoryError(RuntimeError):
    """As torch calls its own, which needs no import to be recognized."""


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (MemoryError(), "out of memory: use a smaller image or model"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory: use a smaller image or model"),
        (OutOfMemoryError(), "out of memory"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.png"),
            "the disk is full (a.png: No space left on device)",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full (Disk quota exceeded)"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "a file cannot be used (x: Permission denied)"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), "a file cannot be used (x: Is a directory)"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "a file cannot be used (x: Read-only file system)"),
    ],
)
def test_errors_of_the_machine_are_told(error, part):
    assert part in (machine_failure(error) or "")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError("no number"), RuntimeError("memory")])
def test_other_errors_are_not_the_machines(error):
    assert machine_failure(error) is None


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["pathlib.Path.write_bytes", "pathlib.Path.write_text", "PIL.Image.Image.save"])
def test_a_full_disk_under_an_explanation(command, images, tmp_path, monkeypatch, place):
    with serving(reply) as log:
        from wherelook.explanation import Explanation

        save = Explanation.save

        def save_on_a_full_disk(self, folder):
            with monkeypatch.context() as patched:
                patched.setattr(place, full)
                return save(self, folder)

        monkeypatch.setattr(Explanation, "save", save_on_a_full_disk)
        code, output, errors = command("explain", images / "good.png", "?", "--model", log.address, *OPTIONS)
    assert (code, output) == (1, "")
    assert errors.splitlines()[-1].startswith("wherelook: ")
    assert "No space left on device" in errors.splitlines()[-1]
    assert "Error" not in errors


def test_a_full_disk_under_scenes(command, tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.Image.save", full)
    code, output, errors = command("scenes", "--n", 1, "--out", tmp_path / "scenes")
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert "No space left on device" in errors


RUN = ("run", "scenes-tuning", "--method", "center", "--measures", "map", "--limit", 3)


def test_a_full_disk_under_a_run_keeps_what_is_finished(command, tmp_path, monkeypatch):
    written = []

    def write(path, data):
        if "records" in str(path):
            written.append(path)
            if len(written) == 2:
                with monkeypatch.context() as patched:
                    patched.setattr(os, "fsync", full)
                    return write_whole(path, data)
        return write_whole(path, data)

    monkeypatch.setattr("wherelook.study.records.write_whole", write)
    code, output, errors = command(*RUN, "--out", tmp_path / "run")
    assert (code, output) == (1, "")
    assert "No space left on device; what is finished is kept" in errors.splitlines()[-1]
    assert len(read_run(tmp_path / "run")[1]) == 1
    assert command(*RUN, "--out", tmp_path / "run")[0] == 0
    assert read_run(tmp_path / "run")[1].column("status").to_pylist() == ["ok"] * 3


def test_a_run_goes_on_when_one_sample_does_not_fit(command, tmp_path, monkeypatch):
    asked = []

    def hungry(*arguments, **options):
        asked.append(arguments)
        if len(asked) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 TiB")
        return open_case(*arguments, **options)

    monkeypatch.setattr("wherelook.study.worker.open_case", hungry)
    code, _, _ = command(*RUN, "--out", tmp_path / "run")
    assert code == 0
    rows = read_run(tmp_path / "run")[1].to_pylist()
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert rows[1]["error"].startswith("out of memory: use a smaller image or model, --dtype bfloat16")


@pytest.mark.parametrize("signaled", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_one_line_and_keeps_its_rows(images, tmp_path, signaled):
    """While requests are under way that nobody will answer."""
    from shutil import copy

    copy(images / "good.png", tmp_path)
    rows = [{"id": str(number), "image": "good.png", "question": f"{number}?"} for number in range(3)]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    hanging, over = threading.Event(), threading.Event()

    def slow(number, body):
        if '"1?"' in json.dumps(body) and not over.is_set():
            hanging.set()
            over.wait(60)
        return reply(number, body)

    with serving(slow) as log:
        line = [
            sys.executable, "-m", "wherelook", "run", str(tmp_path / "table.jsonl"), "--model", log.address,
            "--method", "strips:fast", "--measures", "map", "--out", str(tmp_path / "run"),
        ]  # fmt: skip
        try:
            # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
            listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
            with subprocess.Popen(
                line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **listening
            ) as process:
                assert hanging.wait(120)
                process.send_signal(signaled)
                output, errors = process.communicate(timeout=20)
        finally:
            over.set()
    word, code = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}[signaled]
    assert (process.returncode, output) == (code, "")
    assert [text for text in errors.splitlines() if text][-1] == f"wherelook: {word}"
    assert "Traceback" not in errors
    assert read_run(tmp_path / "run")[1].column("sample").to_pylist() == ["0"]
