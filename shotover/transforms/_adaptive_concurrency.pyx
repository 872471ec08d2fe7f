"""See _adaptive_concurrency.pxd.

The limit   Windows of 100 ms. In each, the median latency of a class of commands is compared with what its quicker tenth
            takes while the server is well (`base_ns`). More than `tolerance` times slower, or replies that never came:
            the limit shrinks. Not slower, and the limit was reached: it grows; twice at first, later by its root.
            It never goes below the floor, also not to measure: `base_ns` is looked at anew where the limit has been at
            its floor for a second, for then what is slow is not our doing.
The queue   What may not go waits at its client, in order. Clients with something waiting stand in a ring, one for each
            priority, and send one request each in turn: so who sends much waits long, and who sends little does not.
            Of a client that has had something waiting for QUEUE_NS on end, nothing may wait longer than the target; of
            others QUEUE_NS (CoDel's idea for each flow, in its simplest form).
"""

cimport cython

from libc.math cimport sqrt
from libc.string cimport memset, strlen

from shotover._codec.commands cimport (
    COMMAND_FAST,
    CONDUCT_PLAIN,
    CONDUCT_REPLY_MODE,
    KIND_READ,
    KIND_SESSION,
    KIND_WRITE,
    command_t,
)
from shotover._core.counters cimport histogram_add, histogram_count, histogram_quantile_ns
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport LOST, WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, request_own
from shotover._proxy.refusing cimport TX_OPEN

cdef enum:
    WINDOW_NS = 100000000
    WINDOW_MAX_NS = 1000000000  # a window with few samples ends after so long
    SAMPLES_MIN = 10            # of a window, and of a class to be looked at
    QUEUE_NS = 100000000
    FLOOR_WINDOWS = 10
    START = 64                  # the limit at first
    BASE_MIN_NS = 250000        # differences below are the loop's, not the server's

cdef double SHRINK = 0.9        # by a slow window, at least
cdef double SHRINK_LOST = 0.5   # ... at most, and by one in which a tenth of the replies did not come
cdef double OWN_PART = 0.6      # of what replies take at the floor: the rest may be the queue that the floor itself makes
cdef double DRIFT = 0.001       # of the way by which the base rises in a window, so that no lucky sample lasts for ever

cdef const char *TEXT_AGE = b"shotover: overloaded, the request has waited too long (AdaptiveConcurrency)"
cdef const char *TEXT_FULL = b"shotover: overloaded, too many requests wait (AdaptiveConcurrency)"
cdef const char *TEXT_GONE = b"shotover: the client is gone (AdaptiveConcurrency)"

REASON_NAMES = ("queue_age", "queue_full", "client_gone")


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<AdaptiveConcurrency>timer.owner)._age()


cdef inline int _class_of(request_t *request) noexcept nogil:
    cdef const command_t *command = <const command_t *>request.command
    if command is NULL:
        return 3
    if request.kind == KIND_READ:
        return 0 if command.flags & COMMAND_FAST else 1
    return 2 if request.kind == KIND_WRITE and command.flags & COMMAND_FAST else 3


@cython.final
cdef class AdaptiveConcurrency(SelectingStep):

    def __init__(self, context, *, str name, int min_concurrency, int max_concurrency, double tolerance, double queue_target_ms,
                 int queue_max, bint shadow, priorities, rows):
        self.tag = 0
        self.wants_each = True
        self.reads_bodies = False
        self.client_size = sizeof(waiter_t)
        self.set_rules(rows)
        for index, priority in enumerate(priorities):
            self.priority_of[<size_t>index] = priority
        self.floor = min_concurrency
        self.ceiling = max_concurrency
        self.limit = min(max(<double>START, self.floor), self.ceiling)
        self.tolerance = tolerance
        self.target_ns = <uint64_t>(queue_target_ms * 1e6)
        self.waiting_max = queue_max
        self.shadow = shadow
        self.starting = True
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self
        self.window_ns = self.loop.now

    # ---- down -------------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            waiter_t  *client
        while batch.head is not NULL:
            request = batch_pop(batch)
            request.tags[self.tag] = NULL
            client = NULL if request.session is NULL else <waiter_t *>self.client_of(request.session)
            if unlikely(client is NULL):
                self._admit(request, False)
                continue
            if unlikely(request.conduct == CONDUCT_REPLY_MODE):
                client.muted = 1
            if client.waiting.head is not NULL:
                self._wait(client, request)
            elif self._exempt(request, client):
                self._admit(request, False)
            elif likely(self.under_way < <uint64_t>self.limit) or self.draining:
                self._admit(request, True)
            elif self.shadow:
                self.pressed = True
                self.would_refuse += 1
                self._admit(request, True)
            else:
                self.pressed = True
                self._wait(client, request)

    cdef bint _exempt(self, request_t *request, waiter_t *client) noexcept nogil:
        """What may block, is of the connection, or belongs to a transaction: it is neither counted nor refused. Nor is
        what cannot be told that it is refused."""
        return client.muted or request.conduct != CONDUCT_PLAIN or request.kind == KIND_SESSION or (
            request.session is not NULL and self.transaction(request.session)[0] & TX_OPEN
        )

    cdef uint8_t _priority(self, request_t *request, selected_t *client) noexcept nogil:
        """That of the first rule that it falls under; else the middle one."""
        cdef:
            uint64_t rules = self.select(request, client)
            uint32_t index
        for index in range(self.rule_count):
            if rules >> index & 1:
                return self.priority_of[index]
        return 1

    cdef void _admit(self, request_t *request, bint counted) noexcept nogil:
        """It goes down now."""
        cdef batch_t batch
        if counted:
            self.under_way += 1
            request.watched |= WATCHED_BY_STEP
            request.tags[self.tag] = <void *><size_t>max(self.loop.now, <uint64_t>1)
        elif request.conduct != CONDUCT_PLAIN:
            self.track(request)
            self.follow_login(request)
        batch_clear(&batch)
        batch_push(&batch, request)
        self.pass_down(&batch)

    cdef void _refuse(self, request_t *request, int reason) noexcept nogil:
        cdef const char *text = TEXT_AGE if reason == REFUSED_AGE else TEXT_FULL if reason == REFUSED_FULL else TEXT_GONE
        self.refused[reason] += 1
        request.tags[self.tag] = NULL
        self.refuse_take(request, b"BUSY", text, strlen(text))

    # ---- the queue --------------------------------------------------------------------------------------------------

    cdef void _wait(self, waiter_t *client, request_t *request) noexcept nogil:
        cdef:
            uint8_t   priority = self._priority(request, &client.base)
            waiter_t *other
            int       ring
        if self.waiting_count >= self.waiting_max and client.unusual == 0 and not self._exempt(request, client):
            for ring in range(PRIORITIES - 1, <int>priority, -1):
                other = self.rings[ring]
                if other is not NULL and not self._exempt(other.waiting.head, other):
                    self._refuse(self._pop(other), REFUSED_FULL)        # what is less urgent goes first
                    break
            else:
                self._refuse(request, REFUSED_FULL)
                return
        if not request_own(&self.loop.pool, request):
            self._refuse(request, REFUSED_FULL)
            return
        request.tags[self.tag] = <void *><size_t>self.loop.now
        batch_push(&client.waiting, request)
        client.unusual += request.conduct != CONDUCT_PLAIN
        self.waiting_count += 1
        if client.waiting.count == 1:
            client.since_ns = self.loop.now
            self._enter(client)
        if self.timer.home is NULL:
            self.loop.set_timer(&self.timer, max(self.target_ns // 2, <uint64_t>1000000))

    cdef void _enter(self, waiter_t *client) noexcept nogil:
        """At the end of the ring of its first request."""
        cdef waiter_t *head
        client.ring = self._priority(client.waiting.head, &client.base)
        head = self.rings[client.ring]
        if head is NULL:
            client.next = client
            client.previous = client
            self.rings[client.ring] = client
        else:
            client.next = head
            client.previous = head.previous
            head.previous.next = client
            head.previous = client

    cdef void _leave(self, waiter_t *client) noexcept nogil:
        if client.next is client:
            self.rings[client.ring] = NULL
            return
        client.next.previous = client.previous
        client.previous.next = client.next
        if self.rings[client.ring] is client:
            self.rings[client.ring] = client.next

    cdef request_t *_pop(self, waiter_t *client) noexcept nogil:
        """Its first request; the client goes to the end of a ring, if it has more."""
        cdef request_t *request = batch_pop(&client.waiting)
        client.unusual -= request.conduct != CONDUCT_PLAIN
        self.waiting_count -= 1
        self._leave(client)
        if client.waiting.head is not NULL:
            self._enter(client)
        return request

    cdef request_t *_next(self) noexcept nogil:
        """What goes next; NULL: nothing waits, or nothing may go."""
        cdef:
            waiter_t *client
            int       ring
        for ring in range(PRIORITIES):
            client = self.rings[ring]
            if client is not NULL:
                if self.under_way < <uint64_t>self.limit or self.draining or self._exempt(client.waiting.head, client):
                    return self._pop(client)
                return NULL
        return NULL

    cdef void _go_on(self) noexcept nogil:
        cdef request_t *request
        cdef waiter_t  *client
        if self.going:
            return
        self.going = True
        while self.waiting_count:
            request = self._next()
            if request is NULL:
                break
            request.tags[self.tag] = NULL
            client = NULL if request.session is NULL else <waiter_t *>self.client_of(request.session)
            self._admit(request, client is not NULL and not self._exempt(request, client))
        self.going = False

    cdef void _age(self) noexcept nogil:
        """Refuses what has waited too long. A client's first request is its oldest."""
        cdef:
            uint64_t  allowed
            waiter_t *client
            waiter_t *following
            uint64_t  looks
            int       ring
        self._go_on()
        for ring in range(PRIORITIES):
            client = self.rings[ring]
            looks = self.waiting_count
            while client is not NULL and looks:
                looks -= 1
                following = client.next
                allowed = self.target_ns
                if self.loop.now - client.since_ns < QUEUE_NS:
                    allowed = max(allowed, <uint64_t>QUEUE_NS)
                if not self._exempt(client.waiting.head, client) and \
                        self.loop.now - <uint64_t><size_t>client.waiting.head.tags[self.tag] > allowed:
                    self._refuse(self._pop(client), REFUSED_AGE)
                    client = self.rings[ring] if following is client else following
                elif following is self.rings[ring]:
                    break
                else:
                    client = following
        self._go_on()
        if self.waiting_count and self.timer.home is NULL:
            self.loop.set_timer(&self.timer, max(self.target_ns // 2, <uint64_t>1000000))

    cdef void client_ends(self, selected_t *base) noexcept nogil:
        """Nobody waits for the replies any more, and nothing of it has been sent: it is not, then."""
        cdef waiter_t *client = <waiter_t *>base
        while client.waiting.head is not NULL:
            self._refuse(self._pop(client), REFUSED_GONE)

    cdef void on_drain(self) noexcept nogil:
        self.draining = True
        self._go_on()

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.timer)
        return self.waiting_count == 0

    # ---- up ---------------------------------------------------------------------------------------------------------

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if likely(request.tags[self.tag] is not NULL):
                self._learn(request)
            self.see_login(request)
            if not self.abort_answer(request):
                self.pass_up(request)
        if self.waiting_count:
            self._go_on()

    cdef void _learn(self, request_t *request) noexcept nogil:
        cdef uint64_t sent_ns = <uint64_t><size_t>request.tags[self.tag]
        request.tags[self.tag] = NULL
        self.under_way -= 1
        if request.failed == LOST:
            self.lost += 1
        else:
            histogram_add(&self.classes[_class_of(request)].recent, self.loop.now - sent_ns, 1)
        if self.loop.now - self.window_ns >= WINDOW_NS:
            self._end_window()

    cdef void _end_window(self) noexcept nogil:
        cdef:
            class_t *kind
            int      index
            uint64_t count, total = 0, low
            double   slowness = 0
        for index in range(CLASSES):
            total += histogram_count(&self.classes[index].recent)
        if total + self.lost < SAMPLES_MIN and self.loop.now - self.window_ns < WINDOW_MAX_NS:
            return
        total = 0
        for index in range(CLASSES):
            kind = &self.classes[index]
            count = histogram_count(&kind.recent)
            if count >= SAMPLES_MIN:
                low = max(histogram_quantile_ns(&kind.recent, 0.1), <uint64_t>BASE_MIN_NS)
                if kind.base_ns == 0 or low < kind.base_ns:
                    kind.base_ns = low
                elif self.at_floor >= FLOOR_WINDOWS:
                    kind.base_ns = <uint64_t>(<double>low * OWN_PART)
                else:
                    kind.base_ns += <uint64_t>(<double>(low - kind.base_ns) * DRIFT)
                slowness += count * (<double>histogram_quantile_ns(&kind.recent, 0.5) / <double>kind.base_ns)
                total += count
            memset(&kind.recent, 0, sizeof(histogram_t))
        self.slowness = slowness / total if total else 1
        if self.at_floor >= FLOOR_WINDOWS:
            self.at_floor = 0
        if self.lost * 10 > total:
            self.limit = max(self.floor, self.limit * SHRINK_LOST)
            self.starting = False
        elif self.slowness > self.tolerance:
            # as much as it is too slow, so that a queue of seconds below is not kept for seconds
            self.limit = max(self.floor, self.limit * min(SHRINK, max(SHRINK_LOST, self.tolerance / self.slowness)))
            self.starting = False
        elif self.pressed:
            self.limit = min(self.ceiling, self.limit * 2 if self.starting else self.limit + sqrt(self.limit))
        self.at_floor = self.at_floor + 1 if self.limit <= self.floor else 0
        self.pressed = self.waiting_count > 0
        self.lost = 0
        self.window_ns = self.loop.now

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return SelectingStep.samples(self) + [
            ("shotover_concurrency_limit", labels, "gauge", self.limit),
            ("shotover_concurrency_under_way", labels, "gauge", self.under_way),
            ("shotover_concurrency_waiting", labels, "gauge", self.waiting_count),
            ("shotover_concurrency_slowness", labels, "gauge", self.slowness),
            ("shotover_concurrency_shadow_count", labels, "counter", self.would_refuse),
        ] + [
            ("shotover_refusals_count", labels | {"reason": reason}, "counter", self.refused[index])
            for index, reason in enumerate(REASON_NAMES)
        ]
