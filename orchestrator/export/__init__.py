"""A sweep in one file, for an appendix or a colleague: its data, its report, and a script that checks the two."""
