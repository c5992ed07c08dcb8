"""What a comparison of runs tells: the result of `wherelook compare`, which tables, files and pages are made from.

Every table is a tuple of one kind of line. Figures are `Estimate`s with their intervals, tests are `Finding`s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherelook.stats import Calibration, Estimate, Hierarchy, Test

Question = Literal["reliance", "focus", "evidence"]
"""reliance: do models rely on the image? focus: where do they look? evidence: does looking at the evidence matter?"""

Relation = Literal["other scale", "other architecture", "both differ", "neither differs"]
"""Of two models: what differs between them."""


ADVICE = "group models with --label RUN=ARCHITECTURE:SCALE or --models CSV"
"""What to do where architecture and scale cannot be told apart."""


@dataclass(frozen=True)
class StudyModel:
    """A model of the comparison.

    Attributes:
        name: as tables call it, unique.
        architecture, scale: what it is compared by.
        id, revision, model_class, dtype: as it was loaded.
        parameters: how many; None where its runs do not tell.
        runs: folders, one for every dataset.
    """

    name: str
    architecture: str
    scale: str
    id: str
    revision: str | None
    model_class: str
    dtype: str
    parameters: int | None
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """What there is of a model on a benchmark. Only the common samples are compared.

    Attributes:
        samples: that the run has rows for.
        common: of them, those that every model of the benchmark has rows for. What follows counts these.
        ok, not_visual, weak_gap, error: by status; they add up to `common`.
        judged: known to be right or wrong.
        evidence: with a map and known evidence.
    """

    benchmark: str
    model: str
    samples: int
    common: int
    ok: int
    not_visual: int
    weak_gap: int
    error: int
    judged: int
    evidence: int


@dataclass(frozen=True)
class Skipped:
    """A common sample without a map: its status, not "ok", and why."""

    benchmark: str
    model: str
    sample: str
    status: str
    reason: str


@dataclass(frozen=True)
class JudgeLine:
    """Who judged the answers of a run whose verdicts come from a file, and how far its rule says the same.

    Attributes:
        run: its folder.
        file: of the verdicts, which count instead of the rule's.
        judge, rule: their names, several after commas; "" where nobody judged.
        answers: that were given.
        judged: of them, those with a verdict of the file; the others count as not judged.
        both: answers that the rule could judge too. What follows is over these.
        agree: share on which both say the same; None where there are none.
        kappa: Cohen's; None for fewer than two answers, or where a judge says the same of all.
    """

    benchmark: str
    model: str
    run: str
    file: str
    judge: str
    rule: str
    answers: int
    judged: int
    both: int
    agree: Estimate | None
    kappa: Estimate | None


@dataclass(frozen=True)
class RelianceLine:
    """Are answers visually grounded? Samples without an answer do not count.

    Attributes:
        task: kind of question; None: all of them.
        answers: that were given.
        resting: share of answers with a visually grounded word.
        tokens: of words, in all answers.
        tokens_resting: share of these tokens; None where there are none.
        judged: answers known to be right or wrong.
        accuracy: share of these that are right; None where there are none.
        blind_accuracy: the same without the image; None where the run did not ask.
    """

    benchmark: str
    task: str | None
    model: str
    answers: int
    resting: Estimate
    tokens: int
    tokens_resting: Estimate | None
    judged: int
    accuracy: Estimate | None
    blind_accuracy: Estimate | None


@dataclass(frozen=True)
class OwnFigure:
    """A figure that the authors of a benchmark report, see `wherelook.analysis.benchmark_figures.own_figures`.

    Attributes:
        task: kind of question; None: all of them.
        figure: its name.
        items: answers, or groups of them, that it is over.
        value: in [0, 1].
    """

    benchmark: str
    task: str | None
    model: str
    figure: str
    items: int
    value: Estimate


@dataclass(frozen=True)
class FocusLine:
    """Where the maps of a model lie, as means over its maps; see `wherelook metrics`.

    Attributes:
        maps: how many.
        half: smallest share of the image that holds half of the saliency.
        area: share of the image that a flat map of the same entropy would take.
        center: share of the saliency in the middle quarter of the image; 0.25 for a flat map.
        border: share within an eighth of the sides from an edge; 0.44 for a flat map.
    """

    benchmark: str
    model: str
    maps: int
    half: Estimate | None
    area: Estimate | None
    center: Estimate | None
    border: Estimate | None


@dataclass(frozen=True)
class MetricLine:
    """A metric of a model's maps.

    Attributes:
        metric: as tables call it.
        better: "higher" or "lower"; "" for neither.
        maps: those that have it.
        mean: over them.
    """

    benchmark: str
    metric: str
    better: str
    model: str
    maps: int
    mean: Estimate | None


@dataclass(frozen=True)
class HumanLine:
    """Agreement of a model's maps with where people looked; see `wherelook.evaluation.people.human_measures`.

    Attributes:
        answers: with a map and people's attention.
        correlation: mean rank correlation of map and people's attention, in [-1, 1].
        center: the same of a Gaussian in the middle of the image: what a habit of looking there reaches.
        ceiling: the same of one person with the others: what a perfect map could be expected to reach.
        energy: share of the map on the smallest region that holds half of people's attention.
        pointing: share of maps whose peak lies there.
        chance: share of the image that this region takes: what energy and pointing of a flat map would be.
    """

    benchmark: str
    model: str
    answers: int
    correlation: Estimate | None
    center: Estimate | None
    ceiling: Estimate | None
    energy: Estimate | None
    pointing: Estimate | None
    chance: Estimate | None


@dataclass(frozen=True)
class RelationLine:
    """How alike the focus is of models between which something differs.

    Attributes:
        within: what the pairs share: an architecture for "other scale", a scale for "other architecture"; None: all
            pairs of the relation.
        pairs: of models.
        items: samples on which every model that takes part has a map.
        similarity: mean over items of the mean over pairs.
    """

    benchmark: str
    relation: Relation
    within: str | None
    pairs: int
    items: int
    similarity: Estimate


@dataclass(frozen=True)
class PairLine:
    """How alike the focus of two models is.

    Attributes:
        chance: the same of one model's map with the other's map of another sample: what a habit, such as looking at the
            center, makes alike. None where all items belong together.
    """

    benchmark: str
    first: str
    second: str
    relation: Relation
    items: int
    similarity: Estimate
    chance: Estimate | None


@dataclass(frozen=True)
class Tree:
    """Which models look at the same places; over the items of a benchmark."""

    benchmark: str
    hierarchy: Hierarchy


@dataclass(frozen=True)
class Cell:
    """Answers of one kind.

    Attributes:
        right_place: whether the most salient place lies on the evidence.
        right_answer: whether the answer is right.
        count: of them.
        share: of all four cells.
        samples: ids of all, in the order of the dataset.
    """

    right_place: bool
    right_answer: bool
    count: int
    share: float
    samples: tuple[str, ...]


@dataclass(frozen=True)
class EvidenceLine:
    """Focus on the evidence against correctness, over answers with a map, known evidence and a verdict.

    Attributes:
        task: kind of question; None: all of them.
        cells: right place and answer, right place only, right answer only, neither.
        right_place: share of answers whose most salient place lies on the evidence.
        chance: the mean share of the image that the evidence takes: what a random place would reach.
        odds_ratio: odds of a right answer at the right place by those elsewhere; None where one of them never varies.
    """

    benchmark: str
    task: str | None
    model: str
    answers: int
    cells: tuple[Cell, Cell, Cell, Cell]
    right_place: Estimate
    chance: float
    odds_ratio: Estimate | None


@dataclass(frozen=True)
class CalibrationLine:
    """Does reliance on the image tell right answers from wrong ones? `calibration.bins` draw the curve."""

    benchmark: str
    task: str | None
    model: str
    calibration: Calibration


@dataclass(frozen=True)
class Finding:
    """A test, with what was asked.

    Attributes:
        subject: the model, or the factor, that it is about.
        asked: what was tested, as a plain question.
        p: corrected for all tests of the comparison.
    """

    question: Question
    benchmark: str
    subject: str
    asked: str
    test: Test
    p: float


@dataclass(frozen=True)
class Comparison:
    """The three questions over a set of runs.

    Attributes:
        method: method:preset whose maps are compared; its rows give answers and reliance too.
        measure: how alike two maps are, see `wherelook.analysis.focus_similarity.SIMILARITIES`.
        correction: for many tests: "holm" or "benjamini-hochberg".
        level: of the intervals.
        seed: of permutations and resamples.
        judges: of the runs whose verdicts come from files.
        models, coverage, skipped, own, reliance, focus, metrics, human, relations, pairs, trees, evidence,
            calibrations: tables.
        findings: every test that was made.
        notes: what could not be done and why, in sentences.
    """

    method: str
    measure: str
    correction: str
    level: float
    seed: int
    models: tuple[StudyModel, ...]
    coverage: tuple[Coverage, ...]
    judges: tuple[JudgeLine, ...]
    skipped: tuple[Skipped, ...]
    own: tuple[OwnFigure, ...]
    reliance: tuple[RelianceLine, ...]
    focus: tuple[FocusLine, ...]
    metrics: tuple[MetricLine, ...]
    human: tuple[HumanLine, ...]
    relations: tuple[RelationLine, ...]
    pairs: tuple[PairLine, ...]
    trees: tuple[Tree, ...]
    evidence: tuple[EvidenceLine, ...]
    calibrations: tuple[CalibrationLine, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
