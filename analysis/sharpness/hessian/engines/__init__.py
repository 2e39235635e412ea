"""The ways to multiply a block of the loss Hessian with vectors. A new one is a file here and an entry in `ENGINES`."""

from analysis.sharpness.hessian.engines.double_backward import DOUBLE_BACKWARD
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.engines.gauss_newton import GAUSS_NEWTON_FACTOR, GAUSS_NEWTON_GRAM
from analysis.sharpness.hessian.engines.head import HEAD
from analysis.sharpness.hessian.engines.implicit_factor import GAUSS_NEWTON_IMPLICIT
from analysis.sharpness.hessian.engines.r_operator import R_OPERATOR

REFERENCE = DOUBLE_BACKWARD  # it serves any block; the self-check compares the others with it

# Every engine by its name. Of two that cost the same, the first is chosen.
ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        GAUSS_NEWTON_FACTOR,
        GAUSS_NEWTON_GRAM,
        GAUSS_NEWTON_IMPLICIT,
        HEAD,
        R_OPERATOR,
        DOUBLE_BACKWARD,
    )
}
