"""Where the sidecar is: by the caller, by Dapr's SDK where it is installed, by the environment."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dapr.ext.workflow.util import api_timeout, api_token_metadata, get_grpc_channel_options, getAddress


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith('DAPR_')]:
        monkeypatch.delenv(name)
    # None makes its import fail as where it is not installed.
    monkeypatch.setitem(sys.modules, 'dapr.conf', None)


def install_sdk(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    module: Any = ModuleType('dapr.conf')
    module.settings = SimpleNamespace(DAPR_RUNTIME_HOST='127.0.0.1', DAPR_GRPC_PORT=50001, **settings)
    monkeypatch.setitem(sys.modules, 'dapr.conf', module)


@pytest.mark.parametrize(
    ('given', 'address'),
    [((), '127.0.0.1:50001'), (('h',), 'h:50001'), (('h', '1'), 'h:1'), ((None, 2), '127.0.0.1:2')],
)
@pytest.mark.parametrize('with_sdk', [False, True])
def test_what_is_given_and_the_defaults(
    monkeypatch: pytest.MonkeyPatch, given: tuple[Any, ...], address: str, with_sdk: bool
) -> None:
    if with_sdk:
        install_sdk(monkeypatch)

    assert getAddress(*given) == address


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DAPR_GRPC_PORT', '7')
    assert getAddress() == '127.0.0.1:7'
    assert getAddress('h') == 'h:7'
    monkeypatch.setenv('DAPR_GRPC_ENDPOINT', 'https://e:1')
    assert getAddress() == 'https://e:1'
    assert getAddress(port='2') == '127.0.0.1:2'
    monkeypatch.setenv('DAPR_GRPC_ENDPOINT', '')
    assert getAddress() == '127.0.0.1:7'


def test_the_sdks_settings_are_the_ones_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DAPR_GRPC_ENDPOINT', 'env:1')
    install_sdk(monkeypatch, DAPR_GRPC_ENDPOINT='sdk:1', DAPR_API_TOKEN='t')

    assert getAddress() == 'sdk:1'
    assert getAddress('h') == 'h:50001'
    assert api_token_metadata() == [('dapr-api-token', 't')]


def test_without_a_token_of_the_sdk_the_engine_looks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert api_token_metadata() is None
    install_sdk(monkeypatch, DAPR_API_TOKEN=None)
    assert api_token_metadata() is None


def test_a_message_length_counts_for_both_directions() -> None:
    assert get_grpc_channel_options() is None
    assert dict(get_grpc_channel_options(5) or ()) == {
        'grpc.max_send_message_length': 5,
        'grpc.max_receive_message_length': 5,
    }


@pytest.mark.parametrize('with_sdk', [False, True])
def test_the_message_length_that_is_set_counts_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch, with_sdk: bool
) -> None:
    monkeypatch.setenv('DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES', '7')
    if with_sdk:
        install_sdk(monkeypatch, DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES=7)

    for given, limit in ((None, 7), (0, 7), (5, 5), (-1, -1)):
        assert {value for _, value in get_grpc_channel_options(given) or ()} == {limit}


@pytest.mark.parametrize('with_sdk', [False, True])
@pytest.mark.parametrize(('given', 'seconds'), [(None, None), ('60', 60.0), ('0.5', 0.5)])
def test_the_deadline_of_calls_that_is_set_counts(
    monkeypatch: pytest.MonkeyPatch, with_sdk: bool, given: str | None, seconds: float | None
) -> None:
    if with_sdk:
        monkeypatch.setenv('DAPR_API_TIMEOUT_SECONDS', '9')  # the SDK has the say
        install_sdk(monkeypatch, DAPR_API_TIMEOUT_SECONDS=given)
    elif given is not None:
        monkeypatch.setenv('DAPR_API_TIMEOUT_SECONDS', given)
    assert api_timeout() == seconds


@pytest.mark.parametrize('with_sdk', [False, True])
@pytest.mark.parametrize('given', ['soon', '0', '-1', 'inf'])
def test_a_deadline_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, with_sdk: bool, given: str) -> None:
    monkeypatch.setenv('DAPR_API_TIMEOUT_SECONDS', given)
    if with_sdk:
        install_sdk(monkeypatch, DAPR_API_TIMEOUT_SECONDS=given)

    with pytest.raises(ValueError, match=f"DAPR_API_TIMEOUT_SECONDS='{given}'"):
        api_timeout()


def test_a_message_length_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES', 'much')

    with pytest.raises(ValueError, match="DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES='much'"):
        get_grpc_channel_options()
