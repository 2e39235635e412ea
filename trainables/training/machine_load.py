"""The load of a trial's machine, under the names that MLflow uses for system metrics."""

import psutil
import pynvml
import torch


class MachineLoad:
    """The load of the machine that a trial runs on, and of its GPU; other processes there are included."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        psutil.cpu_percent()  # the next call returns the mean since this one

    def read(self) -> dict[str, float]:
        """Mean CPU load since the last reading, and memory now; for a GPU its memory, load and power now.

        The GPU is called `gpu_0`, since the trial sees only one. Values that a GPU does not report are left out.
        """
        memory = psutil.virtual_memory()
        load = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
        }
        return load | self._gpu() if self._device.type == "cuda" else load

    def _gpu(self) -> dict[str, float]:
        free, total = torch.cuda.mem_get_info(self._device)
        load = {
            "gpu_0_memory_usage_megabytes": (total - free) / 1e6,
            "gpu_0_memory_usage_percentage": 100 * (total - free) / total,
        }
        try:
            load["gpu_0_utilization_percentage"] = float(torch.cuda.utilization(self._device))
            load["gpu_0_power_usage_watts"] = torch.cuda.power_draw(self._device) / 1000
        except (pynvml.NVMLError, RuntimeError):  # a part of a GPU does not report these; no reason to fail a trial
            pass
        return load
