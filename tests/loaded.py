"""What a command imports in seconds, to be imported once by the process that others are forked from."""

import torch

import orchestrator.executors.inline
import orchestrator.executors.ray.executor
import orchestrator.measure
import orchestrator.report
import orchestrator.sweep
import orchestrator.tracking.tracker  # noqa: F401

torch.optim.SGD([torch.zeros(1)])  # the first optimizer of a process imports torch's compiler
