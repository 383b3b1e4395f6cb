"""What the environments of a process have in common where a test does not say; the pytest plugin sets it."""

from __future__ import annotations

always_replay: bool = False
"""Whether runtimes replay the whole history with each turn."""
