"""RedisSinkSentinel: a RedisSinkSingle whose server is the master that sentinels name.

  SURE      its address is known, and it has said that it is the master: requests go to it
  DOUBTED   until then, and from the moment on that a connection to it is lost or it says READONLY: requests are held

How a sentinel is asked: `_redis_sentinel_watch`.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport waker_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._redis_sentinel_watch cimport HOST_SIZE_MAX
from shotover.sinks._redis_single cimport RedisSinkSingle


cdef enum:                      # looking
    LOOKUP_NONE = 0
    LOOKUP_RUNS = 1             # in a thread of its own, which alone writes `found*` meanwhile
    LOOKUP_DONE = 2

cdef class RedisSinkSentinel(RedisSinkSingle):
    cdef:
        readonly list watches
        str         master_name
        bint        sure
        bint        known               # there is an address
        bint        draining
        bint        flushing            # held requests are being sent
        uint64_t    doubt_ns            # since when it is not sure; 0: the loop has not begun
        # the sentinels' word that was followed last
        char        host[HOST_SIZE_MAX]
        int         port
        int64_t     epoch
        uint64_t    confirmed_ns        # when a sentinel last named that epoch, or a later one
        # is it the master?
        upstream_t *check               # the connection on which it is asked
        uint64_t    check_at_ns         # not before
        bytes       kept                # the memory of `question`
        slice_t     question
        uint32_t    question_count
        timer_t     tick
        # requests that wait for a master
        batch_t     held
        batch_t     late                # came while those are being sent
        uint32_t    held_count
        uint32_t    held_max
        uint64_t    hold_ns             # from doubt_ns on
        uint64_t    held_total, expired_total, over_held, switches_total
        # names are looked up in a thread
        uint8_t     looking
        uint64_t    look_again_ns
        uint8_t     found[128]
        uint32_t    found_size          # 0: nothing
        int         found_family
        char        found_host[HOST_SIZE_MAX]
        int         found_port
        waker_t     waker

    cdef void heard(self) noexcept nogil
    cdef void looked_up(self) noexcept nogil
    cdef void on_tick(self) noexcept nogil
    cdef void *_word(self) noexcept nogil
    cdef void _doubt(self) noexcept nogil
    cdef void _hurry(self, bint on) noexcept nogil
    cdef void _look_up(self) noexcept nogil
    cdef void _aim(self, const uint8_t *address, uint32_t size, int family) noexcept nogil
    cdef void _retire_all(self) noexcept nogil
    cdef void _check(self) noexcept nogil
    cdef void _ask_role(self, upstream_t *upstream) noexcept nogil
    cdef void _role_answered(self, upstream_t *upstream, request_t *answer) noexcept nogil
    cdef bint _may_follow(self, void *word) noexcept nogil
    cdef bint _word_is_fresh(self) noexcept nogil
    cdef void _make_sure(self) noexcept nogil
    cdef void _hold(self, request_t *request, batch_t *queue) noexcept nogil
    cdef void _go(self, request_t *request) noexcept nogil
    cdef bint _quitting(self, request_t *request) noexcept nogil
    cdef void _go_late(self, request_t *request) noexcept nogil
    cdef void _flush_held(self) noexcept nogil
    cdef void _expire_held(self) noexcept nogil
    cdef void _refuse_held(self, request_t *request) noexcept nogil
