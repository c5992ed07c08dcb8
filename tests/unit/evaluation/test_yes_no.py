"""What answers to a yes/no question say; the published rules are in test_published_rules.py."""

from __future__ import annotations

import pytest

from wherelook.evaluation.final_answer import announced_answers, marked_answer
from wherelook.evaluation.yes_no import read_yes_or_no

YES = (
    "Yes", "**Yes.**", "yeah", "Yes, no question.", "No doubt, there is one.", "There is a dog.",
    "The picture shows two.",
    "I can clearly see it.", "A dog is visible.", "The answer is yes.", "Answer: Yes", "The final answer is \"Yes\".",
    "\\boxed{\\text{Yes}}", "<answer>Yes</answer>", "<|begin_of_box|>yes<|end_of_box|>", "[[Yes]]",
    "No, wait. <answer>yes</answer>", "Is there a dog? Yes.", "Based on the image, yes.", "So yes", "Correct.", "it is",
    "I first thought no, but the answer is yes.",
    "The two circles do not differ in size. Therefore, yes, they are the same.", "'Yes'", "It is not red.\n\nYes",
    "The dog is not in the water. It stands on the grass. Yes, there is a dog.", "I think there is a dog.",
    "The image does not show a cat. It shows a dog, so yes.", "There is nothing wrong; yes, it is there.",
    "Based on the image, yes, there is a dog.", "Indeed, there is a dog", "Certainly, there is a dog.",
    "Correct, there is.", "Of course, there is.", "Sure, there is a dog.", "Correct, the dog is black.", "Certainly.",
    "In the image, there is a dog.", "In the image there is a dog.", "Thus yes, they do not differ.", "I'd say yes.",
    "It is not a cat, so yes, there is a dog.", "The answer is likely yes.", "No cat is here. Yes, there is a dog.",
    "The breed is unclear. Yes, there is a dog.", "The bus is No. 7. Yes, it is a bus.",
    "Yes, it is. No, it is not. The answer is yes.",
)  # fmt: skip
NO = (
    "No", "no.", "'No'", "nope", "There is no dog.", "The answer is no.", "It isn\u2019t.", "It does not.",
    "not at all",
    "I cannot see one.", "None of them is.", "Nobody is there", "No dog is in the image", "So the answer is: **No**",
    "Let me look. There is no dog.", "\\boxed{no}", "<answer>No, only a cat.</answer>", "False",
    "The dog is not black.",
    "Yes? The answer is no.",
    "The cat is on the sofa. So no, there is no dog.", "Based on the image, no, there is no dog.", "Therefore, no.",
    "No, it is not a cat. It is a dog.", "It shows a cat, so no, there is no dog.", "There is a cat; no, it is no dog.",
    "There is a cat. There is also a sofa. No, there is no dog.", "Indeed, there is no dog.", "Of course not.",
    "Certainly not, it is a cat.", "Incorrect, the dog is white.", "Sure! Let me look. There is no dog.", "I'd say no.",
    "Based on the image, no. 2 cats are visible.", "No parking sign is visible.", "There is\nno dog.",
    "It is most likely no.", "In the image, no dog is visible.", "I would not say yes.",
)  # fmt: skip
NEITHER = (
    "", "...", "red", "dog", "Yes and no.", "no and yes", "yes or no", "Yes/No", "I cannot tell.", "can't say",
    "unclear",
    "It is not clear from the image.", "It cannot be determined.", "I am not sure, but there is one.", "I don't know",
    "No idea", "No answer", "Sorry, I can't help with that.", "Maybe", "Perhaps there is one", "Unanswerable",
    "unknown",
    "The answer is not clear.", "The answer is yes. The answer is no.", "yesterday", "Norway", "No. 7", "notable",
    "Yes, it is. No, it is not.", "No, it is a cat. So yes.", "It is not clear, so no.", "The bus is No. 7.",
    "I cannot say yes.", "It depends.", "Not enough information.", "The dog is black.", "<answer></answer> yes",
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
        ("The answer is most likely red.", None, ["red"]),
        ("The answer is likely to be red", None, ["red"]),
        ("The answer would probably be red", None, ["red"]),
        ("The answer is likely.", None, ["likely"]),
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


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("yes " * 20_000, "yes"),
        ("(" * 20_000, None),
        ("the answer is " * 5_000, None),
        (" " * 50_000, None),
        ("\\boxed{" * 3_000, None),
        ("in so " * 10_000, None),
        ("in the image, " * 5_000, None),
        ("so, " * 20_000, None),
        (", no" * 20_000, "no"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_long_answers(text, verdict):
    """A pattern that backtracks would take hours."""
    assert read_yes_or_no(text) == verdict
