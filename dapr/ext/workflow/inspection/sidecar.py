"""The calls that the command line and the dashboard make, by the engine's client.

Many instances are asked for at once, by a few threads: a sidecar has no call that gives the states of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Final

import grpc

from dapr.ext.workflow import util
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient, WorkflowState
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.inspection.story import Story, read

PAGE_SIZE: Final = 1024
"""How many ids are asked for at once."""
_CALLS_AT_ONCE: Final = 16
DEFAULT_TIMEOUT: Final = 10.0
"""How long a call may take, in seconds."""

ENDED: Final = frozenset(
    {
        OrchestrationStatus.COMPLETED,
        OrchestrationStatus.FAILED,
        OrchestrationStatus.TERMINATED,
        OrchestrationStatus.CANCELED,
    }
)
"""The statuses that an instance does not leave by itself."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which instances are meant. What is not given lets all pass.

    Attributes:
        name: The workflow's name, without regard to case.
        statuses: The statuses; empty: any.
        created_from: Those created at that moment or later (naive, UTC).
        created_until: Those created at that moment or earlier (naive, UTC).
        id_part: What the instance id contains, without regard to case.
    """

    name: str = ''
    statuses: frozenset[OrchestrationStatus] = frozenset()
    created_from: datetime | None = None
    created_until: datetime | None = None
    id_part: str = ''

    def passes(self, state: WorkflowState) -> bool:
        """Whether an instance is meant."""
        return (
            (not self.name or state.name.casefold() == self.name.casefold())
            and (not self.statuses or state.runtime_status in self.statuses)
            and (self.created_from is None or state.created_at >= self.created_from)
            and (self.created_until is None or state.created_at <= self.created_until)
            and (not self.id_part or self.id_part.casefold() in state.instance_id.casefold())
        )


class Sidecar:
    """A sidecar, as its clients see it. Threads can share one.

    Args:
        host: Its host. None (default): as apps find it, the port, too.
        port: Its gRPC port.
        token: The API token. None (default): that of the environment.
        tls: Whether to use TLS even where the address does not say so. Default: False.
        app_id: The app that the instances belong to; None (default): the sidecar's own.
        timeout: How long a call may take, in seconds. Default: 10.

    Raises:
        ValueError: A setting cannot be read; the message names it.
    """

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        *,
        token: str | None = None,
        tls: bool = False,
        app_id: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.address: Final = util.getAddress(host, port)
        self.app_id: Final = app_id
        self.client: Final = TaskHubGrpcClient(
            host_address=self.address,
            metadata=[('dapr-api-token', token)] if token else util.api_token_metadata(),
            secure_channel=tls,
            channel_options=util.get_grpc_channel_options(),
            call_timeout=timeout,
            retry_timeout=0,  # who asks is there, and can ask again
        )
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, 'dapr-workflow-inspection')

    def __enter__(self) -> Sidecar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, and its threads and connection."""
        self._threads.shutdown(cancel_futures=True)
        self.client.close()

    def ids(self) -> Iterator[str]:
        """The ids of all instances, page by page while they are taken."""
        token = None
        while True:
            page = self.client.list_instance_ids(page_size=PAGE_SIZE, continuation_token=token)
            yield from page.instanceIds
            # A sidecar that gives the same token again would have us turn in circles.
            if not page.continuationToken or page.continuationToken == token:
                return
            token = page.continuationToken

    def states(self, ids: Iterable[str], *, payloads: bool = False) -> Iterator[WorkflowState]:
        """The states of instances, in the order of the ids; those that are gone are left out."""

        def state(instance_id: str) -> WorkflowState | None:
            return self.state(instance_id, payloads=payloads)

        remaining = iter(ids)
        while batch := list(islice(remaining, 4 * _CALLS_AT_ONCE)):
            yield from (found for found in self._threads.map(state, batch) if found is not None)

    def instances(self, wanted: Filter = Filter(), *, payloads: bool = False) -> Iterator[WorkflowState]:
        """The instances that pass a filter, in the order in which the sidecar lists them."""
        part = wanted.id_part.casefold()
        named = (instance_id for instance_id in self.ids() if part in instance_id.casefold())
        return (state for state in self.states(named, payloads=payloads) if wanted.passes(state))

    def state(self, instance_id: str, *, payloads: bool = True) -> WorkflowState | None:
        """The state of an instance; None when there is none of that id."""
        return self.client.get_orchestration_state(instance_id, fetch_payloads=payloads, app_id=self.app_id)

    def history(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The committed history of an instance, oldest event first."""
        return self.client.get_instance_history(instance_id)

    def history_or_none(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The same; none where there is none (yet), or the sidecar cannot tell."""
        try:
            return self.history(instance_id)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED):
                return []
            raise

    def story(self, instance_id: str) -> Story:
        """The history of an instance, read; an empty story where there is none (yet)."""
        return read(self.history_or_none(instance_id))
