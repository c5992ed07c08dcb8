"""Maps against maps: of another seed, another model, or people, on the same image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from wherelook.canvas import Size
from wherelook.errors import WherelookError
from wherelook.metrics.metric import PEOPLE, Metric

GRID: Size = (28, 28)

TRANSPORT_GRID: Size = (8, 8)
"""Transport is solved exactly, which a finer grid would make slow."""


def rank_correlation(first: Float[Tensor, "a b"], second: Float[Tensor, "c d"], *, grid: Size = GRID) -> float | None:
    """Spearman's correlation of two maps over the cells of one grid, in [-1, 1]; None where a map is flat.

    Adebayo et al. 2018 (arXiv 1810.03292) compare maps so in their sanity checks.
    """
    ranks = [rankdata(_resize(saliency, grid)) for saliency in (first, second)]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def top_overlap(
    first: Float[Tensor, "a b"], second: Float[Tensor, "c d"], *, share: float = 0.1, grid: Size = GRID
) -> float | None:
    """Intersection over union (Jaccard 1912) of the most salient `share` of both maps, in [0, 1].

    None where a map is flat. Cells that tie for the last places share them: each is in the top area in part, and
    intersection and union are sums of the smaller and of the larger parts. Areas that have nothing to do with each
    other have about share / (2 - share): 0.05.
    """
    tops = [_top(_resize(saliency, grid), share) for saliency in (first, second)]
    if any(np.ptp(top) == 0 for top in tops):
        return None
    return float(np.minimum(*tops).sum() / np.maximum(*tops).sum())


def earth_movers_distance(
    first: Float[Tensor, "a b"],
    second: Float[Tensor, "c d"],
    *,
    image_size: Size | None = None,
    grid: Size = TRANSPORT_GRID,
) -> float | None:
    """How far the mass of one map must be moved, on average, to become the other, as a share of the image's diagonal.

    In [0, 1), 0 for equal maps. The exact optimum of the transport problem (Rubner et al. 2000) between the middles of
    the cells of a coarse grid, both maps scaled to a sum of one. Unlike an overlap it tells a near miss from a far one.
    None where a map is zero.

    Args:
        first, second: any resolutions.
        image_size: (height, width) of the image that both are of; None for a square one.
        grid: on which they are compared. Two maps that differ by less than its cells have a distance of about 0.
    """
    supply, demand = (_average(saliency, grid) for saliency in (first, second))
    if supply.sum() <= 0 or demand.sum() <= 0:
        return None
    surplus = supply / supply.sum() - demand / demand.sum()
    # The straight way is the shortest: what both maps have at a place can stay there.
    sources, targets = np.flatnonzero(surplus > 0), np.flatnonzero(surplus < 0)
    if not len(sources) or not len(targets):
        return 0.0
    height, width = (1, 1) if image_size is None else image_size
    rows, columns = np.divmod(np.arange(supply.size), grid[1])
    places = np.stack([(rows + 0.5) / grid[0] * height, (columns + 0.5) / grid[1] * width], axis=1)
    lengths = np.linalg.norm(places[sources, None] - places[None, targets], axis=2) / np.hypot(height, width)
    return _transport(surplus[sources], -surplus[targets], lengths)


def _transport(supply: NDArray[np.float64], demand: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    """Least total of moved mass times length, where both masses have the same sum."""
    count = lengths.size
    source, target = np.divmod(np.arange(count), len(demand))
    rows = np.concatenate([source, len(supply) + target])
    constraints = coo_array((np.ones(2 * count), (rows, np.tile(np.arange(count), 2))))
    # The last constraint follows from the others; as one too many it would make rounding errors infeasible.
    masses = np.concatenate([supply, demand])[:-1]
    solution = linprog(lengths.ravel(), A_eq=constraints.tocsr()[:-1], b_eq=masses, method="highs")
    if not solution.success:
        raise WherelookError(f"the transport between two maps was not solved: {solution.message}")
    return float(max(solution.fun, 0.0))


def _top(values: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """What part of each cell belongs to the largest `share` of them; the parts add up to share x cells."""
    wanted = share * values.size
    threshold = np.sort(values)[::-1][min(int(np.ceil(wanted)), values.size) - 1]
    above, tied = values > threshold, values == threshold
    result: NDArray[np.float64] = above + tied * (wanted - above.sum()) / tied.sum()
    return result


def _resize(saliency: Tensor, grid: Size) -> NDArray[np.float64]:
    values = saliency.detach().cpu().double()[None, None]
    return (
        functional.interpolate(values, size=grid, mode="bilinear", align_corners=False, antialias=True).numpy().ravel()
    )


def _average(saliency: Tensor, grid: Size) -> NDArray[np.float64]:
    """Mass in the cells of a grid: every cell of the map counts where it lies, in parts if on a line."""
    values = saliency.detach().cpu().double().clamp_min(0).numpy()
    down, across = (_parts(cells, wanted) for cells, wanted in zip(values.shape, grid, strict=True))
    return np.asarray(down @ values @ across.T).ravel()


def _parts(cells: int, wanted: int) -> NDArray[np.float64]:
    """(wanted, cells): what part of each of `cells` equal cells of [0, 1] lies in each of `wanted` equal ones."""
    edges, bounds = np.arange(cells + 1) / cells, np.arange(wanted + 1) / wanted
    low = np.maximum(edges[None, :-1], bounds[:-1, None])
    high = np.minimum(edges[None, 1:], bounds[1:, None])
    result: NDArray[np.float64] = np.clip(high - low, 0, None) * cells
    return result


OTHER_MODEL = "another model's map of the same question"

METRICS = {
    "human_correlation": Metric(
        measure=lambda context: rank_correlation(context.saliency, context.attention),
        summary="rank correlation with where people looked",
        label="Rank correlation",
        group="Agreement with people",
        better="higher",
        values="-1 to 1",
        needs=PEOPLE,
        source="Das et al. 2016, on a 28 x 28 grid",
    ),
    "rank_correlation": Metric(
        summary="rank correlation of two models' maps",
        label="Rank correlation",
        values="-1 to 1",
        needs=OTHER_MODEL,
        source="Spearman, as in Adebayo et al. 2018",
        level=None,
    ),
    "top_overlap": Metric(
        summary="intersection over union of the top 10 % of two models' maps",
        label="Overlap",
        values="0 to 1 (0.05 by chance)",
        needs=OTHER_MODEL,
        source="Jaccard 1912",
        level=None,
    ),
    "earth_movers_distance": Metric(
        summary="how far a map must be moved to become another model's, in diagonals of the image; small is alike",
        label="Distance",
        values="0 to 1",
        needs=OTHER_MODEL,
        source="Rubner et al. 2000, exact on 8 x 8 cells",
        level=None,
    ),
    "stability_seed": Metric(
        summary="rank correlation with the map of another seed; high alone is no virtue",
        label="Seed",
        group="Shape and stability",
        better="higher",
        values="-1 to 1",
        cost="one more map",
        source="Spearman, as in Adebayo et al. 2018",
        level=None,
    ),
    "stability_noise": Metric(
        summary="rank correlation with the map of a slightly noisy image; high alone is no virtue",
        label="Noise",
        group="Shape and stability",
        better="higher",
        values="-1 to 1",
        cost="one more map",
        source="Spearman, as in Adebayo et al. 2018",
        level=None,
    ),
    "stability_paraphrase": Metric(
        summary="rank correlation with the map of the same words for a question put otherwise; high alone is no virtue",
        label="Paraphrase",
        group="Shape and stability",
        better="higher",
        values="-1 to 1",
        cost="one more map",
        needs="a paraphrase of the question",
        source="Spearman, as in Adebayo et al. 2018",
        level=None,
    ),
}
