"""What the environment says about the way to the sidecar: every variable, its default, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from dapr.ext.workflow._durabletask.transport import settings
from dapr.ext.workflow._durabletask.transport.settings import Endpoint, KeepaliveSettings, RetrySettings


class TestDefaultAddress:
    @pytest.mark.parametrize(
        ('environ', 'address'),
        [
            ({}, 'localhost:4001'),
            ({'DAPR_GRPC_HOST': 'a'}, 'a:4001'),
            ({'DAPR_RUNTIME_HOST': 'b'}, 'b:4001'),
            ({'DAPR_GRPC_HOST': 'a', 'DAPR_RUNTIME_HOST': 'b'}, 'a:4001'),
            ({'DAPR_GRPC_PORT': '50001'}, 'localhost:50001'),
            ({'DAPR_RUNTIME_HOST': 'b', 'DAPR_GRPC_PORT': ' 50001 '}, 'b:50001'),
            ({'DAPR_GRPC_HOST': '10.0.0.1', 'DAPR_GRPC_PORT': '1'}, '10.0.0.1:1'),
            ({'DAPR_GRPC_HOST': '::1'}, '[::1]:4001'),
            ({'DAPR_GRPC_HOST': '[::1]', 'DAPR_GRPC_PORT': '65535'}, '[::1]:65535'),
            ({'DAPR_GRPC_ENDPOINT': 'https://c:5', 'DAPR_GRPC_HOST': 'a', 'DAPR_GRPC_PORT': '1'}, 'https://c:5'),
            ({'DAPR_GRPC_ENDPOINT': ' ', 'DAPR_GRPC_HOST': '', 'DAPR_GRPC_PORT': ''}, 'localhost:4001'),
        ],
    )
    def test_what_is_set_counts(self, environ: dict[str, str], address: str) -> None:
        assert settings.default_host_address(environ) == address
        settings.parse_endpoint(address)

    @pytest.mark.parametrize(
        ('environ', 'message'),
        [
            ({'DAPR_GRPC_PORT': 'many'}, r"DAPR_GRPC_PORT='many' is not a whole number from 1 to 65535"),
            ({'DAPR_GRPC_PORT': '0'}, "DAPR_GRPC_PORT='0'"),
            ({'DAPR_GRPC_PORT': '65536'}, "DAPR_GRPC_PORT='65536'"),
            ({'DAPR_GRPC_PORT': '1.5'}, "DAPR_GRPC_PORT='1.5'"),
            ({'DAPR_GRPC_HOST': 'a:1'}, "DAPR_GRPC_HOST='a:1' is no host name.*DAPR_GRPC_ENDPOINT"),
            ({'DAPR_RUNTIME_HOST': 'http://a'}, "DAPR_RUNTIME_HOST='http://a' is no host name"),
            ({'DAPR_RUNTIME_HOST': 'a b'}, "DAPR_RUNTIME_HOST='a b'"),
            ({'DAPR_GRPC_ENDPOINT': 'ftp://a'}, "DAPR_GRPC_ENDPOINT='ftp://a' cannot be read: the scheme 'ftp'"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, environ: dict[str, str], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            settings.default_host_address(environ)

    def test_the_process_environment_is_the_default_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ('DAPR_GRPC_ENDPOINT', 'DAPR_GRPC_HOST', 'DAPR_RUNTIME_HOST'):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('DAPR_GRPC_PORT', '7')
        assert settings.default_host_address() == 'localhost:7'


class TestEndpoint:
    @pytest.mark.parametrize(
        ('address', 'target', 'secure'),
        [
            ('localhost:4001', 'localhost:4001', False),
            (' localhost:4001 ', 'localhost:4001', False),
            ('host', 'host', False),
            (':5000', 'localhost:5000', False),
            ('127.0.0.1:5', '127.0.0.1:5', False),
            ('[::1]:5', '[::1]:5', False),
            ('[::1]', '[::1]', False),
            ('[fe80::1%eth0]:5', '[fe80::1%eth0]:5', False),
            ('my-app.my_ns.svc:5', 'my-app.my_ns.svc:5', False),
            ('host:5?tls=true', 'host:5', True),
            ('host:5?tls=False', 'host:5', False),
            ('host?tls=true', 'host', True),
            ('http://host', 'host:80', False),
            ('http://host:5', 'host:5', False),
            ('http://host:5/', 'host:5', False),
            ('HTTP://[::1]', '[::1]:80', False),
            ('https://host', 'host', True),
            ('HTTPS://host:5', 'host:5', True),
            ('grpc://host:5', 'host:5', False),
            ('grpc://host:5?tls=true', 'host:5', True),
            ('grpcs://host:5', 'host:5', True),
            ('grpcs://host', 'host', True),
            ('dns:host', 'dns:host', False),
            ('dns:host:5', 'dns:host:5', False),
            ('dns:host:5?tls=true', 'dns:host:5', True),
            ('dns://8.8.8.8/host:5', 'dns://8.8.8.8/host:5', False),
            ('dns://8.8.8.8:53/host:5?tls=true', 'dns://8.8.8.8:53/host:5', True),
            ('dns:///host:5', 'dns:///host:5', False),
            ('dns:[::1]:5', 'dns:[::1]:5', False),
            ('unix:relative/path', 'unix:relative/path', False),
            ('unix:/a/b.sock', 'unix:/a/b.sock', False),
            ('unix:///a/b.sock', 'unix:///a/b.sock', False),
            ('unix:///a/b.sock?tls=true', 'unix:///a/b.sock', True),
            ('unix-abstract:name', 'unix-abstract:name', False),
            ('vsock:1:2', 'vsock:1:2', False),
            ('ipv4:127.0.0.1:5', 'ipv4:127.0.0.1:5', False),
            # A host may have the name of a scheme.
            ('http:5', 'http:5', False),
            ('grpc:5', 'grpc:5', False),
        ],
    )
    def test_forms(self, address: str, target: str, secure: bool) -> None:
        assert settings.parse_endpoint(address) == Endpoint(target, secure)

    @pytest.mark.parametrize(
        ('address', 'reason'),
        [
            ('', 'it is no host:port'),
            ('host:', 'it is no host:port'),
            ('host:many', 'it is no host:port'),
            ('host:65536', '65536 is no port'),
            ('two words:5', 'it is no host:port'),
            ('host:5/path', 'it is no host:port'),
            ('http://host:5/path', 'it is no host:port'),
            ('http://', 'it is no host:port'),
            ('user@host:5', 'it is no host:port'),
            ('::1', 'an IPv6 address stands in brackets'),
            ('::1:5', 'an IPv6 address stands in brackets'),
            ('ftp://host:5', "the scheme 'ftp' is unknown"),
            ('http://host:5?tls=true', 'http:// says itself whether TLS is used'),
            ('https://host:5?tls=false', 'https:// says itself whether TLS is used'),
            ('host:5?tls=maybe', 'neither tls=true nor tls=false'),
            ('host:5?tls', 'neither tls=true nor tls=false'),
            ('host:5?abc=true', 'neither tls=true nor tls=false'),
            ('host:5?tls=true&abc=1', 'neither tls=true nor tls=false'),
            ('dns:', 'it is no host:port'),
            ('dns://host:5', 'dns:// is followed by a resolver'),
            ('dns:resolver/host:5', 'dns:// is followed by a resolver'),
            ('unix:', 'nothing comes after unix:'),
            ('unix:///', 'nothing comes after unix:'),
        ],
    )
    def test_what_cannot_be_read_says_why(self, address: str, reason: str) -> None:
        with pytest.raises(ValueError) as raised:  # noqa: PT011  the whole message is looked at
            settings.parse_endpoint(address)
        message = str(raised.value)
        assert message.startswith(f'host_address={address!r} cannot be read: ')
        assert reason in message
        assert 'It takes host:port' in message


KEEPALIVE = [
    ('DAPR_GRPC_KEEPALIVE_ENABLED', 'enabled', 'yes', True),
    ('DAPR_GRPC_KEEPALIVE_TIME_MS', 'time_ms', '1', 1),
    ('DAPR_GRPC_KEEPALIVE_TIMEOUT_MS', 'timeout_ms', '5', 5),
    ('DAPR_GRPC_KEEPALIVE_PERMIT_WITHOUT_CALLS', 'permit_without_calls', '1', True),
]
RETRY = [
    ('DAPR_GRPC_RETRY_ENABLED', 'enabled', 'on', True),
    ('DAPR_GRPC_RETRY_MAX_ATTEMPTS', 'max_attempts', '2', 2),
    ('DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS', 'initial_backoff_ms', '10', 10),
    ('DAPR_GRPC_RETRY_MAX_BACKOFF_MS', 'max_backoff_ms', '700', 700),
    ('DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER', 'backoff_multiplier', '1.5', 1.5),
    ('DAPR_GRPC_RETRY_CODES', 'codes', ' aborted, UNAVAILABLE ,aborted', ('ABORTED', 'UNAVAILABLE')),
]


class TestKeepaliveAndRetry:
    def test_defaults(self) -> None:
        assert settings.keepalive_settings({}) == KeepaliveSettings(False, 120_000, 20_000, False)
        assert settings.retry_settings({}) == RetrySettings(
            False, 4, 100, 1_000, 2.0, ('UNAVAILABLE', 'DEADLINE_EXCEEDED')
        )

    @pytest.mark.parametrize(('variable', 'attribute', 'text', 'expected'), KEEPALIVE)
    def test_keepalive_variables(self, variable: str, attribute: str, text: str, expected: Any) -> None:
        read = settings.keepalive_settings({variable: text})
        assert getattr(read, attribute) == expected
        assert getattr(read, attribute) != getattr(KeepaliveSettings(), attribute)
        assert settings.keepalive_settings({variable: ' '}) == KeepaliveSettings()

    @pytest.mark.parametrize(('variable', 'attribute', 'text', 'expected'), RETRY)
    def test_retry_variables(self, variable: str, attribute: str, text: str, expected: Any) -> None:
        read = settings.retry_settings({variable: text})
        assert getattr(read, attribute) == expected
        assert getattr(read, attribute) != getattr(RetrySettings(), attribute)
        assert settings.retry_settings({variable: ' '}) == RetrySettings()

    @pytest.mark.parametrize('text', ['true', 'TRUE', '1', 'yes', 'On'])
    def test_true(self, text: str) -> None:
        assert settings.keepalive_settings({'DAPR_GRPC_KEEPALIVE_ENABLED': text}).enabled

    @pytest.mark.parametrize('text', ['false', 'False', '0', 'no', 'OFF', ''])
    def test_false(self, text: str) -> None:
        assert not settings.keepalive_settings({'DAPR_GRPC_KEEPALIVE_ENABLED': text}).enabled

    @pytest.mark.parametrize(
        ('variable', 'text', 'accepted'),
        [
            ('DAPR_GRPC_KEEPALIVE_ENABLED', 'maybe', 'neither true, 1, yes or on'),
            ('DAPR_GRPC_KEEPALIVE_TIME_MS', '2 min', 'not a whole number from 1'),
            ('DAPR_GRPC_KEEPALIVE_TIME_MS', '0', 'not a whole number from 1'),
            ('DAPR_GRPC_KEEPALIVE_TIMEOUT_MS', '-1', 'not a whole number from 1'),
            ('DAPR_GRPC_KEEPALIVE_TIMEOUT_MS', str(2**31), 'not a whole number from 1 to 2147483647'),
            ('DAPR_GRPC_KEEPALIVE_PERMIT_WITHOUT_CALLS', '2', 'neither true, 1, yes or on'),
            ('DAPR_GRPC_RETRY_ENABLED', 'y', 'neither true, 1, yes or on'),
            ('DAPR_GRPC_RETRY_MAX_ATTEMPTS', '1', 'not a whole number from 2'),
            ('DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS', '0.1', 'not a whole number from 10'),
            ('DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS', '9', 'not a whole number from 10'),
            ('DAPR_GRPC_RETRY_MAX_BACKOFF_MS', '1s', 'not a whole number from 10'),
            ('DAPR_GRPC_RETRY_MAX_BACKOFF_MS', '9', 'not a whole number from 10'),
            ('DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER', '0', 'not a number above 0'),
            ('DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER', 'nan', 'not a number above 0'),
            ('DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER', 'inf', 'not a number above 0'),
            ('DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER', 'two', 'not a number above 0'),
            ('DAPR_GRPC_RETRY_CODES', 'UNAVAILABLE,GONE', 'not a list of status codes.*UNAVAILABLE'),
            ('DAPR_GRPC_RETRY_CODES', 'OK', 'not a list of status codes'),
            ('DAPR_GRPC_RETRY_CODES', ',', 'not a list of status codes'),
        ],
    )
    def test_what_cannot_be_read_is_named(self, variable: str, text: str, accepted: str) -> None:
        read: Any = settings.keepalive_settings if 'KEEPALIVE' in variable else settings.retry_settings
        with pytest.raises(ValueError, match=f"{variable}='{text}' is {accepted}"):
            read({variable: text})

    def test_the_longest_wait_is_no_shorter_than_the_first(self) -> None:
        with pytest.raises(ValueError, match=r'DAPR_GRPC_RETRY_MAX_BACKOFF_MS=1000 is less than .*=1001'):
            settings.retry_settings({'DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS': '1001'})


class TestMetadata:
    def test_the_token_is_added(self) -> None:
        given = [('k', 'v')]
        assert settings.outgoing_metadata(given, {'DAPR_API_TOKEN': 't'}) == [('k', 'v'), ('dapr-api-token', 't')]
        assert given == [('k', 'v')]

    def test_a_given_token_beats_it(self) -> None:
        assert settings.outgoing_metadata([('Dapr-API-Token', 'mine')], {'DAPR_API_TOKEN': 't'}) == [
            ('Dapr-API-Token', 'mine')
        ]

    @pytest.mark.parametrize('environ', [{}, {'DAPR_API_TOKEN': ''}])
    def test_no_token_adds_nothing(self, environ: dict[str, str]) -> None:
        assert settings.outgoing_metadata(None, environ) == []


def test_every_variable_is_in_the_table() -> None:
    assert settings.__doc__ is not None
    for variable, *_ in [*KEEPALIVE, *RETRY]:
        assert f'`{variable}`' in settings.__doc__
