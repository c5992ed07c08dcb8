"""What every sample of a run is put through: asked, judged, explained by every method, measured; or its error."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from wherelook.answer import AnsweredQuestion, ask, baseline_picture
from wherelook.arguments import STEPS
from wherelook.attribution import plain_settings
from wherelook.baselines import OTHER_IMAGE, Baseline
from wherelook.config import ExplainConfig, check_replay_steps
from wherelook.cost import Meter
from wherelook.data.datasets import Sample, prompt_text, same_text
from wherelook.data.images import LoadedImage
from wherelook.errors import EmptyAnswerError, InputError, UnfinishedThoughtError, WherelookError
from wherelook.evaluation.conditions import (
    OTHER_QUESTION,
    TOGETHER,
    WEIGHT_STAGES,
    Changed,
    change,
    changed_map,
    shuffled_weights,
)
from wherelook.evaluation.consensus import soft_accuracy
from wherelook.evaluation.explained import answer_row, as_selected, explain_sample
from wherelook.evaluation.failures import describe, row_or_error
from wherelook.evaluation.judges import AUTOMATIC, JudgeLike, check_judging, judge_answer, judge_name
from wherelook.evaluation.local import ChangedTasks, Finished, Task
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.records import NAMES, storable
from wherelook.evaluation.rows import (
    MEASURES,
    WRONG,
    Row,
    evidence_row,
    image_row,
    mask_row,
    method_row,
    model_row,
    sample_row,
)
from wherelook.metrics import MetricLike, metric_name, told_metrics
from wherelook.models import LoadOptions, Model, load_model
from wherelook.models.huggingface.loading import quiet

LENT = OTHER_IMAGE
"""The baseline of a row whose words no other baseline showed: an image of another sample, the row's partner."""

NO_MAP = "no_map"
"""Status of a row under a condition that left nothing to explain."""

KEPT = 2 * TOGETHER
"""Samples that a worker keeps answered, for their next condition."""

NOBODY_LENDS = "no sample that comes soon has another image to lend as the baseline"

BLIND = "mean"
"""The baseline that stands for no image: its mean color."""


@dataclass(frozen=True)
class Procedure:
    """What is done with every sample. Equal procedures, models and samples give equal rows.

    Attributes:
        dataset: its name, for the rows.
        methods: with their presets.
        name: what the benchmark is called where runs are compared; None: see
            `wherelook.analysis.benchmarks.benchmark_name`.
        prompt: how the question is put, see `wherelook.data.datasets.PROMPT_STYLES`.
        judge: one of `JUDGES`, or "auto": see `wherelook.evaluation.judges.judge_for`; or a function (answer, sample)
            to whether the answer is right.
        baseline, metrics: see `wherelook.config.ExplainConfig`; what costs no pass ("map") is always taken.
        replay_steps: points of the deletion and insertion curves; figures of different numbers do not compare.
        right_only: whether a wrong answer to a question with a known one gets a row without a map.
        baseline_from_dataset: whether another image of the dataset may serve as the baseline where no other shows a
            grounded word.
        blind: whether the model is also asked without the image: shown its mean color.
        max_new_tokens: longest answer.
        seed: of everything random.

    Raises:
        InputError: an unknown name, no methods, or an impossible number of steps.
    """

    dataset: str
    methods: tuple[MethodSpec, ...]
    name: str | None = None
    prompt: str = "auto"
    judge: JudgeLike = AUTOMATIC
    baseline: str | Baseline = "auto"
    metrics: Sequence[MetricLike] = ("replay",)
    replay_steps: int = STEPS
    right_only: bool = False
    baseline_from_dataset: bool = False
    blind: bool = False
    max_new_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError("a run needs at least one method")
        if self.baseline_from_dataset and self.baseline != "auto":
            raise InputError(
                f"the baseline is {self.asking.baseline_name!r}: another image may serve with 'auto' alone"
            )
        for name in self.asking.chosen_metrics:
            if name in NAMES and name not in MEASURES:
                raise InputError(f"a metric cannot be called {name!r}: records have another column of this name")
        check_judging(self.judge, self.prompt)
        check_replay_steps(self.replay_steps)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: the fields. What is made of them is made there again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def record(self) -> dict[str, Any]:
        """As plain values, the settings of every method written out: defaults may change with the version."""
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "methods"}
        settings = {one.name: plain_settings(one.settings) for one in self.methods}
        config = self.asking.record
        return kept | {
            "judge": judge_name(self.judge),
            "baseline": config["baseline"],
            "metrics": [metric_name(one) for one in self.metrics],
            "metrics_told": told_metrics(self.asking.chosen_metrics),
            "runs": list(settings),
            "settings": settings,
        }

    @cached_property
    def asking(self) -> ExplainConfig:
        """What is the same for all methods."""
        return ExplainConfig(
            baseline=self.baseline,
            metrics=("map", *self.metrics),
            replay_steps=self.replay_steps,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
        )


def other_words(sample: Sample, prompt: str) -> str | None:
    """The paraphrase of a sample's question, put in the same way; None where there is none in other words."""
    if sample.paraphrase is None or same_text(sample.paraphrase, sample.question):
        return None
    return prompt_text(replace(sample, question=sample.paraphrase), prompt)


def check_answer(task: Task, answer: str) -> None:
    """All methods of a sample explain one answer, those that are added later too.

    Raises:
        WherelookError: the sample's rows are about another answer.
    """
    if task.answer is not None and storable(answer) != task.answer:
        raise WherelookError(
            f"the model now answers {answer[:80]!r}, and the rows of other methods are about {task.answer[:80]!r}"
        )


def load_worker(procedure: Procedure, model: str, options: LoadOptions) -> ModelWorker:
    """A worker with a model of its own, or one that asks an address."""
    if multiprocessing.parent_process() is not None:
        quiet()  # several processes would show their bars at once
    return ModelWorker(procedure, load_model(model, options))


class ModelWorker:
    """Puts samples through a procedure with one model. See `wherelook.evaluation.local.Worker`."""

    def __init__(self, procedure: Procedure, model: Model) -> None:
        self.procedure = procedure
        self.model = model
        self.about: Mapping[str, Any] = model.identity()
        self._asked: dict[tuple[str, str], AnsweredQuestion | str] = {}

    def __call__(self, task: Task | ChangedTasks) -> Finished:
        """A row for every method, with the error of the sample or of the method where there was one.

        Raises:
            WherelookError: the device or the server failed: every sample after this one would.
        """
        if isinstance(task, ChangedTasks):
            return self._changed(task)
        sample = task.sample
        shared = self._shared(task)
        with self.model.evaluation():
            self.model.forget()
            try:
                shared |= image_row(sample)
                shared |= evidence_row(sample)
                answered = self._ask(task)
                shared |= answer_row(answered) | self._judged(answered, sample)
            except Exception as error:
                if isinstance(error, UnfinishedThoughtError):
                    shared |= {"reasoning": error.reasoning}
                return self._failed(task, shared, describe(error))
            if answered.baseline_image is not None and task.lender is not None:
                shared["partner"] = task.lender.id
            if self.procedure.right_only and shared["correct"] is False:
                return Finished(self._for_each_method(task, shared | {"status": WRONG}))
            rows = [shared | self._explained(answered, one, task) for one in self._methods(task)]
            notes = self.model.size_notes(answered.prompt)
            if self.procedure.baseline_from_dataset and task.lender is None and not shared["relevant_words"]:
                notes += (NOBODY_LENDS,)
            return Finished(rows, notes)

    def give_up(self, task: Task | ChangedTasks, error: str) -> Finished:
        """The rows of a task that cannot be done; the image is not read."""
        if isinstance(task, Task):
            return self._failed(task, self._shared(task), error)
        failed = {"status": "error", "error": error}
        rows = [self._for_each_method(one, self._changed_row(task.condition, one) | failed) for one in task.tasks]
        return Finished([row for of_sample in rows for row in of_sample])

    def _shared(self, task: Task) -> Row:
        row = sample_row(task.sample) | {"position": task.position, "dataset": self.procedure.dataset}
        return row | model_row(self.model.description)

    def _failed(self, task: Task, shared: Row, error: str) -> Finished:
        return Finished(self._for_each_method(task, shared | {"status": "error", "error": error}))

    def _for_each_method(self, task: Task, shared: Row) -> list[Row]:
        return [shared | method_row(method, self.procedure.seed) for method in self._methods(task)]

    def _methods(self, task: Task) -> list[MethodSpec]:
        return [method for method in self.procedure.methods if not task.methods or method.name in task.methods]

    def _ask(self, task: Task) -> AnsweredQuestion:
        """The sample, answered.

        Raises:
            WherelookError: see `check_answer`; anything else that goes wrong with it.
        """
        procedure = self.procedure
        answered = ask(
            self.model,
            task.sample.images if len(task.sample.images) > 1 else task.sample.image,
            prompt_text(task.sample, procedure.prompt),
            replace(procedure.asking, baseline_image=self._lent(task)),
        )
        check_answer(task, answered.relevance.answer)
        return answered

    def _lent(self, task: Task) -> LoadedImage | None:
        """What may serve as the baseline."""
        return None if task.lender is None else task.lender.image

    def _judged(self, answered: AnsweredQuestion, sample: Sample) -> Row:
        answer = answered.judged
        options: dict[str, Any] = {"judge": self.procedure.judge, "style": self.procedure.prompt}
        row: Row = asdict(judge_answer(answer, sample, **options))
        row["soft_accuracy"] = soft_accuracy(answer, sample.references)
        if self.procedure.blind:
            row |= self._blind(answered, sample, options)
        return row

    def _blind(self, answered: AnsweredQuestion, sample: Sample, options: Mapping[str, Any]) -> Row:
        """What the model answers without the image. Nothing where the image is of one color: it is its own mean."""
        blank = baseline_picture(answered.image, BLIND, self.procedure.seed)
        if np.array_equal(np.asarray(blank), answered.image.pixels):
            return {}
        prompt = self.model.encode(blank, answered.question)
        with contextlib.suppress(EmptyAnswerError, UnfinishedThoughtError):  # there is nothing to judge
            blind = self.model.reply(prompt, max_new_tokens=self.procedure.max_new_tokens)
            correct = judge_answer(blind.judged, sample, **options).correct
            return {"blind_answer": blind.text, "blind_correct": correct}
        return {}

    def _explained(self, answered: AnsweredQuestion, method: MethodSpec, task: Task) -> Row:
        seed = self.procedure.seed
        return row_or_error(
            method, seed, lambda: explain_sample(as_selected(method, answered), method, task.sample, seed=seed)
        )

    # ---- under a condition ----

    def _changed(self, work: ChangedTasks) -> Finished:
        """A row for every sample and method; whoever is asked is asked before weights are shuffled."""
        condition = work.condition
        with self.model.evaluation():
            wanted = [
                (task, method, self._words_of(method, task), self._partner(condition, task))
                for task in work.tasks
                for method in self._methods(task)
            ]
            weights: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
            if condition in WEIGHT_STAGES and self.model.weights is not None:
                weights = shuffled_weights(self.model.weights, condition, seed=self.procedure.seed)
            made: dict[tuple[int, float | None, int], Changed | None] = {}
            with weights:
                return Finished([self._row_under(condition, *one, made) for one in wanted])

    def _row_under(
        self,
        condition: str,
        task: Task,
        method: MethodSpec,
        answered: AnsweredQuestion | str,
        partner: LoadedImage | AnsweredQuestion | str | None,
        made: dict[tuple[int, float | None, int], Changed | None],
    ) -> Row:
        """The row of one map; an error in place of a answered, or of the partner's, is the row's."""
        seed = self.procedure.seed
        shared = self._changed_row(condition, task) | method_row(method, seed)
        for found in (answered, partner):
            if isinstance(found, str):
                return shared | {"status": "error", "error": found}

        def moved() -> Row:
            assert isinstance(answered, AnsweredQuestion)
            self.model.forget()
            key, own_seed = (task.position, method.alpha, method.seed), seed + method.seed
            if key not in made:
                made[key] = change(
                    condition,
                    answered,
                    seed=own_seed,
                    paraphrase=other_words(task.sample, self.procedure.prompt),
                    partner=partner if not isinstance(partner, str) else None,
                )
            changed, meter = made[key], Meter(self.model)
            saliency = None if changed is None else changed_map(changed, method, own_seed)
            row = {"status": NO_MAP} if saliency is None else {"status": "ok", **mask_row(saliency.numpy())}
            return row | {name: int(spent) if name != "seconds" else spent for name, spent in meter.read().items()}

        return shared | row_or_error(method, seed, moved)

    def _changed_row(self, condition: str, task: Task) -> Row:
        partner = None if task.partner is None else task.partner.id
        return self._shared(task) | {"condition": condition, "partner": partner, "answer": task.answer}

    def _words_of(self, method: MethodSpec, task: Task) -> AnsweredQuestion | str:
        """The sample, answered, with its words selected as the method wants them; or the error."""
        answered = self._answered(task)
        try:
            return answered if isinstance(answered, str) else as_selected(method, answered)
        except Exception as error:
            return describe(error)

    def _partner(self, condition: str, task: Task) -> LoadedImage | AnsweredQuestion | str | None:
        """What is lent under a condition: an image, or a question with its answer."""
        if task.partner is None:
            return None
        try:
            return self._answered(Task(-1, task.partner)) if condition == OTHER_QUESTION else task.partner.image
        except Exception as error:
            return describe(error)

    def _answered(self, task: Task) -> AnsweredQuestion | str:
        """A sample that was asked, or why it could not be; the same one is asked once for many conditions."""
        key = task.sample.id, task.sample.fingerprint
        if key not in self._asked:
            while len(self._asked) >= KEPT:
                del self._asked[next(iter(self._asked))]
            self.model.forget()
            try:
                self._asked[key] = self._ask(task)
            except Exception as error:
                self._asked[key] = describe(error)
        return self._asked[key]
