"""Each example of the guide runs as its reader would run it, on an emulator of its own, and prints what it promises."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.go_sidecar import ROOT, Sidecar

FOLDER = ROOT / 'examples' / 'workflow'
EXPECTED = {
    'simple': [
        'COMPLETED: "paid for a lamp at attempt 2; sent: a lamp in a box, with a ribbon"',
        'purged: True',
    ],
    'task_chaining': [
        '  booked flight',
        '  booked hotel',
        '  booked car',
        'COMPLETED: ["flight", "hotel", "car"] ',
        '  booked flight',
        '  booked hotel',
        '  cancelled hotel',
        '  cancelled flight',
        'COMPLETED: [] undone: no car on the moon can be had',
    ],
    'fan_out_fan_in': ['50 pages have 350 words', '"lent by the quick one"'],
    'human_approval': [
        'a pen: "approved: it is small"',
        '  who approves a car for 30000.00?',
        'a car: "approved by Ada"',
        '  who approves a yacht for 900000.00?',
        'a yacht: "refused by Ada"',
        '  who approves a sofa for 2000.00?',
        'a sofa: "handed to the boss: nobody decided"',
    ],
    'monitor': ['"done in round 3; the word was \'hurry\'"', 'the last run has 7 events'],
    'child_workflow': [
        '{"north": 100, "south": 140, "east": "not known: ',
        'the child of the north gave 100',
    ],
    'versioning': [
        'began before: "shipped by train"',
        'began before: "invoice on paper"',
        'began after: "shipped by air"',
        'began after: "invoice by mail"',
    ],
    'async_activity_sequence': [
        'a lamp: "a lamp (reserved) (paid) (sent)"',
        '  put back: a yacht (reserved)',
        'a yacht: "nothing: the card does not cover a yacht"',
    ],
    'async_enhanced_features': [
        '  the door is locked',
        "headers: {'agency': 'acme'}",
        'Oslo: sun, says acme',
        'Atlantis: ',
        'number 1 was first: sun, says acme',
        'nobody answered',
        'packed: a hat and a map',
        'left',
        'a ticket of 43 characters',
        'trip has asked for 10 things',
    ],
    'async_non_determinism_demo': [
        'without a sandbox: NonDeterminismError',
        'best effort: true',
        'strict, by the context: true',
        'strict, with a file: SandboxViolationError',
    ],
    'async_fanout_fanin': ['words: 18'],
    'async_human_interaction': [
        'decided: "approved by Ada"',
        'forgotten: "handed to the boss: nobody decided"',
    ],
    'async_timeouts': ['["the slow one did not answer in time", "the first answer: after 0.1 s"]'],
    'async_activities': ['COMPLETED: 19900', '200 calls of 0.5 s one after the other: 100 s; at once: '],
    'simple_aio_client': ['"Hello, number 0!"', '100 different greetings'],
    'pydantic_models': ["customer='Ada' total=57.0", 'refused: ValidationError'],
    'multi_app': ['COMPLETED: "orders: thanks, with an invoice by billing, after a receipt for 42"'],
    'health_probes': [
        'before the start: ready 503, live 200',
        'while it runs: ready 200, live 200',
        'after the shutdown: ready 503, live 200',
    ],
    'interceptors': [
        'audit: complaint-20 calls apologise(None)',
        '  we are sorry',
        'audit: complaint-20 calls refund(20)',
        'timing: complaint was done within a minute: True',
        'complaint-20 COMPLETED: "20 are back"',
        'audit: complaint-2000 calls apologise(None)',
        '  we are sorry',
        'audit: complaint-2000 calls refund(2000)',
        'complaint-2000 FAILED: complaint-2000: Activity task #2 failed: a refund of 2000 takes a human',
        'timing: of apologise, refund, none took a second: True',
    ],
    'history_propagation': [
        'COMPLETED: "paid: \\"lamp is there\\""',
        'COMPLETED: "refused: nothing was checked in checkout and order"',
    ],
}


def run(name: str, **environ: str) -> list[str]:
    """What an example prints, line by line, where the environment names no sidecar but the one given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith('DAPR_')}
    done = subprocess.run(
        [sys.executable, str(FOLDER / f'{name}.py')],
        env={**bare, 'PYTHONPATH': str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_example_is_here() -> None:
    assert {path.stem for path in FOLDER.glob('*.py')} == {*EXPECTED, 'local_sidecar'}


@pytest.mark.parametrize('name', EXPECTED)
def test_example_prints_what_it_promises(name: str) -> None:
    printed = run(name)

    assert len(printed) == len(EXPECTED[name]), printed
    for line, expected in zip(printed, EXPECTED[name], strict=True):
        assert line.startswith(expected)


def test_an_example_uses_the_sidecar_that_the_environment_names(sidecar: Sidecar) -> None:
    printed = run('task_chaining', DAPR_GRPC_ENDPOINT=sidecar.address)

    assert printed == EXPECTED['task_chaining']
