"""Retry policies: how often, and how long apart, a failed activity or child workflow is tried again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from dapr.ext.workflow._durabletask.failures import NonRetryableError


class RetryPolicy:
    """How a failed task is tried again.

    The wait before retry k (k = 1, 2, ...) is `first_retry_interval * backoff_coefficient ** (k - 1)`, at most
    `max_retry_interval`. Waits are durable timers, computed from the workflow's logical time.

    Args:
        first_retry_interval: The wait before the first retry; not negative.
        max_number_of_attempts: Attempts in all, the first one included; at least 1.
        backoff_coefficient: What each wait is multiplied by to give the next; at least 1. Default 1.0.
        max_retry_interval: The longest wait; None (default) for no limit; not negative.
        retry_timeout: No retry is begun whose wait would bring all waits together to this much or more. The time that
            the attempts take does not count: what is retried depends on the policy alone, so that histories of
            dapr 1.19.0 replay as they were made. None (default) for no limit; not negative.
        non_retryable_error_types: Exception types, or their names, that end the retries at once. A type stands for
            its name. A failure is of a type by its own name and by those of its type's bases, which workers of ours
            send with it; where a child workflow has failed by one of its tasks, the task's failure counts.
            `NonRetryableError` and its subclasses end the retries always.

    Raises:
        TypeError: A value is of another type; the message names it.
        ValueError: A value is out of its range.
    """

    __slots__ = (
        '_backoff_coefficient',
        '_first_retry_interval',
        '_max_number_of_attempts',
        '_max_retry_interval',
        '_non_retryable_error_types',
        '_retry_timeout',
    )

    def __init__(
        self,
        *,
        first_retry_interval: timedelta,
        max_number_of_attempts: int,
        backoff_coefficient: float | None = 1.0,
        max_retry_interval: timedelta | None = None,
        retry_timeout: timedelta | None = None,
        non_retryable_error_types: Sequence[str | type[BaseException]] | None = None,
    ) -> None:
        _check_types(
            first_retry_interval, max_number_of_attempts, backoff_coefficient, max_retry_interval, retry_timeout
        )
        _check_error_types(non_retryable_error_types)
        zero = timedelta(0)
        if first_retry_interval < zero:
            raise ValueError(f'first_retry_interval must be >= 0, got {first_retry_interval}')
        if max_number_of_attempts < 1:
            raise ValueError(f'max_number_of_attempts must be >= 1, got {max_number_of_attempts}')
        if backoff_coefficient is not None and backoff_coefficient < 1:
            raise ValueError(f'backoff_coefficient must be >= 1, got {backoff_coefficient}')
        if max_retry_interval is not None and max_retry_interval < zero:
            raise ValueError(f'max_retry_interval must be >= 0, got {max_retry_interval}')
        if retry_timeout is not None and retry_timeout < zero:
            raise ValueError(f'retry_timeout must be >= 0, got {retry_timeout}')
        self._first_retry_interval = first_retry_interval
        self._max_number_of_attempts = max_number_of_attempts
        self._backoff_coefficient = backoff_coefficient
        self._max_retry_interval = max_retry_interval
        self._retry_timeout = retry_timeout
        self._non_retryable_error_types: frozenset[str] | None = (
            None
            if not non_retryable_error_types
            else frozenset(
                error.__name__ if isinstance(error, type) else error for error in non_retryable_error_types if error
            )
        )

    @property
    def first_retry_interval(self) -> timedelta:
        """The wait before the first retry."""
        return self._first_retry_interval

    @property
    def max_number_of_attempts(self) -> int:
        """Attempts in all, the first one included."""
        return self._max_number_of_attempts

    @property
    def backoff_coefficient(self) -> float | None:
        """What each wait is multiplied by to give the next; None stands for 1."""
        return self._backoff_coefficient

    @property
    def max_retry_interval(self) -> timedelta | None:
        """The longest wait, or None."""
        return self._max_retry_interval

    @property
    def retry_timeout(self) -> timedelta | None:
        """What all waits together stay below, or None."""
        return self._retry_timeout

    @property
    def non_retryable_error_types(self) -> frozenset[str] | None:
        """The names of the error types that end the retries at once, or None."""
        return self._non_retryable_error_types

    def delay_before_retry(self, failed_attempts: int, waited: timedelta) -> timedelta | None:
        """The wait before the next attempt.

        Args:
            failed_attempts: How many attempts have failed, at least 1.
            waited: What the waits before the retries so far come to; it counts with a `retry_timeout` only.

        Returns:
            The wait, or None when the policy allows no further attempt.
        """
        if failed_attempts >= self._max_number_of_attempts:
            return None
        longest = self._max_retry_interval if self._max_retry_interval is not None else timedelta.max
        try:
            delay = self._first_retry_interval * (self._backoff_coefficient or 1.0) ** (failed_attempts - 1)
        except OverflowError:  # a steep coefficient outgrows what a timedelta can hold
            delay = timedelta.max
        delay = min(delay, longest)
        if self._retry_timeout is not None and delay >= self._retry_timeout - waited:
            return None
        return delay


def _check_types(first: object, attempts: object, coefficient: object, longest: object, timeout: object) -> None:
    if not isinstance(first, timedelta):
        raise _wrong_type('first_retry_interval', 'a timedelta', first)
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise _wrong_type('max_number_of_attempts', 'an int', attempts)
    if coefficient is not None:
        if not isinstance(coefficient, (int, float)) or isinstance(coefficient, bool):
            raise _wrong_type('backoff_coefficient', 'a float, an int or None', coefficient)
        if not math.isfinite(coefficient):
            raise ValueError(f'backoff_coefficient must be a finite number, got {coefficient}')
    for argument, value in (('max_retry_interval', longest), ('retry_timeout', timeout)):
        if value is not None and not isinstance(value, timedelta):
            raise _wrong_type(argument, 'a timedelta or None', value)


def _check_error_types(types: object) -> None:
    if types is None:
        return
    if isinstance(types, (str, type)) or not isinstance(types, Iterable):
        raise TypeError(
            f'non_retryable_error_types must be a list of exception types or their names, not {types!r}; for a single '
            'one write a list of one.'
        )
    for error in types:
        if not (isinstance(error, str) or (issubclass(type(error), type) and issubclass(error, BaseException))):
            raise _wrong_type('each of non_retryable_error_types', 'an exception type or the name of one', error)


def _wrong_type(argument: str, kind: str, value: object) -> TypeError:
    return TypeError(f'{argument} must be {kind}, not {type(value).__name__}: {value!r}')


def is_error_non_retryable(error_type: str, policy: RetryPolicy) -> bool:
    """Whether a failure of this type ends the retries at once.

    Args:
        error_type: The name of the error's type, as in `TaskFailureDetails.errorType`.
        policy: The policy that the task was called with.
    """
    if error_type == NonRetryableError.__name__:
        return True
    return policy.non_retryable_error_types is not None and error_type in policy.non_retryable_error_types
