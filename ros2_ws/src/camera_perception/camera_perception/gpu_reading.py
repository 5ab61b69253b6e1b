"""How the GPU is, as numbers and as words."""

from __future__ import annotations

from dataclasses import dataclass

HOT = 85.0  # degrees Celsius; Orin begins to slow down at 99, desktop cards at 83 to 90


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One look at the GPU; None is not known.

    temperature in degrees Celsius; load 0..1; memory in bytes; clock in MHz, now and at most
    throttled says why the clock is low, "" when it is not
    """

    name: str
    temperature: float | None = None
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    throttled: str = ""
    clock: float | None = None
    clock_most: float | None = None

    @property
    def values(self) -> dict[str, str]:
        """For /diagnostics: what is known, in words."""
        known = {"gpu": self.name}
        if self.temperature is not None:
            known["gpu temperature"] = f"{self.temperature:.0f} C"
        if self.load is not None:
            known["gpu load"] = f"{self.load:.0%}"
        if self.memory_used is not None and self.memory_total:
            known["gpu memory"] = f"{self.memory_used / 2**20:.0f} of {self.memory_total / 2**20:.0f} MiB"
        if self.clock is not None:
            known["gpu clock"] = f"{self.clock:.0f}" + (f" of {self.clock_most:.0f} MHz" if self.clock_most else " MHz")
        known["gpu throttled"] = self.throttled or "no"
        return known

    @property
    def hot(self) -> bool:
        return bool(self.throttled) or (self.temperature is not None and self.temperature >= HOT)
