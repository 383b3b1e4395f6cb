"""What the doctor says of OpenTelemetry."""

from __future__ import annotations

import re

import pytest

from dapr.ext.workflow.doctor import examine
from dapr.ext.workflow.doctor.telemetry import OLDEST, examine_telemetry
from tools.go_sidecar import ROOT


@pytest.mark.parametrize(
    ('api', 'sdk', 'grpc', 'text', 'wrong'),
    [
        (None, None, None, 'not installed: no metrics and no spans', False),
        ('1.29.0', '1.29.0', None, 'API 1.29.0: activities have spans, but metrics need 1.30 or newer', True),
        ('1.45.2', None, None, 'API 1.45.2 without the SDK: metrics and spans go nowhere', False),
        ('1.45.2', '1.45.2', None, 'API 1.45.2, SDK 1.45.2, gRPC is not instrumented: activities have spans', False),
        ('2.0rc1', '2.0rc1', '0.66b2', 'API 2.0rc1, SDK 2.0rc1, gRPC instrumentation 0.66b2', False),
    ],
)
def test_it_says_what_is_there_and_what_that_gives(
    api: str | None, sdk: str | None, grpc: str | None, text: str, wrong: bool
) -> None:
    versions = {'opentelemetry-api': api, 'opentelemetry-sdk': sdk, 'opentelemetry-instrumentation-grpc': grpc}
    line = examine_telemetry(versions.get)
    assert text in line.text
    assert line.wrong is wrong


def test_the_oldest_version_is_that_of_the_extra() -> None:
    extras = (ROOT / 'pyproject.toml').read_text()
    match = re.search(r'^otel = \["opentelemetry-api>=([\d.]+)"\]$', extras, re.MULTILINE)
    assert match is not None
    assert match[1] == '.'.join(map(str, OLDEST))


def test_it_is_among_what_the_doctor_says() -> None:
    assert 'opentelemetry' in [line.name for line in examine(offline=True)]
