"""`make screenshots`: pictures of the dashboard, with workflows that are run for them, into docs/screenshots."""

from __future__ import annotations

import itertools
import shutil
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, RetryPolicy, WorkflowRuntime, when_all
from dapr.ext.workflow.dashboard import DashboardServer
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.inspection.sidecar import Sidecar
from dapr.ext.workflow.status_server import StatusServer

FOLDER = Path(__file__).parent.parent / 'docs' / 'screenshots'
PAGES = {
    'list': '/',
    'instance': '/instance?id=order-1009',
    'timeline': '/instance?id=order-1001&tab=timeline',
}
SIZE: Any = {'width': 1180, 'height': 780}

_attempts = itertools.count()
_pause = threading.Event()


def reserve(ctx: Any, item: Any) -> Any:
    _pause.wait(0.2)
    return item


def charge(ctx: Any, order: Any) -> Any:
    _pause.wait(0.25)
    if next(_attempts) % 3:
        raise ConnectionError('the payment service cannot be reached')
    return {'paid': 12.5}


def ship(ctx: Any) -> str:
    _pause.wait(0.4)
    return 'shipped'


def refund(ctx: Any, order: Any) -> None:
    raise KeyError('no payment of this order')


def order(ctx: Any, items: Any) -> Any:
    policy = RetryPolicy(first_retry_interval=timedelta(milliseconds=300), max_number_of_attempts=9)
    yield when_all([ctx.call_activity(reserve, input=item) for item in items])
    yield ctx.call_activity(charge, input=ctx.instance_id, retry_policy=policy)
    ctx.set_custom_status('waiting for approval')
    approval = yield ctx.wait_for_external_event('Approval', timeout=timedelta(hours=1))
    yield ctx.call_child_workflow(shipping)
    return {'items': items, 'approval': approval}


def shipping(ctx: Any) -> Any:
    return (yield ctx.call_activity(ship))


def refunding(ctx: Any, order: Any) -> Any:
    yield ctx.call_activity(refund, input=order)


def main() -> int:
    """Makes the pictures; gives the exit code."""
    chromium = shutil.which('chromium')
    if chromium is None:
        print('no chromium: install it (on Debian: apt-get install chromium)', file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with Emulator() as emulator:
        runtime = WorkflowRuntime('127.0.0.1', emulator.port)
        for workflow in (order, shipping, refunding):
            runtime.register_workflow(workflow)
        for activity in (reserve, charge, ship, refund):
            runtime.register_activity(activity)
        with (
            runtime,
            StatusServer(runtime) as status,
            DaprWorkflowClient('127.0.0.1', emulator.port) as client,
            Sidecar('127.0.0.1', emulator.port) as sidecar,
            DashboardServer(sidecar, port=0, workers=[status.address]) as server,
            sync_playwright() as playwright,
        ):
            _run(client)
            browser = playwright.chromium.launch(executable_path=chromium, args=['--no-sandbox', '--disable-gpu'])
            for theme in ('light', 'dark'):
                page = browser.new_page(viewport=SIZE, color_scheme=theme, base_url=server.url)
                for name, path in PAGES.items():
                    page.goto(path)
                    page.locator('#live', has_text='live').wait_for()
                    page.screenshot(path=FOLDER / f'{name}-{theme}.png')
            browser.close()
    return 0


def _run(client: DaprWorkflowClient) -> None:
    for number in range(12):
        items = [f'tea-{number}', 'pot', 'cup']
        client.schedule_new_workflow(order, input=items, instance_id=f'order-{1000 + number}')
    for number in range(3):
        client.schedule_new_workflow(refunding, input=number, instance_id=f'refund-{number}')
        client.wait_for_workflow_completion(f'refund-{number}')
    for number in range(12):
        while (state := client.get_workflow_state(f'order-{1000 + number}')) and not state.serialized_custom_status:
            _pause.wait(0.1)
    for number in range(8):
        client.raise_workflow_event(f'order-{1000 + number}', 'Approval', data={'by': 'ann'})
        client.wait_for_workflow_completion(f'order-{1000 + number}')
    client.pause_workflow('order-1010')


if __name__ == '__main__':
    sys.exit(main())
