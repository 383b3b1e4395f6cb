"""The history cache, under ours or the peer's environment.

Run by path: reads `{"what": "put" | "get" | "delta" | "evict" | "memory", "entries": int, "events": int}` per line on
stdin, answers with `{"value": float}`: microseconds for one operation, or bytes of the process for one event.

- put: a whole history is kept, in place of the one before.
- get: it is read back, as events.
- delta: what a turn costs that brought 10 events onto a history. The peer has no other way than to put the whole.
- evict: a small history is put into a full cache, so the one used longest ago goes.
- memory: what the process grows by for histories as turns bring them: parsed from the requests that they came in.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import _WorkflowHistoryCache

_DELTA = 10
_DEADLINE_S = 0.5
_CALLS = 1_000


def history(events: int) -> list[pb.HistoryEvent]:
    """Events of about the wire's usual size, about 120 bytes, parsed as when they come in."""
    request = pb.WorkflowRequest()
    for number in range(events):
        event = request.pastEvents.add(eventId=-1)
        event.timestamp.FromMilliseconds(1_767_225_600_000 + number)
        event.taskCompleted.taskScheduledId = number
        event.taskCompleted.taskExecutionId = f'00000000-0000-0000-0000-{number:012}'
        event.taskCompleted.result.value = '"' + 'r' * 50 + '"'
    return list(pb.WorkflowRequest.FromString(request.SerializeToString()).pastEvents)


def per_call(call: Callable[[int], Any]) -> float:
    """Microseconds for a call, by the median of as many as fit into half a second."""
    call(0)
    taken = []
    stop = time.perf_counter() + _DEADLINE_S
    for number in range(1, _CALLS):
        began = time.perf_counter()
        call(number)
        ended = time.perf_counter()
        taken.append(ended - began)
        if ended > stop:
            break
    return sorted(taken)[len(taken) // 2] * 1e6


def filled(entries: int, max_instances: int = 0) -> Any:
    cache = _WorkflowHistoryCache(max_instances=max_instances)
    small = history(1)
    for number in range(entries):
        cache.put(f'instance-{number}', small)
    return cache


def delta_onto(cache: Any, events: Sequence[pb.HistoryEvent]) -> float:
    # Both start from the same state each time: what is measured is one turn, and not a history that grows.
    delta = list(events[-_DELTA:])
    if not hasattr(cache, 'checkout'):
        return per_call(lambda _: cache.put('turn', events))
    cache.put('turn', events[:-_DELTA])

    def turn(_: int) -> None:
        lease = cache.checkout('turn')
        lease.extend(delta)
        lease.release()

    return per_call(turn)


def resident_bytes() -> int:
    fields = Path('/proc/self/statm').read_text().split()
    return int(fields[1]) * 4096


def memory_per_event(entries: int, events: int) -> float:
    cache = _WorkflowHistoryCache(max_instances=entries + 1)
    cache.put('warm', history(events))
    gc.collect()
    before = resident_bytes()
    for number in range(entries):
        cache.put(f'instance-{number}', history(events))
    gc.collect()
    return (resident_bytes() - before) / (entries * events)


def measure(what: str, entries: int, events: int) -> float:
    if what == 'memory':
        return memory_per_event(entries, events)
    if what == 'evict':
        cache, small = filled(entries, max_instances=entries), history(1)
        return per_call(lambda number: cache.put(f'new-{number}', small))
    cache, past = filled(entries), history(events)
    if what == 'delta':
        return delta_onto(cache, past)
    if what == 'get':
        cache.put('read', past)
        return per_call(lambda _: cache.get('read'))
    return per_call(lambda _: cache.put('put', past))


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({'value': measure(request['what'], request['entries'], request['events'])}), flush=True)


if __name__ == '__main__':
    main()
