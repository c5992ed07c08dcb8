"""How sure is a figure, and is a difference more than chance? Every test gives a `Test`, every figure an `Estimate`."""

from wherelook.stats.agreement import cohens_kappa
from wherelook.stats.calibration import Bin, Calibration, calibration, roc_area
from wherelook.stats.chance import chance_test
from wherelook.stats.hierarchy import Hierarchy, Merge, cluster_models
from wherelook.stats.intervals import bootstrap_interval, mean_interval, share_interval, wilson_interval
from wherelook.stats.mixed import mixed_model
from wherelook.stats.multiplicity import benjamini_hochberg, holm
from wherelook.stats.permutation import cohens_dz, paired_test
from wherelook.stats.power import POWER, Plan, plan
from wherelook.stats.result import Estimate, Test
from wherelook.stats.tables import association_test, mcnemar_test, odds_ratio

__all__ = [
    "POWER",
    "Bin",
    "Calibration",
    "Estimate",
    "Hierarchy",
    "Merge",
    "Plan",
    "Test",
    "association_test",
    "benjamini_hochberg",
    "bootstrap_interval",
    "calibration",
    "chance_test",
    "cluster_models",
    "cohens_dz",
    "cohens_kappa",
    "holm",
    "mcnemar_test",
    "mean_interval",
    "mixed_model",
    "odds_ratio",
    "paired_test",
    "plan",
    "roc_area",
    "share_interval",
    "wilson_interval",
]
