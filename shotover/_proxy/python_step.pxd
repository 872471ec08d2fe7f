"""PythonStep: runs a transform written in Python, a batch at a time.

The only file on the data path that takes the GIL: once for all requests of a batch, once for all replies, and for the
rare: a login, a letter from another thread, a time limit, the end of a connection. See request.pxd for what the
transform sees.

A held request keeps its place: what its client sent after it goes on only when it does (Client.line), so that a
server sees the requests of one client in the order in which they were sent.
"""

from libc.stdint cimport uint8_t

from shotover._core.request cimport batch_t, request_t
from shotover._net.loop cimport task_t
from shotover._proxy.guest cimport Guest, outcome_t
from shotover._proxy.request cimport Client, Request
from shotover._proxy.step cimport waker_t


cdef class PythonStep(Guest):
    cdef:
        waker_t waker
        batch_t returned                # requests whose named chain has answered
        task_t  returned_task

    cdef bint needs_look(self, batch_t *batch) noexcept nogil
    cdef void go_down(self, batch_t *batch) noexcept nogil
    cdef void tell_company(self, batch_t *batch) noexcept nogil
    cdef void watch(self, batch_t *batch) noexcept nogil
    cdef void carry_out(self, outcome_t *out) noexcept nogil
    cdef void run_returned(self) noexcept nogil
    cdef void read_mail(self) noexcept nogil
    cdef void time_out(self, void *view) noexcept nogil
    # with the GIL:
    cdef void run_requests(self, batch_t *batch, outcome_t *out) noexcept
    cdef void run_request_list(self, batch_t *batch, outcome_t *out) noexcept
    cdef void run_replies(self, batch_t *batch, outcome_t *out) noexcept
    cdef void run_reply_list(self, batch_t *batch, outcome_t *out) noexcept
    cdef Request open_reply(self, request_t *request, outcome_t *out)
    cdef int say_aborted(self, request_t *request) except -1
    cdef int judge(self, Request view, outcome_t *out) except -1
    cdef int judge_reply(self, Request view, outcome_t *out) except -1
    cdef void pass_unseen(self, request_t *request, outcome_t *out) noexcept
    cdef int forward(self, Request view, outcome_t *out) except -1
    cdef int send_away(self, Request view, outcome_t *out) except -1
    cdef int let_go(self, Request view, outcome_t *out) except -1
    cdef int hold(self, Request view, uint8_t stage) except -1
    cdef void deliver(self, Request view, outcome_t *out) noexcept
    cdef void expire(self, Request view, outcome_t *out) noexcept
    cdef void line_advance(self, Client client, outcome_t *out) noexcept
    cdef void end_client(self, void *session, outcome_t *out) noexcept
    cdef int returned_value(self, list views, object result) except -1
    cdef void start_jobs(self) noexcept
