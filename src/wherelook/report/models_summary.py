"""What a comparison found, in sentences with figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wherelook.analysis.results import Comparison, Finding, Question
from wherelook.report.formatting import QUESTIONS, SIGNIFICANT, Kind, p_value, plural, text, words

NAMED = 4
"""Significant tests of one kind that are named; of more only their number is."""


@dataclass(frozen=True)
class Summary:
    """Sentences with figures, benchmark by benchmark; and of each thing that was tested what came out."""

    sentences: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]


def answers(comparison: Comparison) -> dict[Question, Summary]:
    """What is found on each question."""
    benchmarks = tuple(dict.fromkeys(line.benchmark for line in comparison.coverage))
    figures = {"reliance": _reliance, "focus": _focus, "evidence": _evidence}
    return {
        question: Summary(
            tuple(sentence for benchmark in benchmarks for sentence in figures[question](comparison, benchmark)),
            _tests(comparison, question),
        )
        for question in QUESTIONS
    }


def extent(comparison: Comparison) -> str:
    """What was compared, and how much of it has no map."""
    benchmarks = dict.fromkeys(line.benchmark for line in comparison.coverage)
    common = {line.benchmark: line.common for line in comparison.coverage}
    samples = ", ".join(f"{name} ({common[name]:,} samples)" for name in benchmarks)
    rows = sum(line.common for line in comparison.coverage)
    without = sum(line.not_visual + line.weak_gap for line in comparison.coverage)
    errors = sum(line.error for line in comparison.coverage)
    return (
        f"{plural(len(comparison.models), 'model')} on {samples}; maps of {comparison.method}. Of {rows:,} answers "
        f"{without:,} have no map because too few of their words are visually grounded, and {errors:,} failed."
        f"{_judges(comparison)}"
    )


def _judges(comparison: Comparison) -> str:
    """Who judged instead of the rules; "" where the rules did."""
    if not comparison.judges:
        return ""
    answers = sum(line.answers for line in comparison.judges)
    judged = sum(line.judged for line in comparison.judges)
    who = "; ".join(f"{line.judge} ({line.model} on {line.benchmark})" for line in comparison.judges)
    return f" Files of verdicts say what is right, by {who}: {judged:,} of {plural(answers, 'answer')} have one."


def _reliance(comparison: Comparison, benchmark: str) -> list[str]:
    lines = [line for line in comparison.reliance if line.benchmark == benchmark and line.task is None]
    sentences = []
    if resting := _range(lines, "resting", "percent"):
        tokens = _range(lines, "tokens_resting", "percent")
        sentences.append(
            f"On {benchmark}, {resting} of the answers have a visually grounded word"
            + (f"; of the tokens of words {tokens} are grounded." if tokens else ".")
        )
    if right := _range(lines, "accuracy", "percent"):
        blind = _range(lines, "blind_accuracy", "percent")
        sentences.append(
            f"Of the judged answers {right} are right" + (f", without the image {blind}." if blind else ".")
        )
    return sentences


def _focus(comparison: Comparison, benchmark: str) -> list[str]:
    lines = [line for line in comparison.relations if line.benchmark == benchmark and line.within is None]
    found = "; ".join(
        f"{text(line.similarity)} where {_relation(line.relation)} ({plural(line.pairs, 'pair')}, n {line.items:,})"
        for line in lines
    )
    alone = _alone(comparison, benchmark)
    if not found:
        return alone
    chances = [line.chance.value for line in comparison.pairs if line.benchmark == benchmark and line.chance]
    low, high = (min(chances), max(chances)) if chances else (0.0, 0.0)
    spread = text(low) if text(low) == text(high) else f"{text(low)} to {text(high)}"
    chance = f" Maps of different samples reach {spread} by habit alone." if chances else ""
    measure = words(comparison.measure)
    return [*alone, f"On {benchmark}, the similarity ({measure}) of two models' maps of a sample is {found}.{chance}"]


def _alone(comparison: Comparison, benchmark: str) -> list[str]:
    """Where the maps lie, and how far they agree with people: of each model alone."""
    lines = [line for line in comparison.focus if line.benchmark == benchmark]
    sentences = []
    if half := _range(lines, "half", "percent"):
        center = _range(lines, "center", "percent")
        sentences.append(
            f"On {benchmark}, half of the saliency lies on {half} of the image; the middle quarter of the image holds "
            f"{center} of it, 25\N{NO-BREAK SPACE}% for a flat map."
        )
    people = [line for line in comparison.human if line.benchmark == benchmark]
    if agreement := _range(people, "correlation", "number"):
        center, ceiling = _range(people, "center", "number"), _range(people, "ceiling", "number")
        sentences.append(
            f"The rank correlation with where people looked is {agreement}; a map of the center reaches {center}"
            + (f", people among each other {ceiling}." if ceiling else ".")
        )
    return sentences


def _relation(relation: str) -> str:
    return {
        "other scale": "the scale differs",
        "other architecture": "the architecture differs",
        "both differ": "architecture and scale differ",
        "neither differs": "neither architecture nor scale differs",
    }[relation]


def _evidence(comparison: Comparison, benchmark: str) -> list[str]:
    lines = [line for line in comparison.evidence if line.benchmark == benchmark and line.task is None]
    sentences = []
    if places := _range(lines, "right_place", "percent"):
        chances = [line.chance for line in lines]
        low, high = text(min(chances), "percent"), text(max(chances), "percent")
        chance = low if low == high else f"{low} to {high}"
        sentences.append(
            f"On {benchmark}, the most salient place lies on the evidence in {places} of the answers; a random place "
            f"would in {chance}."
        )
    if odds := _range(lines, "odds_ratio", "ratio"):
        sentences.append(f"The odds of a right answer there are {odds} times those elsewhere.")
    calibrations = [
        line.calibration for line in comparison.calibrations if line.benchmark == benchmark and line.task is None
    ]
    areas = [found.roc_area for found in calibrations if found.roc_area is not None]
    if areas:
        least, most = min(areas, key=lambda area: area.value), max(areas, key=lambda area: area.value)
        spread = text(least) if len(areas) == 1 else f"{text(least)} to {text(most)}"
        sentences.append(f"Reliance tells right answers from wrong ones with a ROC area of {spread}; 0.5 is chance.")
    return sentences


def _range(lines: Sequence[Any], column: str, kind: Kind) -> str:
    """The only figure, or the lowest and the highest with their models; "" without any."""
    known = [(getattr(line, column), line.model) for line in lines if getattr(line, column) is not None]
    if not known:
        return ""
    low, high = min(known, key=lambda one: one[0].value), max(known, key=lambda one: one[0].value)
    if len(known) == 1 or low[0].value == high[0].value:
        return _of(text(low[0], kind), "all models") if len(known) > 1 else text(low[0], kind)
    return f"{_of(text(low[0], kind), low[1])} to {_of(text(high[0], kind), high[1])}"


def _of(figure: str, model: str) -> str:
    """A figure with its interval in brackets, and whose it is in the same brackets."""
    return f"{figure.removesuffix(')')}; {model})"


def _tests(comparison: Comparison, question: Question) -> tuple[tuple[str, str], ...]:
    """What was tested, and for whom it was found."""
    own = [finding for finding in comparison.findings if finding.question == question]
    several = len({line.benchmark for line in comparison.coverage}) > 1
    return tuple(
        (asked, _outcome([finding for finding in own if finding.asked == asked], several))
        for asked in dict.fromkeys(finding.asked for finding in own)
    )


def _outcome(findings: Sequence[Finding], several: bool) -> str:
    significant = [finding for finding in findings if finding.p < SIGNIFICANT]
    of = f"{len(significant)} of {plural(len(findings), 'test')}" if len(findings) > 1 else ""
    if not significant:
        only = findings[0]
        return f"Not significant in {plural(len(findings), 'test')}." if of else f"Not significant: {_effect(only)}."
    named = "; ".join(
        f"{finding.subject}{f' on {finding.benchmark}' if several else ''}, {_effect(finding)}"
        for finding in significant[:NAMED]
    )
    more = f"; and {len(significant) - NAMED} more" if len(significant) > NAMED else ""
    return f"Significant{f' in {of}' if of else ''}: {named}{more}."


def _effect(finding: Finding) -> str:
    effect = finding.test.effect
    p = p_value(finding.p, floor=finding.test.at_floor)
    return f"{effect.name} {text(effect)}, p\N{NO-BREAK SPACE}{p}"
