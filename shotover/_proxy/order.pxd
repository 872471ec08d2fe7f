"""The order of a session's requests, `after` and `before`: whose reply is next. Its first is what may be answered now.

Where replies bear numbers, whoever has a reply is brought there, unless half a reply stands there already.
"""

from shotover._core.request cimport request_t
from shotover._proxy.session cimport session_t


cdef inline void order_append(session_t *session, request_t *request) noexcept nogil:
    request.after = NULL
    request.before = session.order_tail
    if session.order_tail is NULL:
        session.order_head = request
    else:
        session.order_tail.after = request
    session.order_tail = request

cdef inline void order_insert(session_t *session, request_t *request, request_t *before) noexcept nogil:
    """Behind `before`, which is in the order."""
    request.after = before.after
    request.before = before
    before.after = request
    if request.after is NULL:
        session.order_tail = request
    else:
        request.after.before = request

cdef inline void order_take_out(session_t *session, request_t *request) noexcept nogil:
    """It must not be the first."""
    request.before.after = request.after
    if request.after is NULL:
        session.order_tail = request.before
    else:
        request.after.before = request.before

cdef inline void order_to_front(session_t *session, request_t *request) noexcept nogil:
    """It is not the first, and its turn is now."""
    order_take_out(session, request)
    request.after = session.order_head
    session.order_head.before = request
    session.order_head = request

cdef inline void order_behind_first(session_t *session, request_t *request) noexcept nogil:
    """It is not the first, and its turn is when that has gone."""
    if session.order_head.after is not request:
        order_take_out(session, request)
        order_insert(session, request, session.order_head)
