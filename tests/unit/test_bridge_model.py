"""The bridges' protocol, searched for a loss, a repetition or a change of order."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers

from tests.bridge_model import Bridge, Stream

BRIDGES = 3
which = integers(0, BRIDGES - 1)


class Bridges(RuleBasedStateMachine):
    """Three bridges on one stream; at any time one that is lined up is left alone by faults."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()
        self.stream.bridges = [Bridge(self.stream) for _ in range(BRIDGES)]
        self.published = 0
        self.dropped: set[int] = set()
        for _ in range(5):
            self.settle()
        assert all(bridge.aligned for bridge in self.stream.bridges)

    def active(self) -> Bridge | None:
        holder = self.stream.holder
        found = (b for b in self.stream.bridges if b.token == holder and b.connected)
        return next(found, None) if holder else None

    @rule(messages=integers(1, 3))
    def publish(self, messages: int) -> None:
        for _ in range(messages):
            self.published += 1
            self.stream.publish(self.published)

    @rule(index=which, items=integers(1, 6))
    def read(self, index: int, items: int) -> None:
        bridge = self.stream.bridges[index]
        for _ in range(min(items, len(bridge.inbox))):
            bridge.read()

    @rule(index=which, limit=integers(1, 4))
    def append(self, index: int, limit: int) -> None:
        bridge = self.stream.bridges[index]
        if bridge.token and bridge.ready:
            bridge.append(limit)

    @rule(index=which, limit=integers(1, 4))
    def append_and_lose_the_reply(self, index: int, limit: int) -> None:
        bridge = self.stream.bridges[index]
        if bridge.token and bridge.ready:
            bridge.append(limit, reply=False)

    @rule(index=which)
    def ask(self, index: int) -> None:
        bridge = self.stream.bridges[index]
        if bridge.connected and not bridge.aligned and not bridge.token:
            bridge.ask()

    @rule(index=which)
    def take(self, index: int) -> None:
        bridge = self.stream.bridges[index]
        if not self.stream.holder and self.may_take(bridge):
            bridge.take()

    def may_take(self, bridge: Bridge) -> bool:
        """Whoever knows less than another waits: in the code for seconds, here for as long."""
        others = [b for b in self.stream.bridges if b.connected]
        return bridge.connected and self.knowledge(bridge) >= max(map(self.knowledge, others))

    def knowledge(self, bridge: Bridge) -> tuple[bool, bool]:
        return bridge.aligned, bridge.reach <= self.stream.last

    @precondition(lambda self: self.stream.holder)
    @rule()
    def end_the_lease(self) -> None:
        """Killed, asleep or cut off: it learns of it when it appends."""
        self.stream.holder = 0

    @rule(index=which)
    def cut_the_subscription(self, index: int) -> None:
        if self.spares(index):
            self.stream.bridges[index].connected = False
            self.stream.bridges[index].inbox = []

    @rule(index=which)
    def kill_and_start_again(self, index: int) -> None:
        if self.spares(index):
            if self.active() is self.stream.bridges[index]:
                self.stream.holder = 0
            self.stream.bridges[index] = Bridge(self.stream)

    @rule(index=which)
    def reconnect(self, index: int) -> None:
        if not self.stream.bridges[index].connected:
            self.stream.bridges[index].reconnect()

    @rule(index=which)
    def drop(self, index: int) -> None:
        bridge = self.stream.bridges[index]
        if bridge is self.active() and bridge.ready and self.stream.last == bridge.last:
            messages = [item for item in bridge.queue if isinstance(item, int)]
            if messages:
                self.dropped.add(messages[0])
                bridge.drop()

    @rule(kept=integers(0, 20))
    def lose_the_tail(self, kept: int) -> None:
        """FLUSHALL too. A standby that was lined up later has only what came later."""
        whole = [b for b in self.stream.bridges if b.aligned and b.connected and not b.reach]
        if whole:
            del self.stream.entries[kept:]
            self.stream.holder = 0

    @rule()
    def settle(self) -> None:
        """Everybody does once what there is to do."""
        for bridge in self.stream.bridges:
            if not bridge.connected:
                bridge.reconnect()
            while bridge.inbox:
                bridge.read()
            if not bridge.aligned and not bridge.token:
                bridge.ask()
            if not self.stream.holder and self.may_take(bridge):
                bridge.take()
            if bridge.token and bridge.ready:
                bridge.append(10)

    def spares(self, index: int) -> bool:
        """Another one has all that this one has."""
        others = [b for i, b in enumerate(self.stream.bridges) if i != index]
        return any(b.connected and b.aligned and b.reach <= self.stream.last for b in others)

    @invariant()
    def in_order_and_once(self) -> None:
        messages = [message for _, message in self.stream.entries]
        assert messages == sorted(set(messages)), messages

    def teardown(self) -> None:
        """All faults over, everything published arrives."""
        for _ in range(30):
            self.settle()
        found = {message for _, message in self.stream.entries}
        missing = set(range(1, self.published + 1)) - found - self.dropped
        assert not missing, missing


TestBridges = Bridges.TestCase
TestBridges.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
