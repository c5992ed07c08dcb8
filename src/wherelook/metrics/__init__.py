"""How good a map is: faithfulness to the model (replay) and, where the truth is known, localization. And what it is
like: how it is spread, and how much like another map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wherelook.metrics.answer_change import sufficient_area
from wherelook.metrics.deletion_insertion import Replay, replay, top_area
from wherelook.metrics.localization import attended_region, energy, focus_box, peak, pointing, roc_area
from wherelook.metrics.map_similarity import earth_movers_distance, rank_correlation, top_overlap
from wherelook.metrics.map_statistics import border_mass, center_mass, center_of_mass, compactness, effective_area
from wherelook.metrics.shapley import ImageShare, image_shares

__all__ = [
    "METRICS",
    "ImageShare",
    "Metric",
    "Replay",
    "attended_region",
    "border_mass",
    "center_mass",
    "center_of_mass",
    "compactness",
    "earth_movers_distance",
    "effective_area",
    "energy",
    "focus_box",
    "image_shares",
    "peak",
    "pointing",
    "rank_correlation",
    "replay",
    "roc_area",
    "sufficient_area",
    "top_area",
    "top_overlap",
]


@dataclass(frozen=True)
class Metric:
    """What a figure means: better direction, range, cost in forward passes, what it needs, where it comes from."""

    summary: str
    better: Literal["higher", "lower", "neither"]
    values: str
    cost: str
    needs: str
    source: str


_REPLAY_COST = "steps - 1 forwards per baseline"
_SUPERPIXEL_COST = "reads - 1 forwards"
_ANSWER_COST = "one answer"
_SUFFICIENT_COST = "seven answers"
_TRUTH = "a ground-truth mask"
_HUMAN = "a map of where people looked"
_OTHER = "another model's map of the same question"

METRICS: Mapping[str, Metric] = {
    "deletion": Metric(
        summary="score while the most salient cells are replaced by the baseline",
        better="lower",
        values="0 to 1",
        cost=_REPLAY_COST,
        needs="-",
        source="Petsiuk et al. 2018; paper section 4",
    ),
    "insertion": Metric(
        summary="score while the most salient cells are revealed on the baseline",
        better="higher",
        values="0 to 1",
        cost=_REPLAY_COST,
        needs="-",
        source="Petsiuk et al. 2018; paper section 4",
    ),
    "deletion_normalized": Metric(
        summary=(
            "deletion between the baseline's score (0) and the image's (1), clipped; none when the gap is under 0.05"
        ),
        better="lower",
        values="0 to 1",
        cost="none beyond deletion",
        needs="-",
        source="paper section 4, with a guard",
    ),
    "insertion_normalized": Metric(
        summary=(
            "insertion between the baseline's score (0) and the image's (1), clipped; none when the gap is under 0.05"
        ),
        better="higher",
        values="0 to 1",
        cost="none beyond insertion",
        needs="-",
        source="paper section 4, with a guard",
    ),
    "pointing": Metric(
        summary="whether the map's peak lies on the true region",
        better="higher",
        values="0 or 1",
        cost="none",
        needs=_TRUTH,
        source="Zhang et al. 2018",
    ),
    "energy": Metric(
        summary="share of the map that lies on the true region",
        better="higher",
        values="0 to 1",
        cost="none",
        needs=_TRUTH,
        source="Wang et al. 2020",
    ),
    "roc_area": Metric(
        summary="probability that a pixel of the true region is more salient than another",
        better="higher",
        values="0 to 1 (0.5 is chance)",
        cost="none",
        needs=_TRUTH,
        source="ROC area, ties counted half",
    ),
    "human_pointing": Metric(
        summary="whether the map's peak lies on the smallest region that holds half of people's attention",
        better="higher",
        values="0 or 1",
        cost="none",
        needs=_HUMAN,
        source="Zhang et al. 2018, on a region of people's",
    ),
    "human_energy": Metric(
        summary="share of the map that lies on the smallest region that holds half of people's attention",
        better="higher",
        values="0 to 1",
        cost="none",
        needs=_HUMAN,
        source="Wang et al. 2020, on a region of people's",
    ),
    "human_correlation": Metric(
        summary="rank correlation with where people looked",
        better="higher",
        values="-1 to 1",
        cost="none",
        needs=_HUMAN,
        source="Das et al. 2016, on a 28 x 28 grid",
    ),
    "deletion_superpixels": Metric(
        summary="deletion of whole superpixels instead of cells",
        better="lower",
        values="0 to 1",
        cost=_SUPERPIXEL_COST,
        needs="-",
        source="Petsiuk et al. 2018, on another grid",
    ),
    "insertion_superpixels": Metric(
        summary="insertion of whole superpixels instead of cells",
        better="higher",
        values="0 to 1",
        cost=_SUPERPIXEL_COST,
        needs="-",
        source="Petsiuk et al. 2018, on another grid",
    ),
    "flip": Metric(
        summary="whether an explained word leaves the answer when the top 12.5 % of the area is removed",
        better="higher",
        values="0 or 1",
        cost=_ANSWER_COST,
        needs="-",
        source="AnswerMap's flip rate",
    ),
    "keep": Metric(
        summary="whether all explained words stay in the answer when only the top 25 % of the area is shown",
        better="higher",
        values="0 or 1",
        cost=_ANSWER_COST,
        needs="-",
        source="the counterpart of flip",
    ),
    "sufficient_area": Metric(
        summary="smallest share of the area, most salient first, at which all explained words stay in the answer",
        better="lower",
        values="above 0 to 1",
        cost=_SUFFICIENT_COST,
        needs="-",
        source="Dabkowski and Gal 2017, by bisection",
    ),
    "compactness": Metric(
        summary="smallest share of the area that holds half of the map; small alone is no virtue",
        better="lower",
        values="0 to 1",
        cost="none",
        needs="-",
        source="-",
    ),
    "effective_area": Metric(
        summary="share of the area that a flat map of the same entropy would take",
        better="neither",
        values="above 0 to 1",
        cost="none",
        needs="-",
        source="Shannon 1948",
    ),
    "center_mass": Metric(
        summary="share of the map in the middle quarter of the image",
        better="neither",
        values="0 to 1 (0.25 for a flat map)",
        cost="none",
        needs="-",
        source="center bias: Tatler 2007",
    ),
    "border_mass": Metric(
        summary="share of the map within an eighth of the height or width from an edge",
        better="neither",
        values="0 to 1 (0.4375 for a flat map)",
        cost="none",
        needs="-",
        source="-",
    ),
    "rank_correlation": Metric(
        summary="rank correlation of two models' maps",
        better="neither",
        values="-1 to 1",
        cost="none",
        needs=_OTHER,
        source="Spearman, as in Adebayo et al. 2018",
    ),
    "top_overlap": Metric(
        summary="intersection over union of the top 10 % of two models' maps",
        better="neither",
        values="0 to 1 (0.05 by chance)",
        cost="none",
        needs=_OTHER,
        source="Jaccard 1912",
    ),
    "earth_movers_distance": Metric(
        summary="how far a map must be moved to become another model's, in diagonals of the image; small is alike",
        better="neither",
        values="0 to 1",
        cost="none",
        needs=_OTHER,
        source="Rubner et al. 2000, exact on 8 x 8 cells",
    ),
    "stability_seed": Metric(
        summary="rank correlation with the map of another seed; high alone is no virtue",
        better="higher",
        values="-1 to 1",
        cost="one more map",
        needs="-",
        source="Spearman, as in Adebayo et al. 2018",
    ),
    "stability_noise": Metric(
        summary="rank correlation with the map of a slightly noisy image; high alone is no virtue",
        better="higher",
        values="-1 to 1",
        cost="one more map",
        needs="-",
        source="Spearman, as in Adebayo et al. 2018",
    ),
    "stability_paraphrase": Metric(
        summary=(
            "rank correlation with the map of the same words when the question is asked in others; high alone is "
            "no virtue"
        ),
        better="higher",
        values="-1 to 1",
        cost="one more map",
        needs="a paraphrase of the question",
        source="Spearman, as in Adebayo et al. 2018",
    ),
}
