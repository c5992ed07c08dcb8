"""CircularEval: a question with options counts as right where it is answered right for every rotation of them.

Liu et al. 2023, MMBench, arXiv 2307.06281, section 4.2: a model that prefers a letter cannot guess its way through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from wherelook.data.sample import Sample

MARK = "#rotated-"


def rotations(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Every sample with two options or more once for each rotation of them, as a group; others as they are.

    The first rotation is the question as it stands. Sample "17" with the options a, b, c becomes "17#rotated-0" (a, b,
    c), "17#rotated-1" (b, c, a) and "17#rotated-2" (c, a, b), all of the group "17". The right answer is an option's
    text and moves with it.
    """
    for sample in samples:
        count = len(sample.choices)
        if count < 2:
            yield sample
            continue
        for shift in range(count):
            yield replace(
                sample,
                id=f"{sample.id}{MARK}{shift}",
                group=sample.id,
                choices=sample.choices[shift:] + sample.choices[:shift],
            )


def is_rotation(sample_id: str) -> bool:
    """Whether a sample of this id comes from `rotations`."""
    head, mark, shift = sample_id.rpartition(MARK)
    return bool(head and mark and shift.isdecimal())
