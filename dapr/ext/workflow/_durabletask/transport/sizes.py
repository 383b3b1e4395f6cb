"""Watches the size of work items: a history that nears what the sidecar can send is told before it is too late.

A sidecar sends a turn as one message, and most (daprd up to 1.18) with the whole history in it. daprd stalls an
instance when that nears the limit of a message, which is 4 MiB unless it was set otherwise.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from typing import Final

from dapr.ext.workflow._durabletask.internal import protos as pb

DEFAULT_LIMIT: Final = 4 * 1024 * 1024
"""What gRPC servers take in one message by default, and what daprd's --max-body-size is by default, in bytes."""
_MOST_TOLD: Final = 1_000
# gRPC's own words, of its Go and its C implementation, in a refusal of a message.
_REFUSAL: Final = re.compile(r'larger than max \((?:\d+) vs\. (?P<limit>\d+)\)')


class SizeWatch:
    """Tells, once for each workflow instance, that its history has passed half of the limit.

    Args:
        logger: Where it is told.

    Attributes:
        half: Half of the limit, in bytes: what a reader of the stream compares each message with.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.half = DEFAULT_LIMIT // 2
        self._logger = logger
        self._told: OrderedDict[str, None] = OrderedDict()

    def refused(self, details: str) -> None:
        """Takes note of the limit that the sidecar has shown when it refused a message (RESOURCE_EXHAUSTED).

        Args:
            details: The details of the error.
        """
        found = _REFUSAL.search(details)
        if found is not None:
            self.half = int(found['limit']) // 2

    def is_large(self, item: pb.WorkItem, size: int) -> None:
        """Looks at a work item that is larger than `half`."""
        instance_id = item.workflowRequest.instanceId
        if not instance_id or instance_id in self._told:
            return
        self._told[instance_id] = None
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        self._logger.warning(
            '%s: the history of the workflow takes %.1f MB, of the %.1f MB that the sidecar sends in one message. Near '
            'the limit daprd stalls the workflow. Continue as new before the history grows so large, hand on keys of '
            "large data instead of the data, or raise daprd's --max-body-size (annotation dapr.io/max-body-size).",
            instance_id,
            size / 1e6,
            2 * self.half / 1e6,
        )
