"""What workers say of themselves, by `status_server`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

_TIMEOUT: Final = 2.0
_MAX_BYTES: Final = 4 * 1024 * 1024


class NoAnswer(Exception):
    """A worker's status server gives no answer; its text says why.

    Args:
        why: Why.
        code: The HTTP status that it answered with; 0 when it did not.
    """

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


def status(address: str) -> Mapping[str, Any]:
    """What a worker is doing.

    Args:
        address: Where its status server is, as host:port.

    Raises:
        NoAnswer: It is not there, or is none.
    """
    return _get(address, '/status')


def standing(address: str, instance_id: str) -> Mapping[str, Any] | None:
    """Where a workflow stands that a worker keeps; None when it keeps none of that id. Errors as above."""
    try:
        return _get(address, f'/standing?{urlencode({"id": instance_id})}')
    except NoAnswer as error:
        if error.code == 404:
            return None
        raise


def _get(address: str, path: str) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(f'http://{address}{path}', timeout=_TIMEOUT) as answer:
            found = json.loads(answer.read(_MAX_BYTES))
    except urllib.error.HTTPError as error:
        raise NoAnswer(f'it answers {error.code}', error.code) from error
    except (OSError, ValueError) as error:
        raise NoAnswer(str(getattr(error, 'reason', error))) from error
    if not isinstance(found, dict):
        raise NoAnswer('it answers with something else')
    return found
