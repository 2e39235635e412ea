"""Training one trial: the loop, a training step, checkpoints, evaluation, schedules."""
