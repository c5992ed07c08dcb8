"""Which models are alike: hierarchical clustering, and how well the items support it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, leaves_list, linkage, optimal_leaf_ordering

from wherelook.stats.clusters import CHUNK, Array, Clusters, number_clusters


@dataclass(frozen=True)
class Merge:
    """Two branches that join.

    Attributes:
        members: names below the join, in the order of the tree.
        height: mean distance between the two branches.
        support: share of the resamples in which the same names form a branch, in [0, 1].
    """

    members: tuple[str, ...]
    height: float
    support: float


@dataclass(frozen=True)
class Hierarchy:
    """A tree of models.

    Attributes:
        order: names, neighbors next to each other.
        linkage: SciPy's linkage matrix, a row (branch, branch, height, size) per join, for drawing the tree.
        merges: the same joins by names, from the bottom up.
        cophenetic_correlation: of the tree's distances with the given ones; 1: the tree says it all.
        items: that the distances rest on.
    """

    order: tuple[str, ...]
    linkage: tuple[tuple[float, float, float, float], ...]
    merges: tuple[Merge, ...]
    cophenetic_correlation: float
    items: int


def cluster_models(
    names: Sequence[str], distances: Array, *, clusters: Clusters = None, resamples: int = 1000, seed: int = 0
) -> Hierarchy:
    """Average-linkage clustering (Sokal and Michener 1958) of the mean distances over items, seeded.

    Support of a branch is the share of bootstrap resamples of the items that have it (Felsenstein 1985).

    Args:
        names: of the models.
        distances: shape (items, models, models), symmetric, zero on the diagonal.
        clusters: items of one cluster are drawn together.
        resamples: for the support.
        seed: of these.

    Raises:
        ValueError: fewer than 3 models, no items, or distances that are no distances.
    """
    distances = np.asarray(distances, dtype=np.float64)
    count = len(names)
    if count < 3 or distances.ndim != 3 or distances.shape[1:] != (count, count) or not len(distances):
        raise ValueError(f"distances of shape {distances.shape} for {count} models; expected (items, models, models)")
    if not np.isfinite(distances).all() or (distances < 0).any():
        raise ValueError("distances must be finite and not negative")
    if not np.allclose(distances, distances.transpose(0, 2, 1)) or np.abs(np.einsum("imm->im", distances)).max() > 1e-9:
        raise ValueError("distances must be symmetric, and zero from a model to itself")
    flat = distances[:, *np.triu_indices(count, 1)]
    mean = flat.mean(axis=0)
    tree = optimal_leaf_ordering(linkage(mean, "average"), mean)
    order = [int(leaf) for leaf in leaves_list(tree)]
    branches = _branches(tree, count)
    support = _support(branches, flat, count, clusters, resamples, seed)
    place = {leaf: rank for rank, leaf in enumerate(order)}
    varied = np.ptp(mean) > 0
    return Hierarchy(
        order=tuple(names[leaf] for leaf in order),
        linkage=tuple((float(a), float(b), float(height), float(size)) for a, b, height, size in tree),
        merges=tuple(
            Merge(tuple(names[leaf] for leaf in sorted(branch, key=place.__getitem__)), float(row[2]), share)
            for branch, row, share in zip(branches, tree, support, strict=True)
        ),
        cophenetic_correlation=float(cophenet(tree, mean)[0]) if varied else 1.0,
        items=len(distances),
    )


def _support(
    branches: Sequence[frozenset[int]], flat: Array, count: int, clusters: Clusters, resamples: int, seed: int
) -> list[float]:
    index, groups = number_clusters(clusters, len(flat))
    sums = np.zeros((groups, flat.shape[1]))
    np.add.at(sums, index, flat)
    sizes = np.bincount(index).astype(np.float64)
    found = np.zeros(len(branches))
    rng, portion = np.random.default_rng(seed), max(1, CHUNK // groups)
    for start in range(0, resamples, portion):
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=min(portion, resamples - start)) * 1.0
        for mean in weights @ sums / (weights @ sizes)[:, None]:
            drawn = set(_branches(linkage(mean, "average"), count))
            found += [branch in drawn for branch in branches]
    return [float(share) for share in found / resamples]


def _branches(tree: NDArray[np.float64], count: int) -> list[frozenset[int]]:
    """The leaves below each join, from the bottom up."""
    members = [frozenset([leaf]) for leaf in range(count)]
    for first, second in tree[:, :2].astype(int):
        members.append(members[first] | members[second])
    return members[count:]
