"""Work in child processes that are watched: one that hangs, dies or floods is ended, and the reason is known."""
