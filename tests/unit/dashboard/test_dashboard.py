"""The dashboard's pages and actions over HTTP, on an emulator with a worker."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import httpx
import pytest

from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.dashboard import DashboardServer
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.inspection.sidecar import Sidecar

DEADLINE = 30.0
HOSTILE = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>'


def charge(ctx: Any, amount: Any) -> Any:
    return amount


def order(ctx: Any, amount: Any) -> Any:
    yield ctx.call_activity(charge, input=amount)
    return (yield ctx.wait_for_external_event('Approval'))


def parent(ctx: Any, _: Any) -> Any:
    return (yield ctx.call_sub_orchestrator(order, instance_id=ctx.instance_id + '-child'))


def failing(ctx: Any, text: Any) -> None:
    raise ValueError(text or 'on purpose') from KeyError('stock')


@pytest.fixture(scope='module')
def sidecar() -> Iterator[Sidecar]:
    with Emulator() as emulator, TaskHubGrpcWorker(host_address=emulator.address) as worker:
        for workflow in (order, parent, failing):
            worker.add_orchestrator(workflow)
        worker.add_activity(charge)
        worker.start()
        host, _, port = emulator.address.rpartition(':')
        with Sidecar(host, port) as sidecar:
            yield sidecar


@pytest.fixture(autouse=True)
def _nothing_left(sidecar: Sidecar) -> Iterator[None]:
    yield
    for instance_id in list(sidecar.ids()):
        with suppress(grpc.RpcError):  # a child has gone with its parent
            sidecar.client.purge_orchestration(instance_id, force=True)


class Browser:
    """What a person does in a browser: opens pages, and sends the forms that are on them."""

    def __init__(self, server: DashboardServer) -> None:
        self.http = httpx.Client(base_url=server.url, follow_redirects=True, timeout=DEADLINE)
        self.page = ''

    def open(self, path: str) -> str:
        self.page = self.http.get(path).text
        return self.page

    def send(self, action: str, **fields: Any) -> str:
        hidden = dict(re.findall(r'<input type="hidden" name="(csrf|back)" value="([^"]*)">', self.page))
        origin = str(self.http.base_url).rstrip('/')
        answer = self.http.post(f'/actions/{action}', data={**hidden, **fields}, headers={'origin': origin})
        self.page = answer.text
        return self.page

    def until(self, path: str, is_so: Callable[[str], bool]) -> str:
        end = time.monotonic() + DEADLINE
        while not is_so(self.open(path)):
            assert time.monotonic() < end, self.page
        return self.page


@contextmanager
def dashboard(sidecar: Sidecar, **options: Any) -> Iterator[Browser]:
    with DashboardServer(sidecar, port=0, interval=0.02, **options) as server:
        browser = Browser(server)
        with browser.http:
            yield browser


@pytest.fixture
def browser(sidecar: Sidecar) -> Iterator[Browser]:
    with dashboard(sidecar) as browser:
        yield browser


def run(sidecar: Sidecar, workflow: Any, instance_id: str, value: Any = None) -> str:
    sidecar.client.schedule_new_orchestration(workflow, instance_id=instance_id, input=value)
    if workflow is failing:
        sidecar.client.wait_for_orchestration_completion(instance_id, timeout=DEADLINE)
    return instance_id


def test_the_list_shows_instances_and_its_filters_choose(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, order, 'o-1')
    run(sidecar, failing, 'f-1')

    # The newest first, once both have begun.
    browser.until('/', lambda page: '2 instances' in page and page.index('f-1') < page.index('>o-1<'))
    for query, shown, hidden in (
        ('status=FAILED', 'f-1', '>o-1<'),
        ('name=order', '>o-1<', '>f-1<'),
        ('id=O-', '>o-1<', '>f-1<'),
        ('age=5m&status=RUNNING', '>o-1<', '>f-1<'),
    ):
        page = browser.open(f'/?{query}')
        assert shown in page
        assert hidden not in page
        assert '1 of 2 instances' in page


def test_the_list_has_pages_and_a_page_that_is_not_there_is_the_last(sidecar: Sidecar, browser: Browser) -> None:
    for number in range(53):
        run(sidecar, order, f'n-{number:02}')

    browser.until('/', lambda page: 'Page 1 of 2' in page)
    browser.until('/?page=2', lambda page: page.count('type="checkbox"') == 3)
    assert browser.open('/?page=99').count('type="checkbox"') == 3
    assert browser.open('/?page=-1%20').count('type="checkbox"') == 50


def test_an_instance_shows_what_it_waits_for_and_an_event_moves_it_on(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, order, 'o', {'tea': 2})

    page = browser.until('/instance?id=o', lambda page: 'event &#x27;Approval&#x27;' in page)
    assert 'value="Approval"' in page
    browser.send('raise-event', id='o', name='Approval', input='{"by": "me"}')
    page = browser.until('/instance?id=o', lambda page: 'COMPLETED' in page)
    assert '{&quot;by&quot;: &quot;me&quot;}' in page or '&quot;by&quot;: &quot;me&quot;' in page
    assert 'Waits for' not in page


def test_a_failure_is_shown_with_its_stack(sidecar: Sidecar, browser: Browser) -> None:
    page = browser.open('/instance?id=' + run(sidecar, failing, 'f'))
    assert '<strong>ValueError</strong>: on purpose' in page
    assert 'Caused by KeyError: ' in page
    assert 'Stack trace' in page


def test_the_timeline_has_a_bar_and_a_row_for_each_step(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, order, 'o')
    page = browser.until('/instance?id=o&tab=timeline', lambda page: 'Approval' in page)

    assert page.count('<rect') == 2
    assert page.count('class="step ') == 2
    assert 'Steps of the timeline' in page
    wide = browser.open('/instance?id=o&tab=timeline&zoom=4')
    assert int(re.findall(r'<svg width="(\d+)"', wide)[0]) > 3 * int(re.findall(r'<svg width="(\d+)"', page)[0])


def test_the_history_is_shown_compact_and_full_and_can_be_had(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, failing, 'f')

    assert 'ExecutionCompleted' in browser.open('/instance?id=f&tab=history')
    assert 'workflowStarted' in browser.open('/instance?id=f&tab=history&form=full')
    answer = browser.http.get('/history.json?id=f')
    assert answer.headers['content-disposition'] == 'attachment; filename="f.json"'
    assert 'executionStarted' in answer.json()['events'][1]


def test_the_family_is_a_tree(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, parent, 'p')
    page = browser.until('/instance?id=p&tab=tree', lambda page: 'p-child' in page)

    assert page.count('role="treeitem"') == 2
    assert 'Its parent is' in browser.open('/instance?id=p-child&tab=tree')


def test_a_workflow_is_started_suspended_resumed_and_after_a_word_terminated(browser: Browser) -> None:
    browser.open('/')
    assert 'new-one has started.' in browser.send('start', name='order', instance_id='new-one', input='1')
    assert 'new-one is suspended.' in browser.send('suspend', id='new-one')
    browser.until('/instance?id=new-one', lambda page: 'SUSPENDED' in page)
    browser.send('resume', id='new-one')
    browser.until('/instance?id=new-one', lambda page: 'a resume' not in page)
    assert 'Terminate new-one?' in browser.send('terminate', id='new-one', input='"enough"')
    browser.send('terminate', id='new-one', input='"enough"', sure='yes')
    page = browser.until('/instance?id=new-one', lambda page: 'TERMINATED' in page)
    assert '&quot;enough&quot;' in page


def test_an_instance_runs_again_from_an_event_and_is_purged(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, order, 'o')
    sidecar.client.raise_orchestration_event('o', 'Approval', data=1)
    sidecar.client.wait_for_orchestration_completion('o', timeout=DEADLINE)

    assert '1: taskScheduled charge' in browser.open('/instance?id=o')
    assert 'o-2 runs o again.' in browser.send('rerun', id='o', event='1', instance_id='o-2')
    browser.open('/')
    browser.send('purge', id='o', sure='yes')
    assert 'No such instance' in browser.open('/instance?id=o')


def test_many_are_dealt_with_at_once_and_refusals_are_told(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, failing, 'f-1')
    run(sidecar, failing, 'f-2')
    run(sidecar, order, 'o')
    browser.until('/', lambda page: '3 instances' in page)

    assert 'Purge 3 instances?' in browser.send('many', what='purge', id=['f-1', 'f-2', 'o'])
    assert 'purge: 2 of 3 done. Refused: o:' in browser.send('many', what='purge', id=['f-1', 'f-2', 'o'], sure='yes')
    assert 'Nothing was chosen.' in browser.send('many', what='purge')


def test_what_is_filled_in_wrong_is_told_and_nothing_is_sent(browser: Browser) -> None:
    browser.open('/')
    assert 'A workflow needs a name.' in browser.send('start', name=' ')
    browser.open('/')
    assert 'That is no JSON' in browser.send('start', name='order', input='{no')
    browser.open('/')
    assert 'no such instance' in browser.send('suspend', id='nobody').casefold()


def test_hostile_payloads_names_and_ids_are_text_everywhere(sidecar: Sidecar, browser: Browser) -> None:
    hostile_id = f'x-{HOSTILE}'
    run(sidecar, failing, hostile_id, HOSTILE)
    browser.until('/', lambda page: '1 instances' in page)

    query = httpx.QueryParams({'id': hostile_id})
    pages = [browser.open('/'), browser.open(f'/?{query}'), browser.open('/load')]
    for tab in ('', 'timeline', 'history', 'tree'):
        pages.append(browser.open(f'/instance?{query.set("tab", tab)}'))
    pages.append(browser.open(f'/instance?{query.set("tab", "history").set("form", "full")}'))
    browser.open('/')
    pages.append(browser.send('purge', id=hostile_id))
    pages.append(browser.send('raise-event', id=HOSTILE, name=HOSTILE))
    for page in pages:
        assert '<script>alert' not in page
        assert '<img' not in page
        assert re.findall(r'<script[^>]*>', page) == ['<script src="/static/live.js" defer>']


def test_hidden_payloads_are_nowhere(sidecar: Sidecar) -> None:
    run(sidecar, order, 'o', 'secret-input')
    sidecar.client.raise_orchestration_event('o', 'Approval', data='secret-event')
    sidecar.client.wait_for_orchestration_completion('o', timeout=DEADLINE)
    with dashboard(sidecar, payloads=None) as browser:
        for tab in ('', 'timeline', 'history', 'tree'):
            assert 'secret' not in browser.open(f'/instance?id=o&tab={tab}&form=full')
        assert browser.http.get('/history.json?id=o').status_code == 403


def test_payloads_are_made_readable(sidecar: Sidecar) -> None:
    run(sidecar, order, 'o', 'abc')
    with dashboard(sidecar, payloads=lambda text: text[::-1]) as browser:
        assert 'cba' in browser.open('/instance?id=o')


def test_a_read_only_dashboard_has_no_forms_and_refuses_posts(sidecar: Sidecar) -> None:
    run(sidecar, order, 'o')
    with dashboard(sidecar, read_only=True) as browser:
        assert 'method="post"' not in browser.open('/') + browser.open('/instance?id=o')
        assert browser.http.post('/actions/terminate', data={'id': 'o', 'sure': 'yes'}).status_code == 403


@pytest.mark.parametrize(
    'headers',
    [
        {'origin': 'http://evil.example'},
        {'sec-fetch-site': 'cross-site'},
        {},  # no token of the form
    ],
)
def test_a_form_of_another_site_is_refused(sidecar: Sidecar, browser: Browser, headers: dict[str, str]) -> None:
    run(sidecar, order, 'o')
    page = browser.open('/instance?id=o')
    token = re.findall(r'name="csrf" value="([^"]*)"', page)[0] if headers else 'made-up'

    answer = browser.http.post('/actions/suspend', data={'id': 'o', 'csrf': token}, headers=headers)
    assert answer.status_code == 403


def test_a_name_that_is_made_to_point_here_is_refused(browser: Browser) -> None:
    assert browser.http.get('/', headers={'host': 'evil.example:8080'}).status_code == 421
    assert browser.http.get('/', headers={'host': 'localhost:1'}).status_code == 200


def test_an_action_never_leads_to_another_site(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, order, 'o')
    page = browser.open('/')
    token = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    for back in ('//evil.example', 'http://evil.example', '/\\evil.example'):
        answer = browser.http.post(
            '/actions/suspend', data={'id': 'o', 'csrf': token, 'back': back}, follow_redirects=False
        )
        assert answer.status_code == 303
        assert answer.headers['location'].startswith('/?told=')


def test_away_from_the_loopback_a_token_is_needed(sidecar: Sidecar) -> None:
    with pytest.raises(ValueError, match='token'):
        DashboardServer(sidecar, host='0.0.0.0', port=0)


def test_with_a_token_pages_are_for_who_brings_it(sidecar: Sidecar) -> None:
    with dashboard(sidecar, token='sesame') as browser:
        assert browser.http.get('/').status_code == 401
        assert browser.http.get('/changes').status_code == 401
        assert browser.http.get('/', headers={'authorization': 'Bearer wrong'}).status_code == 401
        assert browser.http.get('/', headers={'authorization': 'Bearer sesame'}).status_code == 200
        assert 'Log in' in browser.http.get('/', headers={'accept': 'text/html'}).text
        assert browser.http.post('/login', data={'token': 'wrong'}).status_code == 403
        assert 'Instances' in browser.http.post('/login', data={'token': 'sesame'}).text
        run(sidecar, order, 'o')
        browser.open('/instance?id=o')
        assert 'o is suspended.' in browser.send('suspend', id='o')


def test_pages_load_nothing_from_elsewhere_and_are_in_no_frame(browser: Browser) -> None:
    for path in ('/', '/load', '/workers', '/static/style.css', '/instance?id=none'):
        policy = browser.http.get(path).headers['content-security-policy']
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
    assert browser.http.get('/static/../app.py').status_code == 404


def test_changes_are_told_as_they_happen(sidecar: Sidecar, browser: Browser) -> None:
    with browser.http.stream('GET', '/changes') as answer:
        lines = (line for line in answer.iter_lines() if line.startswith('data:'))
        first = next(lines)
        run(sidecar, order, 'o')
        assert next(lines) != first


def test_the_load_page_counts_what_started_and_ended(sidecar: Sidecar, browser: Browser) -> None:
    run(sidecar, failing, 'f')
    run(sidecar, order, 'o')
    page = browser.until('/load', lambda page: '2 instances started, 1 ended.' in page)

    assert page.count('class="bar ') >= 2
    assert '<td>failing</td><td>1</td><td>0</td><td>1</td>' in page


def test_a_worker_that_cannot_be_asked_is_told(sidecar: Sidecar) -> None:
    with dashboard(sidecar, workers=['127.0.0.1:1']) as browser:
        assert 'It cannot be asked' in browser.open('/workers')


def test_stopping_leaves_no_thread(sidecar: Sidecar) -> None:
    with dashboard(sidecar) as browser:
        browser.open('/')
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith(('dapr-workflow-dashboard', 'dapr-workflow-catalogue')) for name in names)


def test_a_port_that_is_taken_is_told(sidecar: Sidecar) -> None:
    with DashboardServer(sidecar, port=0) as server:
        port = int(server.url.rstrip('/').rpartition(':')[2])
        with pytest.raises(OSError, match=f'cannot listen on 127.0.0.1:{port}'):
            DashboardServer(sidecar, port=port).start()


def test_without_the_extra_its_modules_can_be_found_and_the_command_says_what_is_missing() -> None:
    script = (
        'import importlib.util, sys\n'
        'sys.modules["uvicorn"] = None\n'
        'assert importlib.util.find_spec("dapr.ext.workflow.dashboard.app")\n'
        'from dapr.ext.workflow.cli.main import main\n'
        'sys.exit(main(["dashboard"]))'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert 'pip install' in done.stderr
