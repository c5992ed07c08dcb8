"""What every sample of a run is put through: asked, judged, explained by every method, measured; or its error."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wherelook.answer import AnsweredQuestion, ask, baseline_picture
from wherelook.config import ExplainConfig, check_replay_steps
from wherelook.data.datasets import Sample, prompt_text
from wherelook.errors import EmptyAnswerError, InputError, UnfinishedThoughtError, WherelookError, unknown_name
from wherelook.evaluation.consensus import soft_accuracy
from wherelook.evaluation.failures import describe, row_or_error
from wherelook.evaluation.judges import AUTOMATIC, check_judging, judge_answer
from wherelook.evaluation.local import Finished, Task
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.records import storable
from wherelook.evaluation.rows import (
    Row,
    case_of,
    case_row,
    evidence_row,
    explain_sample,
    image_row,
    method_row,
    model_row,
    sample_row,
)
from wherelook.metrics.deletion_insertion import STEPS
from wherelook.models import AnyModel, LoadOptions, VisionLanguageModel, load_model
from wherelook.models.fingerprint import identity
from wherelook.models.huggingface.loading import quiet

MEASURED: Mapping[str, str] = {
    "map": "what needs no pass of the model: where the map lies, against the evidence and people where these are known",
    "replay": "deletion and insertion with both baselines too",
    "all": "superpixels, flip, keep and the sufficient area too",
}
"""How much is measured of each map, and what that is."""

BLIND = "mean"
"""The baseline that stands for no image: its mean colour."""


@dataclass(frozen=True)
class Procedure:
    """What is done with every sample. Equal procedures, models and samples give equal rows.

    Attributes:
        dataset: its name, for the rows.
        methods: with their presets.
        name: what the benchmark is called where runs are compared; None: see
            `wherelook.analysis.align_runs.benchmark_name`.
        prompt: how the question is put, see `wherelook.data.datasets.PROMPT_STYLES`.
        judge: one of `JUDGES`, or "auto": see `wherelook.evaluation.judges.judge_for`.
        measured: one of `MEASURED`.
        replay_steps: points of the deletion and insertion curves; figures of different numbers do not compare.
        blind: whether the model is also asked without the image: shown its mean colour.
        max_new_tokens: longest answer.
        seed: of everything random.

    Raises:
        InputError: an unknown name, no methods, or an impossible number of steps.
    """

    dataset: str
    methods: tuple[MethodSpec, ...]
    name: str | None = None
    prompt: str = "auto"
    judge: str = AUTOMATIC
    measured: str = "replay"
    replay_steps: int = STEPS
    blind: bool = False
    max_new_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError("a run needs at least one method")
        if self.measured not in MEASURED:
            raise unknown_name("amount of measures", self.measured, tuple(MEASURED))
        check_judging(self.judge, self.prompt)
        check_replay_steps(self.replay_steps)

    @property
    def record(self) -> dict[str, Any]:
        """As plain values, the settings of every method written out: defaults may change with the version."""
        kept = {name: value for name, value in asdict(self).items() if name != "methods"}
        settings = {one.name: asdict(one.settings) for one in self.methods}
        return kept | {"runs": list(settings), "settings": settings}


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

    def __init__(self, procedure: Procedure, model: AnyModel) -> None:
        self.procedure = procedure
        self.model = model
        self.about: Mapping[str, Any] = identity(model)

    def __call__(self, task: Task) -> Finished:
        """A row for every run, with the error of the sample or of the run where there was one.

        Raises:
            WherelookError: the device or the server failed: every sample after this one would.
        """
        sample = task.sample
        shared = self._shared(task)
        with self.model.evaluation():
            if isinstance(self.model, VisionLanguageModel):
                # What it learned from samples before would change the batches, and with them digits.
                self.model.plan.forget()
            try:
                shared |= image_row(sample)
                shared |= evidence_row(sample)
                case = self._ask(sample)
                check_answer(task, case.relevance.answer)
                shared |= case_row(case) | self._judged(case, sample)
            except Exception as error:
                if isinstance(error, UnfinishedThoughtError):
                    shared |= {"reasoning": error.reasoning}
                return self._failed(task, shared, describe(error))
            rows = [shared | self._explained(case, run, sample) for run in self._methods(task)]
            return Finished(task.position, rows, self.model.size_notes(case.prompt))

    def give_up(self, task: Task, error: str) -> Finished:
        """The rows of a task that cannot be done; the image is not read."""
        return self._failed(task, self._shared(task), error)

    def _shared(self, task: Task) -> Row:
        row = sample_row(task.sample) | {"position": task.position, "dataset": self.procedure.dataset}
        return row | model_row(self.model.description)

    def _failed(self, task: Task, shared: Row, error: str) -> Finished:
        failed = {"status": "error", "error": error}
        seed = self.procedure.seed
        return Finished(task.position, [shared | method_row(run, seed) | failed for run in self._methods(task)])

    def _methods(self, task: Task) -> list[MethodSpec]:
        return [run for run in self.procedure.methods if not task.methods or run.name in task.methods]

    def _ask(self, sample: Sample) -> AnsweredQuestion:
        return ask(
            self.model,
            sample.images if len(sample.images) > 1 else sample.image,
            prompt_text(sample, self.procedure.prompt),
            ExplainConfig(max_new_tokens=self.procedure.max_new_tokens, seed=self.procedure.seed),
        )

    def _judged(self, case: AnsweredQuestion, sample: Sample) -> Row:
        answer, options = case.judged, {"judge": self.procedure.judge, "style": self.procedure.prompt}
        row: Row = asdict(judge_answer(answer, sample, **options))
        row["soft_accuracy"] = soft_accuracy(answer, sample.references)
        if self.procedure.blind:
            row |= self._blind(case, sample, options)
        return row

    def _blind(self, case: AnsweredQuestion, sample: Sample, options: Mapping[str, str]) -> Row:
        """What the model answers without the image. Nothing where the image is of one color: it is its own mean."""
        blank = baseline_picture(case.image, BLIND, self.procedure.seed)
        if np.array_equal(np.asarray(blank), case.image.pixels):
            return {}
        prompt = self.model.encode(blank, case.question)
        with contextlib.suppress(EmptyAnswerError, UnfinishedThoughtError):  # there is nothing to judge
            blind = self.model.reply(prompt, max_new_tokens=self.procedure.max_new_tokens)
            correct = judge_answer(blind.judged, sample, **options).correct
            return {"blind_answer": blind.text, "blind_correct": correct}
        return {}

    def _explained(self, case: AnsweredQuestion, run: MethodSpec, sample: Sample) -> Row:
        seed, measured = self.procedure.seed, self.procedure.measured
        return row_or_error(
            run,
            seed,
            lambda: explain_sample(
                case_of(run, case, seed=seed),
                run,
                sample,
                replay_steps=0 if measured == "map" else self.procedure.replay_steps,
                independent=measured == "all",
                seed=seed,
            )[0],
        )
