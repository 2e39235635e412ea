"""Errors that end a command with a message and an exit code instead of a traceback."""


class UsageError(Exception):
    """Bad input: all problems, one a line, each with file, key, value and remedy. Exit code BAD_INPUT."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DefectError(Exception):
    """A mistake in this package or in what it calls, in one line that names the file with its traceback. Exit code
    DEFECT."""
