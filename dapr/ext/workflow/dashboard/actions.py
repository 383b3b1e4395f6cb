"""What changes a workflow, from a form to the sidecar's call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.transport.errors import describe
from dapr.ext.workflow.dashboard.html import Markup, el
from dapr.ext.workflow.dashboard.page import View, form, frame, instance_url
from dapr.ext.workflow.inspection.sidecar import Sidecar

Fields = Mapping[str, str]


class Refused(Exception):
    """What was filled in cannot be used; its text says why."""


def start(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Starts a workflow. Like all of these: gives what is told of it, and where to go on."""
    name = fields.get('name', '').strip()
    if not name:
        raise Refused('A workflow needs a name.')
    instance_id = sidecar.client.schedule_new_orchestration(
        name, input=_json(fields), instance_id=fields.get('instance_id', '').strip() or None, app_id=sidecar.app_id
    )
    return f'{instance_id} has started.', instance_url(instance_id)


def raise_event(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Raises an event."""
    name = fields.get('name', '').strip()
    if not name:
        raise Refused('An event needs a name.')
    sidecar.client.raise_orchestration_event(_id(fields), name, data=_json(fields), app_id=sidecar.app_id)
    return f'The event {name} is on its way.', ''


def suspend(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Suspends."""
    sidecar.client.suspend_orchestration(_id(fields), app_id=sidecar.app_id)
    return f'{_id(fields)} is suspended.', ''


def resume(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Resumes."""
    sidecar.client.resume_orchestration(_id(fields), app_id=sidecar.app_id)
    return f'{_id(fields)} goes on.', ''


def terminate(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Terminates, children and all."""
    sidecar.client.terminate_orchestration(_id(fields), output=_json(fields), app_id=sidecar.app_id)
    return f'{_id(fields)} is terminated.', ''


def purge(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Purges, children and all."""
    count = sidecar.client.purge_orchestration(_id(fields), force=fields.get('force') == 'yes', app_id=sidecar.app_id)
    return f'{_id(fields)} is gone ({count} purged).', ''


def rerun(sidecar: Sidecar, fields: Fields) -> tuple[str, str]:
    """Runs an instance again from an event on."""
    event = fields.get('event', '')
    if not event.isdigit():
        raise Refused('Choose the event to run again from.')
    data = _json(fields)
    instance_id = sidecar.client.rerun_orchestration_from_event(
        _id(fields),
        int(event),
        new_instance_id=fields.get('instance_id', '').strip() or None,
        input=data,
        overwrite_input=data is not None,
        app_id=sidecar.app_id,
    )
    return f'{instance_id} runs {_id(fields)} again.', instance_url(instance_id)


ACTIONS: Final[Mapping[str, Callable[[Sidecar, Fields], tuple[str, str]]]] = {
    'start': start,
    'raise-event': raise_event,
    'suspend': suspend,
    'resume': resume,
    'terminate': terminate,
    'purge': purge,
    'rerun': rerun,
}
OF_MANY: Final = ('suspend', 'resume', 'terminate', 'purge')
_LOSES: Final = frozenset({'terminate', 'purge'})


def perform(sidecar: Sidecar, what: str, fields: Fields) -> tuple[str, str, bool]:
    """Does it.

    Returns:
        What is told of it, where to go on (empty: back), and whether it was done.
    """
    try:
        told, where = ACTIONS[what](sidecar, fields)
    except (Refused, ValueError) as error:
        return str(error), '', False
    except grpc.RpcError as error:
        return describe(error), '', False
    return told, where, True


def perform_many(sidecar: Sidecar, what: str, ids: Sequence[str]) -> str:
    """Does it to each of several; gives what is told of it."""
    results = [perform(sidecar, what, {'id': instance_id}) for instance_id in ids]
    refused = [f'{i}: {told}' for i, (told, _, is_done) in zip(ids, results, strict=True) if not is_done]
    done = len(ids) - len(refused)
    return f'{what}: {done} of {len(ids)} done.' + (f' Refused: {"; ".join(refused[:5])}' if refused else '')


def needs_word(what: str, fields: Fields) -> bool:
    """Whether it is to be asked once more before it is done."""
    return what in _LOSES and fields.get('sure') != 'yes'


def confirmation(view: View, what: str, ids: Sequence[str], fields: Fields, back: str) -> str:
    """The page that asks once more; its form carries all that the first one did."""
    many = len(ids) != 1
    kept: list[Markup] = [el('input', type='hidden', name='id', value=instance_id) for instance_id in ids]
    kept += [
        el('input', type='hidden', name=name, value=value)
        for name, value in fields.items()
        if name not in ('id', 'csrf', 'back', 'sure')
    ]
    title = f'{what.capitalize()} {len(ids)} instances?' if many else f'{what.capitalize()} {ids[0]}?'
    loss = 'Their history will be gone.' if what == 'purge' else 'They end where they stand, and so do their children.'
    return frame(
        replace(view, version=None),  # it answers a post, and cannot be fetched again
        title,
        el('h1', title),
        el('p', loss),
        el('ul', *(el('li', instance_id) for instance_id in ids[:20])) if many else None,
        el('p', f'and {len(ids) - 20} more') if len(ids) > 20 else None,
        form(
            view,
            'many' if many else what,
            *kept,
            el('input', type='hidden', name='what', value=what) if many and 'what' not in fields else None,
            el('input', type='hidden', name='sure', value='yes'),
            el('button', what.capitalize(), type='submit', class_='danger'),
            el('a', 'No', href=back),
            back=back,
            class_='action',
        ),
    )


def _id(fields: Fields) -> str:
    instance_id = fields.get('id', '')
    if not instance_id:
        raise Refused('No instance is named.')
    return instance_id


def _json(fields: Fields) -> Any:
    text = fields.get('input', '').strip()
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refused(f'That is no JSON ({error}). A text needs quotes: "text".') from None
