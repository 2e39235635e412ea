import torch

from trainables.training.machine_load import MachineLoad


def test_a_machine_without_a_gpu_shows_its_cpu_and_memory() -> None:
    load = MachineLoad(torch.device("cpu"))
    torch.rand(500, 500) @ torch.rand(500, 500)
    found = load.read()
    assert set(found) == {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
    }
    assert 0 <= found["cpu_utilization_percentage"] <= 100
    assert 0 < found["system_memory_usage_percentage"] <= 100
    assert found["system_memory_usage_megabytes"] > 100
