"""The dashboard: the workflows of a sidecar in a browser, for the emulator and for any daprd.

Needs the extra `dashboard`. Pages are made on the server, and work without a script; one small script keeps them up to
date. What they show comes from `inspection`: the list from a catalogue that is kept in memory, so that it is quick at
any number of instances; an instance from the sidecar itself, at the moment when it is asked for.

- `html`: elements, escaped by the way they are made
- `page`: what all pages have in common; `instances`, `instance`, `timeline`, `load`, `workers`: one module a page
- `actions`: what changes a workflow; `guard`: who may ask for what
- `app`: the routes; `server`: the process's part: a thread, a port
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dapr.ext.workflow.dashboard.server import DashboardServer

__all__ = ['DashboardServer']


def __getattr__(name: str) -> Any:
    # Late, so that the package can be imported, and looked through, where the extra is not installed.
    if name == 'DashboardServer':
        from dapr.ext.workflow.dashboard.server import DashboardServer

        return DashboardServer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
