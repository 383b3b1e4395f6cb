"""The dashboard in a real browser: each page, each action, live updates, a hostile payload, ten thousand instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime
from dapr.ext.workflow.dashboard import DashboardServer
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.inspection.sidecar import Sidecar
from dapr.ext.workflow.status_server import StatusServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

DEADLINE = 30_000
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def charge(ctx: Any, amount: Any) -> Any:
    return amount


def order(ctx: Any, amount: Any) -> Any:
    yield ctx.call_activity(charge, input=amount)
    approval = yield ctx.wait_for_external_event('Approval')
    yield ctx.call_child_workflow(shipping)
    return approval


def shipping(ctx: Any) -> str:
    return 'on its way'


def failing(ctx: Any, text: Any) -> None:
    raise ValueError(text or 'on purpose')


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope='module')
def server(emulator: Emulator) -> Iterator[DashboardServer]:
    runtime = WorkflowRuntime('127.0.0.1', emulator.port)
    for workflow in (order, shipping, failing):
        runtime.register_workflow(workflow)
    runtime.register_activity(charge)
    with (
        runtime,
        StatusServer(runtime) as status,
        Sidecar('127.0.0.1', emulator.port) as sidecar,
        DashboardServer(sidecar, port=0, interval=0.05, workers=[status.address]) as server,
    ):
        yield server


@pytest.fixture(scope='module')
def client(emulator: Emulator) -> Iterator[DaprWorkflowClient]:
    with DaprWorkflowClient('127.0.0.1', emulator.port) as client:
        yield client


@pytest.fixture
def page(browser: Browser, server: DashboardServer) -> Iterator[Page]:
    """A page; what its scripts complain of, or its policy refuses, fails the test."""
    page = browser.new_page(base_url=server.url)
    page.set_default_timeout(DEADLINE)
    problems: list[str] = []
    page.on('pageerror', lambda error: problems.append(str(error)))
    page.on('console', lambda message: problems.append(message.text) if message.type == 'error' else None)
    yield page
    page.close()
    assert problems == []


def is_live(page: Page) -> None:
    page.locator('#live', has_text='live').wait_for()


def card(page: Page, title: str) -> Locator:
    return page.locator('form', has=page.get_by_role('heading', name=title))


def test_an_instance_is_started_and_seen_in_the_list_at_once(page: Page) -> None:
    page.goto('/')
    is_live(page)
    page.get_by_text('Start a workflow').click()
    page.get_by_label('Workflow', exact=True).last.fill('order')
    page.get_by_label('Instance id').fill('started-here')
    page.get_by_label('Input, as JSON').fill('{"tea": 2}')
    page.get_by_role('button', name='Start', exact=True).click()

    page.get_by_role('heading', name='started-here').wait_for()
    page.get_by_text('has started').wait_for()
    page.get_by_role('link', name='Instances').first.click()
    page.get_by_role('link', name='started-here').wait_for()


def test_the_list_moves_by_itself(page: Page, client: DaprWorkflowClient) -> None:
    page.goto('/?id=moves')
    is_live(page)
    client.schedule_new_workflow(order, instance_id='moves-by-itself')
    row = page.get_by_role('row', name='moves-by-itself')
    row.get_by_text('RUNNING').wait_for()
    client.terminate_workflow('moves-by-itself')
    row.get_by_text('TERMINATED').wait_for()


def test_a_filter_chooses_and_can_be_taken_back(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(failing, instance_id='filtered-failure')
    client.wait_for_workflow_completion('filtered-failure')
    page.goto('/')
    page.get_by_role('combobox', name='Status').select_option('FAILED')
    page.get_by_label('Id contains').fill('filtered')
    page.get_by_role('button', name='Show').click()
    page.get_by_text('1 of ').wait_for()
    page.get_by_role('link', name='All', exact=True).click()
    page.wait_for_url(lambda url: '?' not in url)


def test_an_event_is_raised_and_the_page_follows_to_the_end(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='approved', input=1)
    page.goto('/instance?id=approved')
    page.get_by_text("event 'Approval'").wait_for()
    page.get_by_text('Where its code stands').wait_for()
    form = card(page, 'Raise an event')
    assert form.get_by_label('Name').input_value() == 'Approval'
    form.get_by_label('Payload').fill('"yes"')
    form.get_by_role('button', name='Raise').click()

    page.get_by_role('heading', name='approved COMPLETED').wait_for()
    page.get_by_role('link', name='Timeline').click()
    page.locator('svg .bar').nth(2).wait_for()
    assert page.locator('svg .bar').count() == 3
    page.get_by_role('link', name='4 times as wide').click()
    page.get_by_role('link', name='History').click()
    page.get_by_role('cell', name='ExecutionCompleted').wait_for()
    page.get_by_role('link', name='Full').click()
    page.get_by_text('JSON', exact=True).first.click()
    page.get_by_role('link', name='Family').click()
    page.get_by_role('link', name='approved:').wait_for()


def test_the_history_can_be_had_as_a_file(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='kept')
    page.goto('/instance?id=kept&tab=history')
    with page.expect_download() as download:
        page.get_by_role('link', name='Download').click()
    assert download.value.suggested_filename == 'kept.json'


def test_suspend_resume_terminate_rerun_and_purge(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='steered')
    page.goto('/instance?id=steered')
    page.get_by_role('button', name='Suspend').click()
    page.get_by_role('heading', name='steered SUSPENDED').wait_for()
    page.get_by_role('button', name='Resume').click()
    page.get_by_role('heading', name='steered RUNNING').wait_for()
    page.get_by_role('button', name='Terminate').click()
    page.get_by_role('heading', name='Terminate steered?').wait_for()
    page.get_by_role('button', name='Terminate').click()
    page.get_by_role('heading', name='steered TERMINATED').wait_for()
    card(page, 'Run again').get_by_label('New instance id').fill('steered-again')
    page.get_by_role('button', name='Run again').click()
    page.get_by_role('heading', name='steered-again RUNNING').wait_for()
    page.goto('/instance?id=steered')
    page.get_by_role('button', name='Purge').click()
    page.get_by_role('button', name='Purge').click()
    page.get_by_text('steered is gone').wait_for()


def test_a_question_stays_as_it_is_while_things_go_on(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='asked')
    page.goto('/instance?id=asked')
    is_live(page)
    page.get_by_role('button', name='Terminate').click()
    page.get_by_role('heading', name='Terminate asked?').wait_for()
    client.schedule_new_workflow(order, instance_id='asked-other')
    client.terminate_workflow('asked-other')
    client.wait_for_workflow_completion('asked-other')
    assert page.locator('#live').text_content() == ''
    page.get_by_role('button', name='Terminate').click()
    page.get_by_role('heading', name='asked TERMINATED').wait_for()


def test_many_are_chosen_and_purged(page: Page, client: DaprWorkflowClient) -> None:
    for number in range(3):
        client.schedule_new_workflow(failing, instance_id=f'many-{number}')
        client.wait_for_workflow_completion(f'many-{number}')
    page.goto('/?id=many-')
    page.get_by_text('3 of ').wait_for()
    for number in range(3):
        page.get_by_label(f'Choose many-{number}').check()
    page.get_by_role('button', name='Purge').click()
    page.get_by_role('heading', name='Purge 3 instances?').wait_for()
    page.get_by_role('button', name='Purge').click()
    page.get_by_text('purge: 3 of 3 done.').wait_for()
    page.get_by_text('No instance passes').wait_for()


def test_a_hostile_payload_is_text(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(failing, instance_id='hostile', input=HOSTILE)
    client.wait_for_workflow_completion('hostile')
    for path in ('', '&tab=timeline', '&tab=history', '&tab=history&form=full', '&tab=tree'):
        page.goto(f'/instance?id=hostile{path}')
        is_live(page)
        assert 'owned' not in page.title()
        assert page.locator('#content img').count() == 0


def test_what_a_person_writes_is_not_taken_away_by_a_change(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='written')
    page.goto('/instance?id=written')
    is_live(page)
    field = card(page, 'Raise an event').get_by_label('Payload')
    field.fill('"half')
    client.schedule_new_workflow(order, instance_id='written-other')
    client.terminate_workflow('written-other')
    client.wait_for_workflow_completion('written-other')
    assert field.input_value() == '"half'


def test_it_can_be_used_with_the_keyboard_alone(page: Page, client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(order, instance_id='by-keyboard')
    page.goto('/?id=by-keyboard')
    page.get_by_role('link', name='by-keyboard').wait_for()
    page.keyboard.press('Tab')
    assert page.locator(':focus').inner_text() == 'Skip to the content'
    for _ in range(40):
        page.keyboard.press('Tab')
        if page.locator(':focus').inner_text() == 'by-keyboard':
            break
    page.keyboard.press('Enter')
    page.get_by_role('heading', name='by-keyboard').wait_for()


def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, server: DashboardServer, client: DaprWorkflowClient
) -> None:
    client.schedule_new_workflow(order, instance_id='on-a-phone', input={'long': 'x' * 400})
    page = browser.new_page(base_url=server.url, viewport={'width': 360, 'height': 740})
    for path in ('/', '/instance?id=on-a-phone', '/instance?id=on-a-phone&tab=timeline', '/load', '/workers'):
        page.goto(path)
        assert page.locator('body').evaluate('body => body.scrollWidth') <= 360, path
    page.close()


def test_workers_tell_of_themselves(page: Page) -> None:
    page.goto('/workers')
    page.get_by_text('CONNECTED', exact=True).wait_for()


def test_ten_thousand_instances(browser: Browser, emulator: Emulator) -> None:
    from datetime import datetime, timedelta, timezone

    with Emulator() as other:
        later = datetime.now(timezone.utc) + timedelta(days=1)
        with Sidecar('127.0.0.1', other.port) as sidecar, DashboardServer(sidecar, port=0) as server:
            for number in range(10_000):
                sidecar.client.schedule_new_orchestration('w', instance_id=f'n-{number:05}', start_at=later)
            page = browser.new_page(base_url=server.url)
            page.set_default_timeout(60_000)
            page.goto('/')
            page.get_by_text('10000 instances', exact=True).wait_for()
            page.get_by_role('link', name='Older').click()
            page.get_by_text('Page 2 of 200').wait_for()
            page.goto('/?id=n-09999')
            page.get_by_text('1 of 10000 instances').wait_for()
            page.close()
