"""A long workflow, or a long conversation of an agent, on the sidecar that the environment names.

    child_agents.py lean|agent TURNS FOLDER    FOLDER: where agent.py is

Prints one JSON line: the seconds that it took, and those of CPU that this process spent meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime


def run_lean(turns: int) -> None:
    # Made anew for each run: once registered, they are marked, and the peer refuses them a second time.
    def answer(ctx: Any, turn: int) -> str:
        return f'turn {turn}'

    def look_up(ctx: Any, turn: int) -> int:
        return turn

    def conversation(ctx: Any, turns: int) -> Any:
        """As an agent's workflow: one activity for the model, one for the tool that it asks for."""
        for turn in range(turns):
            yield ctx.call_activity(answer, input=turn)
            yield ctx.call_activity(look_up, input=turn)
        return turns

    runtime = WorkflowRuntime()
    runtime.register_workflow(conversation)
    runtime.register_activity(answer)
    runtime.register_activity(look_up)
    runtime.start()
    client = DaprWorkflowClient()
    try:
        instance_id = client.schedule_new_workflow(conversation, input=turns)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=600)
        assert state is not None
        assert state.serialized_output == str(turns), state
    finally:
        runtime.shutdown()


def run_agent(turns: int) -> None:
    from agent import ask, make_agent  # type: ignore[import-not-found]  # of the folder that is given

    with contextlib.redirect_stdout(io.StringIO()):  # dapr-agents prints the conversation
        told = ask(make_agent([str(turn) for turn in range(turns)]), 'the weather of all cities', timeout=600)
    assert told.count('degrees') == turns, told


def main() -> None:
    kind, turns, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.path.append(folder)
    logging.disable(logging.WARNING)
    run = {'lean': run_lean, 'agent': run_agent}[kind]
    run(2)  # what is loaded and connected once
    wall, cpu = time.perf_counter(), time.process_time()
    run(turns)
    print(json.dumps({'wall_s': time.perf_counter() - wall, 'cpu_s': time.process_time() - cpu}), flush=True)


if __name__ == '__main__':
    main()
