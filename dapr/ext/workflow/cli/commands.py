"""How commands are put together, and how they end.

Exit codes: 0, it is done. 1, it is answered, and the answer is no: the workflow failed, something is wrong. 2, the
command line is wrong. 3, there is no such instance. 4, the sidecar refused the call or could not be reached. 130,
Ctrl-C.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from dapr.ext.workflow._durabletask.client import WorkflowState
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.inspection.sidecar import Sidecar

OK: Final = 0
NO: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130

Run: TypeAlias = Callable[[argparse.Namespace], int]


class NotFound(Exception):
    """There is no instance of that id."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"There is no workflow instance '{instance_id}'. `dapr-workflow list` shows those there are.")


class Commands:
    """The commands of a command line, to be added to.

    Args:
        subparsers: What `ArgumentParser.add_subparsers` gave.
        connection: The options that commands have which talk to a sidecar.
    """

    def __init__(self, subparsers: Any, connection: argparse.ArgumentParser) -> None:
        self.subparsers = subparsers
        self._connection = connection

    def add(
        self, name: str, run: Run, *, help: str, aliases: Sequence[str] = (), epilog: str | None = None
    ) -> argparse.ArgumentParser:
        """Adds a command that talks to a sidecar.

        Args:
            name: Its name.
            run: What it does with its options; returns the exit code.
            help: What it does, in a few words.
            aliases: Other names of it. Default: none.
            epilog: What stands below its help. Default: nothing.

        Returns:
            Its parser, for its own arguments.
        """
        parser: argparse.ArgumentParser = self.subparsers.add_parser(
            name,
            help=help,
            description=f'{help[0].upper()}{help[1:]}.',
            aliases=list(aliases),
            epilog=epilog,
            parents=[self._connection],
        )
        parser.set_defaults(run=run)
        return parser


def found(sidecar: Sidecar, instance_id: str, *, payloads: bool = True) -> WorkflowState:
    """The state of an instance.

    Raises:
        NotFound: There is none of that id.
    """
    state = sidecar.state(instance_id, payloads=payloads)
    if state is None:
        raise NotFound(instance_id)
    return state


def add_wait_options(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds `--wait` and what bounds it."""
    parser.add_argument('--wait', action='store_true', help=help)
    parser.add_argument(
        '--max-wait',
        metavar='DURATION',
        type=moments.length,
        help="wait so, but no longer than this: '90s', '10m'. It is an error when that is over",
    )


def is_to_wait(options: argparse.Namespace) -> bool:
    """Whether the options of `add_wait_options` ask for a wait."""
    return options.wait or options.max_wait is not None


def wait_for_end(options: argparse.Namespace, sidecar: Sidecar, instance_id: str) -> WorkflowState | None:
    """Waits for the end of an instance, as the options of `add_wait_options` say.

    Returns:
        How it ended; None: there is no such instance.

    Raises:
        WorkflowTimeoutError: It has not ended in time.
    """
    limit = 0.0 if options.max_wait is None else options.max_wait.total_seconds()
    return sidecar.client.wait_for_orchestration_completion(instance_id, timeout=limit, app_id=options.app_id)
