"""Renders chat templates in a process of its own, with little memory and little time, and tells how it went.

Run as a script by `wherelook.models.bounded`; it needs Jinja alone. The first line that it reads is the module search
path, each further one a template with its variables; to each it answers with one of `ANSWERS`, or it is ended.
"""

from __future__ import annotations

import functools
import json
import signal
import sys
from datetime import datetime
from typing import Any

CPU_SECONDS = 3.0
MEMORY = 512 * 2**20
LONGEST_TEXT = 1_000_000
ANSWERS = ("ready", "fine", "long", "memory")
"""It can begin; what was asked is harmless (a template that raises is, too); its text, or its memory, is too large."""


def main() -> None:
    """Answers until there is nothing more to read."""
    sys.path[:] = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process decides when it ends
    compile_template = _compiler()
    _limit_memory()
    print("ready", flush=True)
    for line in sys.stdin:
        with_limit = hasattr(signal, "setitimer")
        if with_limit:  # nobody catches its signal: it ends the process, even inside of one long operation
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = _try(compile_template, **json.loads(line))
        if with_limit:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(answer, flush=True)


def _try(compile_template: Any, template: str, variables: dict[str, Any]) -> str:
    try:
        length = 0
        for piece in compile_template(template).generate(**variables):
            length += len(piece)
            if length > LONGEST_TEXT:
                return "long"
    except MemoryError:
        return "memory"
    except Exception:  # what it raises is told where it is rendered in earnest
        return "fine"
    return "fine"


def _compiler() -> Any:
    """Compiles templates with what Transformers offers to them."""
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}`, which marks the answer for training."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            return jinja2.nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
        """Where the system cannot limit memory this refuses the operators that take it in one step."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            sizes = [len(value) if hasattr(value, "__len__") else abs(value) for value in (left, right)]
            if operator == "*" and any(hasattr(value, "__len__") for value in (left, right)):
                if sizes[0] * sizes[1] > 100 * LONGEST_TEXT:
                    raise MemoryError
            elif operator == "**" and sizes[1] > 1000:
                raise MemoryError
            return super().call_binop(context, operator, left, right)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return functools.lru_cache(maxsize=64)(environment.from_string)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
