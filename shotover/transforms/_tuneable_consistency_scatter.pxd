"""TuneableConsistencyScatter: Redis commands over several routes; how many must answer, and whose reply it is.

  reads                    to all routes that have every write; the newest of read_consistency replies
  writes, scripts          to all routes that are there; write_consistency must have done it, the others' journals keep it
  state (SELECT, AUTH ...) to all routes that are there, the others are told when they are back; an error of one is the answer
  MULTI ... EXEC           as one write, kept whole for routes that miss a part of it
  subscriptions, MONITOR,
  CLIENT ID and the like   to one route, the client's home from then on
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.commands cimport command_t
from shotover._core.request cimport request_t
from shotover._proxy.routes cimport ROUTES_MAX
from shotover._proxy.scatter cimport ScatterStep, client_t, item_t


cdef enum:                      # item_t.rule: which of several replies
    RULE_VOTE = 0               # that most have given
    RULE_NEWEST = 1             # of the newest, by their stamps, that most have given
    RULE_MAX = 2                # the greatest number
    RULE_MIN = 3
    RULE_SUM = 4
    RULE_LONGEST = 5            # the list with most elements
    RULE_CURSOR = 6             # of one route, which the cursor must name from here on

cdef class TuneableConsistencyScatter(ScatterStep):
    cdef:
        uint32_t write_consistency
        uint32_t read_consistency
        const command_t *ping
        const command_t *role

    cdef bint _few(self, request_t *request, uint32_t routes, uint32_t needed, const char *wanted) noexcept nogil
    cdef void _go_home(self, request_t *request, client_t *client, bint stays) noexcept nogil
    cdef void _spread(self, request_t *request, client_t *client) noexcept nogil
    cdef void _read(self, request_t *request, client_t *client) noexcept nogil
    cdef void _write(self, request_t *request, client_t *client) noexcept nogil
    cdef void _scan(self, request_t *request, client_t *client, uint32_t cursor_at) noexcept nogil
    cdef void _state(self, request_t *request, client_t *client) noexcept nogil
    cdef void _begin(self, request_t *request, client_t *client) noexcept nogil
    cdef void _queue(self, request_t *request, client_t *client) noexcept nogil
    cdef void _end(self, request_t *request, client_t *client) noexcept nogil
    cdef void _watch(self, request_t *request, client_t *client) noexcept nogil
    cdef bint _keep(self, item_t *item, request_t *request) noexcept nogil
    cdef void _add_tx(self, client_t *client, const char *data, size_t size) noexcept nogil
    cdef void _forget_tx(self, client_t *client) noexcept nogil
    cdef bint _set_profile(self, client_t *client, uint8_t *data, size_t size) noexcept nogil
    cdef bint _remember_tx(self, client_t *client) noexcept nogil
    cdef bint _remember(self, client_t *client, request_t *request) noexcept nogil
    cdef void _quit(self, request_t *request, client_t *client) noexcept nogil
    cdef void _reply_mode(self, request_t *request) noexcept nogil
    cdef void _shared(self, request_t *request, client_t *client, uint32_t routes, uint32_t needed) noexcept nogil
    cdef void _number(self, request_t *child, item_t *item, uint32_t routes) noexcept nogil
