"""The sidecars that all other e2e tests lean on."""

from __future__ import annotations

import grpc
import pytest

from tools.go_sidecar import Sidecar, hello


def _hello(address: str) -> bytes:
    with grpc.insecure_channel(address) as channel:
        return hello(channel)(b'', timeout=10, wait_for_ready=True)


def test_each_build_runs_its_own_program_and_answers_hello(sidecar: Sidecar) -> None:
    assert sidecar.build.version in ' '.join(sidecar.build.command(0, None))
    assert _hello(sidecar.address) == b''


def test_a_killed_sidecar_comes_back_on_its_port_and_file(sidecar: Sidecar) -> None:
    address, database = sidecar.address, sidecar.database

    sidecar.kill()
    assert not sidecar.running
    with pytest.raises(grpc.RpcError), grpc.insecure_channel(address) as channel:
        hello(channel)(b'', timeout=10)
    assert database.is_file()

    sidecar.start()
    assert (sidecar.address, sidecar.database) == (address, database)
    assert _hello(address) == b''


def test_a_sidecar_that_a_test_leaves_dead_runs_for_the_next_one(sidecar: Sidecar) -> None:
    assert sidecar.running
    sidecar.stop()


def test_the_next_one_finds_it_running(sidecar: Sidecar) -> None:
    assert _hello(sidecar.address) == b''


def test_starting_it_twice_is_refused(sidecar: Sidecar) -> None:
    with pytest.raises(RuntimeError, match='is running'):
        sidecar.start()


def test_a_port_that_another_one_has_is_refused(sidecar: Sidecar) -> None:
    second = Sidecar(sidecar.build)
    second._port = sidecar._port
    try:
        with pytest.raises(RuntimeError, match='another process listens'):
            second.start()
        assert not second.running
    finally:
        second.close()
