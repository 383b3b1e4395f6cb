"""Metadata that travels beside an input, as headers do: a tenant, a correlation id, who asked.

Sidecars have no field for it, so where there is any, an input goes out in an envelope, a JSON object of two keys:

    {"__dapr_meta__": {"v": 1, "metadata": {"tenant": "acme"}}, "__dapr_payload__": <the input as it is without it>}

The keys and the version are those of python-sdk#827. Workers read both forms; without metadata an input goes out as it
always did, to the byte. All of this is done with texts: data converters and annotations see the input alone. A text of
a converter that writes no JSON is in the envelope as a JSON string, and `"payload": "text"` beside the version says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dapr.ext.workflow._durabletask.internal.arguments import wrong_type

META_KEY: Final = '__dapr_meta__'
PAYLOAD_KEY: Final = '__dapr_payload__'

# Looked for near the beginning of each input: an envelope has it there.
MARK: Final = f'"{META_KEY}"'
MARK_END: Final = 48

_VERSION: Final = 1
_HEAD: Final = re.compile(rf'\s*\{{\s*"{META_KEY}"\s*:\s*')
_MIDDLE: Final = re.compile(rf'\s*,\s*"{PAYLOAD_KEY}"\s*:\s*')
_TAIL: Final = re.compile(r'\s*\}\s*')
_read: Final = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class WorkflowExecutionInfo:
    """What a workflow is and what it was started with, as it was when it was asked for.

    Attributes:
        workflow_id: The id of the instance.
        workflow_name: The name that the workflow was started by.
        is_replaying: Whether the code that asked has run before.
        history_event_sequence: The id of what it has asked for last; 0 when it has asked for nothing.
        inbound_metadata: The metadata that it was started with; empty: none.
        parent_instance_id: The id of the workflow that started it as its child, or None.
        trace_parent: The span that it was started from, as a W3C `traceparent`; None where nothing is traced.
        trace_state: The W3C `tracestate` that goes with it, or None.
        workflow_span_id: The id of the sidecar's span of this run, as 16 hexadecimal digits, or None.
    """

    workflow_id: str
    workflow_name: str
    is_replaying: bool = False
    history_event_sequence: int = 0
    inbound_metadata: dict[str, str] = field(default_factory=dict)
    parent_instance_id: str | None = None
    trace_parent: str | None = None
    trace_state: str | None = None
    workflow_span_id: str | None = None


@dataclass(frozen=True)
class ActivityExecutionInfo:
    """What an activity was called with beside its input.

    Attributes:
        workflow_id: The id of the workflow instance that called it.
        activity_name: The name that it was called by.
        task_id: The id of the action that scheduled it.
        attempt: Which attempt of its call it is, as far as its worker knows.
        inbound_metadata: The metadata that came with the call; empty: none.
        trace_parent: The sidecar's span of it, as a W3C `traceparent`; None where nothing is traced.
        trace_state: The W3C `tracestate` that goes with it, or None.
    """

    workflow_id: str
    activity_name: str
    task_id: int
    attempt: int = 1
    inbound_metadata: dict[str, str] = field(default_factory=dict)
    trace_parent: str | None = None
    trace_state: str | None = None


def checked(metadata: object, argument: str = 'metadata') -> dict[str, str]:
    """A copy of metadata that somebody gives.

    Raises:
        TypeError: It is no mapping of str to str; the message names what is not.
    """
    if not isinstance(metadata, Mapping):
        raise wrong_type(argument, metadata, 'a dict of str to str')
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise wrong_type(f'each key of {argument}', key, 'a str')
        if not isinstance(value, str):
            raise wrong_type(f'{argument}[{key!r}]', value, 'a str')
    return dict(metadata)


def sealed(text: str | None, metadata: dict[str, str]) -> str:
    """The envelope of an input and its metadata.

    Args:
        text: The input as it goes out without; None or '' for none.
        metadata: It.
    """
    meta: dict[str, Any] = {'v': _VERSION, 'metadata': metadata}
    if not text:
        text = 'null'
    elif not _is_json(text):
        meta['payload'] = 'text'
        text = json.dumps(text)
    return f'{{{MARK}:{json.dumps(meta, separators=(",", ":"))},"{PAYLOAD_KEY}":{text}}}'


def opened(text: str) -> tuple[str | None, dict[str, str] | None]:
    """What an input is without its envelope, if it has one.

    Returns:
        The input as text, None for none; and the metadata, None where there is no envelope.
    """
    if text.find(MARK, 0, MARK_END) < 0:
        return text, None
    try:
        head = _HEAD.match(text)
        if head is None:
            return text, None
        meta, end = _read(text, head.end())
        middle = _MIDDLE.match(text, end)
        if middle is None or not isinstance(meta, dict):
            return text, None
        value, end = _read(text, middle.end())
        if _TAIL.fullmatch(text, end) is None:
            return text, None
    except ValueError:
        return text, None
    given = meta.get('metadata')
    metadata = {key: told for key, told in given.items() if isinstance(told, str)} if isinstance(given, dict) else {}
    if value is None:
        return None, metadata
    if isinstance(value, str) and meta.get('payload') == 'text':
        return value, metadata
    return text[middle.end() : end], metadata


def payload_of(text: str | None) -> str | None:
    """An input as people see it: without the envelope that it may travel in."""
    return opened(text)[0] if text else text


def metadata_of(text: str | None) -> dict[str, str]:
    """The metadata of an input as it travels; empty: none."""
    return (opened(text)[1] or {}) if text else {}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
