"""What a sample is put through, with the embedded model."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pyarrow
import pytest
import torch
from tools import families

from layouts import BLUE, GREEN, RED, struct, text64, tsv
from published import Builder
from wherelook.analysis.sanity import STABILITY_MEASURES
from wherelook.config import ExplainConfig
from wherelook.data.datasets import read_samples
from wherelook.data.images import decode_image
from wherelook.data.sources import ImageFile
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.local import Task
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.records import SCHEMA, TIMES, to_table
from wherelook.evaluation.rows import MASK_SIDE, MEASURES, mask_of, stored_mask
from wherelook.evaluation.worker import ModelWorker, Procedure
from wherelook.metrics import METRICS, measures
from wherelook.models import VisionLanguageModel

RUNS = tuple(parse_methods("gradient,center"))


@pytest.fixture(scope="module")
def model():
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def samples():
    return list(itertools.islice(read_samples("scenes-tuning"), 3))


def rows_of(model, samples, position=0, **options):
    return ModelWorker(model=model, procedure=Procedure("scenes-tuning", RUNS, **{"replay_steps": 6} | options))(
        Task(position, samples[position])
    ).rows


def without_times(rows) -> list[dict]:
    return to_table(rows).drop_columns(list(TIMES)).to_pylist()


@pytest.fixture(scope="module")
def rows(model, samples):
    return rows_of(model, samples, blind=True)


def test_a_row_holds_sample_answer_map_and_measures(rows, samples):
    sample = samples[0]
    assert [row["run"] for row in rows] == ["gradient:best", "center:best"]
    for row in rows:
        assert (row["status"], row["error"], row["sample"], row["position"]) == ("ok", None, sample.id, 0)
        assert (row["image_height"], row["image_width"]) == sample.image.size
        assert row["evidence_share"] == pytest.approx(sample.truth.mean())
        assert (row["correct"], row["answer"]) == (True, sample.reference)
        assert row["blind_answer"] != row["answer"]
        assert row["blind_correct"] is False
        assert row["tokens_selected"] == sum(token["selected"] for token in row["tokens"]) > 0
        assert row["tokens_words"] >= row["tokens_selected"]
        assert row["gap"] == pytest.approx(sum(token["llr"] for token in row["tokens"] if token["selected"]))
        assert mask_of(row).max() == 1
        assert 0 <= row["focus_x0"] < row["focus_x1"] <= row["image_width"]
        assert row["pointing"] in (0, 1)
        assert set(row) <= set(SCHEMA.names)
        assert row["flip"] is None if "flip" in row else True
    assert (rows[0]["backward"], rows[1]["backward"]) == (1, 0)
    assert all(rows[0][name] == rows[1][name] for name in ("answer", "gap", "tokens", "baseline"))


def test_rows_do_not_depend_on_what_came_before(model, samples):
    worker = ModelWorker(Procedure("scenes-tuning", tuple(parse_methods("guided-igos:fast")), replay_steps=6), model)
    after_others = [worker(Task(index, sample)).rows for index, sample in enumerate(samples)][-1]
    fresh = VisionLanguageModel.from_pretrained("embedded", device="cpu")
    alone = ModelWorker(worker.procedure, fresh)(Task(2, samples[2])).rows
    assert without_times(after_others) == without_times(alone)


@pytest.mark.parametrize(
    ("measured", "there", "not_there"),
    [
        ("map", ("pointing", "effective_area", "center_x"), ("deletion",)),
        ("all", ("deletion", "flip", "insertion_superpixels", "sufficient_area"), ()),
    ],
)
def test_how_much_is_measured(model, samples, measured, there, not_there):
    row = rows_of(model, samples, metrics=(measured,))[1]
    assert all(row[name] is not None for name in there)
    assert all(row.get(name) is None for name in not_there)


def test_an_image_that_cannot_be_read_is_a_row_for_every_run(model, samples, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = replace(samples[0], source=ImageFile(tmp_path, "broken.png"))
    rows = rows_of(model, [broken])
    assert [(row["run"], row["status"]) for row in rows] == [("gradient:best", "error"), ("center:best", "error")]
    assert "broken.png' is not an image in a supported format" in rows[0]["error"]
    assert rows[0]["question"] == broken.question
    assert to_table(rows)["answer"].to_pylist() == [None, None]


def test_any_error_is_a_row_but_that_of_a_device_ends_the_work(model, samples, monkeypatch):
    def fail(error):
        def run(*_, **__):
            raise error

        monkeypatch.setattr("wherelook.evaluation.explained.explain_answer", run)

    fail(ZeroDivisionError("by\nnothing"))
    assert [row["error"] for row in rows_of(model, samples)] == ["ZeroDivisionError: by nothing"] * 2
    fail(torch.AcceleratorError("CUDA error: an illegal memory access"))
    with pytest.raises(WherelookError, match="the device failed: CUDA error: an illegal memory access; what is finis"):
        rows_of(model, samples)


def test_the_prompt_with_options_asks_for_a_letter(model, samples):
    options = replace(samples[0], choices=("red", "blue"), references=("blue",))
    (row, _) = rows_of(model, [options], prompt="choices")
    assert (row["judge"], row["question"]) == ("option-letter", options.question)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ()}, "at least one method"),
        ({"prompt": "shouted"}, "unknown prompt style 'shouted'; valid: auto, open, choices"),
        ({"judge": "jury"}, "unknown judge 'jury'"),
        ({"replay_steps": 1}, "replay steps are 0 .no replay. or at least 2 and at most 500; got 1"),
        ({"metrics": ("much",)}, "unknown metric 'much'; valid: map, replay, all, pointing, "),
    ],
)
def test_procedures_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        replace(Procedure("scenes", RUNS), **changes)


def test_a_fine_map_is_stored_coarser():
    values = np.zeros((112, 20), np.float32)
    values[100:102, 7] = 0.5
    stored = stored_mask(values)
    assert stored.shape == (MASK_SIDE, 20)
    assert stored[50, 7] == 1
    assert stored.sum() == 1


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="the mask of sample 'x' does not have 2 x 2 numbers"):
        mask_of({"sample": "x", "mask": [1.0], "mask_height": 2, "mask_width": 2})


def test_text_that_is_not_unicode_is_escaped():
    table = to_table([{"answer": "a\ud800", "choices": ["\udcff"], "tokens": [{"text": "\ud800", "id": 1}]}])
    assert table.schema.equals(SCHEMA)
    assert isinstance(table, pyarrow.Table)
    row = table.to_pylist()[0]
    assert (row["answer"], row["choices"], row["tokens"][0]["text"]) == ("a\\ud800", ["\\udcff"], "\\ud800")


def test_all_measures_of_the_tables_have_a_column():
    compared = set(STABILITY_MEASURES.values())  # of the rows under conditions
    shown = {name for name, metric in measures(METRICS.ours).items() if metric.group}
    assert shown - compared <= set(MEASURES) <= set(SCHEMA.names)


def test_other_weights_are_another_model():
    first, second = (VisionLanguageModel.from_pretrained("embedded", device="cpu") for _ in range(2))
    assert first.identity() == second.identity()
    with torch.no_grad():
        next(second.model.parameters()).add_(1e-3)
    assert first.identity()["weights"] != second.identity()["weights"]
    asked = VisionLanguageModel.from_pretrained("embedded", device="cpu", prompt_template="{image} Q: {question}")
    assert "Q: {question}" in asked.identity()["prompt"]
    assert asked.identity()["weights"] == first.identity()["weights"]


QUESTION = "<image 1> comes before <image 2>: which is larger?"


def write_mmmu_of_the_hub(build, colors):
    """Columns image_1 to image_7, null where there is no image."""
    row = {
        "id": "validation_Art_7", "question": QUESTION, "options": "['the first', '<image 2>']", "explanation": "",
        **{f"image_{number}": None for number in range(1, 8)},
        **{f"image_{number}": struct(build, color) for number, color in enumerate(colors, start=1)},
        "img_type": "['Paintings']", "answer": "A", "topic_difficulty": "Easy", "question_type": "multiple-choice",
        "subfield": "Drawing",
    }  # fmt: skip
    build.parquet("Art/validation-00000-of-00001.parquet", [row])


def write_mmmu_of_vlmevalkit(build, colors):
    """All images in one cell, as Python writes a list."""
    images = str([text64(build, color) for color in colors])
    row = {"index": 1, "id": "validation_Art_7", "question": QUESTION, "A": "the first", "B": "<image 2>",
           "answer": "A", "category": "Art", "split": "validation", "image": images}  # fmt: skip
    tsv(build, "MMMU_DEV_VAL.tsv", [row])


@pytest.mark.parametrize("write", [write_mmmu_of_the_hub, write_mmmu_of_vlmevalkit])
@pytest.mark.parametrize("colors", [(RED, BLUE), (BLUE, RED), (GREEN, RED, BLUE)])
def test_all_images_of_a_question_of_mmmu_reach_the_prompt_in_their_order(tmp_path, monkeypatch, write, colors):
    build = Builder(tmp_path / "mmmu")
    write(build, colors)
    (sample,) = read_samples(f"mmmu:{build.root}")
    model = VisionLanguageModel(*families.build("qwen2_vl"))
    prompts = []

    def answering(self, prompt, **options):
        prompts.append(prompt)
        return reply(self, prompt, **options)

    reply = VisionLanguageModel.reply
    monkeypatch.setattr(VisionLanguageModel, "reply", answering)
    procedure = Procedure("mmmu", tuple(parse_methods("center")), metrics=("map",), max_new_tokens=2)
    (done,) = ModelWorker(procedure, model)(Task(0, sample)).rows
    assert done["status"] != "error"
    placeholder, images = "<|vision_start|><|image_pad|><|vision_end|>", len(colors)
    text = prompts[0].text
    assert text.count(placeholder) == images
    assert text.rindex(placeholder) < text.index(f"{QUESTION}\nA. the first\nB. <image 2>")
    shown = prompts[0].inputs["pixel_values"].chunk(images)
    for found, color in zip(shown, colors, strict=True):
        picture = decode_image(build.picture(color), "x").picture
        torch.testing.assert_close(found, model.encode(picture, "Why?").inputs["pixel_values"], rtol=0, atol=0)


def test_a_procedure_goes_to_another_process_whatever_was_made_of_it():
    procedure = Procedure("scenes", tuple(parse_methods("igos+,rise:fast")), metrics=("all",))
    record = procedure.record
    again = pickle.loads(pickle.dumps(procedure))
    assert again == procedure
    assert again.record == record
    config = ExplainConfig(metrics="all", method="grad-cam")
    assert pickle.loads(pickle.dumps(config)).chosen_metrics.keys() == config.chosen_metrics.keys()
