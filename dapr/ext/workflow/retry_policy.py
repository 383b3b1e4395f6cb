"""How a failed activity or child workflow is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dapr.ext.workflow._durabletask import retry

__all__ = ['RetryPolicy']


class RetryPolicy:
    """How a failed activity or child workflow is tried again.

    The wait before retry k (k = 1, 2, ...) is `first_retry_interval * backoff_coefficient ** (k - 1)`, at most
    `max_retry_interval`. Waits are durable timers of the workflow.

    Args:
        first_retry_interval: The wait before the first retry; not negative.
        max_number_of_attempts: Attempts in all, the first one included; at least 1.
        backoff_coefficient: What each wait is multiplied by to give the next; at least 1. Default: 1.0.
        max_retry_interval: The longest wait, not negative. None (default): no limit.
        retry_timeout: No retry is begun whose wait would bring all waits together to this much or more; not negative.
            None (default): no limit.
        non_retryable_error_types: Exception types, or their names, that end the retries at once. A type stands for
            its subclasses, too (where the failing worker is one of these), and for the failures of a child workflow
            that has failed by an activity's. Default: none; `NonRetryableError` and its subclasses always do.

    Raises:
        TypeError: A value is of another type; the message names it.
        ValueError: A value is out of its range; the message names it.
    """

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
        self._obj = retry.RetryPolicy(
            first_retry_interval=first_retry_interval,
            max_number_of_attempts=max_number_of_attempts,
            backoff_coefficient=backoff_coefficient,
            max_retry_interval=max_retry_interval,
            retry_timeout=retry_timeout,
            non_retryable_error_types=non_retryable_error_types,
        )

    @property
    def obj(self) -> retry.RetryPolicy:
        """The policy as the engine takes it."""
        return self._obj

    @property
    def first_retry_interval(self) -> timedelta:
        """The wait before the first retry."""
        return self._obj.first_retry_interval

    @property
    def max_number_of_attempts(self) -> int:
        """Attempts in all, the first one included."""
        return self._obj.max_number_of_attempts

    @property
    def backoff_coefficient(self) -> float | None:
        """What each wait is multiplied by to give the next; None stands for 1."""
        return self._obj.backoff_coefficient

    @property
    def max_retry_interval(self) -> timedelta | None:
        """The longest wait, or None."""
        return self._obj.max_retry_interval

    @property
    def retry_timeout(self) -> timedelta | None:
        """What all waits together stay below, or None."""
        return self._obj.retry_timeout

    @property
    def non_retryable_error_types(self) -> frozenset[str] | None:
        """The names of the error types that end the retries at once, or None."""
        return self._obj.non_retryable_error_types


def engines_policy(retry_policy: RetryPolicy | None) -> retry.RetryPolicy | None:
    """The policy as the engine takes it; None stays None.

    Raises:
        TypeError: It is no policy.
    """
    if retry_policy is None or isinstance(retry_policy, retry.RetryPolicy):
        return retry_policy
    policy = getattr(retry_policy, 'obj', None)
    if not isinstance(policy, retry.RetryPolicy):
        raise TypeError(f'retry_policy must be a RetryPolicy, not {type(retry_policy).__name__}: {retry_policy!r}.')
    return policy
