"""A client of the simulated world: plays its script, and holds every reply against what it must be."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from simulation.ops import Op
from simulation.server import View
from simulation.wire import BadFrame, Frames, words_of

if TYPE_CHECKING:
    from simulation.run import Simulation

CONNECTED, ENDED, RESET, REFUSED = 1, 2, 4, 8
LIVES = 3  # connections a client makes before it gives up


class Sent:
    """A request on its way."""

    __slots__ = ("at_ns", "db", "done_ns", "left", "life", "op", "reply", "user")

    def __init__(self, op: Op, at_ns: int, life: int) -> None:
        self.op = op
        self.at_ns = at_ns
        self.done_ns = 0
        self.db: int | None = (
            None  # the database the client was in when the reply came; None: not sure
        )
        self.user = b""  # and who it was then
        self.life = life
        self.left = len(op.words) - 1 if op.kind == "channels" else 1
        self.reply: bytes | None = None


class Client:
    """`script` is a list of steps, each a tuple:

    send ops pieces      all in one stream of bytes, cut into so many pieces, each sent when it likes, a third value:
                         so many ns at most after the one before
    await                until no reply is outstanding
    sleep ns
    slow ns              reads nothing for so long, with a small window
    stall ns             nothing arrives either way
    half op              sends the first bytes of a request and no more: it may be answered that it was cut short
    spoil op             sends what is no request, and goes on with the script
    finish close reset   leaves: sends no more and reads on, closes, breaks the connection
    """

    def __init__(
        self, sim: Simulation, index: int, script: list[tuple[Any, ...]], rng: Any
    ) -> None:
        self.sim = sim
        self.index = index
        self.script = script
        self.rng = rng
        self.at = 0  # next step
        self.life = 0
        self.over = False
        self.history: list[Sent] = []
        self.cut_short = 0  # requests of which the proxy said so
        self.begin()

    def __str__(self) -> str:
        return f"client {self.index} (connection {self.conn})"

    def begin(self) -> None:
        self.life += 1
        self.frames = Frames()
        self.view = View()
        self.expected: deque[Sent] = deque()
        self.channels: dict[bytes, int] = {}
        self.queued: list[Op] = []  # changes of state within a transaction
        self.incomplete = False  # a command of this transaction was refused on its way
        self.id: bytes | None = None
        self.mutes = False  # has asked for silence: an error in place of it cannot be told from other replies
        self.spoiled = False  # has sent what is no request
        self.half: Sent | None = None  # sent in part, and not answered
        self.waits = False
        self.asleep = False
        self.reading = True
        self.connected = False
        self.leaving = ""  # how we left, or why the proxy may close
        self.unsure = (
            False  # what state we are in: a change of it was answered with an error of the proxy
        )
        self.pieces: deque[bytes] = deque()
        self.within_ns = 0
        self.sent_bytes = 0
        self.got_bytes = 0
        self.conn = self.sim.world.connect(self.sim.port)
        self.sim.peers[self.conn] = self

    # -- the script

    def advance(self) -> None:
        while not self.over and self.connected and not self.asleep and not self.pieces:
            if self.leaving or (self.waits and self.expected):
                return  # the proxy closes; or replies are to come
            self.waits = False
            if self.at == len(self.script):
                self.end_script()
                return
            step = self.script[self.at]
            self.at += 1
            getattr(self, "do_" + step[0])(*step[1:])

    def end_script(self) -> None:
        if self.expected:
            self.waits = True
        else:
            self.do_close()

    def do_send(self, ops: list[Op], pieces: int, within_ns: int = 100_000) -> None:
        for op in ops:
            self.record(op)
        data = b"".join(op.wire for op in ops)
        cuts = sorted(self.rng.randrange(len(data)) for _ in range(pieces - 1))
        self.within_ns = within_ns
        self.pieces.extend(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))
        self.send_piece()

    def record(self, op: Op) -> None:
        self.sim.say(f"client {self.index} sends {op!r}")
        sent = Sent(op, self.sim.world.now, self.life)
        self.history.append(sent)
        if op.tag:
            self.sim.asked[op.tag] = op.words
        if op.kind != "mute":
            self.expected.append(sent)
        self.mutes = self.mutes or op.kind == "mute"
        if op.kind == "local":
            self.leaving = self.leaving or op.name.decode()

    def send_piece(self) -> None:
        if self.over or not self.pieces:
            return
        self.send(self.pieces.popleft())
        if self.pieces:
            self.sim.at(self.rng.randrange(self.within_ns), self.bound(self.send_piece))
        else:
            self.advance()

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self.sim.world.send(self.conn, data)

    def do_await(self) -> None:
        self.waits = True

    def do_sleep(self, delay_ns: int) -> None:
        self.asleep = True
        self.sim.at(delay_ns, self.bound(self.wake))

    def wake(self) -> None:
        self.asleep = False
        self.advance()

    def do_slow(self, delay_ns: int) -> None:
        self.reading = False
        self.sim.world.window(self.conn, 256)
        self.sim.at(delay_ns, self.bound(self.read_again))

    def read_again(self) -> None:
        self.reading = True
        self.sim.world.window(self.conn, 262144)
        self.news(self.sim.world.state(self.conn))

    def do_stall(self, delay_ns: int) -> None:
        self.sim.world.stall(self.conn, delay_ns)

    def do_half(self, op: Op) -> None:
        self.sim.say(f"client {self.index} sends a part of {op!r}")
        self.half = Sent(op, self.sim.world.now, self.life)
        self.send(op.wire[: self.rng.randrange(1, len(op.wire))])

    def do_spoil(self, op: Op) -> None:
        self.spoiled = True
        self.send(op.wire)

    def do_finish(self) -> None:
        self.leaving = self.leaving or "finish"
        self.sim.world.finish(self.conn)

    def do_close(self) -> None:
        self.leave("close")
        self.sim.world.close(self.conn)

    def do_reset(self) -> None:
        self.leave("reset")
        self.sim.world.reset(self.conn)

    def leave(self, how: str) -> None:
        self.leaving = self.leaving or how
        self.sim.say(f"client {self.index} leaves: {how}")
        self.end_life()

    def bound(self, act: Any) -> Any:
        """`act`, unless this life is over by then."""
        life = self.life

        def run() -> None:
            if self.life == life and not self.over:
                act()

        return run

    # -- what comes

    def news(self, state: int) -> None:
        if self.over or not self.reading:
            return
        if state & REFUSED:
            self.lost("refused")
            return
        if state & CONNECTED and not self.connected:
            self.connected = True
            self.advance()
        self.receive(self.sim.world.read(self.conn))
        if self.over:
            return
        if state & (ENDED | RESET):
            self.lost("reset" if state & RESET else "closed")
        else:
            self.advance()

    def receive(self, data: bytes) -> None:
        self.got_bytes += len(data)
        self.frames.feed(data)
        life = self.life
        frames = self.frames
        while not self.over and self.frames is frames and self.life == life and self.connected:
            try:
                frame = self.frames.next()
            except (BadFrame, ValueError):
                self.sim.violation(f"{self} got no reply: {bytes(self.frames.data[:60])!r}")
                self.do_reset()
                return
            if frame is None:
                return
            self.frame(frame)

    def frame(self, frame: bytes) -> None:
        if frame[:1] in b"*>" and b"message\r\n" in frame[:17]:
            self.message(words_of(frame))
            return
        if self.spoiled and frame.startswith(b"-ERR Protocol error"):
            self.leaving = self.leaving or "GARBAGE"
            return
        if not self.expected and self.mutes and b"shotover" in frame:
            self.do_reset()
            return
        if not self.expected and self.half is not None:
            self.frame_of_half(self.half, frame)
            return
        if not self.expected:
            self.sim.violation(f"{self} got a reply to nothing: {frame[:80]!r}")
            return
        sent = self.expected[0]
        sent.left -= 1
        error = frame[:1] == b"-"
        if sent.left <= 0 or error:
            self.expected.popleft()
            sent.reply = frame
            sent.done_ns = self.sim.world.now
            sent.db = None if self.unsure else self.view.db
            sent.user = self.view.user
        if error and b"shotover" in frame:
            self.sim.check_error(self, sent, frame)
            refused = b"RequestThrottling" in frame or b"filtered out" in frame
            self.incomplete = self.incomplete or (self.view.multi and refused)
            if self.mutes:
                self.do_reset()
                return
            self.id = None if sent.op.name == b"RESET" else self.id
            self.unsure = (
                self.unsure
                or sent.op.kind == "state"
                or sent.op.name in (b"MULTI", b"EXEC", b"DISCARD")
            )
            return
        getattr(self, "got_" + sent.op.kind)(sent, frame)

    def frame_of_half(self, sent: Sent, frame: bytes) -> None:
        """It had begun to run: it is answered that it was cut short, or whatever kept it from running on."""
        self.half = None
        self.cut_short += b"cut short" in frame
        if frame != b"-ERR shotover: the request was cut short\r\n":
            self.sim.check_error(self, sent, frame)
        elif self.leaving != "finish":
            self.wrong(sent, frame, "nothing: more of it may come")

    def message(self, words: list[bytes]) -> None:
        channel, number = words[1], int(words[2])
        if channel not in self.channels:
            if not self.unsure:
                self.sim.violation(
                    f"{self} got a message of {channel!r}, which it does not listen to"
                )
            return
        if self.channels[channel] and number != self.channels[channel] + 1:
            self.sim.violation(
                f"{self} got message {number} of {channel!r} after {self.channels[channel]}"
            )
        self.channels[channel] = number

    def wrong(self, sent: Sent, frame: bytes, must: object) -> None:
        self.sim.violation(f"{self}: {sent.op!r} was answered {frame[:80]!r}, not {must!r}")

    def as_told(self, op: Op, reply: bytes) -> list[bytes]:
        """A server's reply, as this client must get it; who cannot be sure of its protocol, in either. Of what the
        simulator's servers say, nulls and pongs differ."""
        newer = reply.replace(b"$-1\r\n", b"_\r\n").replace(b"*-1\r\n", b"_\r\n")
        if op.name == b"PING" and reply == b"*2\r\n$4\r\npong\r\n$0\r\n\r\n":
            newer = reply[14:]  # it is sent with its tag
        if not self.sim.plan.converts:
            return [reply]
        return [reply, newer] if self.unsure else [newer] if self.view.protocol == 3 else [reply]

    def got_answer(self, sent: Sent, frame: bytes) -> None:
        tag = sent.op.tag
        found = [server.answers[tag] for server in self.sim.answering if tag in server.answers]
        match = [answer for answer in found if frame in self.as_told(sent.op, answer.reply)]
        if (
            not match
            and frame.startswith(b"-EXECABORT")
            and self.sim.plan.excuses & {"filter", "throttle", "converts", "made"}
        ):
            self.unsure = (
                True  # what was filtered out of it is missing: the proxy has ended the transaction
            )
            self.view = self.view._replace(multi=False)
            return
        if (
            not match
            and frame == b"-ERR EXEC without MULTI\r\n"
            and not self.view.multi
            and self.sim.plan.excuses & {"filter", "throttle"}
        ):
            return  # MULTI had failed; something behind it was refused, so DISCARD went on for EXEC
        if not match:
            self.wrong(
                sent,
                frame,
                [answer.reply[:80] for answer in found] or "anything: no server has seen it",
            )
            return
        if len(found) < self.sim.plan.quorum and frame[:1] != b"-":
            self.wrong(sent, frame, f"what {self.sim.plan.quorum} servers have carried out")
        seen = match[0].view
        if self.sim.plan.converts:
            if seen.protocol != 2:
                self.sim.violation(f"{self}: {sent.op!r} was carried out in {seen}: that is RESP3")
            seen = seen._replace(protocol=self.view.protocol)
        if seen != self.view and not self.unsure:
            self.sim.violation(f"{self}: {sent.op!r} was carried out in {seen}, not {self.view}")
        name = sent.op.name
        if name == b"EXEC" and frame[:1] == b"*" and self.incomplete:
            self.sim.violation(
                f"{self}: a transaction was carried out without what was refused of it"
            )
        if frame == b"+OK\r\n" and name == b"MULTI":
            self.view = self.view._replace(multi=True)
            self.incomplete = False
        elif (name == b"EXEC" and frame[:1] in b"*_") or (
            name == b"DISCARD" and frame == b"+OK\r\n"
        ):
            self.view = self.view._replace(multi=False)
            queued, self.queued = self.queued, []
            for op in (
                queued if name == b"EXEC" and frame[:1] == b"*" and frame != b"*-1\r\n" else []
            ):
                self.apply(op)

    def got_state(self, sent: Sent, frame: bytes) -> None:
        words = sent.op.words
        name = sent.op.name
        if words[:2] == (b"SELECT", b"99") and not (self.view.multi or self.channels):
            if frame != b"-ERR DB index is out of range\r\n":
                self.wrong(sent, frame, "an error")
            return
        if frame[:1] == b"-":
            if not (self.channels or self.unsure):
                self.wrong(sent, frame, "+OK")
            return
        if self.view.multi and name != b"RESET":
            if frame != b"+QUEUED\r\n" and not self.unsure:
                self.wrong(sent, frame, "+QUEUED")
            self.queued.append(sent.op)
            return
        if name == b"HELLO":
            if frame[:1] != (b"%" if words[1] == b"3" else b"*"):
                self.wrong(sent, frame, "a map")
        elif frame != (b"+RESET\r\n" if name == b"RESET" else b"+OK\r\n"):
            self.wrong(sent, frame, "+OK")
        self.apply(sent.op)

    def apply(self, op: Op) -> None:
        """What a successful change of state leaves behind."""
        words = op.words
        if op.name == b"HELLO":
            self.view = self.view._replace(protocol=int(words[1]))
            if len(words) > 2:
                self.view = self.view._replace(user=words[3], name=words[6])
        elif op.name == b"SELECT":
            if words[1] != b"99":
                self.view = self.view._replace(db=int(words[1]))
        elif op.name == b"AUTH":
            self.view = self.view._replace(user=words[1])
        elif op.name == b"RESET":
            self.view = View()
            self.channels = {}
            self.queued = []
            self.id = None
            self.unsure = False
        else:
            self.view = self.view._replace(name=words[2])

    def got_channels(self, sent: Sent, frame: bytes) -> None:
        if frame[:1] == b"-" or frame == b"+QUEUED\r\n":
            if not (self.view.multi or self.unsure):
                self.wrong(sent, frame, "a confirmation")
            return
        words = words_of(frame)
        if len(words) < 2:
            self.wrong(sent, frame, "a confirmation")
            return
        op = sent.op
        channel = op.words[len(op.words) - 1 - sent.left]
        if words[0].upper() != op.name or words[1] != channel:
            self.wrong(sent, frame, f"{op.name!r} {channel!r}")
        if op.name == b"SUBSCRIBE":
            self.channels.setdefault(channel, 0)
        else:
            self.channels.pop(channel, None)

    def got_ping(self, sent: Sent, frame: bytes) -> None:
        must = {b"+PONG\r\n", b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", b"+QUEUED\r\n"}
        if frame not in must:
            self.wrong(sent, frame, "a pong")

    def got_wait(self, sent: Sent, frame: bytes) -> None:
        if frame not in (b":0\r\n", b"+QUEUED\r\n") and not self.channels:
            self.wrong(sent, frame, 0)

    def got_id(self, sent: Sent, frame: bytes) -> None:
        if frame[:1] != b":":
            if not (self.view.multi or self.channels or self.unsure):
                self.wrong(sent, frame, "a number")
            return
        if self.id not in (None, frame):
            self.wrong(sent, frame, self.id)
        self.id = frame

    def got_local(self, sent: Sent, frame: bytes) -> None:
        if sent.op.name == b"QUIT":
            if frame != b"+OK\r\n":
                self.wrong(sent, frame, "+OK")
        elif not frame.startswith(b"-ERR Protocol error"):
            self.wrong(sent, frame, "a protocol error")

    # -- the end

    def lost(self, how: str) -> None:
        """The proxy has closed, or the connection broke."""
        self.sim.say(f"client {self.index} is {how}")
        waiting = list(self.expected)
        refused = self.mutes and bool(self.sim.plan.excuses & {"leases", "fds"})
        if (self.leaving == "GARBAGE" or refused) and how == "reset":
            waiting = []  # closed with bytes unread: what was on its way to us is lost, as it is with a server
        elif self.frames.data and not refused and not self.sim.explained("half"):
            self.sim.violation(
                f"{self} is {how} in the middle of a reply: {bytes(self.frames.data[:60])!r}"
            )
        if refused:
            pass  # it asked for silence, which could not be had
        elif self.leaving in ("QUIT", "GARBAGE"):
            # what came behind needs no reply; what was before does
            first = next((i for i, sent in enumerate(waiting) if sent.op.kind == "local"), -1)
            if self.leaving == "GARBAGE" or first > 0:
                missed = waiting[: first + 1] if first >= 0 else []
                if missed and not self.mutes and not self.sim.explained("closed", self):
                    first_op = missed[0].op
                    self.sim.violation(
                        f"{self} left by {self.leaving} and is {how} without a reply to {first_op!r}"
                    )
        elif self.leaving == "finish":
            blocks = any(sent.op.blocks for sent in waiting)
            if waiting and not blocks and not self.sim.explained("closed", self):
                self.sim.violation(
                    f"{self} sends no more and is {how} without a reply to {waiting[0].op!r}"
                )
        elif not self.sim.explained("closed", self):
            first_op = f" with {waiting[0].op!r} outstanding" if waiting else ""
            self.sim.violation(f"{self} is {how}{first_op}, and nothing explains it")
        if not self.frames.data and not waiting and how == "closed":
            self.sim.check_bytes(self)
        self.sim.world.close(self.conn)
        self.end_life()

    def end_life(self) -> None:
        self.pieces.clear()
        if self.at < len(self.script) and self.life < LIVES:
            self.connected = False
            self.sim.at(self.rng.randrange(200_000), self.bound(self.begin_again))
            self.sim.peers.pop(self.conn, None)
        else:
            self.over = True

    def begin_again(self) -> None:
        self.begin()
