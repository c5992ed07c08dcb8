"""The tables of a comparison as a page shows them: cells of text, each with the value that it is sorted by."""

from __future__ import annotations

from collections.abc import Sequence

from wherelook.analysis.results import Comparison, EvidenceLine, Finding, Question, Skipped
from wherelook.report import formatting
from wherelook.report.formatting import CORRECTIONS, DASH, SIGNIFICANT
from wherelook.report.table import (
    ALL_TASKS,
    BENCHMARK,
    MODEL,
    TASK,
    Cell,
    Column,
    Line,
    Table,
    count,
    figure,
    percent,
    task,
    whole_first,
)
from wherelook.stats import Test

REASONS = 100
"""Lines at most of what has no map; the files of the tables have all."""
OWN_FIGURES = {
    "soft accuracy": "VQA's: an answer is worth a third for every person who gave it, at most one",
    "accuracy": "share of answers that are right; one that is neither yes nor no counts as wrong",
    "precision": "of the answers yes, the share where yes is right",
    "recall": "of the questions whose answer is yes, the share answered yes",
    "F1": "harmonic mean of precision and recall",
    "yes ratio": "share of answers yes",
    "neither yes nor no": "share of answers that say neither",
    "group accuracy": "share of groups with every answer right",
    "CircularEval": "share of questions answered right for every rotation of their options",
}
"""What the benchmarks' own figures mean."""

EXAMPLES = 3
"""Samples that are named of each kind."""


def models(comparison: Comparison) -> Table:
    columns = (
        MODEL,
        Column("Architecture", number=False),
        Column("Scale", "as models are compared by it", number=False),
        Column("Parameters"),
        Column("Checkpoint", number=False),
        Column("Revision", number=False),
        Column("Class", number=False),
        Column("Numbers", "type of the weights", number=False),
    )
    lines = [
        Line((
            Cell(model.name), Cell(model.architecture), Cell(model.scale),
            Cell(DASH, order="") if model.parameters is None else Cell(f"{model.parameters:,}", order=model.parameters),
            Cell(model.id), Cell(model.revision or DASH), Cell(model.model_class), Cell(model.dtype),
        ))
        for model in comparison.models
    ]  # fmt: skip
    return Table("models", "Models, and what they are compared by.", columns, tuple(lines))


def coverage(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        MODEL,
        Column("Samples", "that the run has rows for"),
        Column("Common", "of them, those that every model has rows for: all figures of the page are over these"),
        Column("Map", "with a map"),
        Column("Not visual", "no word of the answer rests on the image: there is nothing to map"),
        Column("Weak gap", "the words rest too little on the image"),
        Column("Error", "what failed"),
        Column("Judged", "known to be right or wrong"),
        Column("Evidence", "with a map and known evidence"),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.model),
            *(count(value) for value in (line.samples, line.common, line.ok, line.not_visual, line.weak_gap,
                                          line.error, line.judged, line.evidence)),
        ), note="error" if line.error else "")
        for line in comparison.coverage
    ]  # fmt: skip
    return Table("coverage", "Coverage: what became of every sample.", columns, tuple(lines))


def judges(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        MODEL,
        Column("Judge", "who gave the verdicts", number=False),
        Column("Answers"),
        Column("Judged", "with a verdict; the others count as not judged"),
        Column("Rule too", "answers that the run's rule could judge too"),
        Column("Agree, %", "share of these on which both say the same"),
        Column("Kappa", "Cohen's, of these: agreement beyond chance"),
        Column("Rule", "of the run, which the verdicts replace", number=False),
        Column("File", number=False),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.model), Cell(line.judge), count(line.answers), count(line.judged),
            count(line.both), percent(line.agree), figure(line.kappa), Cell(line.rule or DASH), Cell(line.file),
        ))
        for line in comparison.judges
    ]  # fmt: skip
    return Table(
        "judges", "Answers that are judged by a file of verdicts, not by the run's rule.", columns, tuple(lines)
    )


def skipped(comparison: Comparison) -> Table:
    """Samples without a map by what their reasons begin with, most frequent first."""
    groups: dict[tuple[str, str, str, str], list[Skipped]] = {}
    for line in comparison.skipped:
        head = line.reason.partition(": ")[0]
        groups.setdefault((line.benchmark, line.model, line.status, head), []).append(line)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    lines = [
        Line((
            Cell(benchmark), Cell(model), Cell(status.replace("_", " ")), count(len(own)), _reason(head, own),
            Cell(_named([line.sample for line in own])),
        ))
        for (benchmark, model, status, head), own in ranked[:REASONS]
    ]  # fmt: skip
    left = len(ranked) - REASONS
    more = f" {left} rarer reasons are left out here." if left > 0 else ""
    columns = (
        BENCHMARK,
        MODEL,
        Column("Status", number=False),
        Column("Samples"),
        Column("Reason", number=False),
        Column("Which", number=False),
    )
    return Table("skipped", f"Samples without a map, by status and reason.{more}", columns, tuple(lines))


def reliance(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        TASK,
        MODEL,
        Column("Answers"),
        Column("Answers resting", "share of answers with a word that rests on the image, in %"),
        Column("Tokens resting", "share of the tokens of words, in %"),
        Column("Right", "share of judged answers, in %"),
        Column("Right blind", "the same without the image, in %"),
    )
    lines = [
        Line((
            Cell(line.benchmark), task(line.task), Cell(line.model), count(line.answers), percent(line.resting),
            percent(line.tokens_resting), percent(line.accuracy), percent(line.blind_accuracy),
        ), whole=line.task is None)
        for line in comparison.reliance
    ]  # fmt: skip
    caption = "Answers and tokens that rest on the image, and accuracy with and without it; shares in %"
    return Table("reliance", _with_intervals(comparison, caption), columns, whole_first(lines))


def own(comparison: Comparison) -> Table:
    """A line for every benchmark, task and model, a column for every figure."""
    names = list(dict.fromkeys(line.figure for line in comparison.own))
    values = {(line.benchmark, line.task, line.model, line.figure): line for line in comparison.own}
    keys = dict.fromkeys((line.benchmark, line.task, line.model) for line in comparison.own)
    lines = [
        Line((
            Cell(benchmark), task(kind), Cell(model),
            *(percent(found.value) if (found := values.get((benchmark, kind, model, name))) else Cell(DASH, order="")
              for name in names),
        ), whole=kind is None)
        for benchmark, kind, model in keys
    ]  # fmt: skip
    columns = (BENCHMARK, TASK, MODEL, *(Column(f"{name}, %", OWN_FIGURES.get(name, "")) for name in names))
    caption = "The benchmarks' own figures, in %"
    return Table("own", _with_intervals(comparison, caption), columns, whole_first(lines))


def focus(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        MODEL,
        Column("Maps"),
        Column("Half, %", "smallest share of the image that holds half of the saliency"),
        Column("Area, %", "share of the image that a flat map of the same entropy would take"),
        Column("Center, %", "of the saliency in the middle quarter of the image; 25 for a flat map"),
        Column("Border, %", "of the saliency within an eighth of the sides from an edge; 44 for a flat map"),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.model), count(line.maps), percent(line.half), percent(line.area),
            percent(line.center), percent(line.border),
        ))
        for line in comparison.focus
    ]  # fmt: skip
    caption = "Where the maps of each model lie, means over its maps"
    return Table("focus", _with_intervals(comparison, caption), columns, tuple(lines))


def human(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        MODEL,
        Column("Answers", "with a map and people's attention"),
        Column("Agreement", "rank correlation of map and people's attention"),
        Column("Center", "the same of a Gaussian in the middle of the image"),
        Column("People", "the same of one person with the others: the noise ceiling"),
        Column("Energy, %", "of the map on the smallest region that holds half of people's attention"),
        Column("Pointing, %", "of maps whose peak lies on this region"),
        Column("Chance, %", "of the image that this region takes"),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.model), count(line.answers), figure(line.correlation),
            figure(line.center), figure(line.ceiling), percent(line.energy), percent(line.pointing),
            percent(line.chance),
        ))
        for line in comparison.human
    ]  # fmt: skip
    caption = "Agreement with where people looked"
    return Table("human", _with_intervals(comparison, caption), columns, tuple(lines))


def relations(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        Column("What differs", "between two models", number=False),
        Column("Within", "what they share", number=False),
        Column("Pairs", "of models"),
        Column("Samples", "on which all models have a map"),
        Column("Similarity", "mean over samples of the mean over pairs"),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.relation), Cell(line.within or ALL_TASKS), count(line.pairs),
            count(line.items), figure(line.similarity),
        ), whole=line.within is None)
        for line in comparison.relations
    ]  # fmt: skip
    caption = f"Similarity of focus ({words(comparison.measure)}) by what differs between two models"
    return Table("relations", _with_intervals(comparison, caption), columns, tuple(lines))


def pairs(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        MODEL,
        Column("and", number=False),
        Column("What differs", number=False),
        Column("Samples"),
        Column("Similarity"),
        Column("By chance", "of maps of different samples: what a habit, such as the centre, makes alike"),
    )
    lines = [
        Line((
            Cell(line.benchmark), Cell(line.first), Cell(line.second), Cell(line.relation), count(line.items),
            figure(line.similarity), figure(line.chance),
        ))
        for line in comparison.pairs
    ]  # fmt: skip
    caption = f"Similarity of focus ({words(comparison.measure)}) of every two models"
    return Table("pairs", _with_intervals(comparison, caption), columns, tuple(lines))


def evidence(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        TASK,
        MODEL,
        Column("Answers", "with a map, known evidence and a verdict"),
        Column("Both right", "place and answer"),
        Column("Place only", "right place, wrong answer"),
        Column("Answer only", "right answer, focus elsewhere"),
        Column("Neither"),
        Column("Right place", "share of answers whose most salient place lies on the evidence, in %"),
        Column("Chance", "what a random place would reach, in %"),
        Column("Odds ratio", "odds of a right answer at the right place by those elsewhere"),
    )
    lines = [
        Line((
            Cell(line.benchmark), task(line.task), Cell(line.model), count(line.answers),
            *(count(cell.count) for cell in line.cells), percent(line.right_place),
            Cell(f"{100 * line.chance:.1f}", order=line.chance), _odds(line),
        ), whole=line.task is None)
        for line in comparison.evidence
    ]  # fmt: skip
    caption = "Right place against right answer; answers, shares in %"
    return Table("evidence", _with_intervals(comparison, caption), columns, whole_first(lines))


def calibrations(comparison: Comparison) -> Table:
    columns = (
        BENCHMARK,
        TASK,
        MODEL,
        Column("Answers", "known to be right or wrong"),
        Column(
            "Calibration error", "expected, over bins of reliance: 0 where reliance is the probability of being right"
        ),
        Column("Brier score", "mean squared difference of reliance and outcome: 0 is best"),
        Column("ROC area", "probability that a right answer has the higher reliance than a wrong one: 0.5 is chance"),
    )
    lines = []
    for line in comparison.calibrations:
        found = line.calibration
        cells = (
            *(Cell(line.benchmark), task(line.task), Cell(line.model), count(found.n)),
            *(Cell(formatting.number(found.error), order=found.error), figure(found.brier), figure(found.roc_area)),
        )
        lines.append(Line(cells, whole=line.task is None))
    caption = "Reliance on the image as a forecast of being right"
    return Table("calibrations", _with_intervals(comparison, caption), columns, whole_first(lines))


def findings(comparison: Comparison, question: Question) -> Table:
    """The tests of one question."""
    columns = (
        BENCHMARK,
        Column("About", "the model, or the factor", number=False),
        Column("Asked", number=False),
        Column("Effect"),
        Column("p", "corrected for all tests of the page; below, uncorrected; ≤: as small as the random draws allow"),
        Column("n", "items, and clusters of them that may depend on each other"),
        Column("Test", number=False),
    )
    lines = [_finding(finding) for finding in comparison.findings if finding.question == question]
    caption = (
        f"Tests, two-sided; p after {CORRECTIONS[comparison.correction]} over all {len(comparison.findings)} tests of "
        f"the page. Bold: p < {SIGNIFICANT:g}."
    )
    return Table("findings", caption, columns, tuple(lines))


def words(name: str) -> str:
    """A name of an option in words."""
    return name.replace("-", " ")


# ---- cells ----


def _finding(finding: Finding) -> Line:
    test = finding.test
    cells = (
        *(Cell(finding.benchmark), Cell(finding.subject), Cell(finding.asked)),
        Cell(formatting.value(test.effect), f"{test.effect.name} ({formatting.interval(test.effect)})",
             test.effect.value),
        Cell(_bare_p(finding.p, test), _bare_p(test.p, test), finding.p),
        Cell(str(test.n), "" if test.clusters is None else f"in {test.clusters} clusters", test.n),
        Cell(test.name),
    )  # fmt: skip
    return Line(cells, note="significant" if finding.p < SIGNIFICANT else "")


def _bare_p(value: float, test: Test) -> str:
    return formatting.p_value(value, floor=test.at_floor).removeprefix("=\N{NO-BREAK SPACE}")


def _odds(line: EvidenceLine) -> Cell:
    if line.odds_ratio is None:
        return Cell(DASH, order="")
    found = line.odds_ratio
    return Cell(formatting.ratio(found.value), formatting.ratio_interval(found), found.value)


def _reason(head: str, lines: Sequence[Skipped]) -> Cell:
    """The reason that all share; or what it begins with, and an example."""
    reason = lines[0].reason
    same = all(line.reason == reason for line in lines)
    return Cell(reason) if same else Cell(head, f"for example{reason.removeprefix(head)}")


def _named(samples: Sequence[str]) -> str:
    more = f" and {len(samples) - EXAMPLES} more" if len(samples) > EXAMPLES else ""
    return ", ".join(samples[:EXAMPLES]) + more


def _with_intervals(comparison: Comparison, caption: str) -> str:
    return f"{caption}. Below each figure its {formatting.share(comparison.level)} interval."
