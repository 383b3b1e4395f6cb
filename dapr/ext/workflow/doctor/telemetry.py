"""Which of OpenTelemetry's parts are there, and what a worker does with them: what an app turns on only it can tell."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from typing import Final

from dapr.ext.workflow.doctor.line import Line

# What the extra `otel` asks for; a test compares.
OLDEST: Final = (1, 30)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def examine_telemetry(version_of: Callable[[str], str | None] = _installed) -> Line:
    """Says what of OpenTelemetry is installed, and what that gives.

    Args:
        version_of: Gives the version of a distribution; None: it is not installed. Default: looks it up.
    """
    api, sdk = version_of('opentelemetry-api'), version_of('opentelemetry-sdk')
    grpc = version_of('opentelemetry-instrumentation-grpc')
    if api is None:
        return Line('opentelemetry', 'not installed: no metrics and no spans; the extra otel brings its API')
    if tuple(map(int, re.findall(r'\d+', api)[:2])) < OLDEST:
        return Line(
            'opentelemetry',
            f'API {api}: activities have spans, but metrics need {".".join(map(str, OLDEST))} or newer',
            wrong=True,
        )
    if sdk is None:
        return Line('opentelemetry', f'API {api} without the SDK: metrics and spans go nowhere')
    calls = f'gRPC instrumentation {grpc}' if grpc else 'gRPC is not instrumented'
    return Line(
        'opentelemetry',
        f'API {api}, SDK {sdk}, {calls}: activities have spans where the app sets a tracer provider; metrics and spans '
        'of turns with WorkflowRuntime(listeners=[...])',
    )
