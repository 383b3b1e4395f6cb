"""Histories of workflows, in files: protobuf JSON of all their events, without a loss.

The form is `{"instanceId": ..., "events": [...]}`, each event as protobuf's own JSON has it; a bare list of events is
read, too. What JSON cannot say of an event (fields of a newer sidecar, moments beyond the year 9999) stands beside it,
in `"binary"`: the event as on the wire, in base64, by its place in the list.

The Dapr CLI's `dapr workflow history -o json` is no such form, and cannot be read: it sorts the events, cuts moments to
seconds and payloads to 120 characters, and takes the quotes from texts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.dapr_workflow_client import DaprWorkflowClient

__all__ = ['WorkflowHistory']

# The columns of a row of `dapr workflow history -o json`.
_CLI_ROW: Final = frozenset({'type', 'elapsed', 'status', 'details'})

Json: TypeAlias = str | bytes | Mapping[str, Any] | Sequence[Mapping[str, Any]]


class WorkflowHistory:
    """What has happened in a workflow instance, as its sidecar keeps it: what a `Replayer` replays.

        history = WorkflowHistory.fetch(client, 'order-17')
        history.to_file('histories/order-17.json')

    Two are equal when they have the same events. The events are not to be changed.

    Args:
        events: The events, oldest first, with the one that started the workflow.
        instance_id: The id of the instance. None (default): the one in the events.
        propagated_history: The history that the workflow's caller has sent along; sidecars do not keep it in the
            workflow's own. None (default): none.

    Raises:
        ValueError: There is no event that started the workflow, or no id of the instance.
    """

    __slots__ = ('_events', '_instance_id', '_propagated_history')

    def __init__(
        self,
        events: Iterable[pb.HistoryEvent],
        *,
        instance_id: str | None = None,
        propagated_history: pb.PropagatedHistory | None = None,
    ) -> None:
        self._events = tuple(events)
        if not any(event.HasField('executionStarted') for event in self._events):
            raise ValueError(
                'The history has no start of a workflow (an executionStarted event), so there is nothing to replay: '
                f'it has {len(self._events)} events.'
            )
        self._instance_id = instance_id or self._started.workflowInstance.instanceId
        if not self._instance_id:
            raise ValueError('The events do not say which instance they are of: give instance_id=...')
        self._propagated_history = propagated_history

    @property
    def instance_id(self) -> str:
        """The id of the workflow instance."""
        return self._instance_id

    @property
    def workflow_name(self) -> str:
        """The name that the workflow was started by."""
        return self._started.name

    @property
    def events(self) -> tuple[pb.HistoryEvent, ...]:
        """The events, oldest first."""
        return self._events

    @property
    def propagated_history(self) -> pb.PropagatedHistory | None:
        """The history that the workflow's caller has sent along, or None."""
        return self._propagated_history

    @property
    def is_finished(self) -> bool:
        """Whether the workflow has ended."""
        return any(event.HasField('executionCompleted') for event in self._events)

    def __len__(self) -> int:
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkflowHistory):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._instance_id, len(self._events)))

    def __repr__(self) -> str:
        return f'<WorkflowHistory of {self._instance_id!r}, {self.workflow_name!r}: {len(self._events)} events>'

    # In and out

    @classmethod
    def from_json(cls, history: Json, *, instance_id: str | None = None) -> WorkflowHistory:
        """Reads what `to_json` has written, or a list of events in protobuf's JSON, as text or as what that decodes to.

        Args:
            history: The JSON.
            instance_id: The id of the instance. None (default): the one in the JSON.

        Raises:
            ValueError: It is something else, such as the output of the Dapr CLI; the message says what.
        """
        data: Any = history
        if isinstance(history, str | bytes):
            try:
                data = json.loads(history)
            except ValueError as error:
                raise ValueError(f'The history is no JSON: {error}') from error
        if isinstance(data, Mapping):
            instance_id = instance_id or data.get('instanceId')
            events, binary, propagated = data.get('events'), data.get('binary') or {}, data.get('propagatedHistory')
        else:
            events, binary, propagated = data, {}, None
        if not isinstance(events, Sequence) or isinstance(events, str) or not isinstance(binary, Mapping):
            _refuse('it must be an object with "events", or a list of events')
        if instance_id is not None and not isinstance(instance_id, str):
            _refuse('its "instanceId" is no text')
        if any(isinstance(event, Mapping) and event.keys() >= _CLI_ROW for event in events):
            _refuse(
                "it is what 'dapr workflow history -o json' writes, which is for reading, and has lost what a replay "
                'needs: the order of the events, moments to less than a second, payloads beyond 120 characters and the '
                "quotes of texts. Write the history with 'dapr-workflow history export', or with WorkflowHistory.fetch"
            )
        read = [_read(event, place, binary.get(str(place))) for place, event in enumerate(events)]
        return cls(
            read,
            instance_id=instance_id,
            propagated_history=_message(propagated, pb.PropagatedHistory(), 'propagated history')
            if propagated is not None
            else None,
        )

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> WorkflowHistory:
        """Reads a file that `to_file`, or the command `dapr-workflow history export`, has written.

        Args:
            path: The file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is something else; the message names the file.
        """
        try:
            return cls.from_json(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    @classmethod
    def fetch(cls, client: DaprWorkflowClient, instance_id: str) -> WorkflowHistory:
        """Asks a sidecar for the history of an instance, which may have ended or not.

        Args:
            client: A client of the app that the instance belongs to.
            instance_id: The id of the instance.

        Raises:
            WorkflowNotFoundError: There is no such instance.
            ValueError: It has no history yet.
            WorkflowCallError: The sidecar refused, or could not be reached.
        """
        return cls(client._history_events(instance_id), instance_id=instance_id)

    @classmethod
    async def afetch(cls, client: AsyncDaprWorkflowClient, instance_id: str) -> WorkflowHistory:
        """The same for asyncio."""
        return cls(await client._history_events(instance_id), instance_id=instance_id)

    def to_json(self) -> str:
        """The history as JSON text, all of it; an event a line, so that differences can be read."""
        texts, binary = [], {}
        for place, event in enumerate(self._events):
            data = _as_data(event)
            if data is None or _wire(_parsed(data)) != _wire(event):
                binary[str(place)] = base64.b64encode(_wire(event)).decode('ascii')
            texts.append(json.dumps({} if data is None else data, ensure_ascii=False))
        parts = [f'"instanceId": {json.dumps(self._instance_id, ensure_ascii=False)}']
        parts.append('"events": [\n' + ',\n'.join(f'    {text}' for text in texts) + '\n  ]')
        if self._propagated_history is not None:
            propagated = json_format.MessageToDict(self._propagated_history)
            parts.append(f'"propagatedHistory": {json.dumps(propagated, ensure_ascii=False)}')
        if binary:
            parts.append(f'"binary": {json.dumps(binary)}')
        return '{\n  ' + ',\n  '.join(parts) + '\n}\n'

    def to_file(self, path: str | PathLike[str]) -> None:
        """Writes the history into a file, in place of what is there.

        Args:
            path: The file.

        Raises:
            OSError: It cannot be written.
        """
        Path(path).write_text(self.to_json(), encoding='utf-8')

    @property
    def _started(self) -> pb.ExecutionStartedEvent:
        return next(event.executionStarted for event in self._events if event.HasField('executionStarted'))

    def _identity(self) -> tuple[str, list[bytes], bytes | None]:
        propagated = None if self._propagated_history is None else _wire(self._propagated_history)
        return self._instance_id, [_wire(event) for event in self._events], propagated


def _wire(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _as_data(event: pb.HistoryEvent) -> Any:
    """The event as protobuf's JSON; None when that cannot say it."""
    try:
        return json_format.MessageToDict(event)
    except (ValueError, json_format.Error):
        return None


def _parsed(data: Any) -> pb.HistoryEvent:
    return json_format.ParseDict(data, pb.HistoryEvent())


def _read(data: Any, place: int, binary: Any) -> pb.HistoryEvent:
    what = f'event {place}'
    if binary is not None:
        try:
            return pb.HistoryEvent.FromString(base64.b64decode(binary, validate=True))
        except (TypeError, ValueError, DecodeError) as error:
            _refuse(f'{what} cannot be read from its binary form: {error}')
    event: pb.HistoryEvent = _message(data, pb.HistoryEvent(), what)
    return event


def _message(data: Any, message: Any, what: str) -> Any:
    if not isinstance(data, Mapping):
        _refuse(f'{what} is no object: {data!r}'[:200])
    try:
        return json_format.ParseDict(dict(data), message)
    except json_format.ParseError as error:
        _refuse(f'{what} is none that this version knows: {error}')


def _refuse(why: str) -> NoReturn:
    raise ValueError(f'This is no history of a workflow: {why}.')
