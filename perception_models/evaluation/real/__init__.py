"""Benchmark on real pictures: sets, public networks as yardsticks, metrics, table and sheets."""
