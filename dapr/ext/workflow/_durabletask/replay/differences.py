"""How two runs of one turn differ, told in the terms of the workflow's author: calls, names, inputs and lines."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import opened
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults

# So much of a payload is shown.
_LONGEST = 200

_UUID = re.compile(r'[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}', re.IGNORECASE)

_THE_TIME = 'That looks like the time: take it from ctx.current_utc_datetime.'
_IDENTIFIERS = 'That looks like a UUID: take it from ctx.new_guid().'
_CHANCE = 'That looks like chance or a count: take chance from ctx.random(), and count in local variables alone.'
_ORDER = (
    'These are the same values in another order: sort what comes out of a set, and do not go by the order in which '
    'something outside of the workflow has come about.'
)


class Outcome(NamedTuple):
    """What a turn came to in one run.

    Attributes:
        results: Its actions, and what goes with them.
        sites: The file and line of each call, by the id of its action, as far as they are known.
    """

    results: ExecutionResults
    sites: Mapping[int, str]


def difference(ran: Outcome, replayed: Outcome) -> str | None:
    """The first thing in which two runs of a turn differ, in a few lines; None when they do the same.

    Stack traces are no difference: they know the call that they were made in.
    """
    ours, theirs = list(_said(ran)), list(_said(replayed))
    differing = [(a, b) for a, b in zip_longest(ours, theirs) if a is None or b is None or a.what != b.what]
    if not differing:
        return None
    first, second = differing[0]
    told = [
        f'  as it ran:   {"nothing" if first is None else first.text}',
        f'  replayed:    {"nothing" if second is None else second.text}',
    ]
    if first is not None and second is not None:
        told.extend(f'  {line}' for line in _payloads_apart(first.payload, second.payload))
    more = len(differing) - 1
    if more:
        told.append(f'  {more} more of what it does {"differs" if more == 1 else "differ"}.')
    return '\n'.join(told)


class _Said(NamedTuple):
    """One thing that a turn came to: what is compared, what is shown, and the payload in it."""

    what: object
    text: str
    payload: str | None = None


def _said(outcome: Outcome) -> Iterator[_Said]:
    results, sites = outcome
    for action in results.actions:
        text, payload = described(action)
        site = sites.get(action.id)
        yield _Said(_without_traces(action), f'{text} at {site}' if site else text, payload)
    if results.encoded_custom_status is not None:
        status = results.encoded_custom_status
        yield _Said(('status', status), f'set_custom_status({_shortened(status)})', status)
    if results.version_name:
        yield _Said(('version', results.version_name), f"version '{results.version_name}' of the workflow")
    for patch in results.patches or ():
        yield _Said(('patch', patch), f"is_patched('{patch}')")


def _without_traces(action: pb.WorkflowAction) -> bytes:
    copy = pb.WorkflowAction()
    copy.CopyFrom(action)
    if copy.HasField('completeWorkflow') and copy.completeWorkflow.HasField('failureDetails'):
        details = copy.completeWorkflow.failureDetails
        while True:
            details.ClearField('stackTrace')
            if not details.HasField('innerFailure'):
                break
            details = details.innerFailure
    return copy.SerializeToString(deterministic=True)


def described(action: pb.WorkflowAction) -> tuple[str, str | None]:
    """An action as the call that it comes from, and the payload in it, if there is one."""
    kind = action.WhichOneof('workflowActionType')
    if kind == 'scheduleTask':
        task = action.scheduleTask
        payload, metadata = _input_of(task)
        return _call('call_activity', task.name, payload, metadata, app_id=action.router.targetAppID), payload
    if kind == 'createChildWorkflow':
        child = action.createChildWorkflow
        payload, metadata = _input_of(child)
        app_id = action.router.targetAppID
        told = _call('call_child_workflow', child.name, payload, metadata, instance_id=child.instanceId, app_id=app_id)
        return told, payload
    if kind == 'createDetachedWorkflow':
        new = action.createDetachedWorkflow
        payload, metadata = _input_of(new)
        app_id = action.router.targetAppID
        told = _call('schedule_new_workflow', new.name, payload, metadata, instance_id=new.instanceId, app_id=app_id)
        return told, payload
    if kind == 'sendEvent':
        event = action.sendEvent
        payload = event.data.value if event.HasField('data') else None
        data = '' if payload is None else f', data={_shortened(payload)}'
        return f'send_event({event.instance.instanceId!r}, {event.name!r}{data})', payload
    if kind == 'createTimer':
        return _timer(action.createTimer), None
    if kind == 'completeWorkflow':
        return _ending(action.completeWorkflow)
    body = '' if kind is None else ' '.join(str(getattr(action, kind)).split())
    return f'{kind} {_shortened(body)}', None


def _input_of(call: Any) -> tuple[str | None, dict[str, str] | None]:
    return opened(call.input.value) if call.HasField('input') else (None, None)


def _call(method: str, name: str, payload: str | None, metadata: dict[str, str] | None, **options: str) -> str:
    arguments = [repr(name)]
    if payload is not None:
        arguments.append(f'input={_shortened(payload)}')
    if metadata:
        arguments.append(f'metadata={_shortened(repr(metadata))}')
    arguments.extend(f'{option}={value!r}' for option, value in options.items() if value)
    return f'{method}({", ".join(arguments)})'


def _timer(timer: pb.CreateTimerAction) -> str:
    until = timer.fireAt.ToJsonString()
    if timer.HasField('externalEvent'):
        limit = '' if until.startswith('9999-12-31T23:59:59.999999999') else f', until {until}'
        return f'wait_for_external_event({timer.externalEvent.name!r}{limit})'
    if timer.HasField('activityRetry') or timer.HasField('childWorkflowRetry'):
        return f'the wait before a retry, until {until}'
    return f'create_timer(until {until})'


def _ending(ending: pb.CompleteWorkflowAction) -> tuple[str, str | None]:
    payload = ending.result.value if ending.HasField('result') else None
    shown = 'None' if payload is None else _shortened(payload)
    if ending.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED:
        return f'the end of the workflow, with the output {shown}', payload
    if ending.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
        return f'continue_as_new({shown})', payload
    if ending.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED:
        failure = ending.failureDetails
        return f'the failure of the workflow: {failure.errorType}: {failure.errorMessage}', None
    return f'the end of the workflow ({pb.OrchestrationStatus.Name(ending.workflowStatus)})', payload


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}... ({len(text)} characters)'


# Where two payloads differ, and what that looks like


def _payloads_apart(ours: str | None, theirs: str | None) -> Iterator[str]:
    if ours is None or theirs is None or ours == theirs:
        return
    try:
        path, first, second = _apart(json.loads(ours), json.loads(theirs))
    except ValueError:  # a data converter of the app's may write anything
        path, first, second = '', ours, theirs
    if path:
        yield f'The payloads differ at {path}: {reprlib.repr(first)} as it ran, {reprlib.repr(second)} replayed.'
    hint = _hint(first, second)
    if hint:
        yield hint


def _apart(ours: Any, theirs: Any) -> tuple[str, Any, Any]:
    """The place of the first difference, and what is there."""
    path = ''
    while True:
        if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
            differing = [key for key in ours if not _same(ours[key], theirs[key])]
        elif (
            isinstance(ours, list)
            and isinstance(theirs, list)
            and len(ours) == len(theirs)
            and not _same_in_another_order(ours, theirs)
        ):
            differing = [index for index in range(len(ours)) if not _same(ours[index], theirs[index])]
        else:
            return path, ours, theirs
        if not differing:  # the keys of a dict in another order, or two ways to write a number
            return path, ours, theirs
        path += f'[{differing[0]!r}]'
        ours, theirs = ours[differing[0]], theirs[differing[0]]


def _same(ours: Any, theirs: Any) -> bool:
    return json.dumps(ours) == json.dumps(theirs)


def _same_in_another_order(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return sorted(map(json.dumps, ours)) == sorted(map(json.dumps, theirs))


def _hint(ours: Any, theirs: Any) -> str | None:
    if isinstance(ours, str) and isinstance(theirs, str):
        if _UUID.fullmatch(ours) and _UUID.fullmatch(theirs):
            return _IDENTIFIERS
        if _is_moment(ours) and _is_moment(theirs):
            return _THE_TIME
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        # Seconds since the epoch, or more exact than that, from 2001 on.
        return _THE_TIME if min(ours, theirs) > 1e9 and abs(ours - theirs) < 1e-4 * ours else _CHANCE
    if isinstance(ours, list) and isinstance(theirs, list) and _same_in_another_order(ours, theirs):
        return _ORDER
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours == theirs:
        return _ORDER
    return None


def _is_moment(text: str) -> bool:
    if len(text) < len('2026-01-01'):
        return False
    try:
        datetime.fromisoformat(text.replace('Z', '+00:00'))
    except ValueError:
        return False
    return True
