"""What commands change in a sweep's store before the missing work is done."""

from dataclasses import dataclass

from orchestrator.store.verify import Damage


@dataclass(frozen=True)
class Changes:
    """Changes of a store; by default there are none."""

    forget_failures: tuple[str, ...] = ()  # ids of failed trials that are tried again
    remove: tuple[Damage, ...] = ()  # damaged files; work is then done on the trials that they belong to, and no others
    derive_measurements: bool = False  # measure from stored spectra, where these suffice
