"""RedisProtocolConverter: clients may speak RESP3 to servers that are spoken to in RESP2.

  HELLO 3            goes on as HELLO 2; where the server has no HELLO, AUTH, CLIENT SETNAME and INFO go in its place
  any other request  goes on as it is; a *note* on it says what its reply must look like
  replies            are written anew by the note, piece by piece as they come; those within MULTI, and of EXEC, when whole
  messages           become pushes

Nothing follows a HELLO or RESET before its reply: what the client speaks from there on is known only then.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.resp_upgrade cimport upgrade_t
from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.refusing cimport RefusingStep
from shotover._proxy.session cimport session_t


cdef enum:
    SHAPES_INLINE = 24

cdef enum:                      # note_t.role
    ROLE_REPLY = 0
    ROLE_QUEUED = 1             # in a transaction: +QUEUED, as a rule
    ROLE_MULTI = 2
    ROLE_EXEC = 3
    ROLE_RESET = 4
    ROLE_HELLO = 5              # HELLO itself; then, where there is none:
    ROLE_AUTH = 6
    ROLE_NAME = 7
    ROLE_INFO = 8

cdef struct client_t:           # of a session that has said HELLO 3; the slot holds it, with the bits of RefusingStep
    session_t *session          # NULL: it is gone
    uint32_t   users            # the session and its notes
    uint8_t    protocol         # that it speaks
    uint8_t    lost             # what its connection knew is gone: nothing more may be sent
    request_t *busy             # its HELLO or RESET that is under way; NULL: none
    batch_t    waiting          # for that
    chunk_t   *queued           # shapes of the commands in its transaction, one byte each; NULL: none yet
    uint32_t   queued_count

cdef struct note_t:             # what is to be done with a reply; in the tag of its request
    client_t  *client
    uint8_t    role
    uint8_t    wanted           # ROLE_HELLO on: the protocol asked for
    uint8_t    midway           # a reply has begun
    uint32_t   at               # replies that have passed
    uint32_t   count            # of shapes; replies beyond are like the last
    size_t     kept             # bytes of request.reply that are written already
    chunk_t   *hello            # ROLE_AUTH on: the request as it came
    size_t     hello_size
    chunk_t   *more             # shapes that have no room in:
    uint8_t    shapes[SHAPES_INLINE]
    upgrade_t  upgrade

cdef class RedisProtocolConverter(RefusingStep):
    cdef:
        slab_t   clients            # client_t
        slab_t   notes              # note_t
        bint     refuses_hello      # resp3: refuse
        bint     passes_unknown     # unknown_commands: pass
        uint64_t converted_total    # requests whose replies are converted

    cdef void _take(self, request_t *request, batch_t *rest) noexcept nogil
    cdef void _one(self, request_t *request, client_t *client, batch_t *rest) noexcept nogil
    cdef void _hello(self, request_t *request, client_t *client, batch_t *rest) noexcept nogil
    cdef client_t *_client_new(self, session_t *session) noexcept nogil
    cdef void _client_drop(self, client_t *client) noexcept nogil
    cdef note_t *_note_new(self, request_t *request, client_t *client, uint8_t role) noexcept nogil
    cdef void _note_free(self, note_t *note) noexcept nogil
    cdef uint8_t _shapes(self, request_t *request, note_t *note) noexcept nogil
    cdef uint8_t _shape(self, request_t *request, const uint8_t *at, const uint8_t *end) noexcept nogil
    cdef void _refuse(self, request_t *request, const char *text) noexcept nogil
    cdef void _answered(self, request_t *request, note_t *note) noexcept nogil
    cdef bint _convert(self, request_t *request, note_t *note) noexcept nogil
    cdef uint8_t *_write(self, note_t *note, const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil
    cdef bint _queue(self, note_t *note) noexcept nogil
    cdef bint _hello_answered(self, request_t *request, note_t *note) noexcept nogil
    cdef bint _instead(self, request_t *request, note_t *note) noexcept nogil
    cdef bint _hello_made(self, request_t *request, note_t *note) noexcept nogil
    cdef void _go_on(self, client_t *client) noexcept nogil
