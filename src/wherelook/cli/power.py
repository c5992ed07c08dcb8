"""`wherelook power`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from wherelook.cli import options


def power(
    test: Annotated[str, typer.Option("--test", help="share, mcnemar, paired, odds-ratio or spearman.")],
    effect: Annotated[
        float,
        typer.Option(
            "--effect",
            help="What to see: a difference of shares (share, mcnemar), a mean difference in standard deviations "
            "(paired), an odds ratio, or rho.",
        ),
    ],
    samples: Annotated[
        int | None, typer.Option("--samples", help="Tell the power of so many, not the samples needed.")
    ] = None,
    wanted: Annotated[float, typer.Option("--power", help="Probability of seeing the effect.")] = 0.8,
    level: Annotated[float, typer.Option("--level", help="Significance level.")] = 0.05,
    comparisons: Annotated[
        int, typer.Option("--comparisons", help="Tests that Holm's correction is for; the first step is planned for.")
    ] = 1,
    null: Annotated[float | None, typer.Option("--null", help="share: the share to differ from.")] = None,
    discordant: Annotated[
        float | None, typer.Option("--discordant", help="mcnemar: share of items where only one of the two is right.")
    ] = None,
    baseline: Annotated[
        float | None,
        typer.Option("--baseline", help="odds-ratio: share with the outcome among items without the condition."),
    ] = None,
    exposed: Annotated[
        float | None, typer.Option("--exposed", help="odds-ratio: share of items with the condition.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Tells how many samples a test needs to see an effect, or how likely it sees one with those at hand."""
    from wherelook.stats import POWER, plan

    given = {"null": null, "discordant": discordant, "baseline": baseline, "exposed": exposed}
    settings = {name: value for name, value in given.items() if value is not None}
    found = plan(test, effect, samples=samples, power=wanted, level=level, comparisons=comparisons, **settings)
    if as_json:
        options.print_json(asdict(found))
        return
    corrected = f", Holm over {found.comparisons} comparisons" if found.comparisons > 1 else ""
    others = "".join(f", {name} {value:g}" for name, value in found.settings.items())
    typer.echo(
        f"{found.samples:,} samples: power {found.power:.1%} to see {POWER[test].effect} = {found.effect:g} "
        f"({test}, two-sided level {found.level:g}{corrected}{others})"
    )
