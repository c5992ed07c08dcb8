"""Benchmarks in the layouts of the hub, VLMEvalKit, lmms-eval, LLaVA and their authors, a few rows each.

Columns, types and encodings are the published ones. What is expected of every sample stands beside what is written.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from published import Builder, Color

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
LETTER = "Answer with the option's letter from the given choices directly."
SHORT = "Answer the question using a single word or phrase."
YES_NO = " Please answer yes or no."
VIZWIZ = f"When the provided information is insufficient, respond with 'Unanswerable'.\n{SHORT}"


@dataclass(frozen=True)
class Expected:
    """A sample as it should come out; `color` is that of its image, of several the first, None where it has none."""

    id: str
    prompt: str
    references: tuple[str, ...]
    color: Color | None
    judge: str | None
    group: str | None = None
    kind: str = ""
    images: int = 1


def asked(question: str, *options: str) -> str:
    """The prompt of a question with options."""
    lettered = [f"{letter}. {option}" for letter, option in zip("ABCDEFGH", options, strict=False)]
    return "\n".join((question, *lettered, LETTER))


def text64(build: Builder, color: Color) -> str:
    return base64.b64encode(build.picture(color)).decode()


def tsv(build: Builder, name: str, rows: list[dict[str, object]], quoting: int = csv.QUOTE_ALL) -> None:
    """As pandas writes it: quotes around every cell (VLMEvalKit), or where they are needed."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", quoting=quoting, lineterminator="\n")
    writer.writerows([list(rows[0]), *([row.get(name) for name in rows[0]] for row in rows)])
    build.text(name, stream.getvalue())


def struct(build: Builder, color: Color | None, path: str = "0.png") -> dict[str, object] | None:
    """An image as the package datasets stores it."""
    return None if color is None else {"bytes": build.picture(color), "path": path}


# ---- options ----


def mmbench_tsv(build: Builder) -> list[Expected]:
    """In the second row the image of the first is meant; what is missing is empty."""
    shared = {"category": "attribute", "source": "x", "l2-category": "y", "split": "dev"}
    rows = [
        {"index": 241, "question": 'How wide is the 5" screen?', "hint": "It is\tsmall.\nVery.", "A": "1",
         "B": 'two "2"', "C": "", "D": "", "answer": "B", "image": text64(build, RED)},
        {"index": 1000241, "question": "Which is it?", "hint": "", "A": "left", "B": "right", "C": "up", "D": "down",
         "answer": "C", "image": "241"},
        {"index": 242, "question": "Who?", "hint": "nan", "A": "he", "B": "she", "C": "nan", "D": "nan", "answer": "",
         "image": text64(build, BLUE)},
    ]  # fmt: skip
    tsv(build, "MMBench_DEV_EN.tsv", [row | shared for row in rows], csv.QUOTE_MINIMAL)
    return [
        Expected("241", asked('It is\tsmall.\nVery.\nHow wide is the 5" screen?', "1", 'two "2"'), ('two "2"',), RED,
                 "option-letter", kind="attribute"),
        Expected("1000241", asked("Which is it?", "left", "right", "up", "down"), ("up",), RED, "option-letter",
                 kind="attribute"),
        Expected("242", asked("Who?", "he", "she"), (), BLUE, "option-letter", kind="attribute"),
    ]  # fmt: skip


def mmbench_parquet(build: Builder) -> list[Expected]:
    row = {
        "index": 241, "question": "Who?", "hint": "nan", "answer": "A", "A": "he", "B": "she", "C": "nan", "D": "nan",
        "category": "attribute", "image": struct(build, GREEN), "source": "x", "L2-category": "y", "comment": "nan",
        "split": "dev",
    }  # fmt: skip
    build.parquet("en/dev-00000-of-00001.parquet", [row])
    return [Expected("241", asked("Who?", "he", "she"), ("he",), GREEN, "option-letter", kind="attribute")]


def mmstar_columns(build: Builder) -> list[Expected]:
    row = {"index": 0, "image": text64(build, RED), "question": "Which?", "A": "one", "B": "two", "answer": "B",
           "category": "math", "l2_category": "x"}  # fmt: skip
    tsv(build, "MMStar.tsv", [row])
    return [Expected("0", asked("Which?", "one", "two"), ("two",), RED, "option-letter", kind="math")]


def mmmu(build: Builder) -> list[Expected]:
    """Options and answers of open questions are lists of Python, as text; images that are not there are null."""
    shared = {"explanation": "", "img_type": "['Tables']", "topic_difficulty": "Easy", "subfield": "Managing"}
    empty = {f"image_{number}": None for number in range(1, 8)}
    image = {"image_1": struct(build, RED)}
    rows = [
        {"id": "validation_Accounting_1", "question": "<image 1> Baxter's?", "options": "['$6', \"O'Hara\", '$8']",
         "answer": "B", "question_type": "multiple-choice"} | empty | image,
        {"id": "validation_Accounting_2", "question": "<image 1> and <image 2>: which?", "options": "['a', 'b']",
         "answer": "A", "question_type": "multiple-choice"} | empty | image | {"image_2": struct(build, BLUE)},
        {"id": "validation_Accounting_3", "question": "How much? <image 1>", "options": "[]",
         "answer": "['8', '8.00']", "question_type": "open"} | empty | image,
    ]  # fmt: skip
    build.parquet("Accounting/validation-00000-of-00001.parquet", [row | shared for row in rows])
    test = {"id": "test_Art_1", "question": "<image 1>?", "options": "['a', 'b']", "answer": "?"} | empty | image
    build.parquet("Art/test-00000-of-00001.parquet", [test])
    kind = {"kind": "Accounting"}
    return [
        Expected("validation_Accounting_1", asked("<image 1> Baxter's?", "$6", "O'Hara", "$8"), ("O'Hara",), RED,
                 "option-letter", **kind),
        Expected("validation_Accounting_2", asked("<image 1> and <image 2>: which?", "a", "b"), ("a",), RED,
                 "option-letter", images=2, **kind),
        Expected("validation_Accounting_3", f"How much? <image 1>\n{SHORT}", ("8", "8.00"), RED, None, **kind),
    ]  # fmt: skip


def scienceqa_parquet(build: Builder) -> list[Expected]:
    """Answers are numbers from 0, rows have no id, and half of them no image."""
    shared = {"task": "closed choice", "grade": "grade2", "subject": "natural science", "topic": "physics",
              "category": "Materials", "skill": "x", "lecture": "", "solution": ""}  # fmt: skip
    rows = [
        {
            "image": struct(build, RED),
            "question": "Which is hard?",
            "choices": ["wool", "rock"],
            "answer": 1,
            "hint": "See.",
        },
        {"image": None, "question": "Which word?", "choices": ["1", "0"], "answer": 0, "hint": ""},
    ]
    build.parquet("data/test-00000-of-00001-f0e719df791966ff.parquet", [row | shared for row in rows])
    return [
        Expected("1", asked("Context: See.\nWhich is hard?", "wool", "rock"), ("rock",), RED, "option-letter",
                 kind="natural science"),
        Expected("2", asked("Which word?", "1", "0"), ("1",), None, "option-letter", kind="natural science"),
    ]  # fmt: skip


def scienceqa_problems(build: Builder) -> list[Expected]:
    problems = {
        "5": {"question": "Which?", "choices": ["a", "b"], "answer": 0, "hint": "", "image": "image.png",
              "split": "test", "subject": "science"},
        "6": {"question": "Not this?", "choices": ["a", "b"], "answer": 0, "hint": "", "image": None, "split": "train"},
    }  # fmt: skip
    build.json("problems.json", problems)
    build.image("images/test/5/image.png", GREEN)
    return [Expected("5", asked("Which?", "a", "b"), ("a",), GREEN, "option-letter", kind="science")]


def scienceqa_llava(build: Builder) -> list[Expected]:
    def said(question: str, letter: str) -> list[dict[str, str]]:
        return [{"from": "human", "value": question}, {"from": "gpt", "value": letter}]

    build.json(
        "llava_test_CQM-A.json",
        [
            {"id": "4", "conversations": said("Which closing?\nA. Love,\nZoe\nB. love,\nZoe", "A")},
            {
                "id": "5",
                "image": "5/image.png",
                "conversations": said("<image>\nContext: Hm.\nWhich?\nA. x\nB. y", "B"),
            },
        ],
    )
    build.image("images/test/5/image.png", RED)
    return [
        Expected("4", asked("Which closing?", "Love,\nZoe", "love,\nZoe"), ("Love,\nZoe",), None, "option-letter"),
        Expected("5", asked("Context: Hm.\nWhich?", "x", "y"), ("y",), RED, "option-letter"),
    ]


def ai2d_parquet(build: Builder) -> list[Expected]:
    """The answer is the number of an option, from 0, as text."""
    row = {"question": "Which letter?", "options": ["g", "2", "a"], "answer": "2", "image": struct(build, BLUE)}
    build.parquet("data/test-00000-of-00002.parquet", [row])
    return [Expected("1", asked("Which letter?", "g", "2", "a"), ("a",), BLUE, "option-letter")]


def ai2d_tsv(build: Builder) -> list[Expected]:
    row = {"index": 7, "question": "Which?", "A": "0", "B": "1", "C": "2", "D": "3", "answer": "D", "category": "food",
           "image": text64(build, BLUE), "image_path": "7.jpg"}  # fmt: skip
    tsv(build, "AI2D_TEST.tsv", [row])
    return [Expected("7", asked("Which?", "0", "1", "2", "3"), ("3",), BLUE, "option-letter", kind="food")]


def realworldqa(build: Builder) -> list[Expected]:
    """Options and how to answer are inside the question."""
    letter = "Please answer directly with only the letter of the correct option and nothing else."
    rows = [
        {"image": struct(build, RED), "answer": "B",
         "question": f"Which way?\n\nA. Left\nB. Right\nC. Ahead\n{letter}"},
        {"image": struct(build, GREEN), "answer": "Yes",
         "question": "Is it wet?\nPlease answer directly with a single word or number."},
    ]  # fmt: skip
    build.parquet("data/test-00000-of-00002.parquet", [row | {"image_path": f"{n}.webp"} for n, row in enumerate(rows)])
    return [
        Expected("1", asked("Which way?", "Left", "Right", "Ahead"), ("Right",), RED, "option-letter"),
        Expected("2", f"Is it wet?\n{SHORT}", ("Yes",), GREEN, None),
    ]


def vstar(build: Builder) -> list[Expected]:
    row = {"question_id": "0", "image": "direct_attributes/sa_4690.jpg", "category": "direct_attributes", "label": "A",
           "text": f"What is the glove of?\n(A) rubber\n(B) cotton\n{LETTER}"}  # fmt: skip
    build.lines("test_questions.jsonl", row)
    build.image("direct_attributes/sa_4690.jpg", RED)
    build.json("direct_attributes/sa_4690.json", {"target_object": ["glove"], "bbox": [[1, 2, 3, 2]], "options": []})
    return [
        Expected("0", asked("What is the glove of?", "rubber", "cotton"), ("rubber",), RED, "option-letter",
                 kind="direct_attributes")
    ]  # fmt: skip


# ---- yes or no ----


def pope_clone(build: Builder) -> list[Expected]:
    """The repository, with COCO's images put at its top."""
    row = {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a dog?", "label": "yes"}
    build.lines("output/coco/coco_pope_random.json", row)
    build.text("README.md", "x")
    build.image("val2014/COCO_val2014_000000310196.jpg", RED)
    return [Expected("random-1", f"Is there a dog?{YES_NO}", ("yes",), RED, "yes-no", kind="random")]


def pope_list(build: Builder) -> list[Expected]:
    """A-OKVQA's questions are a list."""
    row = {"question_id": 1, "image": "COCO_val2014_000000461751.jpg", "text": "Is there a tree?", "label": "no"}
    build.json("aokvqa_pope_seem_random.json", [row])
    build.image("COCO_val2014_000000461751.jpg", GREEN)
    return [Expected("random-1", f"Is there a tree?{YES_NO}", ("no",), GREEN, "yes-no", kind="random")]


def pope_llava(build: Builder) -> list[Expected]:
    """LLaVA's file has no labels: they are in POPE's own, in the same order."""
    for category, number, label in (("adversarial", 1, "no"), ("popular", 3001, "yes")):
        own = {"question_id": 1, "image": "a.jpg", "text": f"Is there a {category}?", "label": label}
        build.lines(f"coco/coco_pope_{category}.json", own)
        row = {"question_id": number, "image": "a.jpg", "text": f"{own['text']}\n{SHORT}", "category": category}
        build.bytes("llava_pope_test.jsonl", (_read(build, "llava_pope_test.jsonl") + json.dumps(row) + "\n").encode())
    build.image("val2014/a.jpg", BLUE)
    return [
        Expected("adversarial-1", f"Is there a adversarial?\n{SHORT}", ("no",), BLUE, "yes-no", kind="adversarial"),
        Expected("popular-3001", f"Is there a popular?\n{SHORT}", ("yes",), BLUE, "yes-no", kind="popular"),
    ]


def pope_parquet(build: Builder) -> list[Expected]:
    """Numbers of questions repeat from category to category."""
    rows = [
        {"id": str(n), "question_id": "1", "question": "Is there a dog?", "answer": "yes", "category": category,
         "image_source": "COCO_val2014_000000310196", "image": struct(build, RED)}
        for n, category in enumerate(("adversarial", "popular"))
    ]  # fmt: skip
    build.parquet("data/test-00000-of-00003.parquet", rows)
    return [
        Expected(f"{kind}-1", f"Is there a dog?{YES_NO}", ("yes",), RED, "yes-no", kind=kind)
        for kind in ("adversarial", "popular")
    ]


def popev2(build: Builder) -> list[Expected]:
    """Names begin with a slash."""
    row = {"image_id": 46207, "image_name": "/images/000000046207.jpg", "target_object": "remote",
           "query": "Is there a remote in the image?", "label": "No"}  # fmt: skip
    build.json("annotations.json", [row])
    build.image("images/000000046207.jpg", BLUE)
    return [Expected("1", f"Is there a remote in the image?{YES_NO}", ("no",), BLUE, "yes-no")]


def mme_parquet(build: Builder) -> list[Expected]:
    """The id is that of the image, for both of its questions."""
    rows = [
        {"question_id": "code_reasoning/0020.png", "image": struct(build, RED), "answer": answer,
         "question": f"Is {what} shown?{YES_NO}", "category": "code_reasoning"}
        for what, answer in (("python", "Yes"), ("c++", "No"))
    ]  # fmt: skip
    build.parquet("data/test-00000-of-00002.parquet", rows)
    shared = {"group": "code_reasoning/0020.png", "kind": "code_reasoning"}
    return [
        Expected("code_reasoning/0020.png-1", f"Is python shown?{YES_NO}", ("yes",), RED, "yes-no", **shared),
        Expected("code_reasoning/0020.png-2", f"Is c++ shown?{YES_NO}", ("no",), RED, "yes-no", **shared),
    ]


def mme_release(build: Builder) -> list[Expected]:
    """Some tasks have the images and texts in folders of their own."""
    build.image("code_reasoning/0020.png", RED)
    build.text("code_reasoning/0020.txt", f"Is python shown?{YES_NO}\tYes\r\nIs c++ shown?{YES_NO}\tNo\r\n")
    build.image("artwork/images/1.jpg", BLUE)
    build.text("artwork/questions_answers_YN/1.txt", f"By Titian?{YES_NO}\tNo\n")
    build.text("eval_tool/readme.txt", "no questions")
    return [
        Expected("artwork/1-1", f"By Titian?{YES_NO}", ("no",), BLUE, "yes-no", "artwork/1", "artwork"),
        Expected("code_reasoning/0020-1", f"Is python shown?{YES_NO}", ("yes",), RED, "yes-no", "code_reasoning/0020",
                 "code_reasoning"),
        Expected("code_reasoning/0020-2", f"Is c++ shown?{YES_NO}", ("no",), RED, "yes-no", "code_reasoning/0020",
                 "code_reasoning"),
    ]  # fmt: skip


def hallusionbench_json(build: Builder) -> list[Expected]:
    shared = {"category": "VS", "subcategory": "chart", "set_id": "0", "sample_note": "x", "question_id": "0",
              "gt_answer_details": "x"}  # fmt: skip
    build.json(
        "HallusionBench.json",
        [
            {"visual_input": "0", "figure_id": "0", "question": "Is China first?", "gt_answer": "0",
             "filename": None} | shared,
            {"visual_input": "1", "figure_id": "1", "question": "Is China first?", "gt_answer": "1",
             "filename": "./VS/chart/0_1.png"} | shared,
        ],
    )  # fmt: skip
    build.image("hallusion_bench/VS/chart/0_1.png", GREEN)
    text = f"Is China first?{YES_NO}"
    return [
        Expected("VS-chart-0-0-0", text, ("no",), None, "yes-no", kind="VS chart"),
        Expected("VS-chart-0-1-0", text, ("yes",), GREEN, "yes-no", "VS-chart-0-0", "VS chart"),
    ]


def hallusionbench_parquet(build: Builder) -> list[Expected]:
    row = {"category": "VD", "subcategory": "illusion", "visual_input": "1", "set_id": "0", "figure_id": "0",
           "sample_note": "x", "question_id": "1", "question": "Are they equal?", "gt_answer_details": "x",
           "gt_answer": "1", "filename": "./VD/illusion/0_0.png"}  # fmt: skip
    build.parquet("data/image-00000-of-00001.parquet", [row | {"image": struct(build, RED)}])
    build.parquet("data/non_image-00000-of-00001.parquet", [row | {"visual_input": "0", "set_id": "1", "image": None}])
    text = f"Are they equal?{YES_NO}"
    return [
        Expected(f"VD-illusion-{number}-0-1", text, ("yes",), color, "yes-no", group, "VD illusion")
        for number, color, group in ((0, RED, "VD-illusion-0-1"), (1, None, None))
    ]


def amber(build: Builder) -> list[Expected]:
    build.json(
        "data/query/query_all.json",
        [
            {"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."},
            {"id": 1005, "image": "AMBER_1.jpg", "query": "Is the sky sunny in this image?"},
        ],
    )
    build.json(
        "data/annotations.json",
        [
            {"id": 1, "type": "generative", "truth": ["sky"], "hallu": ["cloud"]},
            {"id": 1005, "type": "discriminative-attribute-state", "truth": "yes"},
        ],
    )
    build.image("image/AMBER_1.jpg", BLUE)
    return [
        Expected("1", "Describe this image.", (), BLUE, "none", kind="generative"),
        Expected("1005", f"Is the sky sunny in this image?{YES_NO}", ("yes",), BLUE, "yes-no",
                 kind="discriminative-attribute-state"),
    ]  # fmt: skip


# ---- short answers ----

TEN = ["basil", "basil leaves", "basil", "basil", "basil", "basil", "basil", "basil leaves", "basil", "basil"]
SORTED = ("basil",) * 8 + ("basil leaves",) * 2


def vizwiz_json(build: Builder) -> list[Expected]:
    row = {"image": "VizWiz_val_00000000.jpg", "question": "What is it?", "answer_type": "other", "answerable": 1,
           "answers": [{"answer_confidence": "yes", "answer": answer} for answer in TEN]}  # fmt: skip
    build.json("val.json", [row])
    build.image("val/VizWiz_val_00000000.jpg", GREEN)
    return [Expected("VizWiz_val_00000000.jpg", f"What is it?\n{VIZWIZ}", SORTED, GREEN, "consensus", kind="other")]


def vizwiz_parquet(build: Builder) -> list[Expected]:
    row = {"question_id": "VizWiz_val_00000000.jpg", "image": struct(build, RED), "question": "What is it?",
           "answers": TEN, "category": "other"}  # fmt: skip
    build.parquet("data/val-00000-of-00005.parquet", [row])
    return [Expected("VizWiz_val_00000000.jpg", f"What is it?\n{VIZWIZ}", SORTED, RED, "consensus", kind="other")]


def textvqa_parquet(build: Builder) -> list[Expected]:
    row = {"image_id": "003a8ae2ef43b901", "question_id": 34602, "question": "what brand?", "image": struct(build, RED),
           "image_classes": ["Cassette"], "answers": TEN, "set_name": "val", "ocr_tokens": ["x"]}  # fmt: skip
    build.parquet("data/validation-00000-of-00003.parquet", [row])
    return [Expected("34602", f"what brand?\n{SHORT}", SORTED, RED, "consensus", kind="val")]


def textvqa_tsv(build: Builder) -> list[Expected]:
    tsv(build, "TextVQA_VAL.tsv", [{"index": 0, "image": text64(build, RED), "question": "what?", "answer": str(TEN)}])
    return [Expected("0", f"what?\n{SHORT}", SORTED, RED, "consensus")]


def gqa_tsv(build: Builder) -> list[Expected]:
    row = {"index": 201307251, "image": text64(build, BLUE), "question": "Is it overcast?", "answer": "no"}
    tsv(build, "GQA_TestDev_Balanced.tsv", [row])
    return [Expected("201307251", f"Is it overcast?\n{SHORT}", ("no",), BLUE, "normalized")]


def _read(build: Builder, name: str) -> str:
    return (build.root / name).read_text() if (build.root / name).exists() else ""


LAYOUTS: Mapping[str, tuple[str, Callable[[Builder], list[Expected]]]] = {
    "mmbench-tsv": ("mmbench", mmbench_tsv),
    "mmbench-parquet": ("mmbench", mmbench_parquet),
    "mmstar-tsv": ("mmstar", mmstar_columns),
    "mmmu-parquet": ("mmmu", mmmu),
    "scienceqa-parquet": ("scienceqa", scienceqa_parquet),
    "scienceqa-problems": ("scienceqa", scienceqa_problems),
    "scienceqa-llava": ("scienceqa", scienceqa_llava),
    "ai2d-parquet": ("ai2d", ai2d_parquet),
    "ai2d-tsv": ("ai2d", ai2d_tsv),
    "realworldqa-parquet": ("realworldqa", realworldqa),
    "vstar-jsonl": ("vstar", vstar),
    "pope-clone": ("pope", pope_clone),
    "pope-list": ("pope", pope_list),
    "pope-llava": ("pope", pope_llava),
    "pope-parquet": ("pope", pope_parquet),
    "popev2": ("pope", popev2),
    "mme-parquet": ("mme", mme_parquet),
    "mme-release": ("mme", mme_release),
    "hallusionbench-json": ("hallusionbench", hallusionbench_json),
    "hallusionbench-parquet": ("hallusionbench", hallusionbench_parquet),
    "amber": ("amber", amber),
    "vizwiz-json": ("vizwiz", vizwiz_json),
    "vizwiz-parquet": ("vizwiz", vizwiz_parquet),
    "textvqa-parquet": ("textvqa", textvqa_parquet),
    "textvqa-tsv": ("textvqa", textvqa_tsv),
    "gqa-tsv": ("gqa", gqa_tsv),
}
"""Dataset and what writes it, by layout."""
