"""A LangGraph graph of an agent on diagrid's runner: its model, a stand-in, asks for a tool again and again."""

from __future__ import annotations

import operator
import sys
from typing import Annotated, TypedDict

from diagrid.agent.langgraph import DaprWorkflowGraphRunner
from langgraph.graph import END, START, StateGraph

ROUNDS = 20


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def model(state: State) -> State:
    rounds = sum(each.startswith('tool') for each in state['said'])
    return {'said': [f'the graph went round {rounds} times' if rounds == ROUNDS else 'call the tool']}


def tool(state: State) -> State:
    return {'said': [f'tool {len(state["said"])}']}


def next_node(state: State) -> str:
    return 'tool' if state['said'][-1] == 'call the tool' else END


def main() -> int:
    graph = StateGraph(State)
    graph.add_node('model', model)
    graph.add_node('tool', tool)
    graph.add_edge(START, 'model')
    graph.add_conditional_edges('model', next_node, {'tool': 'tool', END: END})
    graph.add_edge('tool', 'model')
    runner = DaprWorkflowGraphRunner(graph.compile(), name='rounds', max_steps=10 * ROUNDS)
    runner.start()
    try:
        output = runner.invoke({'said': []}, poll_interval=0.1, timeout=60)
    finally:
        runner.shutdown()
    print(output['said'][-1])
    return 0


if __name__ == '__main__':
    sys.exit(main())
