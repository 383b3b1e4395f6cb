"""What a workflow may use instead of clocks, dice and UUIDs: the same values in every replay.

Identifiers are UUIDv5 in a fixed namespace of `<instance>_<iso time>_<counter>` (the scheme of the .NET SDK, so workers
of both kinds agree). Randomness is one stream for each execution, seeded with the instance id and the logical time of
its first use, in UTC whatever the host's time zone is.
"""

from __future__ import annotations

import hashlib
import random
import string
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from dapr.ext.workflow._durabletask.internal.arguments import wrong_type

T = TypeVar('T')

_NAMESPACE = uuid.UUID('9e952958-5e33-4daf-827f-2fa12937b875')
_ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True)
class DeterminismSeed:
    """What an execution's randomness is seeded with.

    Args:
        instance_id: The workflow's instance id.
        orchestration_unix_ts: A logical time of the execution, in whole seconds since the epoch, UTC.
    """

    instance_id: str
    orchestration_unix_ts: int

    def to_int(self) -> int:
        """The seed: an unsigned 64-bit number."""
        digest = hashlib.sha256(f'{self.instance_id}:{self.orchestration_unix_ts}'.encode()).digest()
        return int.from_bytes(digest[:8], 'big')


def derive_seed(instance_id: str, orchestration_time: datetime) -> int:
    """The seed of an execution.

    Args:
        instance_id: The workflow's instance id.
        orchestration_time: A logical time of the workflow; without a time zone it is UTC, as all logical time is.
    """
    if orchestration_time.utcoffset() is None:
        orchestration_time = orchestration_time.replace(tzinfo=timezone.utc)
    return DeterminismSeed(instance_id, int(orchestration_time.timestamp())).to_int()


def deterministic_random(instance_id: str, orchestration_time: datetime) -> random.Random:
    """A stream of pseudo-random numbers that depends on the arguments alone."""
    return random.Random(derive_seed(instance_id, orchestration_time))


def deterministic_uuid4(rnd: random.Random) -> uuid.UUID:
    """A version 4 UUID out of 16 bytes of the given stream."""
    return uuid.UUID(bytes=bytes(rnd.randrange(256) for _ in range(16)), version=4)


def deterministic_uuid_v5(instance_id: str, current_datetime: datetime, counter: int) -> uuid.UUID:
    """The UUIDv5 of an instance, a logical time and a counter."""
    return uuid.uuid5(_NAMESPACE, f'{instance_id}_{current_datetime.isoformat()}_{counter}')


class DeterministicContextMixin:
    """The deterministic helpers of an orchestration context.

    The class it is mixed into provides `instance_id` and `current_utc_datetime`.
    """

    if TYPE_CHECKING:

        @property
        def instance_id(self) -> str: ...

        @property
        def current_utc_datetime(self) -> datetime: ...

    # Class-level defaults: most workflows never ask, and a context is made for every cold turn.
    _guid_counter: int = 0
    _random: random.Random | None = None
    _sequence_offset: int = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Passes everything on to the class that it is mixed into."""
        super().__init__(*args, **kwargs)

    def now(self) -> datetime:
        """The workflow's logical time (naive, UTC): when the current batch of events began to be processed."""
        return self.current_utc_datetime

    def now_with_sequence(self) -> datetime:
        """The logical time, and a microsecond more for each earlier call in the execution: unique, ordered stamps."""
        stamp = self.current_utc_datetime + timedelta(microseconds=self._sequence_offset)
        self._sequence_offset += 1
        return stamp

    def current_utc_datetime_with_sequence(self) -> datetime:
        """The same as `now_with_sequence`, which it shares its sequence with."""
        return self.now_with_sequence()

    def random(self) -> random.Random:
        """The execution's stream of pseudo-random numbers: the same object, further along, at each call.

        A workflow that draws twice gets two values; a replay gets the same two.
        """
        if self._random is None:
            stream = deterministic_random(self.instance_id, self.current_utc_datetime)
            # Marks the object for tools that tell deterministic sources from others.
            stream._dt_deterministic = True  # type: ignore[attr-defined]
            self._random = stream
        return self._random

    def random_int(self, min_value: int = 0, max_value: int = 2**31 - 1) -> int:
        """A pseudo-random integer in [min_value, max_value].

        Raises:
            ValueError: min_value is greater than max_value.
        """
        for argument, value in (('min_value', min_value), ('max_value', max_value)):
            if not isinstance(value, int):
                raise wrong_type(argument, value, 'an int')
        if min_value > max_value:
            raise ValueError(f'min_value must be <= max_value, got {min_value} > {max_value}')
        return self.random().randint(min_value, max_value)

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        """A pseudo-random string.

        Args:
            length: How many characters, not negative.
            alphabet: What they are taken from; default: ASCII letters and digits.

        Raises:
            ValueError: length is negative, or alphabet is empty.
        """
        if not isinstance(length, int):
            raise wrong_type('length', length, 'an int')
        if length < 0:
            raise ValueError(f'length must be non-negative, got {length}')
        characters = _ALPHANUMERIC if alphabet is None else alphabet
        if not characters:
            raise ValueError('alphabet must not be empty')
        stream = self.random()
        return ''.join(stream.choice(characters) for _ in range(length))

    def random_choice(self, sequence: Sequence[T]) -> T:
        """A pseudo-random element of a sequence.

        Raises:
            IndexError: The sequence is empty.
        """
        if not sequence:
            raise IndexError('Cannot choose from empty sequence')
        return self.random().choice(sequence)

    def uuid4(self) -> uuid.UUID:
        """A new UUID, different at each call, the same in each replay. (A version 5 UUID: it is derived, not drawn.)"""
        counter = self._guid_counter
        self._guid_counter = counter + 1
        return deterministic_uuid_v5(self.instance_id, self.current_utc_datetime, counter)

    def new_guid(self) -> uuid.UUID:
        """The same as `uuid4`, under the name that other SDKs have for it."""
        return self.uuid4()
