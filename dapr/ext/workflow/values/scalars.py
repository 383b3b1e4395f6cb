"""Types that JSON does not have and that go out as one text: what that is, and how it is read.

| Type | Text |
| --- | --- |
| datetime, date, time | ISO 8601, as `isoformat` gives it |
| timedelta | ISO 8601, as in `P1DT2H3.5S`, which pydantic writes, too; numbers of seconds are read as well |
| Decimal, UUID, pathlib's paths | as `str` gives it |
| bytes, bytearray | Base64 |
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from dapr.ext.workflow._durabletask.internal.payloads import DataConversionError

__all__ = ['TEXT_OF', 'misfit', 'scalar_reader', 'shown']

_DURATION: Final = re.compile(
    r'(?P<sign>[+-])?P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?'
    r'(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:[.,](?P<fraction>\d{1,9}))?S)?)?'
)


def shown(value: Any) -> str:
    """A value of a payload, as messages show it: its type, and what it is, cut short."""
    if value is None:
        return 'null'
    text = repr(value)
    return f'{type(value).__name__} {text if len(text) <= 80 else text[:77] + "..."}'


def misfit(expected: str, value: Any) -> DataConversionError:
    """The error about a value that cannot be read as what is expected."""
    return DataConversionError(f'expected {expected}, got {shown(value)}')


def _duration_text(value: timedelta) -> str:
    sign, value = ('-', -value) if value < timedelta(0) else ('', value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f'.{value.microseconds:06d}'.rstrip('0') if value.microseconds else ''
    clock = (f'{hours}H' if hours else '') + (f'{minutes}M' if minutes else '')
    if seconds or fraction:
        clock += f'{seconds}{fraction}S'
    days = f'{value.days}D' if value.days else ''
    return f'{sign}P{days}' + (f'T{clock}' if clock else '' if days else 'T0S')


def _read_duration(value: Any) -> timedelta:
    if type(value) in (int, float):
        return timedelta(seconds=value)
    found = _DURATION.fullmatch(value)
    if found is None or value.endswith(('P', 'T')):
        raise ValueError(value)
    parts = found.groupdict()
    duration = timedelta(
        weeks=int(parts['weeks'] or 0),
        days=int(parts['days'] or 0),
        hours=int(parts['hours'] or 0),
        minutes=int(parts['minutes'] or 0),
        seconds=int(parts['seconds'] or 0),
        microseconds=int((parts['fraction'] or '').ljust(6, '0')[:6]),
    )
    return -duration if parts['sign'] == '-' else duration


def _of_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    def from_text(value: Any) -> Any:
        if type(value) is not str:
            raise ValueError(value)
        return read(value)

    return from_text


def _zoned(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    # Before 3.11 `fromisoformat` takes neither the Z that all other languages write, nor other than 3 or 6 digits.
    def from_text(value: Any) -> Any:
        if type(value) is not str:
            raise ValueError(value)
        if value.endswith(('Z', 'z')):
            value = value[:-1] + '+00:00'
        return read(_FRACTION.sub(lambda found: '.' + found[1].ljust(6, '0')[:6], value))

    return from_text


_FRACTION: Final = re.compile(r'\.(\d+)')


def _read_date(value: str) -> date:
    if len(value) > 10:  # a datetime's text, as JavaScript writes dates: nothing but midnight is a date
        moment = _READERS[datetime](value)
        if moment.time() != time():
            raise ValueError(value)
        return moment.date()  # type: ignore[no-any-return]
    return date.fromisoformat(value)


def _read_decimal(value: Any) -> Decimal:
    if type(value) not in (str, int, float):
        raise ValueError(value)
    return Decimal(str(value))


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode('ascii')


def _read_base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


TEXT_OF: Final[Mapping[type, Callable[[Any], str]]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _duration_text,
    Decimal: str,
    UUID: str,
    PurePath: str,
    bytes: _base64,
    bytearray: _base64,
}
"""What a value of each type goes out as; in this order, for subclasses."""

_READERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    datetime: _zoned(datetime.fromisoformat),
    date: _of_text(_read_date),
    time: _zoned(time.fromisoformat),
    timedelta: _read_duration,
    Decimal: _read_decimal,
    UUID: _of_text(UUID),
    bytes: _of_text(_read_base64),
    bytearray: _of_text(lambda value: bytearray(_read_base64(value))),
}

_EXPECTED: Final[Mapping[type, str]] = {
    datetime: 'datetime (ISO 8601)',
    date: 'date (ISO 8601)',
    time: 'time (ISO 8601)',
    timedelta: 'timedelta (ISO 8601, or seconds)',
    bytes: 'bytes (Base64)',
    bytearray: 'bytearray (Base64)',
}

_FAULTS: Final = (ValueError, TypeError, ArithmeticError, binascii.Error)


def scalar_reader(cls: type) -> Callable[[Any], Any] | None:
    """What reads values of a class of this module's; None: it is not of them."""
    read = _READERS.get(cls)
    if read is None:
        if not issubclass(cls, PurePath):
            return None
        read = _of_text(cls)
    expected = _EXPECTED.get(cls, cls.__name__)

    def read_scalar(value: Any) -> Any:
        try:
            return read(value)
        except _FAULTS:
            raise misfit(expected, value) from None

    return read_scalar
