"""ScatterStep, base of steps that send each request down several routes and answer when enough of them have.

A request becomes an *item*: a child of it for each route, how many good replies it needs, and a deadline. Which routes a
request goes to, what a reply is worth and which of several becomes the client's is the subclass's to say.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.journal cimport entry_t, profile_t
from shotover._proxy.routes cimport ROUTES_MAX, RoutesStep
from shotover._proxy.session cimport session_t


cdef struct client_t:           # in the slot of each session that has sent something
    uint8_t    what             # CHILD_CLIENT; first
    uint8_t    bound            # it is tied to its home: subscriptions, state of one connection
    uint8_t    home             # a route; only if bound
    uint8_t    quitting
    uint8_t    in_tx            # between MULTI and EXEC
    uint8_t    tx_writes        # its transaction changes something
    uint8_t    tx_over          # ... and is too long to be kept
    uint8_t    tx_state         # ... or the state of its session
    uint8_t    tx_broken        # ... or has been refused a command
    uint8_t    watching
    uint32_t   behind           # routes on which its session is not in its state
    uint32_t   reset            # ... and must be reset first
    uint32_t   tx_routes        # that have got all of the transaction so far
    uint32_t   tx_skip          # that have lost what it watched: they are not to carry out its next transaction
    uint32_t   refs             # items and children that point here
    uint32_t   waiting          # items that may take as long as they like
    session_t *session          # NULL: gone
    profile_t *profile
    uint8_t   *tx               # the transaction so far; malloc
    size_t     tx_size
    size_t     tx_room

cdef struct item_t:
    uint8_t    what             # CHILD_ITEM; first
    uint8_t    rule             # the subclass's: how to merge
    uint8_t    answered
    uint8_t    reads            # a route that has missed something by the time it answers does not count
    uint8_t    all              # every route must do it: an error of one is the answer
    uint8_t    waits            # may take as long as it likes
    uint8_t    untimed          # ... or comes behind one that may
    uint8_t    timed            # in the list of deadlines
    uint8_t    blocks           # counted in session_t.blocking
    uint8_t    counted          # ... in client_t.waiting
    uint8_t    conditional      # whether it is carried out, its replies tell: journals get it if as many as are needed did
    uint8_t    applied          # a route has carried it out, or will: so must all
    uint32_t   needed           # good replies
    uint32_t   enough           # ... that will do when no more can come
    uint32_t   left             # children that are not back
    uint32_t   out              # their routes
    uint32_t   good             # routes of good replies
    uint32_t   bad              # routes of errors
    uint32_t   done             # routes that have carried out what is conditional
    uint32_t   late             # routes that must be told once one has carried it out
    request_t *request          # the client's own; NULL: answered
    client_t  *client
    profile_t *before           # the client's profile when it came; what it does to it is not in it
    profile_t *after            # ... with that; only if `changes`
    uint8_t    changes
    uint64_t   order
    uint64_t   deadline_ns
    slice_t    wire             # for journals
    chunk_t   *owner            # keeps it alive; NULL: it is not for journals
    item_t    *earlier
    item_t    *later
    request_t *children[ROUTES_MAX]     # those that are back and may be needed

cdef class ScatterStep(RoutesStep):
    cdef:
        uint64_t timeout_ns
        slab_t   items, clients
        client_t orphans        # stands for clients that are gone
        item_t  *first_timed
        item_t  *last_timed
        timer_t  deadline
        uint64_t order          # of requests
        uint64_t not_enough_total, timeouts_total

    cdef client_t *client_of(self, request_t *request) noexcept nogil
    cdef void client_drop(self, client_t *client) noexcept nogil
    cdef uint32_t routes_open(self) noexcept nogil
    cdef item_t *item_new(self, request_t *request, client_t *client) noexcept nogil
    cdef bint item_keep(self, item_t *item, uint8_t *data, size_t size) noexcept nogil
    cdef void item_send(self, item_t *item, uint32_t routes) noexcept nogil
    cdef void item_miss(self, item_t *item, uint32_t routes) noexcept nogil
    cdef void send_home(self, request_t *request, client_t *client) noexcept nogil
    cdef void sync(self, client_t *client, uint32_t route) noexcept nogil
    cdef void tell(self, client_t *client, uint32_t route, const char *wire, size_t size) noexcept nogil
    cdef void unchanged(self, item_t *item) noexcept nogil
    cdef void refuse_item(self, item_t *item, const char *text) noexcept nogil
    # to be overridden:
    cdef void take(self, request_t *request, client_t *client) noexcept nogil
    cdef request_t *merge(self, item_t *item, uint32_t routes) noexcept nogil
    cdef bint applied(self, item_t *item, request_t *child) noexcept nogil
    cdef void not_changed(self, client_t *client, slice_t *wire) noexcept nogil
    cdef void changed(self, client_t *client) noexcept nogil
    cdef void too_few(self, item_t *item, bint late) noexcept nogil
    # internal:
    cdef request_t *_child(self, uint32_t route, client_t *client, request_t *request) noexcept nogil
    cdef void _back(self, item_t *item, request_t *child, uint32_t route) noexcept nogil
    cdef void _settle(self, item_t *item, bint late) noexcept nogil
    cdef void _answer(self, item_t *item, request_t *child) noexcept nogil
    cdef void _finish(self, item_t *item) noexcept nogil
    cdef void _time(self, item_t *item) noexcept nogil
    cdef void _waited(self, item_t *item, request_t *request) noexcept nogil
    cdef void _untime(self, item_t *item) noexcept nogil
    cdef void _cut_waits(self, client_t *client, uint32_t routes) noexcept nogil
    cdef void _expire(self) noexcept nogil
    cdef void _client_back(self, client_t *client, request_t *child, uint32_t route) noexcept nogil
    cdef void _free_children(self, item_t *item) noexcept nogil
