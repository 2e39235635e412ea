"""SAM, ASAM, Eigen-SAM and RSAM: one contract, any base optimizer of torch (SPEC §5)."""

from trainables.optimizers.asam import ASAM
from trainables.optimizers.eigen_sam import EigenSAM
from trainables.optimizers.rsam import RSAM
from trainables.optimizers.sam import SAM
from trainables.optimizers.sharpness_aware import SharpnessAware

__all__ = ["ASAM", "RSAM", "SAM", "EigenSAM", "SharpnessAware"]
