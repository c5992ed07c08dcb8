"""How sure is a figure, and is a difference more than chance? Every test gives a `Test`, every figure an `Estimate`."""

from wherelook.stats.agreement import cohens_kappa
from wherelook.stats.calibration import Bin, Calibration, calibration, roc_area
from wherelook.stats.chance import chance_test
from wherelook.stats.correlation import spearman_test
from wherelook.stats.effects import cliffs_delta, cohens_dz
from wherelook.stats.hierarchy import Hierarchy, Merge, cluster_models
from wherelook.stats.intervals import bootstrap_interval, mean_interval, share_interval, wilson_interval
from wherelook.stats.mixed import MixedModel, mixed_model
from wherelook.stats.multiplicity import benjamini_hochberg, holm
from wherelook.stats.permutation import paired_test, unpaired_test
from wherelook.stats.power import POWER, Plan, plan
from wherelook.stats.result import Estimate, Test
from wherelook.stats.tables import (
    association_test,
    count_table,
    difference_of_shares,
    mcnemar_test,
    odds_ratio,
    risk_ratio,
    share_test,
)

__all__ = [
    "POWER",
    "Bin",
    "Calibration",
    "Estimate",
    "Hierarchy",
    "Merge",
    "MixedModel",
    "Plan",
    "Test",
    "association_test",
    "benjamini_hochberg",
    "bootstrap_interval",
    "calibration",
    "chance_test",
    "cliffs_delta",
    "cluster_models",
    "cohens_dz",
    "cohens_kappa",
    "count_table",
    "difference_of_shares",
    "holm",
    "mcnemar_test",
    "mean_interval",
    "mixed_model",
    "odds_ratio",
    "paired_test",
    "plan",
    "risk_ratio",
    "roc_area",
    "share_interval",
    "share_test",
    "spearman_test",
    "unpaired_test",
    "wilson_interval",
]
