"""What a worker can run: orchestrators, in one or several versions, and activities, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dapr.ext.workflow._durabletask.contexts import get_name
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.replay.errors import VersionNotRegisteredException

Function = Callable[..., Any]


class StandIns(Protocol):
    """Functions that are run in place of those that are registered: in tests."""

    def orchestrator(self, name: str, registry: _Registry) -> Function | None:
        """The orchestrator that is run in place of the one of that name; None: that one."""

    def activity(self, name: str, registered: Function | None) -> Function | None:
        """The activity to run, given the one of that name, if there is one."""


class _Registry:
    """The functions of a worker, by name.

    Attributes:
        payloads: How the values of what runs become payloads. Default: as plain JSON.
        stand_ins: What is asked at each look-up for something to run in its place. Default: nothing is.

    Registering and looking up may happen on different threads: each is a single dictionary operation on values that
    are never changed, so a reader sees a name registered or not, never half.
    """

    def __init__(self, payloads: Payloads = PLAIN) -> None:
        self.payloads = payloads
        self.orchestrators: dict[str, Function] = {}
        self.versioned_orchestrators: dict[str, dict[str, Function]] = {}
        self.activities: dict[str, Function] = {}
        self._latest: dict[str, str] = {}
        self.stand_ins: StandIns | None = None

    def add_orchestrator(self, fn: Function, version_name: str | None = None, is_latest: bool = False) -> str:
        """Registers an orchestrator under its function's name.

        Args:
            fn: The orchestrator.
            version_name: The version that it is; None (default) for a workflow without versions.
            is_latest: Whether new instances run this version; the last one registered so is the latest.

        Returns:
            The name.

        Raises:
            ValueError: There is no function, no name, or one of that name and version already.
        """
        if fn is None:
            raise ValueError('An orchestrator function argument is required.')
        name = get_name(fn)
        self.add_named_orchestrator(name, fn, version_name, is_latest)
        return name

    def add_named_orchestrator(
        self, name: str, fn: Function, version_name: str | None = None, is_latest: bool = False
    ) -> None:
        """Registers an orchestrator under a name. Arguments and errors as for `add_orchestrator`."""
        if fn is None:
            raise ValueError('An orchestrator function argument is required.')
        if not name:
            raise ValueError('A non-empty orchestrator name is required.')
        if version_name is None:
            if name in self.orchestrators:
                raise ValueError(f"A '{name}' orchestrator already exists.")
            self.orchestrators[name] = fn
            return
        versions = self.versioned_orchestrators.get(name, {})
        if version_name in versions:
            raise ValueError(f"The version '{version_name}' of '{name}' orchestrator already exists.")
        self.versioned_orchestrators[name] = {**versions, version_name: fn}
        if is_latest:
            self._latest[name] = version_name

    def get_orchestrator(self, name: str, version_name: str | None = None) -> tuple[Function | None, str | None]:
        """Looks up an orchestrator.

        Args:
            name: Its name.
            version_name: The version its history began with; None (default) for the latest.

        Returns:
            The function, and the version it is (None where it has no versions); (None, None) when the name is not
            registered, or only in versions none of which is the latest. A name that is registered both with and
            without versions runs without.

        Raises:
            VersionNotRegisteredException: The name is registered, but not in that version.
        """
        if self.stand_ins is not None:
            fn = self.stand_ins.orchestrator(name, self)
            if fn is not None:
                return fn, None
        fn = self.orchestrators.get(name)
        if fn is not None:
            return fn, None
        versions = self.versioned_orchestrators.get(name)
        wanted = version_name or self._latest.get(name)
        if versions is None or wanted is None:
            return None, None
        fn = versions.get(wanted)
        if fn is None:
            raise VersionNotRegisteredException(
                f"The orchestrator '{name}' is not registered in version '{wanted}'; registered are: "
                f'{", ".join(sorted(versions))}.'
            )
        return fn, wanted

    def workflow_names(self) -> set[str]:
        """The names of all orchestrators, with versions or without."""
        return {*self.orchestrators, *self.versioned_orchestrators}

    def add_activity(self, fn: Function) -> str:
        """Registers an activity under its function's name, which it returns.

        Raises:
            ValueError: There is no function, no name, or an activity of that name already.
        """
        if fn is None:
            raise ValueError('An activity function argument is required.')
        name = get_name(fn)
        self.add_named_activity(name, fn)
        return name

    def add_named_activity(self, name: str, fn: Function) -> None:
        """Registers an activity under a name. Errors as for `add_activity`."""
        if fn is None:
            raise ValueError('An activity function argument is required.')
        if not name:
            raise ValueError('A non-empty activity name is required.')
        if name in self.activities:
            raise ValueError(f"A '{name}' activity already exists.")
        self.activities[name] = fn

    def get_activity(self, name: str) -> Function | None:
        """The activity of that name, or None."""
        fn = self.activities.get(name)
        return fn if self.stand_ins is None else self.stand_ins.activity(name, fn)

    def copy_from(self, other: _Registry) -> None:
        """Registers all that another registry has, too, in place of what has the same names."""
        self.orchestrators.update(other.orchestrators)
        self.versioned_orchestrators.update(other.versioned_orchestrators)
        self.activities.update(other.activities)
        self._latest.update(other._latest)
