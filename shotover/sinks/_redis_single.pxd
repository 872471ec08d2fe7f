"""RedisSinkSingle: one server behind one address.

Here stands what each command does to the connection that it runs on, and what each reply tells of that. How shared
connections and leases are had: `_redis_leases`.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._redis_leases cimport LeasingSink, redis_session_t


cdef class RedisSinkSingle(LeasingSink):
    cdef:
        uint64_t pushes_total

    cdef void route(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil
    cdef void _special(self, request_t *request, redis_session_t *rs) noexcept nogil
    cdef void _send_lease(self, request_t *request, redis_session_t *rs, uint8_t sink_state) noexcept nogil
    cdef void _cancel_wait(self, session_t *session, upstream_t *lease) noexcept nogil
    cdef bint _may_finish(self, upstream_t *upstream, redis_session_t *rs) noexcept nogil
    cdef void _state_changed(self, request_t *request, redis_session_t *rs) noexcept nogil
    cdef bint _confirm(self, redis_session_t *rs, uint8_t *frame, size_t size) noexcept nogil
    cdef void _head_frame(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil
    cdef void _turn_away(self, upstream_t *upstream) noexcept nogil
    cdef void _reply_mode(self, request_t *request, redis_session_t *rs) noexcept nogil
    cdef void _send_mute(self, request_t *request, redis_session_t *rs) noexcept nogil
    cdef void _ping(self, redis_session_t *rs) noexcept nogil
    cdef void _push(self, session_t *session, uint8_t *frame, size_t size) noexcept nogil
    cdef void _was_reset(self, redis_session_t *rs, upstream_t *upstream) noexcept nogil
    cdef bint subscription_changed(self, redis_session_t *rs, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil
    cdef bint _count(self, redis_session_t *rs, uint32_t *kind, bint adds, int64_t total) noexcept nogil
