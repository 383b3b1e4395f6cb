"""Stateful property test: what streams are sent, against a model of the warm marks and of workers that believe them.

Workers connect and vanish, answer in any order, twice, late or never; instances get events, end and come again. Each
work item must carry the history as it is: whole, or as a delta onto exactly what the stream's mark stands for. At most
one answer to a turn counts, and in the end everything was answered.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import Key
from dapr.ext.workflow.emulator.serving.streams import WorkerStream
from tests.unit.emulator.test_dispatch import LEASE, STATEFUL, Bench

INSTANCES = ('one', 'two', 'three')


class DispatcherAndWorkers(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.bench = Bench()
        self.streams: list[WorkerStream] = []
        self.marks: dict[WorkerStream, dict[str, int]] = {}
        self.items: list[pb.WorkItem] = []  # on the way to an answer
        self.newest: dict[str, tuple[str, WorkerStream]] = {}  # by instance: the token that counts, and where it went
        self.posted = dict.fromkeys(INSTANCES, 0)

    @rule(is_stateful=st.booleans())
    def connect(self, is_stateful: bool) -> None:
        stream = self.bench.connect(*[STATEFUL] * is_stateful)
        self.streams.append(stream)
        self.marks[stream] = {}
        self._receive()

    @rule(instance_id=st.sampled_from(INSTANCES))
    def event_comes(self, instance_id: str) -> None:
        self.bench.source.post(instance_id)
        self.posted[instance_id] += 1
        self._receive()

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def stream_is_lost(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(self.streams))
        self.streams.remove(stream)
        self.bench.dispatcher.disconnect(stream)
        self.newest = {name: sent for name, sent in self.newest.items() if sent[1] is not stream}
        self._receive()

    @precondition(lambda self: self.items)
    @rule(data=st.data(), again=st.booleans())
    def answer(self, data: st.DataObject, again: bool) -> None:
        item = data.draw(st.sampled_from(self.items))
        if not again:
            self.items.remove(item)
        instance_id = item.workflowRequest.instanceId
        before = len(self._committed(instance_id))
        self.bench.complete(item)
        counts = self.newest.get(instance_id, ('', None))[0] == item.completionToken
        added = len(item.workflowRequest.newEvents) if counts else 0
        assert len(self._committed(instance_id)) == before + added
        if counts:
            del self.newest[instance_id]
        self._receive()

    @rule(seconds=st.sampled_from([0.001, 1.0, LEASE]))
    def time_passes(self, seconds: float) -> None:
        self.bench.loop.run(seconds)
        self._receive()

    @rule(instance_id=st.sampled_from(INSTANCES), cut=st.integers(0, 3))
    def run_is_over_and_the_id_is_used_again(self, instance_id: str, cut: int) -> None:
        """Its history is another, shorter or longer; marks know nothing of it."""
        key = Key('', instance_id)
        if key not in self.bench.source.out:
            events = self._committed(instance_id)
            self.bench.source.committed[key] = events[: len(events) - cut]
            self.posted[instance_id] -= len(events) - len(self._committed(instance_id))

    def teardown(self) -> None:
        if not hasattr(self, 'bench'):
            return
        self.connect(is_stateful=True)
        self.bench.loop.run(LEASE)
        self._receive()
        while self.items:
            self.bench.complete(self.items.pop(0))
            self._receive()
        for instance_id in INSTANCES:
            assert len(self._committed(instance_id)) == self.posted[instance_id]
        assert len(self.bench.dispatcher.turns) == 0

    def _committed(self, instance_id: str) -> list[pb.HistoryEvent]:
        return self.bench.source.committed.get(Key('', instance_id), [])

    def _receive(self) -> None:
        for stream in self.streams:
            for item in self.bench.take(stream):
                self._check(stream, item)
                self.items.append(item)
                self.newest[item.workflowRequest.instanceId] = (item.completionToken, stream)

    def _check(self, stream: WorkerStream, item: pb.WorkItem) -> None:
        request = item.workflowRequest
        committed = self._committed(request.instanceId)
        mark = self.marks[stream].get(request.instanceId, 0) if stream.marks is not None else 0
        if 0 < mark <= len(committed):
            assert request.cachedHistory.eventCount == mark
            assert list(request.pastEvents) == committed[mark:]
        else:
            assert not request.HasField('cachedHistory')
            assert list(request.pastEvents) == committed
        self.marks[stream][request.instanceId] = len(committed)


TestDispatcherAndWorkers = DispatcherAndWorkers.TestCase
TestDispatcherAndWorkers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
