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
from dapr.ext.workflow._durabletask.replay.actions import Awaited
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.task import RetryableTask, Task

# The code of this distribution, whose own frames are none of the workflow's.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


class SiteRecordingContext(_RuntimeOrchestrationContext):
    """A context that knows the line of each call, for one replay.

    Attributes:
        sites: The file and line of each call, by the id of its action.
        sites_of_tasks: The same by the task, where the id does not tell: of calls with a retry policy, whose attempts
            have actions of their own, and of waits whose optional timer was dropped.
    """

    def __init__(self, instance_id: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(instance_id, payloads)
        self.sites: dict[int, str] = {}
        self.sites_of_tasks: dict[Task[Any], str] = {}

    def call_activity(self, *args: Any, **options: Any) -> Task[Any]:
        action_id = self._take_note()
        return self._noted(action_id, super().call_activity(*args, **options))

    def call_sub_orchestrator(self, *args: Any, **options: Any) -> Task[Any]:
        action_id = self._take_note()
        return self._noted(action_id, super().call_sub_orchestrator(*args, **options))

    def create_timer(self, *args: Any, **options: Any) -> Task[None]:
        self._take_note()
        return super().create_timer(*args, **options)

    def wait_for_external_event(self, *args: Any, **options: Any) -> Task[Any]:
        self._take_note()
        return super().wait_for_external_event(*args, **options)

    def schedule_new_workflow(self, *args: Any, **options: Any) -> str:
        self._take_note()
        return super().schedule_new_workflow(*args, **options)

    def send_event(self, *args: Any, **options: Any) -> None:
        self._take_note()
        super().send_event(*args, **options)

    def drop_optional_timer(self, action_id: int) -> bool:
        action = self._actions.get(action_id)
        is_dropped = super().drop_optional_timer(action_id)
        if is_dropped and isinstance(action, Awaited):
            self.sites_of_tasks[action.task] = self.sites.pop(action_id, '')
            self.sites = {(number - 1 if number > action_id else number): site for number, site in self.sites.items()}
        return is_dropped

    def _noted(self, action_id: int, task: Task[Any]) -> Task[Any]:
        site = self.sites[action_id]
        for further in range(action_id + 1, self._sequence_number + 1):  # the timer of its limit
            self.sites[further] = site
        action = self._actions.get(action_id)
        if isinstance(action, Awaited) and isinstance(action.task, RetryableTask):
            self.sites_of_tasks[action.task] = site
        return task

    def _take_note(self) -> int:
        action_id = self._sequence_number + 1
        self.sites[action_id] = _line_of(sys._getframe(2))
        return action_id


def is_own_file(path: str) -> bool:
    """Whether a file, or a line of one, is of this distribution."""
    return path.startswith(_OURS)


def _line_of(frame: FrameType | None) -> str:
    while frame is not None and is_own_file(frame.f_code.co_filename):
        frame = frame.f_back
    return '' if frame is None else f'{frame.f_code.co_filename}:{frame.f_lineno}'
