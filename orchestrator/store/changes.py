"""What `retry` and `remeasure` change in a sweep's store before the missing work is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Changes:
    """Changes of a store; by default there are none."""

    forget_failures: tuple[str, ...] = ()  # ids of failed trials that are tried again
    derive_measurements: bool = False  # measure from stored spectra, where these suffice
