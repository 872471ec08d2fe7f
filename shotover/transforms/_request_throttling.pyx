"""See _request_throttling.pxd.

A run of which only a part may pass is shortened on its way down, and the errors for its rest are put behind its replies
on their way up; so a pipeline keeps its order without being taken apart.
"""

cimport cython

from libc.stdint cimport int64_t, uint8_t

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._codec.resp cimport resp_frame_size
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, request_add_reply
from shotover._proxy.refusing cimport ends_or_begins

cdef extern from * nogil:
    """
    #define until_get(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define until_swap(p, expected, desired) \
        __atomic_compare_exchange_n((p), (expected), (desired), 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
    """
    uint64_t until_get(const uint64_t *until)
    bint until_swap(uint64_t *until, uint64_t *expected, uint64_t desired)

cdef enum:
    TICKS_SHIFT = 4         # log2 of ticks in a nanosecond

cdef const char *TEXT = b"Server overloaded (shotover: RequestThrottling)"


@cython.final
cdef class Limiter:

    def __init__(self, long long requests_per_second):
        cdef uint64_t second = <uint64_t>1000000000 << TICKS_SHIFT
        self.interval = max(second // <uint64_t>requests_per_second, <uint64_t>1)
        self.burst = self.interval * <uint64_t>requests_per_second

    cdef uint32_t take(self, uint64_t now_ns, uint32_t wanted) noexcept nogil:
        """How many of `wanted` requests may pass now; they are counted as passed. Any thread."""
        cdef:
            uint64_t now = now_ns << TICKS_SHIFT
            uint64_t until = until_get(&self.until)
            uint64_t start, room
            uint32_t granted
        while True:
            start = until if <int64_t>(until - now) > 0 else now
            room = (now + self.burst - start) // self.interval if start - now < self.burst else 0
            granted = wanted if wanted <= room else <uint32_t>room
            if granted == 0 or until_swap(&self.until, &until, start + granted * self.interval):
                return granted


@cython.final
cdef class RequestThrottling(RefusingStep):

    def __init__(self, context, *, str name, Limiter limiter):
        self.limiter = limiter
        self.wants_kin = True
        self.reads_bodies = False
        self.tag = 0

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request = batch.head
            batch_t    rest
            uint32_t   wanted = 0, granted
            bint       plain = True
        while request is not NULL:
            wanted += request.count
            plain = plain and request.conduct == CONDUCT_PLAIN
            request = request.next
        granted = self.limiter.take(self.loop.now, wanted)
        if likely(granted == wanted and plain):
            self.pass_down(batch)
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if ends_or_begins(request):
                granted -= min(granted, request.count)      # these pass in any case
                self.track(request)
            elif granted == 0:
                self.throttled_total += request.count
                self.mark_broken(request)
                self.refuse_take(request, b"ERR", TEXT, 47)
                continue
            elif granted < request.count:
                self.throttled_total += request.count - granted
                self.mark_broken(request)
                self._shorten(request, granted)
                granted = 0
            else:
                granted -= request.count
                if request.conduct != CONDUCT_PLAIN:
                    self.track(request)
            batch_push(&rest, request)
        self.pass_down(&rest)

    cdef void _shorten(self, request_t *request, uint32_t count) noexcept nogil:
        """Only the first `count` requests of the run go on; the others are remembered in its tag."""
        cdef:
            uint8_t *at = request.wire.data
            uint32_t _index
        for _index in range(count):
            at += resp_frame_size(at, request.wire.data + request.wire.size)
        request.tags[self.tag] = <void *><size_t>(request.count - count)
        request.wire.size = <size_t>(at - request.wire.data)
        request.count = count
        request.left = count
        request.watched |= WATCHED_BY_STEP

    cdef void _lengthen(self, request_t *request) noexcept nogil:
        """Puts the errors behind the replies."""
        cdef:
            uint8_t  out[128]
            size_t   size = self.codec.error(out, sizeof(out), b"ERR", TEXT, 47)
            uint32_t more = <uint32_t><size_t>request.tags[self.tag]
            uint32_t _index
        request.tags[self.tag] = NULL
        request.count += more
        self.failures_total += more
        if request.discard:
            return
        for _index in range(more):
            if not request_add_reply(&self.loop.pool, request, out, size):
                request.failed = 1
                request.begun = 1           # too few replies must not go out: its client is closed
                return

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(request.tags[self.tag] is not NULL):
                self._lengthen(request)
            if not self.abort_answer(request):
                self.pass_up(request)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RefusingStep.samples(self) + [
            ("shotover_throttled_requests_count", labels, "counter", self.throttled_total),
            ("shotover_refusals_count", labels | {"reason": "throttled"}, "counter", self.throttled_total),
        ]
