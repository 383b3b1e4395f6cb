"""A call that was not waited for, since its `yield` was forgotten: how it is told.

The variable says what a mistake of this kind comes to: 'warn' (default), 'error' for tests, or 'ignore'. Warnings, not
errors, by default: code that does it on purpose (a call that no one waits for, `if task:` for one that may be None)
runs as it always did.
"""

from __future__ import annotations

import os
import warnings

VARIABLE = 'DAPR_WF_FORGOTTEN_YIELD'


class ForgottenYieldWarning(RuntimeWarning):
    """A task was used where its result was meant."""


class ForgottenYieldError(TypeError):
    """A task was used where its result was meant, or never waited for, where that is an error."""


def mode() -> str:
    """What a forgotten yield comes to: 'warn', 'error' or 'ignore'.

    Raises:
        ValueError: The variable says something else.
    """
    value = os.environ.get(VARIABLE, '').strip().lower() or 'warn'
    if value not in ('warn', 'error', 'ignore'):
        raise ValueError(f"{VARIABLE} is {value!r}: it must be 'warn' (the default), 'error' or 'ignore'.")
    return value


def tell(what: str, stacklevel: int) -> None:
    """Tells of a task that was used in place of its result.

    Args:
        what: What was done with it, a sentence without its end.
        stacklevel: As of `warnings.warn`, seen from the caller.

    Raises:
        ForgottenYieldError: Where it is to be an error.
    """
    said = mode()
    text = f"{what}. Did you forget 'yield'?"
    if said == 'error':
        raise ForgottenYieldError(text)
    if said == 'warn':
        warnings.warn(text, ForgottenYieldWarning, stacklevel=stacklevel + 1)
