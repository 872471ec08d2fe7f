"""RoutesStep, base of steps that send the same requests down several chains, their *routes*: how each of them is.

A route is UP as long as it has got every write. One that misses a write, fails or is late goes AWAY: from then on its
writes are kept in its journal, it is asked now and then whether it is back, and then they are sent again in their order,
before anything else; only then does it count again. A journal that overflows leaves it STALE for good.

        UP --misses, fails, late--> AWAY --answers--> CATCHING --all is on its way--> CLOSING --all is answered--> UP
                                    AWAY --journal full--> STALE --made a copy of a route that has all--> AWAY
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport task_t
from shotover._net.timers cimport timer_t
from shotover._proxy.journal cimport entry_t, journal_t, profile_t
from shotover._proxy.session cimport session_t
from shotover._proxy.step cimport Step


cdef enum:
    ROUTES_MAX = 16

cdef enum:                      # the first byte of what a child's tag points to
    CHILD_ITEM = 1
    CHILD_ENTRY = 2             # of a journal
    CHILD_PROBE = 3
    CHILD_GHOST = 4             # brings the session that replays into the state of an entry
    CHILD_CLIENT = 5            # brings a client's session on one route up to date

cdef enum:                      # route_t.state
    ROUTE_UP = 0
    ROUTE_CLOSING = 1           # all that it missed is on its way; what comes is held until that has been answered
    ROUTE_CATCHING = 2          # what it missed is being sent, and grows by what comes
    ROUTE_AWAY = 3
    ROUTE_STALE = 4             # it has missed more than was kept: it gets nothing until it is mended

cdef enum:                      # what a reply is worth (ScatterStep.judge)
    WORTH_GOOD = 0
    WORTH_ERROR = 1             # the request is wrong
    WORTH_EXCUSE = 2            # the server could not do it now: it has missed it
    WORTH_AWAY = 3              # the server can do nothing now

cdef enum:                      # what a probe has found out (ScatterStep.probed)
    PROBE_FAILED = 0
    PROBE_ANSWERED = 1
    PROBE_MENDING = 2           # it is a faithful copy of another server

cdef struct mark_t:
    uint8_t    what             # first

cdef struct route_t:
    void      *chain            # PyObject* of its Chain
    uint8_t    state            # ROUTE_*
    uint8_t    probing          # a probe is out
    uint8_t    grumbled         # it has refused an entry, and that was logged
    uint8_t    said             # that it is away
    uint8_t    hurry            # it need not wait for the next probe
    uint32_t   outstanding      # children sent and not back, but for those that may wait without end
    uint32_t   replaying        # entries on their way
    uint32_t   window           # how many may be
    journal_t  journal
    session_t *ghost            # stands for the clients whose writes are sent again; not the source's
    profile_t *ghost_profile    # the state it is in
    uint8_t    ghost_stirred    # ... or was: the last entry may have left it in another
    uint32_t   ghost_left       # requests on their way that bring it there
    batch_t    held             # children that go down once it is UP
    mark_t     probe_mark
    mark_t     ghost_mark
    uint64_t   missed_total, replayed_total, refused_total, away_total, overflows_total
    char       name[64]

cdef class RoutesStep(Step):
    cdef:
        route_t  routes[ROUTES_MAX]
        uint32_t route_count
        uint64_t probe_ns
        batch_t  downs[ROUTES_MAX]      # children that are being handed out
        timer_t  probing
        task_t   later
        session_t *dead                 # ghosts
        const char *reset_wire          # what brings a session into its first state; static
        const char *pin_wire            # ... makes it keep a connection to itself
        void    *source                 # PyObject* of the Source, once a client was seen

    cdef uint32_t all_routes(self) noexcept nogil
    cdef uint32_t routes_up(self) noexcept nogil
    cdef void run_downs(self) noexcept nogil
    cdef void send_down(self, uint32_t index, request_t *child) noexcept nogil
    cdef void miss(self, uint32_t index, uint64_t order, slice_t *wire, profile_t *profile, bint stirs) noexcept nogil
    # to be overridden:
    cdef int judge(self, request_t *child) noexcept nogil
    cdef size_t cut(self, request_t *child, uint8_t *at, uint8_t *end) noexcept nogil
    cdef bint probe(self, request_t *child, bint stale) noexcept nogil
    cdef int probed(self, request_t *child) noexcept nogil
    # internal:
    cdef uint32_t _route_of(self, request_t *child) noexcept nogil
    cdef void _away(self, uint32_t route, const char *why, size_t why_size) noexcept nogil
    cdef void _overflow(self, uint32_t route) noexcept nogil
    cdef void _probe_all(self) noexcept nogil
    cdef void _probe(self, uint32_t route) noexcept nogil
    cdef void _probe_back(self, request_t *child, uint32_t route) noexcept nogil
    cdef void _replay(self, uint32_t route) noexcept nogil
    cdef bint _ghost(self, uint32_t route, profile_t *profile) noexcept nogil
    cdef void _end_ghost(self, uint32_t route) noexcept nogil
    cdef void _send_entry(self, uint32_t route, entry_t *entry) noexcept nogil
    cdef bint _send_wire(self, uint32_t route, session_t *session, chunk_t *owner, slice_t *wire, void *tag,
                         uint32_t *left) noexcept nogil
    cdef void _entry_back(self, entry_t *entry, request_t *child, uint32_t route) noexcept nogil
    cdef void _ghost_back(self, request_t *child, uint32_t route) noexcept nogil
    cdef void _all_there(self, uint32_t route) noexcept nogil
    cdef void _do_later(self) noexcept nogil
    cdef void _fail_held(self, uint32_t route) noexcept nogil


cdef inline uint32_t bits(uint32_t mask) noexcept nogil:
    """How many are set."""
    cdef uint32_t count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count

cdef inline uint32_t lowest(uint32_t mask) noexcept nogil:
    """The index of the lowest one; ROUTES_MAX if none is set."""
    cdef uint32_t index = 0
    while index < ROUTES_MAX and not mask >> index & 1:
        index += 1
    return index
