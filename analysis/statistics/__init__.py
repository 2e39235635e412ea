"""Statistics of rank agreement between measures and the generalization gap. Imports numpy and scipy only."""

from analysis.statistics.attenuation import Attenuation, attenuation
from analysis.statistics.confounding import KendallPartial, StratifiedTau, partial_kendall, stratified_kendall
from analysis.statistics.differences import TauDifference, holm, swap_test, tau_difference, tau_differences
from analysis.statistics.granulated import AxisTau, GranulatedKendall, granulated_kendall
from analysis.statistics.groups import (
    GroupedTau,
    grouped_kendall,
    heterogeneity_test,
    permuted_within_taus,
    qualitative_test,
)
from analysis.statistics.information import ConditionalInformation, conditional_mutual_information
from analysis.statistics.kendall import KendallTau, KendallTaus, kendall_tau, kendall_taus
from analysis.statistics.order_selection import (
    MaxTau,
    NestedTau,
    adjusted_p_values,
    max_permutation_test,
    nested_order_tau,
    nested_order_taus,
    permuted_taus,
)
from analysis.statistics.partial import PartialTau, partial_tau
from analysis.statistics.ranking import Lead, lead
from analysis.statistics.relabeling import Design, Null
from analysis.statistics.sign_error import SignError, sign_error

__all__ = [
    "Attenuation",
    "AxisTau",
    "ConditionalInformation",
    "Design",
    "GranulatedKendall",
    "GroupedTau",
    "KendallPartial",
    "KendallTau",
    "KendallTaus",
    "Lead",
    "MaxTau",
    "NestedTau",
    "Null",
    "PartialTau",
    "SignError",
    "StratifiedTau",
    "TauDifference",
    "adjusted_p_values",
    "attenuation",
    "conditional_mutual_information",
    "granulated_kendall",
    "grouped_kendall",
    "heterogeneity_test",
    "holm",
    "kendall_tau",
    "kendall_taus",
    "lead",
    "max_permutation_test",
    "nested_order_tau",
    "nested_order_taus",
    "partial_kendall",
    "partial_tau",
    "permuted_taus",
    "permuted_within_taus",
    "qualitative_test",
    "sign_error",
    "stratified_kendall",
    "swap_test",
    "tau_difference",
    "tau_differences",
]
