"""What a machine does to a command: signals, a full disk, files that cannot be used, no memory."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from functools import partial

import pytest
import torch

from processes import Command, killed_at_piece
from scripted_server import serving
from simulated_runs import Simulated, simulate_run
from wherelook import storage
from wherelook.answer import ask
from wherelook.cli import Terminated, terminate
from wherelook.errors import machine_failure
from wherelook.evaluation.records import TIMES, write_whole
from wherelook.evaluation.run_folder import read_run
from wherelook.models.huggingface.score import HuggingFaceScore

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


EXPLAIN = (
    "explain",
    "{images}/good.png",
    "What?",
    "--model",
    "embedded",
    "--answer",
    "a red circle",
    "--method",
    "center",
)

OUT = ("--out", "out")
WRITERS = {
    "explain": ((*EXPLAIN, "--replay-steps", 0, *OUT), (0, 2), (0, -1)),
    "demo": (("demo", "--model", "things", *OUT), (0,), None),
    "scenes": (("scenes", "--n", 1, "--size", "64x64", *OUT), (0, 3, 12), None),
    "evaluate": (("evaluate", "--answers", 1, "--method", "center", "--replay-steps", 2, *OUT), (0, 1, 3), (0, -1)),
    "sanity": (("sanity", "--method", "center", "--sanity", 2, *OUT), (0, 4), ()),
    "compare": (("compare", "{runs}/a", "{runs}/b", "--figures", "out"), (0, 5), (0, -1)),
    "report": (
        ("report", "{runs}/a", "{runs}/b", "--gallery", 0, "--out", "out/page.html", "--figures", "out/figures"),
        (0, 1),
        (0, -1),
    ),
    "judge": (
        (
            "judge",
            "{runs}/a",
            "--model",
            "{server}",
            "--model-name",
            "strict",
            "--concurrency",
            1,
            "--out",
            "out.jsonl",
        ),
        (0, 1),
        (0,),
    ),
}
"""Commands that write; at which of the pieces that they write the disk refuses; and where when the command was done
before: -1 is the last piece, None where it is not repeated."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        asked = {
            number: {"question": "What?", "answer": f"{number}", "references": ["1"], "choices": []}
            for number in range(6)
        }
        simulate_run(folder / name, Simulated(name), samples=range(6), changes=asked)
    return folder


def contents(folder):
    """All files by name; of those to which lines are added, the lines that were there must stay."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


class Disk:
    """Refuses one of the pieces that are written to it: now for want of room, now for want of permission."""

    def __init__(self, monkeypatch):
        self.pieces = 0
        self.refused = None
        self.error = None
        self.put = storage.put
        monkeypatch.setattr(storage, "put", self)

    def __call__(self, file, data):
        self.pieces += 1
        if self.pieces - 1 == self.refused:
            raise self.error
        return self.put(file, data)

    def refuse(self, piece):
        full, locked = (errno.ENOSPC, "No space left on device"), (errno.EACCES, "Permission denied")
        self.pieces, self.refused, self.error = 0, piece, OSError(*(locked if piece is None or piece % 2 else full))


@pytest.mark.usefixtures("quick_evaluations")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_refuses_loses_nothing_that_is_finished(command, images, runs, tmp_path, monkeypatch, writer):
    """Every command says so in one line, leaves earlier files as they were and can be repeated."""
    disk = Disk(monkeypatch)
    line, first, again = WRITERS[writer]
    with serving(judgment) as log:
        line = [str(word).format(images=images, runs=runs, server=log.address) for word in line]

        def refused(piece):
            before = contents(tmp_path) | contents(runs)
            disk.refuse(piece)
            code, output, errors = command(*line)
            told = errors.splitlines()[-1]
            assert (code, output) == (1, "")
            assert told.startswith("wherelook: cannot write ")
            assert f": {disk.error.strerror}; what is finished is kept: mend the cause, and run" in told
            assert "Traceback" not in errors
            after = contents(tmp_path) | contents(runs)
            for path, data in before.items():
                assert after[path].startswith(data) if path.suffix == ".jsonl" else after[path] == data
            assert not [path for path in after if path.name.startswith(".")]

        for piece in first:
            refused(piece)
        if again is None:
            return
        disk.refuse(None)
        assert command(*line)[0] == 0
        last = disk.pieces - 1
        for piece in again:
            refused(last if piece == -1 else piece)
        disk.refuse(None)
        assert command(*line)[0] == 0


def judgment(_, body):
    return 200, {}, {"choices": [{"message": {"content": "correct"}}]}


FOREIGN = {
    "explain": (EXPLAIN, "report.html", "report.html was not written by an explanation"),
    "explain-record": (EXPLAIN, "explanation.json", "explanation.json was not written by an explanation"),
    "demo": (("demo", "--model", "things"), "relation/overlay.png", "overlay.png was not written by an explanation"),
    "demo-scene": (("demo", "--model", "things"), "scene.png", "scene.png is there and belongs to no demo"),
    "evaluate-page": (("evaluate", "--answers", 1), "report.html", "report.html is there and belongs to no run"),
    "evaluate": (("evaluate", "--model", "nowhere/nothing"), "table.md", "table.md is there and belongs to no run"),
    "compare": (("compare", "{runs}/a", "{runs}/b", "--figures", "out"), "pairs.csv",
                "pairs.csv was not written by a comparison"),
    "report": (("report", "{runs}/a"), "page.html", "page.html' is there and is no page of wherelook"),
    "report-figures": (
        ("report", "{runs}/a", "--out", "page.html", "--figures", "out"),
        "compare.json",
        "compare.json was not written by a comparison",
    ),
    "judge": (("judge", "{runs}/a", "--model", "http://127.0.0.1:9/v1", "--model-name", "m"), "mine.txt",
              "mine.txt': verdicts are written as JSON lines; expected a name that ends in .jsonl"),
    "judge-people": (("judge", "{runs}/a", "--model", "http://127.0.0.1:9/v1", "--model-name", "m"), "mine.jsonl",
                     "mine.jsonl holds verdicts by 'human'"),
}  # fmt: skip
"""Commands, a file of the user's in their way, and what is said of it: before any work."""


@pytest.mark.parametrize("case", FOREIGN)
def test_a_file_of_the_users_is_not_written_over(command, images, runs, tmp_path, case):
    line, name, message = FOREIGN[case]
    line = [str(word).format(images=images, runs=runs) for word in line]
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"sample": "1", "verdict": "yes"}\n')
    if not {"--out", "--figures"} & set(line):
        line += ["--out", mine if case in ("judge", "judge-people", "report") else tmp_path / "out"]
    code, output, errors = command(*line)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert contents(tmp_path) == {mine: b'{"sample": "1", "verdict": "yes"}\n'}


@pytest.mark.parametrize(
    "line",
    [
        (*EXPLAIN, "--out", "file/x"),
        ("demo", "--model", "things", "--out", "file/x"),
        ("scenes", "--out", "file/x"),
        ("evaluate", "--out", "file/x"),
        ("sanity", "--out", "file/x"),
        ("sweep", "--set", "seed=1", "--out", "file/x"),
        ("run", "scenes", "--out", "file/x"),
        ("compare", "{runs}/a", "--figures", "file/x"),
        ("report", "{runs}/a", "--out", "file/x.html"),
        ("report", "{runs}/a", "--figures", "file/x"),
        ("judge", "{runs}/a", "--model", "http://127.0.0.1:9/v1", "--model-name", "m", "--out", "file/x.jsonl"),
    ],
    ids=lambda line: line[0],
)
def test_a_place_below_a_file_is_named_before_the_work(command, images, runs, tmp_path, line):
    (tmp_path / "file").write_text("mine")
    code, output, errors = command(*(str(word).format(images=images, runs=runs) for word in line))
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "file" in errors
    assert contents(tmp_path) == {tmp_path / "file": b"mine"}


RUN = ("run", "scenes-tuning", "--method", "center", "--metric", "map", "--limit", 3)


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

    monkeypatch.setattr("wherelook.evaluation.records.write_whole", write)
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
        return ask(*arguments, **options)

    monkeypatch.setattr("wherelook.evaluation.worker.ask", hungry)
    code, _, _ = command(*RUN, "--out", tmp_path / "run")
    assert code == 0
    rows = read_run(tmp_path / "run")[1].to_pylist()
    assert [row["status"] for row in rows] == ["ok", "error", "ok"]
    assert rows[1]["error"].startswith("out of memory: use a smaller image or model, --dtype bfloat16")


ENDED = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}


@pytest.mark.usefixtures("quick_evaluations")
@pytest.mark.parametrize(
    ("line", "signaled"),
    [
        ((*EXPLAIN, "--replay-steps", 4, *OUT), signal.SIGINT),
        ((*EXPLAIN, "--replay-steps", 4, *OUT), signal.SIGTERM),
        (("run", "scenes-tuning", "--method", "center", "--limit", 2, "--replay-steps", 2, *OUT), signal.SIGTERM),
        (("evaluate", "--method", "center", "--answers", 2, "--replay-steps", 2, *OUT), signal.SIGINT),
    ],
)
def test_an_interruption_in_a_pass_is_one_line_and_leaves_nothing_half_written(
    command, images, tmp_path, monkeypatch, line, signaled
):
    """The fourth time that the model is asked; what ends a process raises where it is."""
    ended, asked = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: terminate}[signaled], []
    evaluate = HuggingFaceScore._evaluate

    def pressed(self, masks):
        asked.append(masks)
        if len(asked) == 4:
            raise ended()
        return evaluate(self, masks)

    monkeypatch.setattr(HuggingFaceScore, "_evaluate", pressed)
    monkeypatch.setattr(Terminated, "asked", False)
    word, expected = ENDED[signaled]
    code, output, errors = command(*(str(part).format(images=images) for part in line))
    assert (code, output) == (expected, "")
    assert [text for text in errors.splitlines() if text][-1] == f"wherelook: {word}"
    assert "Traceback" not in errors
    left = {path.name for path in contents(tmp_path)}
    assert left <= {"run.json", "sample-00000000.parquet", "part-00000000.parquet"}
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert command(*(str(part).format(images=images) for part in line))[0] == 0


def test_a_run_that_is_killed_while_it_writes_a_sample_goes_on_behind_the_last_whole_one(
    command, tmp_path, monkeypatch
):
    line = (
        "run",
        "scenes-tuning",
        "--method",
        "center",
        "--method",
        "random",
        "--metric",
        "map",
        "--limit",
        "5",
        *OUT,
    )
    killed = Command(line, tmp_path, partial(killed_at_piece, 4))  # run.json and two samples are there
    code, output, errors = killed.wait(120)
    assert (code, output) == (-signal.SIGKILL, "")
    assert "Traceback" not in errors
    before = contents(tmp_path / "out" / "records")
    whole = {path: data for path, data in before.items() if not path.name.startswith(".")}
    (cut,) = before.keys() - whole.keys()
    assert sorted(path.name for path in whole) == ["sample-00000000.parquet", "sample-00000001.parquet"]
    assert cut.name == ".sample-00000002.parquet.unfinished"
    rows = read_run(tmp_path / "out")[1].to_pylist()
    asked = []

    def opened(*arguments, **options):
        asked.append(arguments)
        return ask(*arguments, **options)

    monkeypatch.setattr("wherelook.evaluation.worker.ask", opened)
    code, output, _ = command(*line)
    assert code == 0
    assert "5 samples done (3 new)" in output
    assert len(asked) == 3
    after = read_run(tmp_path / "out")[1].to_pylist()
    assert [(row["position"], row["run"]) for row in after] == [
        (place, run) for place in range(5) for run in ("center:best", "random:best")
    ]
    assert len({row["sample"] for row in after}) == 5
    assert after[:4] == rows
    assert all(row["status"] == "ok" for row in after)
    assert sorted(path.name for path in contents(tmp_path / "out" / "records")) == ["part-00000000.parquet"]


def test_an_evaluation_that_is_killed_under_a_condition_goes_on_to_the_same_records(tmp_path):
    line = (
        "evaluate", "scenes-tuning", "--method", "center,random", "--answers", "2", "--sanity", "2", "--stability", "1",
        "--replay-steps", "2", "--out",
    )  # fmt: skip

    for piece in (5, 8):  # in the first condition, and after the resumed run had a few more of them
        killed = Command((*line, "killed"), tmp_path, partial(killed_at_piece, piece))
        assert killed.wait(200)[0] == -signal.SIGKILL
    before = read_run(tmp_path / "killed", conditions=True)[1].to_pylist()
    assert {row["condition"] for row in before} >= {"", "other seed"}
    for folder in ("killed", "straight"):
        assert Command((*line, folder), tmp_path).wait(200)[0] == 0
    resumed, straight = (read_run(tmp_path / folder, conditions=True)[1] for folder in ("killed", "straight"))
    assert [row for row in resumed.to_pylist() if row in before] == before
    assert resumed.drop_columns(list(TIMES)).equals(straight.drop_columns(list(TIMES)))


@pytest.mark.parametrize("signaled", ENDED)
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
        line = (
            "run", tmp_path / "table.jsonl", "--model", log.address,
            "--method", "strips:fast", "--metric", "map", "--out", tmp_path / "run",
        )  # fmt: skip
        try:
            started = Command(line, tmp_path)
            assert hanging.wait(120)
            os.kill(started.process.pid, signaled)
            code, output, errors = started.wait(20)
        finally:
            over.set()
    word, expected = ENDED[signaled]
    assert (code, output) == (expected, "")
    assert [text for text in errors.splitlines() if text][-1] == f"wherelook: {word}"
    assert "Traceback" not in errors
    assert read_run(tmp_path / "run")[1].column("sample").to_pylist() == ["0"]
