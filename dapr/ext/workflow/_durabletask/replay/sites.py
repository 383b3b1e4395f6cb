"""Where in a workflow's code its calls are made: for messages.

To take note of it costs each call, and no history says it. So nobody does while workflows run: when a message is to
name a line, the history is replayed once more, with this context.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.task import Task

# The code of this distribution, whose own frames are none of the workflow's.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


class SiteRecordingContext(_RuntimeOrchestrationContext):
    """A context that knows the line of each call, for one replay.

    Attributes:
        sites: The file and line of each call, by the id of its action.
    """

    def __init__(self, instance_id: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(instance_id, payloads)
        self.sites: dict[int, str] = {}

    def call_activity(self, *args: Any, **options: Any) -> Task[Any]:
        self._take_note()
        return super().call_activity(*args, **options)

    def call_sub_orchestrator(self, *args: Any, **options: Any) -> Task[Any]:
        self._take_note()
        return super().call_sub_orchestrator(*args, **options)

    def create_timer(self, *args: Any, **options: Any) -> Task[None]:
        self._take_note()
        return super().create_timer(*args, **options)

    def wait_for_external_event(self, *args: Any, **options: Any) -> Task[Any]:
        self._take_note()
        return super().wait_for_external_event(*args, **options)

    def _take_note(self) -> None:
        self.sites[self._sequence_number + 1] = _line_of(sys._getframe(2))


def _line_of(frame: FrameType | None) -> str:
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return '' if frame is None else f'{frame.f_code.co_filename}:{frame.f_lineno}'
