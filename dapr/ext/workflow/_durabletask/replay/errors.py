"""What the engine raises when a name is not registered."""

from __future__ import annotations


class OrchestratorNotRegisteredError(ValueError):
    """The worker was given a workflow that no one has registered with it."""


class ActivityNotRegisteredError(ValueError):
    """The worker was given an activity that no one has registered with it."""


class VersionNotRegisteredException(Exception):
    """The workflow is registered, but not in the version that its history began with."""
