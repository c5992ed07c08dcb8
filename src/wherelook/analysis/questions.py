"""Do models rely on the image, and does looking at the evidence matter? Pure functions over the rows of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wherelook.analysis.align_runs import Benchmark
from wherelook.analysis.findings import Asked, Outcome, Precision
from wherelook.analysis.results import (
    ADVICE,
    CalibrationLine,
    Cell,
    EvidenceLine,
    Question,
    RelianceLine,
    StudyModel,
)
from wherelook.evaluation.rows import Row
from wherelook.stats import (
    Estimate,
    Test,
    association_test,
    calibration,
    chance_test,
    mcnemar_test,
    mixed_model,
    paired_test,
    share_interval,
)

LEAST_ITEMS = 10
"""Fewer are not tested."""

FIGURES: Mapping[str, tuple[Question, str]] = {
    "reliance": ("reliance", "reliance on the image"),
    "energy": ("focus", "the share of saliency on the evidence"),
    "compactness": ("focus", "the area that holds half of the saliency"),
    "center_mass": ("focus", "the share of saliency in the middle of the image"),
}
"""Columns whose mean is compared between models: the question that they belong to, and what they are."""


@dataclass(frozen=True)
class Rows:
    """Some of a model's rows, with their clusters."""

    rows: tuple[Row, ...]
    clusters: tuple[int, ...] | None

    def those(self, *columns: str, kind: str | None = None, status: str | None = None) -> Rows:
        """The rows that have all of the columns, and this kind and status where one is given."""
        places = [
            place
            for place, row in enumerate(self.rows)
            if all(row[column] is not None for column in columns)
            and kind in (None, row["kind"])
            and status in (None, row["status"])
        ]
        clusters = None if self.clusters is None else tuple(self.clusters[place] for place in places)
        return Rows(tuple(self.rows[place] for place in places), clusters)

    def column(self, name: str) -> list[float]:
        """Its numbers."""
        return [float(row[name]) for row in self.rows]


def rely_on_image(
    benchmark: Benchmark, models: Sequence[StudyModel], precision: Precision
) -> tuple[tuple[RelianceLine, ...], Outcome]:
    """Shares of grounded answers and tokens, and accuracy with and without it, by model and task.

    Tested: is a model right more often with the image than without?
    """
    lines, asked, notes = [], [], []
    for model in models:
        rows = Rows(benchmark.rows[model.name], benchmark.clusters)
        answered = rows.those("words", "relevant_words")
        if not answered.rows:
            notes.append(f"{benchmark.name}: {model.name} gave no answer.")
            continue
        for task in (None, *tasks(answered)):
            lines.append(_reliance_line(benchmark.name, task, model.name, answered.those(kind=task), precision.level))
        both = answered.those("correct", "blind_correct")
        if len(both.rows) < LEAST_ITEMS:
            continue
        test: Test
        if both.clusters is None:
            test = mcnemar_test(both.column("correct"), both.column("blind_correct"), level=precision.level)
        else:
            test = paired_test(both.column("correct"), both.column("blind_correct"), **_permuted(both, precision))
        question = "Is it right more often with the image than without?"
        asked.append(
            Asked(question="reliance", benchmark=benchmark.name, subject=model.name, asked=question, test=test)
        )
    return tuple(lines), Outcome(tuple(asked), tuple(notes))


def evidence_matters(
    benchmark: Benchmark, models: Sequence[StudyModel], precision: Precision
) -> tuple[tuple[EvidenceLine, ...], tuple[CalibrationLine, ...], Outcome]:
    """The four cells of right place and right answer, and reliance against correctness, by model and task.

    The right place: the most salient place lies on the evidence. Tested: does a model look at the evidence more often
    than a random place would, and is it right more often when it does?
    """
    lines, calibrations, asked, notes = [], [], [], []
    for model in models:
        rows = Rows(benchmark.rows[model.name], benchmark.clusters)
        judged = rows.those("correct", "reliance")
        for task in (None, *tasks(judged)):
            some = judged.those(kind=task)
            if some.rows:
                found = calibration(
                    some.column("reliance"), some.column("correct"), clusters=some.clusters, level=precision.level
                )
                calibrations.append(CalibrationLine(benchmark.name, task, model.name, found))
        placed = rows.those("pointing", status="ok")
        if len(placed.rows) >= LEAST_ITEMS:
            test = chance_test(
                placed.column("pointing"), placed.column("evidence_share"), **_permuted(placed, precision)
            )
            question = "Does its focus lie on the evidence more often than a random place would?"
            asked.append(
                Asked(question="evidence", benchmark=benchmark.name, subject=model.name, asked=question, test=test)
            )
        known = placed.those("correct")
        for task in (None, *tasks(known)):
            some = known.those(kind=task)
            if some.rows:
                lines.append(_evidence_line(benchmark.name, task, model.name, some, precision.level))
        if len(known.rows) < LEAST_ITEMS:
            notes.append(
                f"{benchmark.name}: whether {model.name} is right where it looks at the evidence is not tested: "
                f"{len(known.rows)} samples have a map, known evidence and a verdict."
            )
        elif (association := _association(known, precision.level)) is None:
            notes.append(
                f"{benchmark.name}: whether {model.name} is right where it looks at the evidence is not tested: its "
                "answers are all right or all wrong, or its focus is always or never on the evidence."
            )
        else:
            question = "Is it right more often when its focus lies on the evidence?"
            asked.append(
                Asked(
                    question="evidence", benchmark=benchmark.name, subject=model.name, asked=question, test=association
                )
            )
    return tuple(lines), tuple(calibrations), Outcome(tuple(asked), tuple(notes))


def compare_figures(benchmark: Benchmark, models: Sequence[StudyModel], precision: Precision) -> Outcome:
    """Do the means of `FIGURES` depend on architecture and scale? A mixed model with a random intercept by item.

    Where architecture and scale cannot be told apart, or both are the same, models are compared one by one. Samples of
    one cluster share an intercept.
    """
    asked, notes, unclear = [], [], []
    for column, (question, meaning) in FIGURES.items():
        values, owners, items = [], [], []
        for model in models:
            for place, row in enumerate(benchmark.rows[model.name]):
                if row[column] is not None and (question == "reliance" or row["status"] == "ok"):
                    values.append(float(row[column]))
                    owners.append(model)
                    items.append(place if benchmark.clusters is None else benchmark.clusters[place])
        if len(dict.fromkeys(model.name for model in owners)) < 2 or len(set(items)) < LEAST_ITEMS:
            continue
        try:
            tests = mixed_model(values, _factors(owners), items, level=precision.level)
        except ValueError as error:
            notes.append(f"{benchmark.name}: whether {meaning} depends on the model is not tested: {error}.")
            continue
        if "model" in tests:
            unclear.append(meaning)
        for factor, test in tests.items():
            asked.append(
                Asked(
                    question=question,
                    benchmark=benchmark.name,
                    subject=factor,
                    asked=f"Does {meaning} depend on {factor}?",
                    test=test,
                )
            )
    if unclear:
        labels = ", ".join(f"{model.name} {model.architecture}, {model.scale}" for model in models)
        notes.append(
            f"{benchmark.name}: whether {'; '.join(unclear)} depend on architecture or on scale is not tested, for the "
            f"two cannot be told apart ({labels}): models are compared one by one instead; {ADVICE}."
        )
    return Outcome(tuple(asked), tuple(notes))


def share_of(rows: Rows, column: str, level: float) -> Estimate | None:
    """The share of yes in a column of the rows; None where there are none."""
    return share_interval(rows.column(column), clusters=rows.clusters, level=level) if rows.rows else None


def tasks(rows: Rows) -> list[str]:
    """Kinds of question in their order; none where there is one only."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows.rows if row["kind"]))
    return kinds if len(kinds) > 1 else []


def _factors(owners: Sequence[StudyModel]) -> dict[str, list[str]]:
    """Architecture and scale where models tell them apart: where each varies while the other stays the same."""
    models = {model.name: (model.architecture, model.scale) for model in owners}
    places = set(models.values())
    architectures, scales = ({place[side] for place in places} for side in (0, 1))
    if len(scales) == 1 < len(architectures):
        return {"architecture": [model.architecture for model in owners]}
    if len(architectures) == 1 < len(scales):
        return {"scale": [model.scale for model in owners]}
    # An additive model needs the bipartite graph of architectures and scales to hang together.
    if len(places) > 1 and _connected(places):
        return {
            "architecture": [model.architecture for model in owners],
            "scale": [model.scale for model in owners],
        }
    return {"model": [model.name for model in owners]}


def _connected(places: set[tuple[str, str]]) -> bool:
    """Whether every (architecture, scale) is reached from any other by changing one of the two at a time."""
    reached = {min(places)}
    while more := {
        (one, other)
        for one, other in places - reached
        if any(one == architecture or other == scale for architecture, scale in reached)
    }:
        reached |= more
    return reached == places


def _reliance_line(benchmark: str, task: str | None, model: str, rows: Rows, level: float) -> RelianceLine:
    resting = [row["relevant_words"] > 0 for row in rows.rows]
    tokens, owner = [], []
    for place, row in enumerate(rows.rows):
        count, selected = row["tokens_words"] or 0, row["tokens_selected"] or 0
        tokens += [1.0] * selected + [0.0] * (count - selected)
        owner += [place if rows.clusters is None else rows.clusters[place]] * count
    judged = rows.those("correct")
    return RelianceLine(
        benchmark=benchmark,
        task=task,
        model=model,
        answers=len(rows.rows),
        resting=share_interval(resting, clusters=rows.clusters, level=level),
        tokens=len(tokens),
        tokens_resting=share_interval(tokens, clusters=owner, level=level) if tokens else None,
        judged=len(judged.rows),
        accuracy=share_of(judged, "correct", level),
        blind_accuracy=share_of(rows.those("blind_correct"), "blind_correct", level),
    )


def _evidence_line(benchmark: str, task: str | None, model: str, rows: Rows, level: float) -> EvidenceLine:
    cells = tuple(
        _cell(rows, right_place=place, right_answer=answer)
        for place, answer in ((True, True), (True, False), (False, True), (False, False))
    )
    association = _association(rows, level)
    chance = rows.column("evidence_share")
    return EvidenceLine(
        benchmark=benchmark,
        task=task,
        model=model,
        answers=len(rows.rows),
        cells=(cells[0], cells[1], cells[2], cells[3]),
        right_place=share_interval(rows.column("pointing"), clusters=rows.clusters, level=level),
        chance=sum(chance) / len(chance),
        odds_ratio=None if association is None else association.effect,
    )


def _cell(rows: Rows, *, right_place: bool, right_answer: bool) -> Cell:
    samples = tuple(
        row["sample"] for row in rows.rows if (row["pointing"] > 0, row["correct"]) == (right_place, right_answer)
    )
    return Cell(
        right_place=right_place,
        right_answer=right_answer,
        count=len(samples),
        share=len(samples) / len(rows.rows),
        samples=samples,
    )


def _association(rows: Rows, level: float) -> Test | None:
    """Right answers against right places; None where one of them never varies, or there is one cluster."""
    places, answers = rows.column("pointing"), rows.column("correct")
    alone = rows.clusters is not None and len(set(rows.clusters)) < 2
    if alone or len(set(places)) < 2 or len(set(answers)) < 2:
        return None
    return association_test(places, answers, clusters=rows.clusters, level=level)


def _permuted(rows: Rows, precision: Precision) -> dict[str, Any]:
    """Options of a permutation test of these rows."""
    return {"clusters": rows.clusters, **asdict(precision)}
