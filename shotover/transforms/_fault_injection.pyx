"""See _fault_injection.pxd.

A client's order holds: what it sends behind a delayed request waits for that, and other clients do not. Faults are drawn
as requests arrive, in that order, so that the same requests meet the same faults when the seed is the same.

Requests of CQL have no order: each waits by itself, and `held` is in the order in which they are due.
"""

cimport cython

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._codec.cql.spoil cimport cql_spoil_frame, cql_spoil_value
from shotover._codec.resp_spoil cimport spoil_frame, spoil_value
from shotover._core.debug cimport likely
from shotover._core.memory cimport chunk_data, chunk_t, pool_take
from shotover._core.request cimport (
    LOST,
    WATCHED_BY_STEP,
    batch_clear,
    batch_pop,
    batch_push,
    batch_unshift,
    request_drop_reply,
    request_own,
)
from shotover._proxy.refusing cimport ends_or_begins

cdef extern from * nogil:
    """
    #define left_get(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define left_swap(p, expected, desired) \
        __atomic_compare_exchange_n((p), (expected), (desired), 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
    """
    uint64_t left_get(const uint64_t *left)
    bint left_swap(uint64_t *left, uint64_t *expected, uint64_t desired)

cdef enum:
    ACTION_BITS = 3             # of a request's tag; the rest is when it may go on, in 1/8 ns of the loop's clock

ACTIONS = {
    "delay": FAULT_DELAY, "error": FAULT_ERROR, "close": FAULT_CLOSE, "close_after": FAULT_CLOSE_AFTER,
    "value": FAULT_VALUE, "frame": FAULT_FRAME,
}

CQL_CODES = {b"OVERLOADED", b"BOOTSTRAPPING", b"TRUNCATE", b"SYNTAX", b"UNAUTHORIZED", b"INVALID", b"CONFIG", b"PROTO"}

cdef const char *CLOSED = b"shotover: connection lost (FaultInjection)"
cdef const char *NO_MEMORY_TEXT = b"shotover: no memory (FaultInjection)"


cdef void _on_timer(timer_t *timer) noexcept nogil:
    cdef faulted_t *client = <faulted_t *>timer.owner
    _fired(client)


cdef inline void _fired(faulted_t *client) noexcept nogil:
    (<FaultInjection>client.step)._release(client, False)


@cython.final
cdef class FaultCounts:

    def __init__(self, counts):
        for index, count in enumerate(counts):
            self.left[<size_t>index] = count or 0


@cython.final
cdef class FaultInjection(SelectingStep):

    def __init__(self, context, *, str name, faults, rows, FaultCounts counts, seed):
        """faults: (action, percent, delay ns, span of delays ns, text, whether it is counted), in order; rows: of set_rules."""
        cdef fault_t *fault
        self.counts = counts
        self.tag = 0
        self.wants_each = True
        self.reads_bodies = False
        self.client_size = sizeof(faulted_t)
        self.set_rules(rows)
        for index, (action, percent, delay_ns, span_ns, text, counted) in enumerate(faults):
            fault = &self.faults[<size_t>index]
            fault.action = ACTIONS[action]
            fault.chance = int(percent / 100 * (1 << 53))
            fault.delay_ns = delay_ns
            fault.delay_span_ns = span_ns
            self.texts.append(text)
            code, _, rest = text.partition(b" ")
            if self.cql and code in CQL_CODES:
                self.texts.append(code)
                self.texts.append(rest)
                fault.code = <const char *>code
                text = rest
            fault.text = <const char *>text
            fault.text_size = len(text)
            fault.left = &counts.left[<size_t>index] if counted else NULL
        if seed is None:
            self.random = self.loop.poller.system.chance(self.loop.poller)
        else:
            self.random = (seed + 0x9e3779b97f4a7c15 * (context.worker.index + 1)) & 0xffffffffffffffff

    cdef uint64_t _draw(self) noexcept nogil:
        """Splitmix64: any seed is as good as another."""
        cdef uint64_t x
        self.random += <uint64_t>0x9e3779b97f4a7c15
        x = self.random
        x = (x ^ x >> 30) * <uint64_t>0xbf58476d1ce4e5b9
        x = (x ^ x >> 27) * <uint64_t>0x94d049bb133111eb
        return x ^ x >> 31

    # ---- down -------------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            faulted_t *client
            fault_t   *fault = NULL
            batch_t    rest
            uint64_t   rules, delay_ns
            uint8_t    action
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            client = NULL if request.session is NULL else <faulted_t *>self.client_of(request.session)
            if client is NULL:
                batch_push(&rest, request)
                continue
            if client.closing:
                self._cut(request)
                continue
            rules = self.select(request, &client.base)
            delay_ns = 0
            action = 0
            if rules:
                action = self._judge(request, rules, &delay_ns, &fault)
            if action == FAULT_ERROR:
                self.mark_broken(request)
                self.refuse_take(request, fault.code, fault.text, fault.text_size)
                continue
            if action == FAULT_CLOSE:
                client.closing = request.queued
                self.mark_broken(request)
                self._cut(request)
                continue
            request.tags[self.tag] = <void *><size_t>action
            if action:
                request.watched |= WATCHED_BY_STEP
            if request.conduct != CONDUCT_PLAIN:
                self.track(request)
                self.follow_login(request)
            if likely(delay_ns == 0 and (client.held.head is NULL or self.cql)) or self.draining:
                batch_push(&rest, request)
            elif not self._hold(client, request, delay_ns):
                self.mark_broken(request)
                self.refuse_take(request, b"ERR", NO_MEMORY_TEXT, 37)
        self.pass_down(&rest)

    cdef uint8_t _judge(self, request_t *request, uint64_t rules, uint64_t *delay_ns, fault_t **chosen) noexcept nogil:
        """What happens to a request: delays add up, and of the others the first to strike is the last looked at."""
        cdef:
            fault_t *fault
            uint32_t index
        for index in range(self.rule_count):
            if not rules >> index & 1:
                continue
            fault = &self.faults[index]
            if fault.action == FAULT_ERROR and ends_or_begins(request):
                continue                    # client and server would be of two minds about what is open
            if not self._strikes(fault):
                continue
            if fault.action != FAULT_DELAY:
                chosen[0] = fault
                return fault.action
            delay_ns[0] += fault.delay_ns
            if fault.delay_span_ns:
                delay_ns[0] += self._draw() % (fault.delay_span_ns + 1)
        return 0

    cdef bint _strikes(self, fault_t *fault) noexcept nogil:
        cdef uint64_t left
        if self._draw() >> 11 >= fault.chance:
            return False
        if fault.left is not NULL:
            left = left_get(fault.left)
            while True:
                if left == 0:
                    return False
                if left_swap(fault.left, &left, left - 1):
                    break
        fault.injected_total += 1
        return True

    cdef bint _hold(self, faulted_t *client, request_t *request, uint64_t delay_ns) noexcept nogil:
        """Keeps a request until its time has come and all before it have gone. False: no memory; it is still the caller's."""
        cdef uint64_t due = self.loop.now + delay_ns
        if not request_own(&self.loop.pool, request):
            return False
        request.tags[self.tag] = <void *>(<size_t>request.tags[self.tag] | <size_t>due << ACTION_BITS)
        self.held_count += 1
        if self.cql and client.held.head is not NULL:
            self._insert(client, request, due)
            return True
        batch_push(&client.held, request)
        if client.held.count == 1:
            client.next = self.holding
            client.previous = NULL
            if self.holding is not NULL:
                self.holding.previous = client
            self.holding = client
            client.step = <void *>self
            client.timer.fire = _on_timer
            client.timer.owner = client
            self.loop.set_timer(&client.timer, delay_ns)
        return True

    cdef void _insert(self, faulted_t *client, request_t *request, uint64_t due) noexcept nogil:
        """Among others, by when they are due."""
        cdef request_t *before = client.held.head
        if due < <size_t>before.tags[self.tag] >> ACTION_BITS:
            batch_unshift(&client.held, request)
            self.loop.cancel_timer(&client.timer)
            self.loop.set_timer(&client.timer, due - self.loop.now)
            return
        if due >= <size_t>client.held.tail.tags[self.tag] >> ACTION_BITS:
            batch_push(&client.held, request)
            return
        while <size_t>before.next.tags[self.tag] >> ACTION_BITS <= due:
            before = before.next
        request.next = before.next
        before.next = request
        client.held.count += 1

    cdef void _release(self, faulted_t *client, bint all_of_it) noexcept nogil:
        """Sends on what is due at the head of what a client waits with."""
        cdef:
            request_t *request
            batch_t    batch
            uint64_t   due
        batch_clear(&batch)
        self.loop.cancel_timer(&client.timer)
        while client.held.head is not NULL:
            request = client.held.head
            due = <size_t>request.tags[self.tag] >> ACTION_BITS
            if due > self.loop.now and not all_of_it:
                self.loop.set_timer(&client.timer, due - self.loop.now)
                break
            batch_pop(&client.held)
            self.held_count -= 1
            request.tags[self.tag] = <void *>(<size_t>request.tags[self.tag] & ((1 << ACTION_BITS) - 1))
            batch_push(&batch, request)
        if client.held.head is NULL:
            if client.previous is not NULL:
                client.previous.next = client.next
            else:
                self.holding = client.next
            if client.next is not NULL:
                client.next.previous = client.previous
        self.pass_down(&batch)

    cdef void client_ends(self, selected_t *base) noexcept nogil:
        """The rest of the chain still knows the session, and must have its last requests while it does. But for one that
        was never whole: the client was not read while it waited."""
        cdef:
            faulted_t *client = <faulted_t *>base
            request_t *request = client.held.head
            batch_t    halves
            batch_t    whole
        if request is NULL:
            return
        batch_clear(&halves)
        batch_clear(&whole)
        while client.held.head is not NULL:
            request = batch_pop(&client.held)
            request.session = base.session
            batch_push(&halves if request.streamed else &whole, request)
        self.held_count -= halves.count
        client.held = whole
        self._release(client, True)
        while halves.head is not NULL:
            request = batch_pop(&halves)
            request.tags[self.tag] = NULL
            self.refuse_take(request, b"ERR", CLOSED, 42)

    cdef void on_drain(self) noexcept nogil:
        self.draining = True
        while self.holding is not NULL:
            self._release(self.holding, True)

    cdef bint on_retire(self, bint force) noexcept nogil:
        return self.holding is NULL             # timers are those of clients, who have gone

    # ---- up ---------------------------------------------------------------------------------------------------------

    cdef void _cut(self, request_t *request) noexcept nogil:
        """Instead of a reply its client finds the connection closed, once it is its turn. Where there is no client of its
        own (a copy that a step above has made), an error stands for that."""
        request.tags[self.tag] = NULL
        if not request.queued:
            self.refuse_take(request, b"ERR", CLOSED, 42)
            return
        request_drop_reply(&self.loop.pool, request)
        request.mute = 0
        request.begun = 0
        request.failed = LOST
        self.failures_total += request.count
        self.reply_take(request)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            uint8_t    action
        while batch.head is not NULL:
            request = batch_pop(batch)
            self.see_login(request)
            action = <uint8_t><size_t>request.tags[self.tag]
            if self.abort_answer(request):
                continue
            if action == FAULT_CLOSE_AFTER:
                self._cut(request)
                continue
            if (action == FAULT_VALUE or action == FAULT_FRAME) and request.reply.size and not request.discard:
                if not self._spoil(request, action == FAULT_FRAME):
                    self._cut(request)
                    continue
            self.pass_up(request)

    cdef bint _spoil(self, request_t *request, bint frame) noexcept nogil:
        """On a copy: others may have the same bytes. False: no memory."""
        cdef chunk_t *chunk = pool_take(&self.loop.pool, request.reply.size)
        cdef size_t   size = request.reply.size
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), request.reply.data, size)
        request_drop_reply(&self.loop.pool, request)
        request.reply.data = chunk_data(chunk)
        request.reply.size = size
        request.reply_owner = chunk
        if self.cql:
            if frame:
                cql_spoil_frame(request.reply.data, size)
            else:
                cql_spoil_value(request.reply.data, size, self._draw())
        elif frame:
            spoil_frame(request.reply.data, size)
        else:
            spoil_value(request.reply.data, size, self._draw())
        return True

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        totals = dict.fromkeys(ACTIONS.values(), 0)
        for index in range(self.rule_count):
            totals[self.faults[index].action] += self.faults[index].injected_total
        return SelectingStep.samples(self) + [
            ("shotover_faults_held_requests", labels, "gauge", self.held_count),
        ] + [
            ("shotover_faults_injected_count", labels | {"fault": name}, "counter", totals[action])
            for name, action in ACTIONS.items()
        ]
