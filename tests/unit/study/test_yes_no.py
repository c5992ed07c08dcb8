"""What answers to a yes/no question say; the published rules are in test_published_rules.py."""

from __future__ import annotations

import pytest

from wherelook.study.final_answer import announced_answers, marked_answer
from wherelook.study.yes_no import read_yes_or_no

YES = (
    "Yes", "**Yes.**", "yeah", "Yes, no question.", "No doubt, there is one.", "There is a dog.",
    "The picture shows two.",
    "I can clearly see it.", "A dog is visible.", "The answer is yes.", "Answer: Yes", "The final answer is \"Yes\".",
    "\\boxed{\\text{Yes}}", "<answer>Yes</answer>", "<|begin_of_box|>yes<|end_of_box|>", "[[Yes]]",
    "No, wait. <answer>yes</answer>", "Is there a dog? Yes.", "Based on the image, yes.", "So yes", "Correct.", "it is",
    "I first thought no, but the answer is yes.",
)  # fmt: skip
NO = (
    "No", "no.", "'No'", "nope", "There is no dog.", "The answer is no.", "It isn\u2019t.", "It does not.",
    "not at all",
    "I cannot see one.", "None of them is.", "Nobody is there", "No dog is in the image", "So the answer is: **No**",
    "Let me look. There is no dog.", "\\boxed{no}", "<answer>No, only a cat.</answer>", "False",
    "The dog is not black.",
    "Yes? The answer is no.",
)  # fmt: skip
NEITHER = (
    "", "...", "red", "dog", "Yes and no.", "no and yes", "yes or no", "Yes/No", "I cannot tell.", "can't say",
    "unclear",
    "It is not clear from the image.", "It cannot be determined.", "I am not sure, but there is one.", "I don't know",
    "No idea", "No answer", "Sorry, I can't help with that.", "Maybe", "Perhaps there is one", "Unanswerable",
    "unknown",
    "The answer is not clear.", "The answer is yes. The answer is no.", "yesterday", "Norway", "No. 7", "notable",
    "It depends.", "Not enough information.", "The dog is black.", "<answer></answer> yes",
)  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"), [*((a, "yes") for a in YES), *((a, "no") for a in NO), *((a, None) for a in NEITHER)]
)
def test_what_an_answer_says(answer, said):
    assert read_yes_or_no(answer) == said


@pytest.mark.parametrize(
    ("answer", "marked", "announced"),
    [
        ("red", None, []),
        ("The answer is red. It is.", None, ["red"]),
        ("Answer:\nred", None, ["red"]),
        ("my answer would be: **red**", None, ["red**"]),
        ("The answer to this question is red, not blue", None, ["red, not blue"]),
        ("\u7b54: red. answer\uff1ared", None, ["red"]),
        ("$\\boxed{3}$ then \\boxed{4}", "4", []),
        ("\\boxed{\\text{red}}", "red", []),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", []),
        ("<answer>red", "red", []),
        ("<ANSWER>\nred\n</ANSWER>", "red", []),
        ("<|begin_of_box|>red<|end_of_box|>", "red", []),
        ("[[red]]", "red", []),
    ],
)
def test_final_answers(answer, marked, announced):
    assert marked_answer(answer) == marked
    assert announced_answers(answer) == announced


def test_long_answers_take_no_long_time():
    for text in ("yes " * 20_000, "(" * 20_000, "the answer is " * 5_000, " " * 50_000, "\\boxed{" * 3_000):
        read_yes_or_no(text)
