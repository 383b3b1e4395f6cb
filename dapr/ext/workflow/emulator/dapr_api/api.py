"""The whole of it, as the emulator holds it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dapr.ext.workflow.emulator.dapr_api.health import HealthListener
from dapr.ext.workflow.emulator.dapr_api.items import Items, Tables
from dapr.ext.workflow.emulator.dapr_api.service import DaprService

__all__ = ['DaprApi']


class DaprApi:
    """Dapr's API beside workflows, for one emulator.

    Args:
        host: The address of the HTTP listener.
        http_port: Its port; 0: a free one.
        stores: The names of the state stores.
        is_durable: Whether they are in a file.
        logger: Where failures are told.

    Raises:
        ValueError: There is no store, or one has an empty name.

    Attributes:
        http: The HTTP listener.
    """

    def __init__(
        self, host: str, http_port: int, stores: Sequence[str], is_durable: bool, logger: logging.Logger
    ) -> None:
        if not stores or '' in stores or isinstance(stores, str):
            raise ValueError(f'state_stores is {stores!r}: it takes one name at least, and none that is empty')
        self.http = HealthListener(host, http_port)
        self._stores = tuple(dict.fromkeys(stores))
        self._is_durable = is_durable
        self._logger = logger

    def service(self, tables: Tables, clock: Callable[[], float], app_id: str, max_message_bytes: int) -> DaprService:
        """The calls by gRPC, for an app's listener.

        Args:
            tables: The emulator's database.
            clock: The seconds since the epoch.
            app_id: The app.
            max_message_bytes: The largest message that it takes.
        """
        items = Items(tables, clock)
        return DaprService(items, app_id, self._stores, self._is_durable, max_message_bytes, self._logger)
