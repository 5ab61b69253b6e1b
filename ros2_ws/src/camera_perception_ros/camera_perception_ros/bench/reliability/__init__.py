"""Faults and long runs of the nodes: `make faults` and `make soak`. Not part of installed packages."""
