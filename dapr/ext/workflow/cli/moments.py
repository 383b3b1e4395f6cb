"""Moments and durations, as people write and read them. All moments are naive and UTC, as the clients'."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta, timezone
from typing import Final

_UNITS: Final = {
    'ns': timedelta(microseconds=0.001),
    'us': timedelta(microseconds=1),
    'ms': timedelta(milliseconds=1),
    's': timedelta(seconds=1),
    'm': timedelta(minutes=1),
    'h': timedelta(hours=1),
    'd': timedelta(days=1),
    'w': timedelta(weeks=1),
}
_PART: Final = re.compile(r'(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)')
_DURATIONS: Final = "duration like '90s', '1.5h' or '2h45m'"
_EXAMPLES: Final = f"a {_DURATIONS}, or a moment like '2026-01-31' or '2026-01-31T09:30:00Z'"


def now() -> datetime:
    """This moment."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def duration(text: str) -> timedelta | None:
    """Reads a duration as Go writes it, with days and weeks beside: '300ms', '1h30m', '7d'. None: it is none."""
    if not text or _PART.sub('', text):
        return None
    return sum((float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def length(text: str) -> timedelta:
    """A duration that is more than none.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    found = duration(text)
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is no {_DURATIONS}')
    return found


def ago(text: str) -> datetime:
    """The moment that a duration before now, or a timestamp, names.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    return _moment(text, -1)


def ahead(text: str) -> datetime:
    """The moment that a duration from now, or a timestamp, names. Errors as `ago`."""
    return _moment(text, 1)


def short(length: timedelta) -> str:
    """A duration in one or two units: '340ms', '2.5s', '4m10s', '3h', '12d'."""
    seconds = length.total_seconds()
    if seconds <= -0.001:
        return f'-{short(-length)}'
    seconds = max(seconds, 0.0)  # not '-0ms'
    if seconds < 1:
        return f'{seconds * 1000:.0f}ms'
    if seconds < 60:
        return f'{seconds:.1f}s'.replace('.0s', 's')
    for unit, size, smaller, part in (('d', 86400, 'h', 3600), ('h', 3600, 'm', 60), ('m', 60, 's', 1)):
        if seconds >= size:
            count, rest = divmod(int(seconds), size)
            rest //= part
            return f'{count}{unit}{rest}{smaller}' if rest and count < 10 else f'{count}{unit}'
    raise AssertionError(seconds)


def timestamp(moment: datetime | None) -> str:
    """A moment to the second; '-' where there is none (the wire's is the epoch)."""
    return '-' if moment is None or moment.year <= 1970 else f'{moment:%Y-%m-%dT%H:%M:%SZ}'


def age(moment: datetime | None, at: datetime) -> str:
    """How long ago a moment was; '-' where there is none."""
    return '-' if moment is None or moment.year <= 1970 else short(at - moment)


def _moment(text: str, direction: int) -> datetime:
    try:
        length = duration(text)
        if length is not None:
            return now() + direction * length
        found = datetime.fromisoformat(text.replace('Z', '+00:00'))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f'{text!r} is not {_EXAMPLES}') from None
    return found if found.tzinfo is None else found.astimezone(timezone.utc).replace(tzinfo=None)
