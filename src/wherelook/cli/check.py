"""`wherelook check`."""

from __future__ import annotations

from typing import Annotated

import typer

from wherelook.cli import options


def check(
    model: Annotated[str, typer.Argument(help="Hub id or local folder of an image-text-to-text model.")],
    device: options.Device = None,
    dtype: options.Dtype = None,
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    quantize: options.Quantize = None,
    checkpointing: options.Checkpointing = False,
    compiling: options.Compiling = False,
    prompt_template: options.PromptTemplate = None,
    think: options.Think = None,
    system: options.System = None,
    template_option: options.TemplateOption = None,
    max_thinking_tokens: options.MaxThinkingTokens = None,
    as_json: options.Json = False,
) -> None:
    """Does this model work? Geometry, gradient, batching, teacher forcing, memory; exit code 1 if something fails."""
    from wherelook.check import check_model

    loaded = options.load_model(
        model,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
        quantize=quantize,
        checkpointing=checkpointing,
        compile=compiling,
        prompt_template=prompt_template,
        memory_limit=None,
        **options.chat_options(think, system, template_option, max_thinking_tokens),
    )
    findings = check_model(loaded)
    works = all(finding.passed for finding in findings)
    if as_json:
        rows = [{"check": f.name, "passed": f.passed, "measured": f.measured} for f in findings]
        options.print_json({"model": loaded.description, "works": works, "checks": rows})
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.name}: {finding.measured}")
        typer.echo(f"{model} {'works' if works else 'does not work'} with wherelook.")
    if not works:
        raise typer.Exit(1)
