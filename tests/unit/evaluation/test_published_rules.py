"""The judges against the benchmarks' own rules, on 320 answers as models give them.

The rules are written here from their published descriptions, apart from the judges. Where the two say something
else the answer stands in a table with the reason; every other answer must be read alike.
"""

from __future__ import annotations

import re
from string import ascii_uppercase

import pytest

from wherelook.evaluation.consensus import plain
from wherelook.evaluation.options import chosen_option
from wherelook.evaluation.yes_no import read_yes_or_no

# ---- yes and no ----


def pope(answer: str) -> str:
    """POPE (Li et al. 2023): of the first sentence, without commas: no if it has No, no or not as a word, else yes."""
    words = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def mme(answer: str) -> str:
    """MME (Fu et al. 2023): in lower case yes or no themselves, else the one that is in the first four characters."""
    text = answer.lower()
    if text in ("yes", "no"):
        return text
    return "yes" if "yes" in text[:4] else "no" if "no" in text[:4] else "other"


YES_NO_ANSWERS = (
    "Yes", "No", "yes", "no", "YES", "NO", "Yes.", "No.", "yes.", "no.", "Yes!", "No!", " Yes", "No ", "Yes\n", "No\n",
    "Yes, there is a dog in the image.", "No, there is no dog in the image.", "Yes, there is.", "No, there isn't.",
    "Yes, there are two dogs.", "No, there are none.", "Yes, I can see a snowboard.", "No, I cannot see a snowboard.",
    "Yes, the image shows a backpack.", "No, the image does not show a backpack.", "Yes. It is on the left.",
    "No. The table is empty.", "Yes, it is.", "No, it is not.", "Yes it is", "No it is not", "Yes - a red one",
    "No - only a cat", "Yes: two of them", "Yes, the man is wearing a hat.", "No, the man is not wearing a hat.",
    "There is a dog.", "There is no dog.", "There are two cars in the image.", "There are no cars in the image.",
    "There is a person on the left. He wears a hat.", "There is no person here. The street is empty.",
    "The image shows a dog.", "The image does not show a dog.", "The image contains two chairs.",
    "The image does not contain a chair.", "I can see a bottle on the table.", "I do not see a bottle on the table.",
    "It is a dog.", "It is not a dog.", "It is visible in the background.", "A dog is visible in the image.",
    "A dog is not visible in the image.", "A clock is present.", "A clock is not present.", "The dog is not black.",
    "The chair is in the image.", "No dog is in the image.", "No one is there.", "There does not appear to be a dog.",
    "It has a red door.", "It does not have a red door.", "The answer is yes.", "The answer is no.", "**Yes**",
    "**No**",
    "\"Yes\"", "'No'", "Yes, definitely.", "No, definitely not.", "Yes, as shown on the right.", "No, it's a cat.",
    "There isn't a dog.", "It isn't red.", "I don't see any dog.", "I cannot see a dog.", "I can't see a dog in it.",
    "There's a dog.", "There aren't any cars.", "None.", "Nothing.", "Nope", "Yeah", "Yep.", "True", "False",
    "Correct.",
    "Yes, there is no dog.", "No doubt, there is a dog.", "Yes and no.", "Yes or no", "Yes/No", "I cannot tell.",
    "It is not clear.", "I am not sure.", "I don't know.", "Unanswerable", "Maybe", "red", "dog", "The dog is black.",
    "Answer: No", "\\boxed{No}", "<answer>no</answer>", "Based on the image, yes.", "Based on the image, no.",
    "Let me look. There is no dog.", "Not at all.", "No idea", "",
)  # fmt: skip

UNSURE = "it says that it cannot tell: no verdict"
NEITHER = "it says neither: no verdict, where the rule takes every other answer for a yes"
CONTRACTION = "a negation in one word, which the rule does not know"
LATER = "what it says comes after the first sentence, in a mark, or in another word"

POPE_DIFFERS = {
    "There isn't a dog.": CONTRACTION, "It isn't red.": CONTRACTION, "I don't see any dog.": CONTRACTION,
    "I cannot see a dog.": CONTRACTION, "I can't see a dog in it.": CONTRACTION, "There aren't any cars.": CONTRACTION,
    "NO": "in capitals", "No!": "the mark is part of the word there", "No\n": "the line's end is, too",
    "**No**": LATER, "'No'": LATER, "None.": LATER, "Nothing.": LATER, "Nope": LATER,
    "False": LATER, "\\boxed{No}": LATER, "<answer>no</answer>": LATER, "Let me look. There is no dog.": LATER,
    "Not at all.": "with a capital", "Yes, there is no dog.": "it begins with yes, and contradicts itself",
    "No doubt, there is a dog.": "an idiom that affirms",
    "Yes and no.": "both: no verdict", "Yes or no": "both: no verdict", "Yes/No": "both: no verdict",
    "I cannot tell.": UNSURE, "It is not clear.": UNSURE, "I am not sure.": UNSURE, "I don't know.": UNSURE,
    "Unanswerable": UNSURE, "Maybe": UNSURE, "No idea": UNSURE, "red": NEITHER, "dog": NEITHER,
    "The dog is black.": NEITHER, "": NEITHER,
}  # fmt: skip

MME_DIFFERS = {
    "Yes and no.": "both: no verdict", "Yes or no": "both: no verdict", "Yes/No": "both: no verdict",
    "No doubt, there is a dog.": "an idiom that affirms", "No idea": UNSURE,
}  # fmt: skip


def test_the_answers_differ():
    assert len(set(YES_NO_ANSWERS)) == len(YES_NO_ANSWERS) >= 110
    assert len(set(LETTER_ANSWERS)) == len(LETTER_ANSWERS) >= 110


def test_yes_and_no_as_pope_reads_them():
    differs = {answer for answer in YES_NO_ANSWERS if read_yes_or_no(answer) != pope(answer)}
    assert differs == set(POPE_DIFFERS)


def test_yes_and_no_as_mme_reads_them():
    """MME's rule reads the first word only; where it reads one, so is it here."""
    read = [answer for answer in YES_NO_ANSWERS if mme(answer) != "other"]
    assert len(read) > 50
    differs = {answer for answer in read if read_yes_or_no(answer) != mme(answer)}
    assert differs == set(MME_DIFFERS)


# ---- letters ----

CHOICES = ("a red car", "a blue bus", "two bicycles", "none of these")


def mmbench(answer: str) -> str | None:
    """MMBench's exact matching as in VLMEvalKit: marks become spaces; a single letter among the words is the answer (an
    A among more than three words may be an article); else the only option whose text a short answer contains."""
    letters = ascii_uppercase[: len(CHOICES)]
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    found = [letter for letter in letters if letter in words]
    if len(found) == 1 and not (found == ["A"] and len(words) > 3):
        return found[0]
    contained = [letter for letter, text in zip(letters, CHOICES, strict=True) if text in answer.lower()]
    if not found and len(contained) == 1 and len(answer) <= 2 * sum(map(len, CHOICES)):
        return contained[0]
    return None


def science_qa(answer: str) -> str | None:
    """LLaVA's rule for ScienceQA: a letter; one with a point and a space behind it; the only "The answer is B."."""
    if answer in ascii_uppercase[: len(CHOICES)] and answer:
        return answer
    if len(answer) >= 3 and answer[0] in ascii_uppercase[: len(CHOICES)] and answer[1:3] == ". ":
        return answer[0]
    found = re.findall(r"The answer is ([A-Z]).", answer)
    return found[0] if len(found) == 1 else None


LETTER_ANSWERS = (
    *(form.format(letter) for letter in "ABCD" for form in (
        "{}", "{}.", "({})", "{})", "{}:", "**{}**", "{}\n", " {}", "[{}]", "{}!", "Option {}", "The answer is {}.",
        "The answer is ({}).", "Answer: {}", "answer: ({})", "The correct answer is {}.", "The correct option is {}.",
        "**Answer:** {}", "I choose {}.", "The answer is {}", "Final answer: {}",
    )),
    "A. a red car", "B. a blue bus", "C. two bicycles", "D. none of these", "(B) a blue bus", "B) a blue bus",
    "B: a blue bus", "B, a blue bus", "B. A blue bus.", "B. It is a bus.", "C. There are two.", "A. The car is red.",
    "The answer is B. It is a bus.", "The answer is C, two bicycles.", "It shows a bus. The answer is B.",
    "I think the answer is D.", "Because there are two, I would go with C.", "B\n\nThe image shows a bus.",
    "B\nExplanation: it is blue.", "B is correct.", "C is the answer.", "Based on the image, the answer is B.",
    "So the answer is option C.", "a red car", "a blue bus", "two bicycles", "A red car.", "A blue bus",
    "Two bicycles.",
    "None of these.", "It is a blue bus.", "The image shows two bicycles.", "I see a red car.", "two bicycles!",
    # where they differ
    "b", "(c)", "b)", "c.", "A and B", "C and D", "B or C", "neither A nor B", "A. a red car B. a blue bus",
    "The answer is not B.", "Option B is wrong.", "B\uff1a", "\u7b54\u6848\u662fB", "\u9009C", "\\boxed{B}",
    "<answer>B</answer>",
    "$B$", "\"B\"", "'C'", "Not a red car.", "It is a red car, not a blue bus.", "A red car and a blue bus.",
    "The answer is a blue bus.", "Vitamin C is good for you, they say.", "I do not know.", "", "E", "It is green.",
    "The answer is A. No, the answer is B.", "I think it is plan B, like they say in films.", "[[D]]", "Red car",
    "The answer is B because A is wrong.", "I choose A because it is red.", "**B) a blue bus**",
)  # fmt: skip

WRITTEN_SMALL = "a small letter"
OTHER_SIGNS = "signs around the letter that the rule does not know"
DENIED = "the letter or the text is denied: no verdict"

MMBENCH_DIFFERS = {
    "b": WRITTEN_SMALL, "(c)": WRITTEN_SMALL, "b)": WRITTEN_SMALL, "c.": WRITTEN_SMALL,
    "B\uff1a": OTHER_SIGNS, "\u7b54\u6848\u662fB": OTHER_SIGNS, "\u9009C": OTHER_SIGNS,
    "<answer>B</answer>": OTHER_SIGNS, "$B$": OTHER_SIGNS, "\"B\"": OTHER_SIGNS, "'C'": OTHER_SIGNS,
    "The answer is not B.": DENIED, "Option B is wrong.": DENIED, "Not a red car.": DENIED,
    "Vitamin C is good for you, they say.": "a letter that is part of a name",
    "I think it is plan B, like they say in films.": "a letter that is part of a name",
    "The answer is B because A is wrong.": "two letters, one of which is called the answer",
    "I choose A because it is red.": "an A that is chosen by name",
    "Red car": "the text without its article",
    **{f"The {word} is A.": "an A that is called the answer" for word in ("answer", "correct answer",
    "correct option")},
    "The answer is (A).": "an A that is called the answer", "The answer is A": "an A that is called the answer",
    "A. a red car": "an A with a mark, before a text of more than two words", "A. The car is red.": "the same",
    "A blue bus": "an article, which the rule takes for the letter A",
    "B. A blue bus.": "an article, which the rule takes for a second letter",
}  # fmt: skip

SCIENCE_QA_DIFFERS = {
    "A. a red car B. a blue bus": "two options are named: no verdict",
    "The answer is A. No, the answer is B.": "two answers are named: no verdict",
}


def ours(answer: str) -> str | None:
    place = chosen_option(answer, CHOICES)
    return None if place is None else ascii_uppercase[place]


def test_letters_as_mmbench_reads_them():
    differs = {answer for answer in LETTER_ANSWERS if ours(answer) != mmbench(answer)}
    assert differs == set(MMBENCH_DIFFERS)


def test_letters_as_science_qa_reads_them():
    """That rule reads three forms only; what it reads is read alike."""
    read = [answer for answer in LETTER_ANSWERS if science_qa(answer) is not None]
    assert len(read) > 20
    differs = {answer for answer in read if ours(answer) != science_qa(answer)}
    assert differs == set(SCIENCE_QA_DIFFERS)


# ---- the consensus of people ----

MARKS = ';/[]"{}()=+\\_-><@`,?!'
NUMBERS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        map(str, range(11)),
        strict=True,
    )
)


def vqa(answer: str) -> str:
    """VQA's form (Antol et al. 2015): marks deleted or made spaces, points that no digit follows deleted, small
    letters, number words up to ten as digits, no articles, missing apostrophes restored (here: two of them)."""
    text = answer.replace("\n", " ").replace("\t", " ").strip()
    result = text
    for mark in MARKS:
        if mark + " " in text or " " + mark in text or re.search(r"\d,\d", text):
            result = result.replace(mark, "")
        else:
            result = result.replace(mark, " ")
    words = re.sub(r"\.(?!\d)", "", result).lower().split()
    words = [{"none": "0", **NUMBERS}.get(word, word) for word in words if word not in ("a", "an", "the")]
    return " ".join({"dont": "don't", "cant": "can't"}.get(word, word) for word in words)


VQA_ANSWERS = (
    "Red", "red.", "The dog", "a dog", "two", "Two dogs", "none", "10", "ten", "eleven", "3.5", "3.5 m.", "1,000", "$5",
    "50%", "red/blue", "red / blue", "black & white", "black and white", "coca-cola", "Coca Cola", "don't", "dont",
    "cant", "can't", "it's", "its", "yes", "No.", "yes, it is", "9:30", "9:30 am", "left", "on the left", "a", "the",
    "U.S.A.", "t-shirt", "t shirt", "stop!", "what?", "\"stop\"", "(red)", "no, 7", "no 7", "dr. pepper", "2 1/2",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "caf\u00e9", "\U0001f436", "-5", "C++", "C#", "A+", "+", "-", "?", "5 - 3",
)  # fmt: skip

VQA_DIFFERS = {
    "a": "nothing would be left", "the": "nothing would be left", "+": "nothing would be left",
    "-": "nothing would be left", "?": "nothing would be left", "-5": "a sign", "C++": "what tells it from C",
    "A+": "what tells it from A",
}  # fmt: skip


def test_answers_of_people_in_vqas_form():
    differs = {answer for answer in VQA_ANSWERS if plain(answer) != vqa(answer)}
    assert differs == set(VQA_DIFFERS)


@pytest.mark.parametrize("one", sorted(VQA_DIFFERS))
def test_what_is_kept_tells_answers_apart(one):
    assert [other for other in VQA_ANSWERS if plain(other) == plain(one)] == [one]
