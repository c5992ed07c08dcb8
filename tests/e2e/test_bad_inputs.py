"""What a user can get wrong, and what the command answers: one line, and the exit code."""

from __future__ import annotations

import os

import pytest

from wherelook import InputError, WherelookError, cli
from wherelook.html import is_page

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

# Placeholders: {images}, {model}, {patches}, {broken} are folders, {good} is a good image.
EXPLAIN = ("explain", "{good}", "What color?", "--model", "{model}")
# A model is loaded: keep what follows short.
SHORT = (*EXPLAIN, "--preset", "fast", "--replay-steps", "0", "--max-new-tokens", "2")
# Nobody listens there.
ENDPOINT = ("explain", "{good}", "?", "--model", "http://127.0.0.1:9/v1", "--method", "strips")

# id, arguments, exit code, part of the line
BAD: list[tuple[str, tuple[str, ...], int, str]] = [
    # ---- the image ----
    ("image-missing", ("explain", "{images}/none.png", "?"), 2, "there is no image file"),
    ("image-address", ("explain", "https://example.com/cat.png", "?"), 2, "download the image first"),
    ("image-folder", ("explain", "{images}/folder", "?"), 2, "is a folder; expected an image file"),
    ("image-empty", ("explain", "{images}/empty.png", "?"), 2, "is empty; expected an image file"),
    ("image-text", ("explain", "{images}/text.png", "?"), 2, "is not an image in a supported format (PNG, JPEG,"),
    ("image-random-bytes", ("explain", "{images}/random.png", "?"), 2, "is not an image in a supported format"),
    ("image-truncated-png", ("explain", "{images}/truncated.png", "?"), 2, "is damaged and cannot be decoded"),
    ("image-truncated-jpeg", ("explain", "{images}/truncated.jpg", "?"), 2, "is damaged and cannot be decoded"),
    ("image-bomb", ("explain", "{images}/bomb.png", "?"), 2, "too many pixels; the limit is 100 million"),
    ("image-large", ("explain", "{images}/large.png", "?"), 2, "12000 x 12000 pixels; the limit is 100 million"),
    ("image-svg", ("explain", "{images}/drawing.svg", "?"), 2, "convert it to PNG or JPEG"),
    ("image-ico", ("explain", "{images}/icon.ico", "?"), 2, "convert it to PNG or JPEG"),
    ("image-pdf", ("explain", "{images}/document.pdf", "?"), 2, "convert it to PNG or JPEG"),
    ("image-device", ("explain", "/dev/null", "?"), 2, "is not a regular file"),
    ("image-null-byte", ("explain", "a\0b.png", "?"), 2, r"'a\x00b.png'"),
    ("image-name-too-long", ("explain", "x" * 5000, "?"), 2, "cannot read image file"),
    ("image-name-empty", ("explain", "", "?"), 2, "is a folder"),
    ("image-unreadable", ("explain", "{images}/unreadable.png", "?"), 2, "Permission denied"),
    ("image-refused", ("explain", "{images}/thin.png", "?", "--model", "{patches}"), 2, "refuses this image"),
    # ---- several images ----
    ("images-one-missing", (*EXPLAIN, "--image", "{images}/none.png"), 2, "there is no image file"),
    ("images-too-many", (*EXPLAIN, *("--image", "{good}") * 32), 2, "from 1 to 32 images; got 33"),
    ("images-one-refused", ("explain", "{good}", "?", "--image", "{images}/thin.png", "--model", "{patches}"), 2,
     "refuses these 2 images ("),
    ("images-embedded", ("explain", "{good}", "?", "--image", "{good}", "--model", "embedded"), 2,
     "'embedded' was trained on prompts of 1 image(s), not 2: choose a model that takes several"),
    ("frames-of-a-still", (*EXPLAIN, "--frames", "4"), 2, "has one frame; expected an animation (GIF, WebP, PNG,"),
    ("frames-one", (*EXPLAIN, "--frames", "1"), 2, "frames are from 2 to 32; got 1"),
    ("video-without-frames", (*EXPLAIN, "--video"), 2, "--video goes with --frames"),
    ("frames-and-images", (*EXPLAIN, "--frames", "4", "--image", "{good}"), 2, "leave --image out"),
    # ---- the question and the answer ----
    ("question-empty", ("explain", "{good}", ""), 2, "the question is empty"),
    ("question-blank", ("explain", "{good}", " \t\n"), 2, "the question is empty"),
    ("question-no-text", ("explain", "{good}", "\udcff"), 2, "is not text in UTF-8"),
    ("question-endless", (*SHORT[:2], "why " * 5000, *SHORT[3:]), 2, "the limit is 8000"),
    ("answer-empty", (*EXPLAIN, "--answer", ""), 2, "the answer is empty"),
    ("answer-blank", (*EXPLAIN, "--answer", "  "), 2, "the answer is empty"),
    ("answer-no-text", (*EXPLAIN, "--answer", "\udcff"), 2, "is not text in UTF-8"),
    ("tokens-unknown", (*SHORT, "--answer", "red circle", "--tokens", "zebra"), 2, "words of the answer: red circle"),
    ("answer-of-special-tokens", (*SHORT, "--answer", "</s>"), 2, "a special token that no reader sees: remove it"),
    ("tokens-empty", (*SHORT, "--answer", "red circle", "--tokens", ""), 2, "words of the answer: red circle"),
    # ---- a run ----
    ("compare-nothing", ("compare",), 2, "Missing argument 'RUN...'"),
    ("compare-no-run", ("compare", "nowhere"), 2, "nowhere holds no run"),
    ("compare-label", ("compare", "r", "--label", "r"), 2, "label 'r': expected RUN=ARCHITECTURE:SCALE"),
    ("compare-models", ("compare", "r", "--models", "none.csv"), 2, "none.csv cannot be read as a table of models"),
    ("compare-measure", ("compare", "r", "--measure", "x"), 2, "unknown measure of similarity 'x'"),
    ("run-no-data", ("run", "nothing", "--out", "r"), 2, "nothing"),
    ("scenes-photographs", ("scenes", "--world", "photographs", "--out", "s"), 2, "a folder of photographs (--"),
    ("scenes-no-photographs", ("scenes", "--world", "photographs", "--photographs", "none", "--out", "s"), 2,
     "no folder of photographs 'none'"),
    ("run-no-folder", ("run", "scenes"), 2, "Missing option '--out'"),
    ("run-engine", ("run", "scenes", "--out", "r", "--limit", "1", "--engine", "steam"), 2, "unknown engine 'steam'"),
    ("run-judge", ("run", "scenes", "--out", "r", "--judge", "jury"), 2, "unknown judge 'jury'; valid: auto, exact"),
    ("run-prompt", ("run", "scenes", "--out", "r", "--prompt", "loud"), 2, "unknown prompt style 'loud'; valid: auto"),
    ("run-method", ("run", "scenes", "--out", "r", "--method", "x"), 2, "unknown method 'x'"),
    ("run-endless", ("run", "scenes", "--out", "r"), 2, "has no end: say how many samples with --limit"),
    ("run-file", ("run", "scenes", "--out", "{good}"), 2, "is a file; expected a folder"),
    # ---- judging a run ----
    ("judge-by-nobody", ("judge", "r"), 2, "expected either --model with the address of an endpoint, or --verdicts"),
    ("judge-by-two", ("judge", "r", "--model", "http://a/v1", "--verdicts", "v"), 2, "expected either --model"),
    ("judge-no-run", ("judge", "{images}", "--verdicts", "v"), 2, "holds no run: expected run.json and records/"),
    # ---- names ----
    ("command-unknown", ("explian",), 2, "No such command 'explian'"),
    ("option-unknown", ("methods", "--color"), 2, "No such option: --color; try 'wherelook methods --help'"),
    ("option-misspelt", (*EXPLAIN, "--modle", "x"), 2, "--model"),
    ("argument-missing", ("explain", "{good}"), 2, "Missing argument 'question'; try 'wherelook explain --help'"),
    ("argument-extra", ("methods", "guided-igos"), 2, "unexpected extra argument"),
    ("value-missing", (*EXPLAIN, "--method"), 2, "'--method' requires an argument"),
    ("method-unknown", (*EXPLAIN, "--method", "gradcam"), 2, "unknown method 'gradcam'; valid: guided-igos, igos+,"),
    ("preset-unknown", (*EXPLAIN, "--preset", "good"), 2, "unknown preset of guided-igos 'good'; valid: best, fast"),
    ("baseline-unknown", (*EXPLAIN, "--baseline", "black"), 2, "unknown baseline 'black'; valid: auto, blur"),
    ("baseline-image-missing", (*EXPLAIN, "--baseline", "image"), 2, "is another image: give one"),
    ("baseline-image-unused", (*EXPLAIN, "--baseline", "mean", "--baseline-image", "{good}"), 2, "got 'mean'"),
    ("baseline-image-none", (*EXPLAIN, "--baseline-image", "{images}/none.png"), 2, "there is no image file"),
    ("dtype-unknown", (*EXPLAIN, "--dtype", "int3"), 2, "unknown dtype 'int3'; valid: auto, float32"),
    ("device-unknown", (*EXPLAIN, "--device", "gpu"), 2, "unknown device 'gpu'; expected cpu, cuda"),
    ("device-absent", (*EXPLAIN, "--device", "cuda:99"), 2, "'cuda:99' is not available here: this machine has cpu"),
    ("device-not-ours", (*EXPLAIN, "--device", "meta"), 2, "'meta' is not available here"),
    # ---- numbers ----
    ("method-two-presets", (*EXPLAIN, "--method", "rise:fast", "--preset", "best"), 2, "the preset is given twice"),
    ("method-of-earlier-versions", (*EXPLAIN, "--method", "igos+:fast"), 2, "is called guided-igos:fast"),
    ("set-without-equals", (*EXPLAIN, "--set", "iterations"), 2, "expected KEY=VALUE, for example --set iterations=8"),
    ("set-without-key", (*EXPLAIN, "--set", "=8"), 2, "expected KEY=VALUE"),
    ("set-unknown", (*EXPLAIN, "--set", "speed=9"), 2, "unknown setting of guided-igos 'speed'; valid: cells,"),
    ("set-not-a-number", (*EXPLAIN, "--set", "iterations=many"), 2, "iterations='many' is not a whole number"),
    ("set-fraction", (*EXPLAIN, "--set", "iterations=1.5"), 2, "is not a whole number"),
    ("set-nan", (*EXPLAIN, "--set", "l1=nan"), 2, "l1='nan' is not a finite number"),
    ("set-negative", (*EXPLAIN, "--set", "tv=-1"), 2, "not negative"),
    ("set-zero", (*EXPLAIN, "--set", "steps=0"), 2, "must be from 1 to"),
    ("set-no-choice", (*EXPLAIN, "--method", "igos+", "--set", "upsampling=no"), 2, "unknown value of upsampling 'no'"),
    ("set-no-truth", (*EXPLAIN, "--set", "rest_shown=maybe"), 2, "is not true or false"),
    ("alpha-nan", (*SHORT, "--alpha", "nan"), 2, "alpha is a number of nats from 0 up; got nan"),
    ("alpha-negative", (*SHORT, "--alpha", "-1"), 2, "alpha is a number of nats from 0 up; got -1"),
    ("alpha-text", (*SHORT, "--alpha", "much"), 2, "Invalid value for '--alpha'"),
    ("replay-one-step", (*SHORT, "--replay-steps", "1"), 2, "0 (no replay) or at least 2 and at most 500; got 1"),
    ("max-new-tokens-zero", (*EXPLAIN, "--max-new-tokens", "0"), 2, "Invalid value for '--max-new-tokens'"),
    ("max-new-tokens-endless", (*EXPLAIN, "--max-new-tokens", "100000"), 2, "Invalid value for '--max-new-tokens'"),
    ("batch-size-zero", (*EXPLAIN, "--batch-size", "0"), 2, "Invalid value for '--batch-size'"),
    ("memory-limit-nan", (*EXPLAIN, "--memory-limit", "nan"), 2, "Invalid value for '--memory-limit'"),
    ("memory-limit-infinite", (*EXPLAIN, "--memory-limit", "inf"), 2, "Invalid value for '--memory-limit'"),
    ("seed-negative", (*EXPLAIN, "--seed", "-1"), 2, "Invalid value for '--seed'"),
    # ---- places to write to ----
    ("out-file", (*EXPLAIN, "--out", "{good}"), 2, "is a file; expected a folder, or a new name"),
    ("out-below-a-file", (*EXPLAIN, "--out", "{good}/out"), 2, "Not a directory; choose another one"),
    ("out-null-byte", (*EXPLAIN, "--out", "a\0b"), 2, "null byte"),
    ("out-name-too-long", (*EXPLAIN, "--out", "x" * 5000), 2, "cannot make the folder --out"),
    ("demo-out-file", ("demo", "--model", "things", "--out", "{good}"), 2, "is a file; expected a folder"),
    # ---- the model ----
    ("model-missing", (*EXPLAIN[:3], "--model", "./nowhere"), 2, "no model folder './nowhere'; expected"),
    ("model-no-name", (*EXPLAIN[:3], "--model", ""), 2, "no model folder ''"),
    ("model-none", ("explain", "{good}", "?"), 2, "no model is named, and the one for photographs is not made: give"),
    ("model-odd-name", (*EXPLAIN[:3], "--model", "a/b/c"), 2, "a hub id 'owner/name', 'photos', 'embedded' or"),
    ("model-not-in-the-zoo", (*EXPLAIN[:3], "--model", "zoo:none"), 2, "no model 'none' in the zoo; valid: embedded"),
    ("model-null-byte", (*EXPLAIN[:3], "--model", "a\0b"), 2, "no model folder"),
    ("model-name-too-long", (*EXPLAIN[:3], "--model", "x" * 5000), 2, "no model folder"),
    ("model-offline", (*EXPLAIN[:3], "--model", "owner/name"), 2, "neither a local folder nor to be had from the"),
    ("model-revision-offline", (*EXPLAIN[:3], "--model", "owner/name", "--revision", "x"), 2, "the revision"),
    ("model-revision-of-folder", (*EXPLAIN, "--revision", "main"), 2, "is for models on the hub"),
    ("model-name-here", (*EXPLAIN, "--model-name", "x"), 2, "--model-name is for an endpoint"),
    ("endpoint-method", (*EXPLAIN[:3], "--model", "http://127.0.0.1:9/v1"), 2, "method 'guided-igos' needs gradients"),
    ("endpoint-inside", (*ENDPOINT, "--method", "rollout"), 2, "'rollout' needs image tokens in a decoder"),
    ("endpoint-device", (*ENDPOINT, "--device", "cpu"), 2, "--device is for a model in this process"),
    ("endpoint-code", (*ENDPOINT, "--trust-remote-code"), 2, "--trust-remote-code is for a model in this process"),
    ("endpoint-password", (*ENDPOINT, "--model", "http://me:pw@h/v1"), 2, "put the key into WHERELOOK_API_KEY"),
    ("endpoint-no-address", (*ENDPOINT, "--model", "http://"), 2, "is not the address of an endpoint"),
    ("endpoint-nobody", ENDPOINT, 1, "cannot be reached"),
    ("endpoint-concurrency", (*ENDPOINT, "--concurrency", "0"), 2, "Invalid value for '--concurrency'"),
    ("endpoint-timeout", (*ENDPOINT, "--timeout", "nan"), 2, "Invalid value for '--timeout'"),
    ("endpoint-check", ("check", "http://127.0.0.1:9/v1"), 2, "which `wherelook explain`, `run` and `evaluate` can"),
    ("model-file", ("check", "{broken}/file"), 2, "is a file; expected a model folder"),
    ("model-empty-folder", ("check", "{broken}/empty"), 2, "has no config.json"),
    ("model-config-not-json", ("check", "{broken}/config-not-json"), 2, "is not a valid JSON file"),
    ("model-without-type", ("check", "{broken}/config-without-type"), 2, "names no model_type"),
    ("model-unknown-type", ("check", "{broken}/config-unknown-type"), 2, "pip install --upgrade transformers"),
    ("model-text-only", ("check", "{broken}/config-text-only"), 2, "not an image-text-to-text model (LlamaConfig)"),
    ("model-remote-code", ("check", "{broken}/config-remote-code"), 2, "then pass --trust-remote-code"),
    ("model-no-weights", ("check", "{broken}/no-weights"), 2, "has no safetensors weights"),
    ("model-pickled", ("check", "{broken}/pickled-weights"), 2, "pickled weights are not loaded: convert them"),
    ("model-corrupt", ("check", "{broken}/corrupt-weights"), 2, "damaged or incomplete"),
    ("model-empty-weights", ("check", "{broken}/empty-weights"), 2, "damaged or incomplete"),
    ("model-truncated", ("check", "{broken}/truncated-weights"), 2, "damaged or incomplete"),
    ("model-missing-shard", ("check", "{broken}/missing-shard"), 2, "model-00002-of-00002.safetensors"),
    ("model-missing-tensors", ("check", "{broken}/missing-tensors"), 2, "layers.1.self_attn.q_proj.weight"),
    ("model-foreign-weights", ("check", "{broken}/foreign-weights"), 2, "would stay random"),
    ("model-wrong-shapes", ("check", "{broken}/wrong-shapes"), 2, "missing or of another shape"),
    ("model-no-tokenizer", ("check", "{broken}/no-tokenizer"), 2, "expected tokenizer.json"),
    ("model-broken-tokenizer", ("check", "{broken}/broken-tokenizer"), 2, "the processor of model"),
    ("model-no-processor", ("check", "{broken}/no-processor"), 2, "no preprocessor_config.json or processor"),
    ("model-broken-processor", ("check", "{broken}/broken-processor"), 2, "is not a valid JSON file"),
    ("model-nan", (*EXPLAIN[:4], "{broken}/nan-weights"), 1, "logits are not finite"),
    ("model-silent", (*EXPLAIN[:4], "{broken}/silent", "--max-new-tokens", "1"), 1, "model's answer is empty"),
    ("template-without-question", (*EXPLAIN, "--prompt-template", "{{image}}"), 2, "contain {image} and {question}"),
    ("template-other-braces", (*EXPLAIN, "--prompt-template", "{{image}}{{question}}{{x}}"), 2, "and no other braces"),
    ("template-attribute", (*EXPLAIN, "--prompt-template", "{{image}}{{question}}{{image.x}}"), 2, "no other braces"),
    # ---- power ----
    ("power-test", ("power", "--test", "anova", "--effect", "1"), 2, "unknown test 'anova'; valid: share, mcnemar"),
    ("power-setting", ("power", "--test", "mcnemar", "--effect", "0.1"), 2, "needs 'discordant'"),
    ("power-effect", ("power", "--test", "spearman", "--effect", "nan"), 2, "expected a number between -1 and 1"),
    ("power-nothing", ("power", "--test", "paired", "--effect", "0"), 2, "effect 0 is no effect"),
    # ---- scenes ----
    ("scenes-without-out", ("scenes",), 2, "Missing option '--out'"),
    ("scenes-none", ("scenes", "--out", "new", "--n", "0"), 2, "Invalid value for '--n'"),
    ("scenes-size-text", ("scenes", "--out", "new", "--size", "large"), 2, "expected HEIGHTxWIDTH in pixels"),
    ("scenes-size-one-side", ("scenes", "--out", "new", "--size", "448"), 2, "expected HEIGHTxWIDTH in pixels"),
    ("scenes-size-tiny", ("scenes", "--out", "new", "--size", "8x8"), 2, "64"),
    ("scenes-size-narrow", ("scenes", "--out", "new", "--size", "64x1000"), 2, "2 times the other"),
    ("scenes-out-full", ("scenes", "--out", "{images}", "--n", "1"), 2, "expected a new or an empty folder"),
    ("scenes-out-file", ("scenes", "--out", "{good}", "--n", "1"), 2, "is a file; expected a folder"),
    # ---- evaluate, sanity, sweep ----
    ("evaluate-data-set", ("evaluate", "nothing"), 2, "no data set 'nothing'; valid: scenes"),
    ("evaluate-data-set-path", ("evaluate", "mmvp"), 2, "expected mmvp:PATH, with Questions.csv"),
    ("evaluate-data-set-missing", ("evaluate", "mmvp:nothing"), 2, "there is no 'nothing'; MMVP needs"),
    ("evaluate-data-set-other", ("evaluate", "pope:{images}"), 2, "does not hold POPE"),
    ("evaluate-method", ("evaluate", "--method", "guided-igos,lime"), 2, "unknown method 'lime'; valid: guided-igos"),
    ("evaluate-preset", ("evaluate", "--method", "guided-igos:slow"), 2, "unknown preset of guided-igos 'slow'"),
    ("evaluate-no-methods", ("evaluate", "--method", ","), 2, "no methods in ','"),
    ("evaluate-none", ("evaluate", "--answers", "0"), 2, "Invalid value for '--answers'"),
    ("evaluate-sanity-one", ("evaluate", "--sanity", "1"), 2, "--sanity is 0 (no check) or at least 2 answers"),
    ("sanity-out-file", ("sanity", "--out", "{good}"), 2, "is a file; expected a folder"),
    ("evaluate-out-file", ("evaluate", "--out", "{good}"), 2, "is a file; expected a folder"),
    ("evaluate-model", ("evaluate", "--model", "{broken}/empty", "--out", "new"), 2, "has no config.json"),
    ("sanity-method", ("sanity", "--method", "lime"), 2, "unknown method 'lime'"),
    ("sanity-one-answer", ("sanity", "--sanity", "1"), 2, "--sanity is 0 (no check) or at least 2 answers"),
    ("sanity-none", ("sanity", "--sanity", "0"), 2, "sanity checks need at least 2 answers"),
    ("sweep-without-settings", ("sweep",), 2, "a sweep needs a setting and its values: --set KEY=V1,V2"),
    ("sweep-setting", ("sweep", "--set", "l7=1"), 2, "unknown setting of guided-igos 'l7'"),
    ("sweep-value", ("sweep", "--set", "alpha=much"), 2, "alpha='much' is not a number"),
    ("sweep-pair", ("sweep", "--set", "alpha"), 2, "expected KEY=VALUE"),
]  # fmt: skip

# id, arguments, status: strange, but an honest result
HONEST: list[tuple[str, tuple[str, ...], str]] = [
    ("answer-of-punctuation", (*SHORT, "--answer", "... !?"), "not_visual"),
    ("plain-image", ("explain", "{images}/plain.png", *SHORT[2:]), "not_visual"),
    ("image-of-one-pixel", ("explain", "{images}/one.png", *SHORT[2:]), "not_visual"),
    ("image-of-one-row", ("explain", "{images}/thin.png", *SHORT[2:]), "ok"),
    ("memory-for-one", (*SHORT, "--memory-limit", "0.001"), "ok"),
    ("mask-of-one-cell", (*SHORT, "--set", "cells=1"), "ok"),
    ("half-precision", (*SHORT, "--dtype", "bfloat16"), "ok"),
]


@pytest.fixture
def fill(images, model_folder, patches_folder, broken):
    """Puts the folders into arguments."""
    places = {
        "images": images,
        "good": images / "good.png",
        "model": model_folder,
        "patches": patches_folder,
        "broken": broken,
    }
    return lambda arguments: [argument.format(**places) for argument in arguments]


def test_tables_have_no_row_twice():
    for table in (BAD, HONEST):
        assert len({row[0] for row in table}) == len({row[1] for row in table}) == len(table)


@pytest.mark.parametrize(("arguments", "code", "part"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_one_line_and_an_exit_code(command, fill, request, arguments, code, part):
    if "unreadable" in request.node.callspec.id and IS_ROOT:
        pytest.skip("the superuser may read every file")
    got, _, errors = command(*fill(arguments))
    assert errors.startswith("wherelook: ")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1
    assert "\0" not in errors
    assert part in errors
    assert len(errors) < 700
    assert "Traceback" not in errors
    assert "--debug" not in errors  # that is for what we did not expect
    assert got == code


@pytest.mark.parametrize(("arguments", "status"), [row[1:] for row in HONEST], ids=[row[0] for row in HONEST])
def test_strange_input_gets_an_honest_answer(command, fill, arguments, status):
    code, output, errors = command(*fill(arguments))
    assert errors == ""
    assert code == 0
    assert f"status     {status}: " in output


def test_debug_shows_the_traceback_before_the_line(command, fill):
    for arguments in (("explain", "none.png", "?"), ("explain", "{good}"), ("check", "{broken}/truncated-weights")):
        plain = command(*fill(arguments))
        assert command("--debug", *fill(arguments))[2] == command(*fill(arguments), "--debug")[2]
        code, _, errors = command(*fill(arguments), "--debug")
        assert "Traceback (most recent call last)" in errors
        assert errors.endswith(plain[2])
        assert code == plain[0]


def test_a_defect_of_ours_is_one_line_too(command, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("line one\nline two")

    monkeypatch.setattr("wherelook.cli.options.print_entries", fail)
    code, _, errors = command("methods")
    assert errors == "wherelook: ZeroDivisionError: line one line two (run again with --debug for the traceback)\n"
    assert code == 1


def test_a_folder_in_the_place_of_a_file_is_found_before_the_work(command, fill, tmp_path):
    place = tmp_path / "out" / "mask.npy"
    place.mkdir(parents=True)
    code, _, errors = command(*fill(SHORT), "--out", tmp_path / "out")
    assert errors == f"wherelook: {place} is a folder where a file is to be written; name another folder\n"
    assert code == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError()])
def test_interruption_is_said(command, monkeypatch, error):
    def stop(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("wherelook.cli.options.print_entries", stop)
    code, _, errors = command("methods")
    assert errors.strip() == "wherelook: interrupted"
    assert code == 130


@pytest.mark.parametrize(("asked", "word", "code"), [(True, "terminated", 143), (False, "interrupted", 130)])
def test_an_end_before_the_command_begins_is_said(monkeypatch, capsys, asked, word, code):
    def run(_):
        if asked:
            cli.terminate()
        raise KeyboardInterrupt

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr("wherelook.cli.app.run", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr(cli.Terminated, "asked", False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (code, f"wherelook: {word}\n")


def test_a_pipe_is_no_page(tmp_path):
    """It is not opened: nobody may ever write to it."""
    os.mkfifo(tmp_path / "page.html")
    assert not is_page(tmp_path / "page.html")


def test_exit_codes_are_those_of_the_exceptions():
    assert (WherelookError.exit_code, InputError.exit_code) == (1, 2)


def test_a_model_that_fails_its_check_exits_with_one(command, broken):
    code, output, errors = command("check", broken / "nan-weights")
    assert "FAIL" in output
    assert "does not work with wherelook" in output
    assert errors == ""
    assert code == 1


def test_nothing_is_written_for_bad_input(command, fill, tmp_path):
    command("explain", "none.png", "?")
    command(*fill(EXPLAIN), "--method", "none")
    command(*fill(EXPLAIN), "--set", "nothing=1")
    assert not any(tmp_path.iterdir())
