"""Timers on the wire: their actions and events, and what makes one of them optional."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from google.protobuf import timestamp_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb

TimerOrigin: TypeAlias = (
    pb.TimerOriginCreateTimer
    | pb.TimerOriginExternalEvent
    | pb.TimerOriginActivityRetry
    | pb.TimerOriginChildWorkflowRetry
)

OPTIONAL_TIMER_FIRE_AT: Final = timestamp_pb2.Timestamp(seconds=253402300799, nanos=999999999)
"""When a timer fires that stands for a wait without a limit: 9999-12-31T23:59:59.999999999Z, that is never. A datetime
ends at microseconds, so no timer that an app asks for is taken for one. Do not change it: it is shared."""

_ORIGIN_FIELDS: Final[dict[type, str]] = {
    pb.TimerOriginCreateTimer: 'createTimer',
    pb.TimerOriginExternalEvent: 'externalEvent',
    pb.TimerOriginActivityRetry: 'activityRetry',
    pb.TimerOriginChildWorkflowRetry: 'childWorkflowRetry',
}

_EPOCH: Final = datetime(1970, 1, 1)


def naive_utc(moment: datetime) -> datetime:
    """The moment without a time zone, which for logical time means UTC."""
    # By the offset: with a time zone that gives none, `astimezone` would take the host's.
    return moment if moment.utcoffset() is None else moment.astimezone(timezone.utc).replace(tzinfo=None)


def new_timestamp(dt: datetime) -> timestamp_pb2.Timestamp:
    """The moment as the wire has it.

    Args:
        dt: A datetime; one without a time zone is UTC, whatever the host's zone.

    Raises:
        TypeError: It is no datetime.
    """
    if not isinstance(dt, datetime):
        raise TypeError(f'A moment is a datetime, not {type(dt).__name__}: {dt!r}.')
    since_epoch = naive_utc(dt) - _EPOCH
    return timestamp_pb2.Timestamp(
        seconds=since_epoch.days * 86400 + since_epoch.seconds, nanos=since_epoch.microseconds * 1000
    )


def new_create_timer_action(
    timer_id: int, fire_at: datetime | timestamp_pb2.Timestamp, origin: TimerOrigin | None = None
) -> pb.WorkflowAction:
    """The action that starts a timer.

    Args:
        timer_id: The action's id.
        fire_at: When it fires; a datetime without a time zone is UTC.
        origin: What the timer is for, or None to leave that open.

    Raises:
        TypeError: The origin is none of the messages of `TimerOrigin`.
    """
    return pb.WorkflowAction(
        id=timer_id, createTimer=pb.CreateTimerAction(fireAt=_timestamp(fire_at), **_origin_field(origin))
    )


def new_timer_created_event(
    timer_id: int, fire_at: datetime | timestamp_pb2.Timestamp, origin: TimerOrigin | None = None
) -> pb.HistoryEvent:
    """The event by which history confirms a timer; the arguments are those of `new_create_timer_action`."""
    return pb.HistoryEvent(
        eventId=timer_id,
        timestamp=timestamp_pb2.Timestamp(),
        timerCreated=pb.TimerCreatedEvent(fireAt=_timestamp(fire_at), **_origin_field(origin)),
    )


def new_timer_fired_event(timer_id: int, fire_at: datetime | timestamp_pb2.Timestamp) -> pb.HistoryEvent:
    """The event that says that the timer of that id has fired."""
    return pb.HistoryEvent(
        eventId=-1,
        timestamp=timestamp_pb2.Timestamp(),
        timerFired=pb.TimerFiredEvent(fireAt=_timestamp(fire_at), timerId=timer_id),
    )


def is_optional_timer_action(action: pb.WorkflowAction) -> bool:
    """Whether the action is a timer that stands for a wait without a limit (see `is_optional_timer_event`)."""
    return action.HasField('createTimer') and _is_optional(action.createTimer)


def is_optional_timer_event(event: pb.HistoryEvent) -> bool:
    """Whether the event confirms a timer that stands for a wait without a limit.

    The moment decides, to the nanosecond; a timer that says that it is for anything but an external event is not one.
    Histories that were written before such timers were invented lack them, so a replay may drop them.
    """
    return event.HasField('timerCreated') and _is_optional(event.timerCreated)


def _is_optional(timer: pb.CreateTimerAction | pb.TimerCreatedEvent) -> bool:
    fire_at = timer.fireAt
    return (
        fire_at.seconds == OPTIONAL_TIMER_FIRE_AT.seconds
        and fire_at.nanos == OPTIONAL_TIMER_FIRE_AT.nanos
        and timer.WhichOneof('origin') in (None, 'externalEvent')
    )


def _timestamp(moment: datetime | timestamp_pb2.Timestamp) -> timestamp_pb2.Timestamp:
    return new_timestamp(moment) if isinstance(moment, datetime) else moment


def _origin_field(origin: TimerOrigin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    field = _ORIGIN_FIELDS.get(type(origin))
    if field is None:
        expected = ', '.join(kind.__name__ for kind in _ORIGIN_FIELDS)
        raise TypeError(f'The origin of a timer is one of {expected}, or None; got {type(origin).__name__}.')
    return {field: origin}
