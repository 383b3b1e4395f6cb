"""The emulator: a Dapr workflow sidecar in Python, for development, tests and demos. Production runs on Dapr."""

from dapr.ext.workflow.emulator.clock import StandingClock
from dapr.ext.workflow.emulator.serving.server import Emulator

__all__ = ['Emulator', 'StandingClock']
