"""Lets tox find interpreters that a version manager keeps off PATH (see tools/interpreters.py)."""

from __future__ import annotations

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State

from tools.interpreters import find


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Adds the interpreters found to those that tox tries first; those given by hand keep the precedence."""
    given = list(getattr(state.conf.options, 'discover', None) or [])
    state.conf.options.discover = given + [str(path) for path in find().values() if path]
