"""Many activities at once, as many as the input asks for; and the first of several to be done.

The words of some pages are counted at the same time, and added up. Then two libraries are asked for a book, and the
one that answers first lends it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    WorkflowActivityContext,
    WorkflowRuntime,
    when_all,
    when_any,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()
book_is_lent = threading.Event()


@runtime.workflow
def count_words(ctx: DaprWorkflowContext, pages: list[str]) -> Generator[Any, Any, int]:
    counts: list[int] = yield when_all([ctx.call_activity(count_page, input=page) for page in pages])
    return sum(counts)


@runtime.workflow
def borrow(ctx: DaprWorkflowContext, libraries: list[str]) -> Generator[Any, Any, str]:
    asked = [ctx.call_activity(ask, input=library) for library in libraries]
    first = yield when_any(asked)
    return f'lent by {first.get_result()}'


@runtime.activity
def count_page(ctx: WorkflowActivityContext, page: str) -> int:
    return len(page.split())


@runtime.activity
def ask(ctx: WorkflowActivityContext, library: str) -> str:
    if library == 'the slow one':
        book_is_lent.wait(10)
    return library


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        pages = [f'page {number} has six words or so' for number in range(50)]
        instance_id = client.schedule_new_workflow(count_words, input=pages)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(f'{len(pages)} pages have {state.serialized_output} words')

        instance_id = client.schedule_new_workflow(borrow, input=['the slow one', 'the quick one'])
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        book_is_lent.set()
        assert state is not None
        print(state.serialized_output)


if __name__ == '__main__':
    main()
