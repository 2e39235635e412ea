"""What happens in a schedule as a list of numbers: drawn from a seed, given again, made shorter, or all of them."""

import random
from collections.abc import Callable, Iterator, Sequence


class Choices:
    """A source of choices that keeps what it gave. 0 is always the quiet choice: no fault, no delay."""

    def __init__(self, seed: int | str | None = None, given: Sequence[int] = (), budget: int = 10**9) -> None:
        """Choices.

        Args:
            seed: what comes after the given ones is drawn from it; None: always 0.
            given: the first choices.
            budget: how many choices may be other than 0.
        """
        self._random = None if seed is None else random.Random(seed)
        self._given = given
        self._budget = budget
        self.made: list[int] = []
        self.limits: list[int] = []  # how many options each choice had

    def draw(self, options: int) -> int:
        """A number below `options`."""
        index = len(self.made)
        if self._budget <= 0:
            options = 1
        if index < len(self._given):
            choice = min(self._given[index], options - 1)
        else:
            choice = 0 if self._random is None else int(self._random.random() * options)
        self._budget -= choice > 0
        self.made.append(choice)
        self.limits.append(options)
        return choice

    def among(self, options: Sequence[float]) -> float:
        """One of the options; the first is the quiet one."""
        return options[self.draw(len(options))]


def every(run: Callable[[Choices], None], budget: int) -> Iterator[Choices]:
    """Run every schedule whose choices are 0 but for at most `budget`, by depth first."""
    given: list[int] = []
    while True:
        choices = Choices(given=given, budget=budget)
        run(choices)
        yield choices
        made, limits = choices.made, choices.limits
        last = next((i for i in reversed(range(len(made))) if made[i] + 1 < limits[i]), None)
        if last is None:
            return
        given = [*made[:last], made[last] + 1]


def shrunk(fails: Callable[[Sequence[int]], bool], made: Sequence[int], tries: int = 2000) -> list[int]:
    """Fewer and smaller choices with which a schedule still fails."""
    best = list(made)

    def better(candidate: list[int]) -> bool:
        nonlocal best, tries
        tries -= 1
        if tries < 0 or not fails(candidate):
            return False
        best = candidate
        return True

    size = len(best)
    while size >= 1 and tries > 0:
        start = 0
        while start < len(best):
            quiet = best[:start] + [0] * len(best[start : start + size]) + best[start + size :]
            shorter = best[:start] + best[start + size :]
            if better(shorter):
                continue
            if quiet != best:
                better(quiet)
            start += size
        size //= 2
    for index in range(len(best)):
        while best[index] > 0 and better([*best[:index], best[index] // 2, *best[index + 1 :]]):
            pass
    while best and best[-1] == 0:
        best.pop()
    return best
