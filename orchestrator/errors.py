"""Errors that end a command with a message and an exit code instead of a traceback."""


class UsageError(Exception):
    """Bad input: every problem found, one a line, each naming file, key, value and remedy. Exit code 2."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
