"""A testing kit: workflows with time skipped, and stand-ins for what they call.

- `WorkflowEnvironment` runs workflows as in production, on a sidecar of the test's own. Its clock is the test's: a
  month of timers takes milliseconds. `mock_activity` and `mock_workflow` stand in for what a workflow calls.
- `ActivityEnvironment` runs one activity.
- `Replayer` finds out whether changed code can go on with workflows that run: it replays their recorded histories
  (`WorkflowHistory`).

The rule by which time moves, in an environment of `start_time_skipping`:

1. While nobody waits, time stands still: a test can take its time between two calls. Those who wait are clients, for an
   instance to start or to end, and who sleeps by `WorkflowEnvironment.sleep`; it does not matter in which thread, nor
   whether it is a test or an activity.
2. While there is something to do, time stands still, too: a turn or an activity that is ready, or on its way to or from
   a worker. An activity that waits itself, in the sense of 1, is nothing to do.
3. Otherwise the clock jumps to the next timer of a workflow, or to the end of the next sleep. Timers fire before anyone
   awakes. Those who sleep until the same moment awake one after the other, activities first, each when there is nothing
   to do again.

So nothing depends on how quick the machine is. What takes real time (`time.sleep` in an activity, a request) takes none
of the workflow's; an activity that is to take the workflow's time sleeps by `WorkflowEnvironment.sleep`, or is a
stand-in with `takes=...`. Where the rule is built: `dapr.ext.workflow.emulator.serving.skipping`.
"""

from __future__ import annotations

from dapr.ext.workflow.testing.activity_environment import ActivityEnvironment
from dapr.ext.workflow.testing.environment import WorkflowEnvironment
from dapr.ext.workflow.testing.errors import WorkflowHangsError, WorkflowTerminatedError
from dapr.ext.workflow.testing.histories import WorkflowHistory
from dapr.ext.workflow.testing.mocks import Mock, MockCall
from dapr.ext.workflow.testing.replayer import (
    Replayer,
    ReplayFailure,
    WorkflowReplayError,
    WorkflowReplayResult,
    WorkflowReplayResults,
)

__all__ = [
    'ActivityEnvironment',
    'Mock',
    'MockCall',
    'ReplayFailure',
    'Replayer',
    'WorkflowEnvironment',
    'WorkflowHangsError',
    'WorkflowHistory',
    'WorkflowReplayError',
    'WorkflowReplayResult',
    'WorkflowReplayResults',
    'WorkflowTerminatedError',
]
