"""What commands print: nothing that a terminal obeys, nothing that an encoding lacks, whoever has gone."""

from __future__ import annotations

import errno
import io
import json
import re
import shutil
import sys

import pytest

from scripted_server import serving
from wherelook.cli import terminal
from wherelook.cli.app import run
from wherelook.hidden import HIDDEN, MARKS

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What must not reach a terminal: written down once more, from the Unicode standard."""

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J\u202edoog\u2066 back\rfront \u200f\x7f\x00 \u2028x\ufeff"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def server(answer, name="small"):
    def reply(_, body):
        if body is None:
            return 200, {}, {"data": [{"id": name}]}
        if "prompt_logprobs" not in body:
            return 200, {}, {"choices": [{"message": {"content": answer}}]}
        words = re.findall(r"\s*\S+", body["messages"][-1]["content"])
        value = -10.0 * 0.9998 ** len(json.dumps(body))
        places = [{str(n): {"logprob": value, "decoded_token": word}} for n, word in enumerate(words)]
        return 200, {}, {"choices": [{}], "prompt_logprobs": [None, *places]}

    return reply


def test_every_such_character_is_spelled_out():
    for code in sorted(HIDDEN | MARKS | {0x0D}):
        stream = io.StringIO()
        terminal.Guarded(terminal.Sink(stream)).write(f"a{chr(code)}b\n\t")
        assert stream.getvalue() == (f"a\\x{code:02x}b\n\t" if code < 256 else f"a\\u{code:04x}b\n\t")
        assert OBEYED.search(chr(code))


OPTIONS = ("--method", "strips", "--preset", "fast", "--replay-steps", 0, "--tokens", "all")


def test_an_explanation_of_evil_texts(command, images, tmp_path):
    picture = tmp_path / "a\x1b[2J\u202e.png"
    shutil.copy(images / "good.png", picture)
    question = "What\x1b]0;t\x07 is \u202ethis?\nstatus     ok: forged"
    with serving(server(EVIL, name=f"m{EVIL}")) as log:
        options = (picture, question, "--model", log.address, *OPTIONS, "--out", tmp_path / "out\x1b[1m")
        code, output, errors = command("explain", *options)
        assert code == 0, errors
        assert not OBEYED.search(output + errors)
        assert "\\x1b]0;" in output
        assert "\n           status     ok: forged\n" in output
        code, output, errors = command("explain", *options, "--json")
    assert not OBEYED.search(output + errors)
    told = json.loads(output)
    assert told["answer"] == EVIL
    assert told["model"]["name"] == f"m{EVIL}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "{images}/\x1b[31m\u202e.png", "?"),
        ("explain", "{images}/good.png", "?", "--method", EVIL),
        ("explain", "{images}/good.png", "?", "--set", EVIL),
        ("explain", "{images}/good.png", "?", "--model", f"./{EVIL}".replace("\0", "")),
        ("explain", "{images}/good.png", "?", EVIL),
        (EVIL,),
        ("methods", f"--{EVIL}"),
        ("methods", EVIL),
        ("run", f"{{images}}/{EVIL}", "--out", "x"),
        ("run", "scenes", "--limit", EVIL, "--out", "x"),
        ("explain", "{images}/good.png", "?", "--baseline", "\udc9b2J"),
    ],
)
def test_errors_that_quote_evil_texts(command, images, arguments):
    code, output, errors = command(*(argument.replace("{images}", str(images)) for argument in arguments))
    assert code == 2
    assert errors.count("\n") == 1
    assert not OBEYED.search(output + errors)


def test_what_a_server_says_in_an_error(command, images):
    with serving(lambda *_: (400, {}, {"error": EVIL})) as log:
        _, output, errors = command("explain", images / "good.png", "?", "--model", log.address, *OPTIONS)
    assert "red" in errors
    assert not OBEYED.search(output + errors)


def test_tables_and_progress_of_evil_texts(monkeypatch):
    from wherelook.cli import options
    from wherelook.report.table import from_rows

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.guarded():
        options.print_table(from_rows("names", [{"name": f"[bold]{EVIL}", "other": None}]))
        with options.progress_bar() as progress:
            progress(f"[red]{EVIL}", 1, 2)
            print(EVIL)
            print(EVIL, file=sys.stderr)
    ours = re.compile(r"\x1b\[[0-9;?]*[mKAhlG]|\r")  # what draws a bar and a heading
    shown = ours.sub("", screen.getvalue())
    assert "[bold]\\x1b[31mred" in shown
    assert shown.count("\\x1b[31mred") >= 4
    assert not OBEYED.search(shown)


def test_bars_of_libraries_draw_and_nothing_else():
    stream = io.StringIO()
    guarded = terminal.Guarded(terminal.Sink(stream))
    guarded.bars = True
    for text in ("\rloading 10%", "\n\x1b[A", "\x1b[31m", "\r\x1b[2J\r"):
        guarded.write(text)
    assert stream.getvalue() == "\rloading 10%" + "\n\x1b[A" + "\\x1b[31m" + "\r\\x1b[2J\\x0d"


class Narrow(io.TextIOWrapper):
    """A stream in a legacy code page, as Python opens it."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict")

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


ENCODINGS = ("ascii", "cp1252", "gbk", "cp437", "iso2022_jp", "utf-16")


@pytest.fixture
def narrow(monkeypatch, tmp_path):
    """Runs a command with both streams in an encoding; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(encoding, *arguments):
        out, err = Narrow(encoding), Narrow(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return run([str(argument) for argument in arguments]), out.text(), err.text()

    return call


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("verb", ["methods", "metrics", "datasets", "zoo", "models", "--help"])
def test_listings_in_every_code_page(narrow, encoding, verb):
    code, output, errors = narrow(encoding, verb)
    assert (code, errors) == (0, "")
    assert len(output) > 200


ANSWER = "≈ 5 caf\u00e9s, 狗 and \U0001f436"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_explanation_in_every_code_page(narrow, images, encoding):
    with serving(server(ANSWER)) as log:
        options = ("explain", images / "good.png", "狗?", "--model", log.address, *OPTIONS)
        code, output, _ = narrow(encoding, *options)
        assert code == 0
        assert terminal.encodable(f"answer     {ANSWER}", encoding) in output
        code, output, _ = narrow(encoding, *options, "--json")
    assert code == 0
    assert json.loads(output)["answer"] == ANSWER


def test_what_an_encoding_lacks_is_similar_or_spelled_out():
    assert terminal.encodable(ANSWER, "ascii") == "~ 5 caf\\xe9s, \\u72d7 and \\U0001f436"
    assert terminal.encodable(ANSWER, "gbk") == "≈ 5 caf\u00e9s, 狗 and \\U0001f436"
    assert terminal.encodable(ANSWER, "utf-8") == ANSWER


@pytest.mark.usefixtures("quick_evaluations")
def test_commands_over_many_samples_in_a_code_page(narrow, tmp_path):
    scenes = ("--method", "center,random", "--answers", 2, "--wrong", "--replay-steps", 2)
    code, output, errors = narrow("cp1252", "evaluate", *scenes, "--out", tmp_path / "evaluation")
    assert code == 0, errors
    assert "Bold (* in text) is the best mean. ~ is not distinguishable" in " ".join(output.split())
    options = ("--method", "center", "--metric", "map", "--limit", 2, "--out", tmp_path / "run")
    assert narrow("ascii", "run", "scenes-tuning", *options)[0] == 0
    assert narrow("ascii", "compare", tmp_path / "run")[0] == 0
    assert narrow("ascii", "report", tmp_path / "run", "--out", tmp_path / "page.html")[0] == 0


class Broken(io.StringIO):
    """A stream that fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_reader_that_has_gone_ends_no_work(monkeypatch, images, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", Broken(BrokenPipeError()))
    monkeypatch.setattr(sys, "stderr", Broken(BrokenPipeError()))
    with serving(server("A cat")) as log:
        code = run(["explain", str(images / "good.png"), "?", "--model", log.address, *map(str, OPTIONS)])
    assert code == 0
    assert (tmp_path / "wherelook-out" / "report.html").is_file()


def test_output_that_a_full_disk_refuses_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device")))
    assert run(["methods"]) == 1
    line = "wherelook: standard output cannot be written: No space left on device; files are complete\n"
    assert capsys.readouterr().err == line


def test_streams_that_are_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["metrics", "--json"]) == 0
    assert run(["nothing"]) == 2
