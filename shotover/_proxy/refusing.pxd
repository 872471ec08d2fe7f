"""RefusingStep, base of the steps that answer some requests themselves instead of letting them through.

A transaction of which a command was refused must not be carried out without it: its EXEC goes on as DISCARD, and the
client is told EXECABORT, as the server does when it could not queue a command.
"""

from libc.stdint cimport uint32_t

from shotover._codec.commands cimport command_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.step cimport Step


cdef enum:                      # what such a step knows of a session, kept in its slot; bits
    TX_OPEN = 1                 # between MULTI and EXEC
    TX_BROKEN = 2               # a command of this transaction was refused

cdef class RefusingStep(Step):
    cdef command_t aborted      # stands for "EXEC that became DISCARD" in request_t.command

    cdef size_t *transaction(self, void *session) noexcept nogil
    cdef void track(self, request_t *request) noexcept nogil
    cdef void mark_broken(self, request_t *request) noexcept nogil
    cdef void discard_instead(self, request_t *request) noexcept nogil
    cdef const char *abort_text(self, request_t *request) noexcept nogil
    cdef bint abort_answer(self, request_t *request) noexcept nogil


cdef bint ends_or_begins(request_t *request) noexcept nogil
