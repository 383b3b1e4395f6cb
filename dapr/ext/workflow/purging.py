"""Which instances `purge_workflows` removes. Sidecars purge by id alone, so the clients choose."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.internal.arguments import check, check_flag, check_moment, wrong_type
from dapr.ext.workflow._durabletask.transport.errors import details_of, status_of
from dapr.ext.workflow.workflow_state import WorkflowState, WorkflowStatus

ENDED: Final = frozenset({WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED})
"""The statuses of instances that have ended."""


class Choice:
    """Which instances are meant, by their age and by how they stand.

    Args:
        older_than: Created longer ago than this; None: of any age.
        created_from: Created then or later (without a time zone: UTC); None: whenever.
        created_to: Created then or before (without a time zone: UTC); None: whenever.
        statuses: In one of these.
        recursive: Looked at alone: what the clients purge with, before any of it is asked for.
        force: The same.

    Raises:
        TypeError: One of these is of another type.
        ValueError: Both `older_than` and `created_to` are given, or the age is negative.
    """

    def __init__(
        self,
        older_than: timedelta | None,
        created_from: datetime | None,
        created_to: datetime | None,
        statuses: Collection[WorkflowStatus],
        recursive: bool,
        force: bool,
    ) -> None:
        check_flag('recursive', recursive)
        check_flag('force', force)
        check_moment('created_from', created_from)
        check_moment('created_to', created_to)
        if older_than is not None:
            check('older_than', older_than, timedelta)
            if created_to is not None:
                raise ValueError('older_than and created_to say the same: give one of them.')
            if older_than < timedelta(0):
                raise ValueError(f'older_than must not be negative, got {older_than}.')
            created_to = datetime.now(timezone.utc) - older_than
        self._from = _utc(created_from)
        self._to = _utc(created_to)
        if isinstance(statuses, str) or not isinstance(statuses, Collection):
            raise wrong_type('statuses', statuses, 'a list or a set of WorkflowStatus')
        for status in statuses:
            if not isinstance(status, WorkflowStatus):
                raise wrong_type('each of statuses', status, 'a WorkflowStatus')
        self._statuses = frozenset(statuses)

    def fits(self, state: WorkflowState) -> bool:
        """Whether an instance is meant."""
        return (
            state.runtime_status in self._statuses
            and (self._from is None or state.created_at >= self._from)
            and (self._to is None or state.created_at <= self._to)
        )


def is_left(error: grpc.RpcError) -> bool:
    """Whether the sidecar's refusal is about the one instance: it runs again, or is gone already."""
    details = details_of(error)
    return status_of(error) in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND) and (
        'has not yet completed' in details or 'no such instance' in details
    )


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
