"""What a running workflow takes in memory."""

from __future__ import annotations

from typing import Any

from tests.support.async_engine import running_instance
from tests.support.engine import Driver

# CPython lets objects of a class share the table of their attributes' names up to so many; with one more, each context
# has a table of its own, which is a kilobyte for each workflow that waits.
SHARED = 30


def test_contexts_share_the_names_of_their_attributes() -> None:
    def workflow(ctx: Any, _: None) -> Any:
        ctx.set_metadata({'tenant': 'a'})
        ctx.set_custom_status('waits')
        yield ctx.wait_for_external_event('go')

    driver = Driver(workflow)
    driver.start()
    assert len(vars(running_instance(driver).context)) <= SHARED
