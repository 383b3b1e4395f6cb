"""Runs a workflow by the public API on the sidecar whose address and API token are given.

Where Dapr's SDK is installed its settings lead there, and the environment leads astray; where it is not, the
environment leads there. Either way no call gets through without the token.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime, util
from dapr.ext.workflow.logger import LoggerOptions

SETTINGS = {
    'DAPR_GRPC_ENDPOINT': sys.argv[1],
    'DAPR_API_TOKEN': sys.argv[2],
    'DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES': 5_000_000,
}

if importlib.util.find_spec('dapr.conf'):
    importlib.import_module('dapr.clients')  # the rest of the SDK works beside it
    os.environ['DAPR_GRPC_ENDPOINT'] = '127.0.0.1:1'
    for name, value in SETTINGS.items():
        setattr(importlib.import_module('dapr.conf').settings, name, value)
else:
    os.environ.update({name: str(value) for name, value in SETTINGS.items()})

runtime = WorkflowRuntime(logger_options=LoggerOptions(log_level='ERROR'))


@runtime.activity
def double(ctx: WorkflowActivityContext, number: int) -> int:
    return 2 * number


@runtime.workflow
def four_times(ctx: DaprWorkflowContext, number: int) -> Generator[Any, Any, Any]:
    doubled = yield ctx.call_activity(double, input=number)
    return (yield ctx.call_activity(double, input=doubled))


runtime.start()
client = DaprWorkflowClient()
instance_id = client.schedule_new_workflow(four_times, input=10)
state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
runtime.shutdown()
assert state is not None
assert state.serialized_output == '40', state

if hasattr(util, 'get_grpc_channel_options'):  # dapr-ext-workflow 1.18 leaves messages as they are
    assert dict(util.get_grpc_channel_options() or ())['grpc.max_receive_message_length'] == 5_000_000
print('a workflow ran')
