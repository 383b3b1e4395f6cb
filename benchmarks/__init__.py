"""Benchmarks: `python -m benchmarks [name ...]`. They print tables; nothing here asserts a time."""
