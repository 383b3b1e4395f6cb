"""Which app is meant: the emulator plays the sidecars of several, or of one that takes everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import Key

__all__ = ['Apps']

_ONLY_APP: Final = 'app'


class Apps:
    """The apps that the emulator plays, and what routers name.

    Args:
        names: The apps. None of them: there is one, with the id '', that is meant by whatever a router says; events
            call it 'app', since an app without a name is none to workers.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)

    def __contains__(self, app_id: str) -> bool:
        return app_id in self._names if self._names else app_id == ''

    @property
    def known(self) -> str:
        """The names, for messages."""
        return ', '.join(f"'{name}'" for name in self._names)

    def written(self, app_id: str) -> str:
        """The app's id as events have it; never ''."""
        return app_id or _ONLY_APP

    def named(self, written: str, own: str) -> str:
        """The app that an event's text means, which need not be known.

        Args:
            written: The text; '' is the app that says it.
            own: The app that says it.
        """
        return (written or own) if self._names else ''

    def target(self, router: pb.TaskRouter, own: str) -> str:
        """The app that a router sends to, which need not be known; the one that has it when it names none."""
        return self.named(router.targetAppID, own)

    def router(self, own: str, asked: pb.TaskRouter | None = None) -> pb.TaskRouter:
        """The router of an app's event.

        Args:
            own: The app.
            asked: Where the event goes to, if that is said.
        """
        router = pb.TaskRouter(sourceAppID=self.written(own))
        if asked is not None:
            if asked.HasField('targetAppID'):
                router.targetAppID = asked.targetAppID
            if asked.HasField('targetAppNamespace'):
                router.targetAppNamespace = asked.targetAppNamespace
        return router

    def child(self, own: str, created: pb.HistoryEvent) -> Key:
        """The child that a childWorkflowInstanceCreated of an app's history names."""
        return Key(self.target(created.router, own), created.childWorkflowInstanceCreated.instanceId)
