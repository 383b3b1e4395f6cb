"""Records what crosses the wire at a worker, in the form of the recordings in tests/data/transcripts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.wiretap import TappedStream

Line = dict[str, Any]

# What two runs of one scenario cannot have in common: times, and names that are made up.
_OWN_TO_A_RUN = ('completionToken', 'executionId', 'fireAt', 'stackTrace', 'taskExecutionId', 'timestamp')


class Recorder(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """An interceptor for workers that notes work items as they come, and answers when they have arrived."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._changed = threading.Condition()

    def wait_until(self, condition: Callable[[list[Line]], bool], timeout: float) -> bool:
        """Waits until what was recorded so far is what one waits for; says whether it ever was."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.lines), timeout)

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        call = continuation(client_call_details, request)
        if isinstance(request, pb.WorkflowResponse):
            call.result()  # raises what the call has failed with
            self._note('CompleteOrchestratorTask', request)
        elif isinstance(request, pb.ActivityResponse):
            call.result()
            self._note('CompleteActivityTask', request)
        return call

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return TappedStream(continuation(client_call_details, request), lambda item: self._note('WorkItem', item))

    def _note(self, name: str, message: Any) -> None:
        with self._changed:
            self.lines.append({name: json_format.MessageToDict(message)})
            self._changed.notify_all()


def comparable(value: Any) -> Any:
    """A recorded message without what two runs of one scenario cannot have in common; that it was there stays."""
    if isinstance(value, dict):
        return {name: '*' if name in _OWN_TO_A_RUN else comparable(held) for name, held in value.items()}
    return [comparable(held) for held in value] if isinstance(value, list) else value


def as_before_1_19(value: Any) -> Any:
    """Without what daprd 1.18 and its successor say differently: 1.18 does not tell the run of a work item, and says
    whose app has terminated a child."""
    if isinstance(value, list):
        return [as_before_1_19(held) for held in value]
    if not isinstance(value, dict):
        return value
    left_out = {'executionId'} if 'newEvents' in value else {'router'} if 'executionTerminated' in value else set()
    return {name: as_before_1_19(held) for name, held in value.items() if name not in left_out}


def work_items(lines: list[Line]) -> dict[str, list[Any]]:
    """The workflow work items of each instance, in order."""
    items: dict[str, list[Any]] = {}
    for line in lines:
        request = line.get('WorkItem', {}).get('workflowRequest')
        if request is not None:
            items.setdefault(request['instanceId'], []).append(comparable(request))
    return items


def activities(lines: list[Line]) -> list[Any]:
    """The activity work items, by instance and task."""
    requests = [line['WorkItem']['activityRequest'] for line in lines if 'activityRequest' in line.get('WorkItem', {})]
    return [comparable(r) for r in sorted(requests, key=lambda r: (r['workflowInstance']['instanceId'], r['taskId']))]


def without_turns(events: list[Any]) -> list[Any]:
    """Events without the beginnings of turns: how events that come together fall into turns is a matter of timing."""
    return [event for event in events if 'workflowStarted' not in event]


def with_tokens(lines: list[Line]) -> list[Line]:
    """Lines whose workflow items and answers have completion tokens, where the sidecar gives none (daprd up to 1.18):
    an instance has one turn at a time, so the n-th answer is that to the n-th item."""
    counts: dict[tuple[str, str], int] = {}
    tokened = []
    for line in lines:
        (kind,) = line
        body = line[kind]
        turn = body if kind == 'CompleteOrchestratorTask' else body.get('workflowRequest')
        if turn is not None and 'completionToken' not in body:
            number = counts[kind, turn['instanceId']] = counts.get((kind, turn['instanceId']), 0) + 1
            line = {kind: {**body, 'completionToken': f'{turn["instanceId"]}-{number}'}}
        tokened.append(line)
    return tokened


def answered_events(lines: list[Line]) -> int:
    """How many new events the worker has answered, the beginnings of turns aside."""
    lines = with_tokens(lines)
    answered = {
        line['CompleteOrchestratorTask']['completionToken'] for line in lines if 'CompleteOrchestratorTask' in line
    }
    return sum(
        len(without_turns(line['WorkItem']['workflowRequest'].get('newEvents', [])))
        for line in lines
        if 'workflowRequest' in line.get('WorkItem', {}) and line['WorkItem']['completionToken'] in answered
    )
