"""Statistics of rank agreement between measures and the generalization gap. numpy and scipy only."""

from analysis.statistics.kendall import KendallTau, kendall_tau

__all__ = ["KendallTau", "kendall_tau"]
