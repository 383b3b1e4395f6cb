"""The routes: a request is let in or not, what it asks for is fetched, and a page is made of it.

Calls to the sidecar block, so they run on threads. Pages stay up to date by server-sent events that tell of changes:
the script then fetches the page again, and puts in its content.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import grpc
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dapr.ext.workflow._durabletask.transport.errors import describe
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard import actions
from dapr.ext.workflow.dashboard.guard import COOKIE, FIELD, HEADERS, READ_ONLY, Guard
from dapr.ext.workflow.dashboard.html import el
from dapr.ext.workflow.dashboard.instance import instance_page, missing_page
from dapr.ext.workflow.dashboard.instances import list_page
from dapr.ext.workflow.dashboard.load import load_page
from dapr.ext.workflow.dashboard.page import View, frame, url
from dapr.ext.workflow.dashboard.workers import workers_page
from dapr.ext.workflow.inspection.catalogue import Catalogue
from dapr.ext.workflow.inspection.sidecar import Sidecar

_STATIC: Final = {'style.css': 'text/css', 'live.js': 'text/javascript', 'icon.svg': 'image/svg+xml'}
_MAX_FORM: Final = 8 * 1024 * 1024
_MAX_TOLD: Final = 1000
_PING_SECONDS: Final = 15.0

Handler = Callable[[Request], Awaitable[Response]]


class App:
    """The dashboard's pages.

    Args:
        sidecar: Whose workflows are shown.
        catalogue: Its instances.
        guard: Who may ask for what.
        payloads: Makes a payload readable; None: payloads are not shown.
        workers: Where workers serve their status, each as host:port.
    """

    def __init__(
        self,
        sidecar: Sidecar,
        catalogue: Catalogue,
        guard: Guard,
        payloads: Callable[[str], str] | None,
        workers: Sequence[str] = (),
    ) -> None:
        self._sidecar = sidecar
        self._catalogue = catalogue
        self._guard = guard
        self._payloads = payloads
        self._workers = tuple(workers)
        self._told: OrderedDict[str, str] = OrderedDict()

    def asgi(self) -> Starlette:
        """The application, for any ASGI server."""
        return Starlette(
            routes=[
                Route('/', self._guarded(self._list)),
                Route('/instance', self._guarded(self._instance)),
                Route('/history.json', self._guarded(self._download)),
                Route('/load', self._guarded(self._load)),
                Route('/workers', self._guarded(self._show_workers)),
                Route('/changes', self._guarded(self._changes)),
                Route('/actions/{what}', self._guarded(self._act), methods=['POST']),
                Route('/login', self._guarded(self._login, is_open=True), methods=['GET', 'POST']),
                Route('/static/{name}', self._guarded(self._static, is_open=True)),
            ]
        )

    # Who may

    def _guarded(self, handler: Handler, *, is_open: bool = False) -> Handler:
        async def guarded(request: Request) -> Response:
            response = await self._refused(request, is_open=is_open) or await self._answered(handler, request)
            response.headers.update(HEADERS)
            return response

        return guarded

    async def _refused(self, request: Request, *, is_open: bool) -> Response | None:
        if not self._guard.knows_host(request.headers):
            return PlainTextResponse('This host name is not one of the dashboard: see --allow-host.\n', 421)
        if is_open or self._guard.lets_in(request.headers, request.cookies.get(COOKIE)):
            return None
        if 'text/html' in request.headers.get('accept', '') and request.method == 'GET':
            return RedirectResponse('/login', 303)
        return PlainTextResponse('The dashboard asks for its token.\n', 401)

    async def _answered(self, handler: Handler, request: Request) -> Response:
        try:
            return await handler(request)
        except grpc.RpcError as error:
            view = self._view(request, problem=describe(error))
            return self._page(request, frame(view, 'No answer', el('h1', 'The sidecar gives no answer')), 502)

    async def _login(self, request: Request) -> Response:
        view = self._view(request)
        wrong = None
        if request.method == 'POST':
            form = await _form(request)
            if self._guard.is_token(form.get('token', '')):
                response = RedirectResponse('/', 303)
                response.set_cookie(COOKIE, self._guard.log_in(), httponly=True, samesite='strict')
                return response
            wrong = el('p', 'That is not the token.', class_='problem', role='alert')
        form_ = el(
            'form',
            el('label', el('span', 'Token'), el('input', type='password', name='token', autofocus=True)),
            el('button', 'Log in', type='submit', class_='main'),
            method='post',
            action='/login',
            class_='action',
        )
        return self._page(request, frame(view, 'Log in', el('h1', 'Log in'), wrong, form_), 403 if wrong else 200)

    # Pages

    async def _list(self, request: Request) -> Response:
        return self._page(request, list_page(self._view(request), self._catalogue.snapshot, dict(request.query_params)))

    async def _instance(self, request: Request) -> Response:
        view = self._view(request)
        query = dict(request.query_params)
        instance_id = query.get('id', '')

        def made() -> tuple[str, int]:
            state = self._sidecar.state(instance_id) if instance_id else None
            if state is None:
                return missing_page(view, instance_id), 404
            events = self._sidecar.history_or_none(instance_id)
            return instance_page(view, self._sidecar, state, events, query, self._workers), 200

        page, status = await run_in_threadpool(made)
        return self._page(request, page, status)

    async def _download(self, request: Request) -> Response:
        if self._payloads is None:
            return PlainTextResponse('Payloads are hidden, so a history cannot be had.\n', 403)
        events = await run_in_threadpool(self._sidecar.history, request.query_params.get('id', ''))
        data = [json_format.MessageToDict(event) for event in events]
        text = json.dumps({'events': data}, indent=2, ensure_ascii=False)
        name = ''.join(c if c.isascii() and (c.isalnum() or c in '-_.') else '_' for c in request.query_params['id'])
        return Response(
            text, media_type='application/json', headers={'Content-Disposition': f'attachment; filename="{name}.json"'}
        )

    async def _load(self, request: Request) -> Response:
        return self._page(request, load_page(self._view(request), self._catalogue.snapshot))

    async def _show_workers(self, request: Request) -> Response:
        view = self._view(request)
        return self._page(request, await run_in_threadpool(workers_page, view, self._workers))

    async def _static(self, request: Request) -> Response:
        name = request.path_params['name']
        if name not in _STATIC:
            return PlainTextResponse('There is no such file.\n', 404)
        content = (resources.files(__package__) / 'static' / name).read_bytes()
        return Response(content, media_type=_STATIC[name])

    async def _changes(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            version = self._catalogue.snapshot.version
            yield f'data: {version}\n\n'
            while not self._catalogue.is_closed and not await request.is_disconnected():
                snapshot = await asyncio.to_thread(self._catalogue.wait_for_change, version, _PING_SECONDS)
                yield f'data: {snapshot.version}\n\n' if snapshot.version != version else ': ping\n\n'
                version = snapshot.version

        return StreamingResponse(stream(), media_type='text/event-stream')

    # Actions

    async def _act(self, request: Request) -> Response:
        pairs = await _pairs(request)
        fields = dict(pairs)
        ids = [value for name, value in pairs if name == 'id' and value]
        refusal = READ_ONLY if self._guard.read_only else None
        refusal = refusal or self._guard.refusal(request.headers, request.cookies.get(COOKIE), fields.get(FIELD, ''))
        if refusal is not None:
            return PlainTextResponse(f'{refusal}\n', 403)
        back = _local(fields.get('back', ''))
        what = request.path_params['what']
        is_many = what == 'many'
        if is_many:
            what = fields.get('what', '')
        if what not in (actions.OF_MANY if is_many else actions.ACTIONS):
            return PlainTextResponse('There is no such action.\n', 404)
        if is_many and not ids:
            return self._redirect(back, 'Nothing was chosen.')
        if actions.needs_word(what, fields):
            view = self._view(request)
            return self._page(request, actions.confirmation(view, what, ids, fields, back))
        if is_many:
            told = await run_in_threadpool(actions.perform_many, self._sidecar, what, ids)
            where = back
        else:
            told, where, _ = await run_in_threadpool(actions.perform, self._sidecar, what, fields)
        self._catalogue.wake()
        return self._redirect(where or back, told)

    def _redirect(self, where: str, told: str) -> Response:
        # What is told does not travel in the address, where anybody could put it.
        key = secrets.token_urlsafe(12)
        self._told[key] = told
        while len(self._told) > _MAX_TOLD:
            self._told.popitem(last=False)
        parts = urlsplit(where)
        query = [(name, value) for name, value in parse_qsl(parts.query) if name != 'told']
        return RedirectResponse(url(parts.path, **dict(query), told=key), 303)

    # Inside

    def _view(self, request: Request, problem: str | None = None) -> View:
        session = request.cookies.get(COOKIE) or getattr(request.state, 'session', None)
        if session is None:
            session = request.state.session = secrets.token_urlsafe(32)
        snapshot = self._catalogue.snapshot
        return View(
            address=self._sidecar.address,
            form_token=self._guard.form_token(session),
            read_only=self._guard.read_only,
            problem=problem or snapshot.problem,
            told=self._told.get(request.query_params.get('told', '')),
            payloads=self._payloads,
            version=snapshot.version,
            now=moments.now(),
        )

    def _page(self, request: Request, page: str, status: int = 200) -> Response:
        response = HTMLResponse(page, status)
        session = getattr(request.state, 'session', None)
        if session is not None and not self._guard.needs_login:
            response.set_cookie(COOKIE, session, httponly=True, samesite='strict')
        return response


async def _pairs(request: Request) -> list[tuple[str, str]]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            return []
    return parse_qsl(body.decode(errors='replace'), keep_blank_values=True)


async def _form(request: Request) -> dict[str, str]:
    return dict(await _pairs(request))


def _local(where: str) -> str:
    """Where to go on, on this site alone."""
    parts = urlsplit(where)
    is_local = not parts.scheme and not parts.netloc and parts.path.startswith('/') and not where.startswith('//')
    return where if is_local and '\\' not in where else '/'
