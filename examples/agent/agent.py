"""A durable agent of dapr-agents, with a stand-in for the language model, so that it runs without a key or a network.

The agent looks up the weather of some cities, one turn of its conversation for each, and sums up. Its workflow, its
activities and its memory are dapr-agents'; they run on `dapr.ext.workflow` as this project has it, and on a sidecar
with a state store, such as the emulator:

    python -m dapr.ext.workflow.emulator --port 50001 --dapr-http-port 3500
    python examples/agent/agent.py
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dapr_agents import DurableAgent, tool
from dapr_agents.agents.configs import AgentExecutionConfig, AgentStateConfig
from dapr_agents.llm.chat import ChatClientBase
from dapr_agents.storage.daprstores.stateservice import StateStoreService
from dapr_agents.types.message import (
    AssistantMessage,
    FunctionCall,
    LLMChatCandidate,
    LLMChatResponse,
    ToolCall,
)
from dapr_agents.workflow.runners.agent import AgentRunner

CITIES = ('Tokyo', 'London', 'Seattle')


@tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f'{city} has {10 + len(city)} degrees.'


# --8<-- [start:model]
class ScriptedModel(ChatClientBase):
    """Stands in for a language model: it asks for one city after the other, then answers with what it was told.

    Args:
        cities: The cities that it asks for.
    """

    def __init__(self, cities: Sequence[str]) -> None:
        self._cities = cities
        self.model = 'scripted'
        self.provider = 'scripted'
        self.prompt_template = None
        self.prompty = None

    @classmethod
    def from_prompty(cls, prompty_source: str | Path, timeout: Any = 0) -> ScriptedModel:
        raise NotImplementedError

    def generate(self, messages: Any = None, *, response_format: Any = None, **options: Any) -> Any:
        """Answers a conversation. With `response_format` a model of that class is asked for: the run's summary."""
        if response_format is not None:
            return response_format(summary='The weather of some cities was looked up.')
        told = [message['content'] for message in messages if message['role'] == 'tool']
        if len(told) < len(self._cities):
            arguments = json.dumps({'city': self._cities[len(told)]})
            call = ToolCall(
                id=f'call-{len(told)}', type='function', function=FunctionCall(name='Weather', arguments=arguments)
            )
            message = AssistantMessage(content='', tool_calls=[call])
        else:
            message = AssistantMessage(content=' '.join(told))
        return LLMChatResponse(results=[LLMChatCandidate(message=message)])


# --8<-- [end:model]


def make_agent(cities: Sequence[str] = CITIES, store: str = 'statestore') -> DurableAgent:
    """An agent that keeps its conversations in a state store of the sidecar.

    Args:
        cities: What its model asks for.
        store: The store's name.
    """
    return DurableAgent(
        name='Forecaster',
        role='a weather service',
        goal='Tell the weather of cities',
        instructions=['Ask the tool for each city.'],
        llm=ScriptedModel(cities),
        tools=[weather],
        state=AgentStateConfig(store=StateStoreService(store_name=store)),
        execution=AgentExecutionConfig(max_iterations=len(cities) + 1),
    )


def ask(agent: DurableAgent, task: str, timeout: int = 120) -> str:
    """Runs the agent's workflow for a task; gives its answer.

    Raises:
        RuntimeError: It has not ended well within the time, in seconds.
    """
    agent.start()
    runner = AgentRunner()
    try:
        output = runner.run_sync(agent, {'task': task}, timeout_in_seconds=timeout)
    finally:
        runner.shutdown(agent)
    if output is None:
        raise RuntimeError('the agent has not ended well')
    return str(json.loads(output)['content'])


def main() -> int:
    parser = argparse.ArgumentParser(description='Runs a durable agent on the sidecar that the environment names.')
    parser.add_argument('cities', nargs='*', default=CITIES, help='what it is asked about')
    cities = parser.parse_args().cities
    logging.basicConfig(level=logging.WARNING)
    started = time.perf_counter()
    print(ask(make_agent(cities), f'What is the weather in {", ".join(cities)}?'))
    print(f'{len(cities) + 1} turns of the conversation in {time.perf_counter() - started:.1f} s', file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
