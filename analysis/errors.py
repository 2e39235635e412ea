"""The root of every error that this package raises on purpose."""


class AnalysisError(Exception):
    """A measure or a statistic that can't be had; the message says which, why, and what to do."""


class UndefinedMeasureError(AnalysisError):
    """The quantity has no value here (a zero Hessian, NaN weights): recorded as missing, with this reason."""
