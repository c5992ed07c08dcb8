"""Renders chat templates in a process of its own, with little memory and little time.

Run as a script by `bounded.py`; it needs Jinja alone. The first line that it reads is the module search
path, and its answer `READY`; each further one is a template with its variables. To each it answers with one of
{"text": what it writes}, {"error": what it raises}, {"excess": "long" or "memory"}, or it is ended.
"""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sys
from datetime import datetime
from typing import Any

CPU_SECONDS = 3.0
MEMORY = 512 * 2**20
LONGEST_TEXT = 1_000_000
LONGEST_ERROR = 300
READY = {"ready": "yes"}


def main() -> None:
    """Answers until there is nothing more to read."""
    sys.path[:] = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process decides when it ends
    compile_template = _compiler()
    _limit_memory()
    print(json.dumps(READY), flush=True)
    with_limit = hasattr(signal, "setitimer")
    if with_limit:  # nobody catches its signal: it ends the process, even inside of one long operation
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in sys.stdin:
        if with_limit:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = _answer(compile_template, line)
        if with_limit:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(answer, flush=True)


def _answer(compile_template: Any, line: str) -> str:
    try:
        return json.dumps(_render(compile_template, **json.loads(line)))
    except MemoryError:
        return json.dumps({"excess": "memory"})


def _render(compile_template: Any, template: str, variables: dict[str, Any]) -> dict[str, str]:
    try:
        pieces: list[str] = []
        length = 0
        for piece in compile_template(template).generate(**variables):
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_TEXT:
                return {"excess": "long"}
        return {"text": "".join(pieces)}
    except MemoryError:
        raise
    except Exception as error:  # a template is a program that came with the model: it can raise anything
        return {"error": describe(error)}


def describe(error: Exception) -> str:
    """What a template raised, in one line."""
    text = str(error)[: 10 * LONGEST_ERROR]
    return " ".join(f"{type(error).__name__}: {text}".split())[:LONGEST_ERROR]


def _compiler() -> Any:
    """Compiles templates with what Transformers offers to them."""
    import jinja2.exceptions
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox
    import jinja2.utils

    class Generation(jinja2.ext.Extension):
        """`{% generation %}`, which marks the answer for training."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_written"), [], [], body).set_lineno(line)

        def _written(self, caller: Any) -> Any:
            return caller()

    class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
        """Where the system cannot limit memory this refuses the operators that take it in one step."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "*" and _repeated(left, right) > 100 * LONGEST_TEXT:
                raise MemoryError
            if operator == "**" and isinstance(left, int) and isinstance(right, int) and right > 1000:
                raise MemoryError
            return super().call_binop(context, operator, left, right)

    class Namespace(jinja2.utils.Namespace):
        """`namespace`, which takes no private names."""

        def __init__(self, /, *values: Any, **named: Any) -> None:
            items = dict(*values, **named)
            for name in items:
                _refuse_private(name)
            super().__init__(items)

        def __setitem__(self, name: str, value: Any) -> None:
            _refuse_private(name)
            super().__setitem__(name, value)

    def _refuse_private(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace takes no private names; got {name!r}")

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    environment.globals["dict"] = _Dictionary()
    environment.globals["namespace"] = Namespace
    return functools.lru_cache(maxsize=64)(environment.from_string)


class _Dictionary:
    """`dict`, without the class."""

    fromkeys = staticmethod(dict.fromkeys)

    def __call__(self, /, *values: Any, **named: Any) -> dict[Any, Any]:
        return dict(*values, **named)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _repeated(left: Any, right: Any) -> int:
    """The length of a product of a sequence and a number; 0 for other products."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(count, int):
            return len(sequence) * count
    return 0


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    with contextlib.suppress(ValueError, OSError):  # macOS has the limit, and refuses to set it
        limits = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
        limit = min([MEMORY, *limits])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
