"""How one trial is trained: the loop, a training step, checkpoints, evaluation, schedules."""
