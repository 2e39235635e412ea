"""Errors that end a command with a message and an exit code instead of a traceback."""


class UsageError(Exception):
    """Bad input: all problems, one a line, each with file, key, value and remedy. Exit code BAD_INPUT."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
