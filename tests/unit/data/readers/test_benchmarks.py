"""Every reader on small files in the published format, from a folder and from a zip archive."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from published import (
    CV_ENTRY,
    REFCOCO_ENTRY,
    TEXTVQA_ENTRY,
    gqa_entry,
    gqa_graph,
    llava_answer,
    llava_question,
    mmstar_entry,
    mmvp_header,
    paper_entry,
    pope_entry,
    refcoco_instances,
    vqa_annotation,
    vqa_question,
)
from wherelook.data.datasets import DATASETS, Sample, prompt_text, read_samples
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.judges import JUDGES

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def color(sample: Sample) -> tuple[int, ...]:
    """Of the plain image of a sample."""
    return tuple(sample.image.pixels[0, 0].tolist())


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


# ---- MMVP ----


def mmvp(build, header: str = "lndex"):
    rows = [
        (1, "Are the butterfly's wings open?", "(a) Open (b) Closed", "(a)"),
        (2, "Are the butterfly's wings open?", "(a) Open (b) Closed", "(b)"),
        (99, "Does it have short tusks, or long ones?", "(a) Long, curved tusks (b) Short ones", "(a)"),
        (100, "Does it have short tusks, or long ones?", "(a) Long, curved tusks (b) Short ones", "(a)"),
    ]
    build.csv("Questions.csv", [mmvp_header(header), *rows])
    for index, shade in ((1, RED), (2, GREEN), (99, BLUE), (100, RED)):
        build.image(f"MMVP Images/{index}.jpg", shade)


@pytest.mark.parametrize("header", ["lndex", "Index"])
def test_mmvp(build, header):
    mmvp(build, header)
    first, second, wrong, corrected = read_samples(f"mmvp:{build.root}")
    assert [sample.id for sample in (first, second, wrong, corrected)] == ["1", "2", "99", "100"]
    assert (first.choices, first.reference, second.reference) == (("Open", "Closed"), "Open", "Closed")
    assert first.group == second.group == "1"
    assert wrong.group == corrected.group == "50"
    assert wrong.choices == ("Long, curved tusks", "Short ones")
    assert (color(first), color(second)) == (RED, GREEN)
    # Of 99 the published (a) is wrong; a copy whose 100 says (a) has been corrected.
    assert [sample.flags for sample in (first, wrong, corrected)] == [(), ("wrong label",), ()]


def test_a_zip_archive_gives_the_same_as_its_folder(build):
    mmvp(build)
    folder = list(read_samples(f"mmvp:{build.root}"))
    for top in ("", "MMVP/"):
        archive = list(read_samples(f"mmvp:{build.zip(top)}"))
        assert [(s.id, s.question, s.choices, s.references) for s in archive] == [
            (s.id, s.question, s.choices, s.references) for s in folder
        ]
        assert [s.image.sha256 for s in archive] == [s.image.sha256 for s in folder]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,What?,(a) X (b) Y,(a)", r"row 1: the index \(lndex or Index\) must be a number from 1, not 'x'"),
        ("1,What?,(a) X (b) Y,(c)", r"row 1: Correct Answer '\(c\)' is none of the options"),
        ("1,What?,,(a)", "row 1: Options is missing"),
        ("1,What?,(a) X (b) Y", "Questions.csv, row 1: Expected 4 columns, got 3"),
    ],
)
def test_broken_rows_of_mmvp(build, row, message):
    build.text("Questions.csv", f"lndex,Question,Options,Correct Answer\n{row}\n")
    with pytest.raises(WherelookError, match=message):
        list(read_samples(f"mmvp:{build.root}"))


def test_options_of_mmvp_that_cannot_be_told_apart(build):
    build.text("Questions.csv", "lndex,Question,Options,Correct Answer\n1,What?,left or right,(a)\n")
    (sample,) = read_samples(f"mmvp:{build.root}")
    assert (sample.question, sample.choices, sample.reference) == ("What? left or right", (), "(a)")
    assert sample.flags == ("unread choices",)


# ---- CV-Bench ----


@pytest.mark.parametrize("form", ["parquet", "jsonl", "parts"])
def test_cv_bench(build, form):
    without_box = CV_ENTRY | {"idx": 8, "bbox": None, "task": "Count", "choices": ["3", "3"], "answer": "(A)"}
    rows = [CV_ENTRY, without_box]
    if form == "jsonl":
        build.lines("test.jsonl", *rows)
        build.image("img/2D/relation/1.png", RED)
    else:
        image = {"bytes": build.picture(RED), "path": "1.png"}
        names = ["test.parquet"] if form == "parquet" else ["test_2d.parquet", "test_3d.parquet"]
        for name, part in zip(names, [rows] if form == "parquet" else [rows[:1], rows[1:]], strict=True):
            build.parquet(name, [row | {"image": image} for row in part])
    first, second = read_samples(f"cv-bench:{build.root}")
    assert (first.id, first.kind, first.question) == ("7", "Relation", "Where is the lamp?")
    assert (first.choices, first.reference) == (("left", "right"), "right")
    assert color(first) == RED
    # Both boxes, every pixel that they touch.
    expected = np.zeros((6, 8), dtype=bool)
    expected[2:4, 1:4] = True
    expected[0:1, 6:8] = True
    np.testing.assert_array_equal(first.truth, expected)
    assert second.truth is None
    assert second.flags == ("repeated choice",)


def test_a_box_off_the_image_is_an_error_of_its_sample(build):
    build.lines("test.jsonl", CV_ENTRY | {"bbox": [[9, 0, 12, 3]]}, CV_ENTRY | {"idx": 8})
    build.image("img/2D/relation/1.png", RED)
    first, second = read_samples(f"cv-bench:{build.root}")
    with pytest.raises(WherelookError, match=r"box \(9.0, 0.0, 12.0, 3.0\) does not lie on the image of 6 x 8 pixels"):
        _ = first.truth
    assert second.truth is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "(C)"}, r"line 1: answer '\(C\)' names none of the 2 options"),
        ({"bbox": [1, 2, 3]}, "line 1: bbox must be four numbers"),
        ({"bbox": [[1, 2, 3, float("nan")]]}, "line 1: bbox must be four numbers"),
        ({"filename": "../1.png"}, r"line 1: '../1.png' is not a file inside the folder"),
        ({"choices": ["x"] * 27}, "line 1: 27 choices; at most 26 have letters"),
        ({"question": None}, "line 1: question is missing"),
        ({"idx": None}, "line 1: idx is missing"),
    ],
)
def test_broken_rows_of_cv_bench(build, change, message):
    build.lines("test.jsonl", CV_ENTRY | change)
    with pytest.raises(WherelookError, match=message):
        list(read_samples(f"cv-bench:{build.root}"))


# ---- MMStar ----

STAR = "Which option describes it?\nOptions: A: The bag is on the book., B: It is under the cat, asleep., C: None."
MATH = (
    "Hint: Please answer with the option letter, e.g., A, B, C, D, at the end.\n"
    "Question: How long?\nChoices:\n(A) 5 cm\n(B) 1.5 cm"
)


@pytest.mark.parametrize("form", ["parquet", "tsv"])
def test_mmstar(build, form):
    texts = [(STAR, "B"), (MATH, "A"), ("What is it? A cat or a dog", "A"), (STAR, "D")]
    rows = [mmstar_entry(index, text, answer) for index, (text, answer) in enumerate(texts)]
    if form == "parquet":
        build.parquet("mmstar.parquet", [row | {"image": build.picture(BLUE)} for row in rows])
    else:
        image = base64.b64encode(build.picture(BLUE)).decode()
        header = "index\tquestion\timage\tanswer\tcategory\tl2_category\n"
        lines = (f'{r["index"]}\t"{r["question"]}"\t{image}\t{r["answer"]}\tperception\tx\n' for r in rows)
        build.text("MMStar.tsv", header + "".join(lines))
    first, math, unread, beyond = read_samples(f"mmstar:{build.root}")
    assert (first.id, first.kind, first.question) == ("0", "perception", "Which option describes it?")
    assert first.choices == ("The bag is on the book.", "It is under the cat, asleep.", "None.")
    assert first.reference == "It is under the cat, asleep."
    assert (math.question, math.choices, math.reference) == ("How long?", ("5 cm", "1.5 cm"), "5 cm")
    for sample, text, letter in ((unread, "What is it? A cat or a dog", "A"), (beyond, STAR, "D")):
        assert (sample.question, sample.choices, sample.reference) == (text, (), letter)
        assert sample.flags == ("unread choices",)
    assert color(first) == BLUE


def test_an_image_of_mmstar_that_is_no_base64(build):
    build.text("MMStar.tsv", f'index\tquestion\timage\tanswer\n0\t"{STAR}"\t{"!" * 5000}\tB\n')
    (sample,) = read_samples(f"mmstar:{build.root / 'MMStar.tsv'}")
    with pytest.raises(WherelookError, match=r"the image of .*row 1 is not an image in base64"):
        _ = sample.image


# ---- open questions ----


def test_llava_bench(build):
    build.lines(
        "questions.jsonl",
        llava_question(0, "001.jpg", "What is the volcano's name?"),
        llava_question(1, "001.jpg", "Describe it.", "detail"),
    )
    build.lines("context.jsonl", {"id": "001", "image": "001.jpg", "caption": "Diamond Head."})
    build.lines("answers_gpt4.jsonl", llava_answer(0, "Diamond Head."))
    build.image("images/001.jpg", GREEN)
    first, second = read_samples(f"llava-bench:{build.root}")
    assert (first.id, first.kind, first.reference) == ("0", "conv", "Diamond Head.")
    assert (second.question, second.references) == ("Describe it.", ())
    assert color(second) == GREEN


def test_pope(build):
    for kind, label in (("random", "yes"), ("adversarial", "no")):
        build.lines(f"coco_pope_{kind}.json", pope_entry(1, label))
    build.image("val2014/COCO_val2014_000000310196.jpg", RED)
    samples = list(read_samples(f"pope:{build.root}"))
    assert [(s.id, s.kind, s.reference) for s in samples] == [
        ("adversarial-1", "adversarial", "no"),
        ("random-1", "random", "yes"),
    ]
    assert color(samples[0]) == RED
    (only,) = read_samples(f"pope:{build.root / 'coco_pope_random.json'}")
    assert only.kind == "random"


def test_pope_with_another_label(build):
    build.lines("coco_pope_random.json", pope_entry(1, "maybe"))
    with pytest.raises(WherelookError, match="line 1: label must be yes or no, not 'maybe'"):
        list(read_samples(f"pope:{build.root}"))


def test_textvqa(build):
    build.json("TextVQA_0.5.1_val.json", {"dataset_type": "val", "dataset_name": "textvqa", "data": [TEXTVQA_ENTRY]})
    build.json("TextVQA_0.5.1_train.json", {"data": [TEXTVQA_ENTRY | {"question_id": 1}]})
    build.image("train_images/003a8ae2ef43b901.jpg", BLUE)
    (sample,) = read_samples(f"textvqa:{build.root}")
    assert (sample.id, sample.reference) == ("34602", "nokia")
    assert sorted(sample.references) == sorted(TEXTVQA_ENTRY["answers"])
    assert sample.references[:8] == ("nokia",) * 5 + ("no",) * 3
    assert color(sample) == BLUE
    (train,) = read_samples(f"textvqa:{build.root / 'TextVQA_0.5.1_train.json'}")
    assert train.id == "1"


def test_the_test_split_of_textvqa_has_no_answers(build):
    build.json("TextVQA_0.5.1_test.json", {"data": [{"question": "what?", "image_id": "x", "question_id": 1}]})
    (sample,) = read_samples(f"textvqa:{build.root}")
    assert (sample.reference, sample.references) == (None, ())


# ---- regions ----


def test_gqa(build):
    build.json(
        "val_balanced_questions.json",
        {
            "05515938": gqa_entry("What color is the chair?", "red", question={"4": "100"}, fullAnswer={"1": "200"}),
            "05515939": gqa_entry("What is left of the chair?", "lamp", question={"5": "100"}, answer={"0": "200"}),
            "05515940": gqa_entry("Is it sunny?", "no", question={"3": "999"}),
        },
    )
    graph = gqa_graph(_100=("chair", 1, 2, 3, 2), _200=("lamp", 5, 0, 2, 1))
    build.json("val_sceneGraphs.json", {"2405722": graph})
    build.json("train_sceneGraphs.json", "not read: of another split")
    build.image("images/2405722.jpg")
    chair, lamp, nothing = read_samples(f"gqa:{build.root}")
    assert (chair.id, chair.kind, chair.reference) == ("05515938", "query", "red")
    assert box_of(chair.truth) == (1, 2, 4, 4)
    assert box_of(lamp.truth) == (5, 0, 7, 1)
    assert nothing.truth is None


def test_boxes_of_gqa_that_do_not_lie_on_the_image_are_left_out(build):
    """200 has no pixel, 300 lies for the most part outside."""
    named = {"both": {"0": "100", "1": "200"}, "far": {"0": "300"}}
    entries = {key: gqa_entry("Where?", "there", answer=answer, question={"0": "100"}) for key, answer in named.items()}
    build.json("val_balanced_questions.json", entries)
    graph = gqa_graph(_100=("chair", 1, 2, 3, 2), _200=("lamp", 5, 0, 0, 1), _300=("cup", 7, 5, 9, 9))
    build.json("val_sceneGraphs.json", {"2405722": graph})
    build.image("images/2405722.jpg")
    both, far = read_samples(f"gqa:{build.root}")
    assert box_of(both.truth) == (1, 2, 4, 4)
    assert (both.flags, far.flags) == ((), ("bad evidence",))
    assert far.truth is None


def test_refcoco(build):
    build.json("refs(unc).json", [REFCOCO_ENTRY])
    build.json(
        "instances.json",
        refcoco_instances({"id": 1, "bbox": [0, 0, 1, 1]}, {"id": 1719310, "bbox": [2.0, 1.0, 3.0, 4.0]}),
    )
    build.image("train2014/COCO_train2014_000000581857.jpg", GREEN)
    first, second = read_samples(f"refcoco:{build.root}")
    assert (first.id, first.group, first.kind, first.reference) == ("0", "5", "val", None)
    assert "the lady with the blue shirt" in first.question
    assert (second.id, second.group) == ("1", "5")
    assert box_of(first.truth) == (2, 1, 5, 5)
    assert color(first) == GREEN


def test_refcoco_as_parquet(build):
    row = {
        "question_id": "469306", "image": {"bytes": build.picture(RED), "path": "x.jpg"}, "question": "Describe.",
        "answer": ["man on left", "left guy"], "segmentation": [1.0, 2.0], "bbox": [2.0, 1.0, 3.0, 4.0], "iscrowd": 0,
        "file_name": "COCO_train2014_000000000001_0.jpg",
    }  # fmt: skip
    build.parquet("data/val-00000-of-00001.parquet", [row])
    first, second = read_samples(f"refcoco:{build.root}")
    assert first.id != second.id
    assert first.group == second.group
    assert ("man on left" in first.question, "left guy" in second.question, first.kind) == (True, True, "val")
    assert box_of(first.truth) == (2, 1, 5, 5)


def test_the_pickle_of_refcoco_is_not_read(build):
    build.bytes("refs(unc).p", b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match="is a pickle, which can run code and is not read: write its list as JSON"):
        read_samples(f"refcoco:{build.root}")


def test_a_phrase_of_refcoco_without_its_box(build):
    build.json("refs(unc).json", [REFCOCO_ENTRY])
    build.json("instances.json", {"annotations": []})
    with pytest.raises(WherelookError, match=r"line 1: annotation 1719310 is not in instances\.json"):
        read_samples(f"refcoco:{build.root}")


@pytest.mark.parametrize("archived", [False, True])
def test_vqa_hat(build, archived):
    questions = [
        vqa_question(1500080, 150008, "What is on the table?"),
        vqa_question(1500081, 150008, "Nobody was asked this?"),
    ]
    build.json("OpenEnded_mscoco_val2014_questions.json", {"info": {}, "questions": questions})
    annotation = vqa_annotation(1500080, 150008, ["cup", "mug", "cup"])
    build.json("mscoco_val2014_annotations.json", {"annotations": [annotation]})
    build.image("val2014/COCO_val2014_000000150008.jpg", RED)
    left, top = np.zeros((6, 8)), np.zeros((6, 8))
    left[:, 0], top[0, :] = 200, 100
    for number, gray in enumerate((left, top), start=1):
        build.gray(f"vqahat_val/1500080_{number}.png", gray)
    (sample,) = read_samples(f"vqa-hat:{build.zip() if archived else build.root}")
    assert (sample.id, sample.kind, sample.references) == ("1500080", "what is", ("cup", "cup", "mug"))
    assert color(sample) == RED
    np.testing.assert_allclose(sample.human, (left + top) / 300)
    assert sample.human.dtype == np.float32
    assert sample.truth is None


def test_black_human_maps_are_an_error_of_their_sample(build):
    build.json("v_questions.json", {"questions": [vqa_question(1, 2, "What?")]})
    build.image("val2014/COCO_val2014_000000000002.jpg")
    build.gray("vqahat_val/1_1.png", np.zeros((6, 8)))
    (sample,) = read_samples(f"vqa-hat:{build.root}")
    with pytest.raises(WherelookError, match="the maps of human attention are black"):
        _ = sample.human


# ---- the paper's own set ----


def test_the_papers_own_set(build):
    build.lines("data.jsonl", paper_entry("a.png", "What?", "Red."))
    build.image("a.png", RED)
    (sample,) = read_samples(f"paper:{build.root}")
    assert (sample.id, sample.question, sample.reference, sample.kind) == ("1", "What?", "Red.", "mmvp")
    assert color(sample) == RED


def test_columns_of_the_papers_own_set_that_are_not_known(build):
    build.lines("data.jsonl", {"photo": "a.png", "text": "What?"})
    with pytest.raises(WherelookError, match=r"none of the columns photo, text is the image; name it: table:.*,image="):
        read_samples(f"paper:{build.root}")


# ---- all of them ----


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.path == "needed"])
def test_files_that_are_not_there(build, name):
    with pytest.raises(InputError, match=r"there is no|cannot open data set"):
        read_samples(f"{name}:{build.root}/nothing")
    with pytest.raises(InputError, match=r"does not hold|cannot open data set"):
        read_samples(f"{name}:{build.root}")
    with pytest.raises(InputError, match=f"expected {name}:PATH"):
        read_samples(name)


def test_prompts_of_a_benchmark(build):
    mmvp(build)
    sample = next(read_samples(f"mmvp:{build.root}"))
    assert prompt_text(sample, "open") == "Are the butterfly's wings open?"
    assert prompt_text(sample, "choices") == (
        "Are the butterfly's wings open?\nA. Open\nB. Closed\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert prompt_text(sample) == prompt_text(sample, "choices")  # as its authors ask
    assert sample.judge == "option-letter"


def test_every_dataset_names_a_judge_that_there_is():
    assert {dataset.judge for dataset in DATASETS.values()} - {None} <= set(JUDGES)


@pytest.mark.parametrize(
    "text", ["", "[", '{"data": [', '{"data": 3}', '{"data": [{"a": }]}', "\x00", '{"data": [[1]]}']
)
def test_broken_json(build, text):
    build.text("TextVQA_0.5.1_val.json", text)
    with pytest.raises(WherelookError, match=r"TextVQA_0.5.1_val.json"):
        list(read_samples(f"textvqa:{build.root}"))


def test_the_line_of_an_error_in_json(build):
    good = json.dumps({"question": "what?", "image_id": "x", "question_id": 1})
    build.text("TextVQA_0.5.1_val.json", f'{{"data": [\n{good},\n{good[:-1]},\n]}}')
    with pytest.raises(WherelookError, match=r"val\.json, line 3: broken JSON"):
        list(read_samples(f"textvqa:{build.root}"))
