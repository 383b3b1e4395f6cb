"""How long the dashboard's pages take: with 100,000 instances on the emulator, and with 2,000 on a production daprd."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from benchmarks.process import Child, Environment
from benchmarks.report import print_table
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tools.daprd_sidecar import daprd, sidecar_of
from tools.go_sidecar import Build, Sidecar, emulator

_ON_EMULATOR = 100_000
_ON_DAPRD = 2_000
_REQUESTS = 60
_AT_ONCE = 50
_FILLED_S = 600.0
_PAGES = {
    'the newest 50': '/',
    'the last page': '/?page={last}',
    'those whose id contains a text': '/?id=7-1',
    'those of a status': '/?status={status}',
    'one instance': '/instance?id={one}',
    'its history': '/instance?id={one}&tab=history',
}


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures each page and prints medians and 95 %; `rounds` is of no use here, and the peer has no dashboard."""
    measured = {}
    for build, count in ((emulator(), _ON_EMULATOR), (daprd(), _ON_DAPRD)):
        if not build.available:
            print(f'left out: no sidecar {build.version} at {build.binary}')
            continue
        with sidecar_of(build) as sidecar:
            measured[build.version] = _measure(ours, sidecar, build, count)
    return measured


def _measure(ours: Environment, sidecar: Sidecar, build: Build, count: int) -> dict[str, Any]:
    # On the emulator instances that are scheduled for later do, which no worker has to run; those of daprd have ended.
    if build.is_daprd:
        with TaskHubGrpcWorker(host_address=sidecar.address) as worker:
            worker.add_orchestrator(nothing)
            worker.start()
            asyncio.run(_many(sidecar.address, count, _run_one))
            return _asked(ours, sidecar, build, count, 'completed')
    asyncio.run(_many(sidecar.address, count, _schedule_one))
    return _asked(ours, sidecar, build, count, 'pending')


def _asked(ours: Environment, sidecar: Sidecar, build: Build, count: int, status: str) -> dict[str, Any]:
    values = {'last': count // 50, 'one': quote('n-7-1'), 'status': status}
    with Child(ours, 'child_dashboard.py', sidecar.address.split(':')) as child:
        address = urlsplit(child.receive(30.0)['url']).netloc
        filled = child.ask(count, _FILLED_S)['seconds']
        taken = {page: _page(address, path.format(**values)) for page, path in _PAGES.items()}
    print_table(
        f'The dashboard, {count:,} instances on {build.version}: {_REQUESTS} requests a page; filled in {filled:.0f} s',
        ['page', 'median ms', '95 %'],
        [[page, f'{statistics.median(ms):.0f}', f'{_percentile(ms):.0f}'] for page, ms in taken.items()],
    )
    return {'count': count, 'filled_s': filled, 'ms': taken}


def _page(address: str, path: str) -> list[float]:
    taken = []
    for _ in range(_REQUESTS):
        connection = http.client.HTTPConnection(address, timeout=60)
        begun = time.perf_counter()
        connection.request('GET', path)
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - begun) * 1_000)
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f'{path} was answered with {answer.status}')
    return taken


def _percentile(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def nothing(ctx: OrchestrationContext, _: Any) -> None:
    """A workflow of no steps."""


async def _many(address: str, count: int, do: Callable[[AsyncTaskHubGrpcClient, str], Awaitable[Any]]) -> None:
    numbers = iter(range(count))

    async def some(client: AsyncTaskHubGrpcClient) -> None:
        for number in numbers:
            await do(client, f'n-{number % 10}-{number // 10}')

    async with AsyncTaskHubGrpcClient(host_address=address) as client:
        await asyncio.gather(*(some(client) for _ in range(_AT_ONCE)))


async def _schedule_one(client: AsyncTaskHubGrpcClient, instance_id: str) -> None:
    later = datetime.now(timezone.utc) + timedelta(days=1)
    await client.schedule_new_orchestration(nothing, instance_id=instance_id, start_at=later)


async def _run_one(client: AsyncTaskHubGrpcClient, instance_id: str) -> None:
    await client.schedule_new_orchestration(nothing, instance_id=instance_id)
    await client.wait_for_orchestration_completion(instance_id, timeout=120)
