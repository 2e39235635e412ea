"""SAM and its variants: one contract, any base optimizer of torch."""

from trainables.optimizers.asam import ASAM
from trainables.optimizers.eigen_sam import EigenSAM
from trainables.optimizers.friendly_sam import FriendlySAM
from trainables.optimizers.gsam import GSAM
from trainables.optimizers.look_sam import LookSAM
from trainables.optimizers.rsam import RSAM
from trainables.optimizers.sam import SAM
from trainables.optimizers.sharpness_aware import SharpnessAware

__all__ = ["ASAM", "GSAM", "RSAM", "SAM", "EigenSAM", "FriendlySAM", "LookSAM", "SharpnessAware"]
