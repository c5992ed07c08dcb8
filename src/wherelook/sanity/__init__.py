"""Sanity checks of methods: made in `checks`, kept in files by `files`."""

from wherelook.sanity.checks import (
    CONTROL,
    STAGES,
    WEIGHT_STAGES,
    Check,
    check_sanity,
    shuffled_weights,
    summarize,
    to_rows,
)
from wherelook.sanity.files import (
    CHECKS_FILE,
    VERDICTS_FILE,
    conditions,
    make_checks,
    read_checks,
    read_verdicts,
    write_verdicts,
)

__all__ = [
    "CHECKS_FILE",
    "CONTROL",
    "STAGES",
    "VERDICTS_FILE",
    "WEIGHT_STAGES",
    "Check",
    "check_sanity",
    "conditions",
    "make_checks",
    "read_checks",
    "read_verdicts",
    "shuffled_weights",
    "summarize",
    "to_rows",
    "write_verdicts",
]
