"""What an async workflow does, line by line in the log: for looking into one during development.

The variable switches it on, for workflows that are registered after it is set. Each time the engine goes on with the
workflow it is told what has ended, and then what the code has asked for, in program order. In replay it is silent, as
`ctx.logger` is; what is told only looks, so that a workflow takes the same course with it and without.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Generator, Mapping
from typing import Any, Final

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.actions import Awaited
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.telling import tell_action, tell_end
from dapr.ext.workflow._durabletask.task import Task

# The second is that of durabletask's other workers.
VARIABLES: Final = ('DAPR_WF_DEBUG', 'DT_DEBUG')

_OFF: Final = frozenset({'', '0', 'false', 'no', 'off'})

Program = Generator[Task[Any], None, None]


def are_told(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says that operations are logged."""
    return any(environ.get(variable, '').strip().lower() not in _OFF for variable in VARIABLES)


def told(program: Program, context: _RuntimeOrchestrationContext) -> Program:
    """The program of an async workflow, whose operations are logged.

    Args:
        program: What runs it.
        context: The engine's.
    """
    operations = _Operations(context)
    try:
        while True:
            operations.tell_ended()
            try:
                waits_for = next(program)
            finally:
                operations.tell_asked()
            yield waits_for
    finally:
        program.close()


class _Operations:
    def __init__(self, context: _RuntimeOrchestrationContext) -> None:
        self._context = context
        self._logger = context.logger
        self._open: dict[int, Awaited] = {}
        self._last_id = 0
        self._patches = 0
        self._status: str | None = None
        self._is_ended = False

    def tell_ended(self) -> None:
        """Tells what has ended since the code ran."""
        left = self._context._unresolved
        for action_id in [known for known in self._open if known not in left]:
            action = self._open.pop(action_id)
            task = action.task
            if not task._is_complete:
                how = 'has failed, and is tried again'
            elif task._exception is not None:
                how = f'has failed: {type(task._exception).__name__}: {task._exception}'
            else:
                how = f'has ended: {reprlib.repr(task._result)}'
            self._tell(action_id, f'{tell_action(action, self._context.instance_id)} {how}')

    def tell_asked(self) -> None:
        """Tells what the code has done since it went on."""
        context = self._context
        for action_id, action in context._actions.items():
            if action_id > self._last_id:
                self._tell(action_id, f'asks for {tell_action(action, context.instance_id)}')
        self._last_id = context._sequence_number
        self._open = dict(context._unresolved)
        for patch in context._patches_met[self._patches :]:
            self._logger.info("has met the patch '%s'", patch)
        self._patches = len(context._patches_met)
        if context._encoded_custom_status != self._status:
            self._status = context._encoded_custom_status
            self._logger.info('sets its custom status: %s', self._status)
        completion = context._completion
        if completion is not None and not self._is_ended:
            self._is_ended = True
            if completion.status == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
                self._logger.info('continues as new with %s', reprlib.repr(completion.encoded_result))
            else:
                self._logger.info('%s', tell_end(completion.status, completion.encoded_result, completion.failure))

    def _tell(self, action_id: int, what: str) -> None:
        self._logger.info('%d: %s', action_id, what)
