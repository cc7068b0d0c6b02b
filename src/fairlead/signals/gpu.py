"""What NVIDIA's DCGM exporter emits for each GPU, with the Pod that has it."""

from __future__ import annotations

from fairlead.signals import Signal

SOURCE = "NVIDIA/dcgm-exporter, etc/default-counters.csv"
LABELS = ("gpu", "Hostname", "namespace", "pod")


def _dcgm(name: str, help_text: str) -> Signal:
    return Signal(f"DCGM_FI_DEV_{name}", "gauge", LABELS, help_text, source=SOURCE)


UTILIZATION = _dcgm("GPU_UTIL", "Share of the time in which a kernel ran, in per cent.")
MEMORY_USED = _dcgm("FB_USED", "GPU memory in use, in MiB.")
MEMORY_FREE = _dcgm("FB_FREE", "GPU memory that is free, in MiB.")
TEMPERATURE = _dcgm("GPU_TEMP", "Temperature, in degrees Celsius.")
POWER = _dcgm("POWER_USAGE", "Power, in watts.")
XID_ERRORS = _dcgm("XID_ERRORS", "The last XID error of the driver; 0: none.")

GPU: tuple[Signal, ...] = (UTILIZATION, MEMORY_USED, MEMORY_FREE, TEMPERATURE, POWER, XID_ERRORS)
