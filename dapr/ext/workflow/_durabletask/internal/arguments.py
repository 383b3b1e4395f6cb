"""Arguments of public calls, looked at before anything is done: what is wrong is refused by the argument's name."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any


def wrong_type(argument: str, value: object, expected: str) -> TypeError:
    """The error for a value of a wrong type."""
    return TypeError(f'{argument} must be {expected}, not {type(value).__name__}: {value!r}.')


def check(argument: str, value: object, kind: type) -> None:
    """Refuses a value that is neither None nor of the type.

    Raises:
        TypeError: It is not.
    """
    if value is not None and not isinstance(value, kind):
        raise wrong_type(argument, value, f'a {kind.__name__}')


def check_flag(argument: str, value: object) -> None:
    """Refuses a value that is no bool: 'false' would be taken for true, and None for False.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, bool):
        raise wrong_type(argument, value, 'a bool')


def check_moment(argument: str, value: object) -> None:
    """Refuses a value that is neither None nor a datetime.

    Raises:
        TypeError: It is not.
    """
    check(argument, value, datetime)


def check_id(instance_id: object) -> None:
    """Refuses what is no instance id.

    Raises:
        TypeError: It is no str.
        ValueError: It is empty.
    """
    if not isinstance(instance_id, str):
        raise wrong_type('instance_id', instance_id, 'a str')
    if not instance_id:
        raise ValueError('A non-empty instance id is required.')


def count(argument: str, value: Any) -> Any:
    """A whole number, as an int; None stays None.

    Raises:
        TypeError: It is no number.
        ValueError: It is not whole.
    """
    if value is None or type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(argument, value, 'a whole number')
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f'{argument} must be a whole number, got {value!r}.')
    return int(value)


def seconds(argument: str, value: Any) -> Any:
    """A time in seconds, as it was given; None stays None.

    Raises:
        TypeError: It is no number.
        ValueError: It is NaN.
    """
    if value is None:
        return None
    if isinstance(value, timedelta):
        raise TypeError(f'{argument} is a number of seconds, got a timedelta: give its total_seconds().')
    if not isinstance(value, (int, float)):
        raise wrong_type(argument, value, 'a number of seconds')
    if math.isnan(value):
        raise ValueError(f'{argument} is a number of seconds, got NaN.')
    return value
