"""The load of the transport benches, in a process of its own: starts workflows and waits until all have ended.

Run by path under any environment that has the engine's messages. It reads one JSON request per line on stdin
(`{"prefix": str, "workflows": int, "in_flight": int}`) and answers each with `{"wall_s": float}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc.aio

from dapr.ext.workflow._durabletask.internal import protos as pb

_SERVICE = '/TaskHubSidecarService/'
_DEADLINE_S = 30.0


async def _drive(address: str, prefix: str, workflows: int, in_flight: int) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        start = channel.unary_unary(
            _SERVICE + 'StartInstance',
            request_serializer=pb.CreateInstanceRequest.SerializeToString,
            response_deserializer=pb.CreateInstanceResponse.FromString,
        )
        wait = channel.unary_unary(
            _SERVICE + 'WaitForInstanceCompletion',
            request_serializer=pb.GetInstanceRequest.SerializeToString,
            response_deserializer=pb.GetInstanceResponse.FromString,
        )
        gate = asyncio.Semaphore(in_flight)
        ended: list[float] = []

        async def run(instance_id: str) -> None:
            async with gate:
                await start(pb.CreateInstanceRequest(instanceId=instance_id, name='one_activity'), timeout=_DEADLINE_S)
                response = await wait(pb.GetInstanceRequest(instanceId=instance_id), timeout=_DEADLINE_S)
            status = response.workflowState.workflowStatus
            if status != pb.ORCHESTRATION_STATUS_COMPLETED:
                raise RuntimeError(f'workflow {instance_id} was expected to complete, its status is {status}')
            ended.append(response.workflowState.lastUpdatedTimestamp.ToMicroseconds() / 1e6)

        began = time.time()
        await asyncio.gather(*(run(f'{prefix}-{n}') for n in range(workflows)))
        # The sidecar's own times: its waits return late, by up to 200 ms.
        return max(ended) - began


def main() -> None:
    address = sys.argv[1]
    for line in sys.stdin:
        request = json.loads(line)
        wall = asyncio.run(_drive(address, request['prefix'], request['workflows'], request['in_flight']))
        print(json.dumps({'wall_s': wall}), flush=True)


if __name__ == '__main__':
    main()
