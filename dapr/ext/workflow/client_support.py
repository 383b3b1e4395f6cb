"""What the clients, for blocking code and for asyncio, have in common with each other and with the runtime."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.clients import state as client_state
from dapr.ext.workflow._durabletask.internal.arguments import check, check_flag, count, wrong_type
from dapr.ext.workflow._durabletask.transport.errors import details_of
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.logger import LoggerOptions
from dapr.ext.workflow.logger.logger import configure
from dapr.ext.workflow.util import api_token_metadata, get_grpc_channel_options, getAddress
from dapr.ext.workflow.workflow_management import Unset
from dapr.ext.workflow.workflow_state import WorkflowState


def engine_arguments(
    host: str | None,
    port: str | int | None,
    logger_options: LoggerOptions | None,
    max_grpc_message_length: int | None,
) -> dict[str, Any]:
    """What the engine's worker and its clients are made with.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: A setting cannot be read; the message names it.
    """
    check('host', host, str)
    if isinstance(port, bool) or not isinstance(port, (str, int, type(None))):
        raise wrong_type('port', port, 'a str or an int')
    max_grpc_message_length = count('max_grpc_message_length', max_grpc_message_length)
    if logger_options is not None:
        configure(logger_options)
    return {
        'host_address': getAddress(host, port),
        'metadata': api_token_metadata(),
        'channel_options': get_grpc_channel_options(max_grpc_message_length),
    }


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None. Clients of others that stand in for the engine's need not know of new ones."""
    return {name: value for name, value in options.items() if value is not None}


def flag(argument: str, value: bool) -> dict[str, Any]:
    """An option that is off by default, as `given` gives those that are None by default.

    Raises:
        TypeError: It is no bool.
    """
    check_flag(argument, value)
    return {argument: value} if value else {}


@contextlib.contextmanager
def unless_missing() -> Iterator[None]:
    """Ends a block where an engine's client says by an error that there is no such instance: dapr 1.19.0's does, and so
    do clients that stand in for it. The one here gives None."""
    try:
        yield
    except grpc.RpcError as error:
        if 'no such instance exists' not in details_of(error):
            raise


def as_state(
    state: client_state.WorkflowState | None, data_converter: DataConverter | None = None
) -> WorkflowState | None:
    """The engine's state as apps see it, whose payloads the converter reads; None stays None."""
    return None if state is None else WorkflowState(state, data_converter)


def warn_of_reuse_policy(reuse_id_policy: object) -> None:
    """Warns whoever called the client that the policy has no effect."""
    if reuse_id_policy is not None:
        warnings.warn(
            'reuse_id_policy is deprecated and has no effect: leave it out. The id of an instance that has ended can '
            'always be used again.',
            DeprecationWarning,
            stacklevel=3,
        )


def rerun_input(input: Any) -> dict[str, Any]:
    """What the engine's rerun takes for an input: UNSET leaves the event's old one, None takes it away."""
    if isinstance(input, Unset):
        return {'overwrite_input': False}
    return {'input': input, 'overwrite_input': True}
