"""An answered question and a method to rows: the answer, its map, and what is measured of the map."""

from __future__ import annotations

import math
from dataclasses import replace

from wherelook.answer import AnsweredQuestion, ask
from wherelook.data.datasets import Sample
from wherelook.evaluation.conditions import shown
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.rows import Row, explanation_row, method_row
from wherelook.explain import explain_answer


def answer_row(answered: AnsweredQuestion) -> Row:
    """The answer, and how much it relies on the image."""
    relevance = answered.relevance
    reliance, tokens = relevance.reliance, relevance.tokens
    return {
        "answer": relevance.answer,
        "reasoning": answered.reasoning,
        "reliance": reliance.score,
        "gap": reliance.gap,
        "baseline": reliance.baseline,
        "words": reliance.words,
        "relevant_words": reliance.relevant_words,
        "tokens": [
            {
                "text": token.text,
                "id": token.id,
                "log_prob": _finite(token.log_prob),
                "log_prob_baseline": _finite(token.log_prob_baseline),
                "llr": _finite(token.llr),
                "selected": token.selected,
                "word": token.word,
            }
            for token in tokens
        ],
        "tokens_words": sum(token.word is not None for token in tokens),
        "tokens_selected": sum(token.selected for token in tokens),
    }


def explain_sample(
    answered: AnsweredQuestion,
    run: MethodSpec,
    sample: Sample,
    *,
    seed: int = 0,
) -> Row:
    """The map of one method, its measures and its cost, as a row.

    Args:
        answered: the answered question, as `run` selects its words (`as_selected`). Its config says what is measured.
        run: what explains it.
        sample: what was asked; its `truth` and its `human` are what maps are compared with.
        seed: of everything random.
    """
    config = replace(
        answered.config,
        method=run.method,
        preset=run.preset,
        settings=dict(run.overrides),
        truth=sample.truth,
        seed=seed + run.seed,
    )
    return method_row(run, seed) | explanation_row(explain_answer(answered, config, human=sample.human))


def as_selected(method: MethodSpec, answered: AnsweredQuestion) -> AnsweredQuestion:
    """The answer with its words selected as the method wants them: itself unless the method has an alpha of its own."""
    if method.alpha is None:
        return answered
    config = replace(answered.config, alpha=method.alpha)
    return ask(answered.model, shown(answered), answered.question, config, repeated=answered.reply)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
