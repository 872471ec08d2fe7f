"""RequestThrottling with `limits`: each request is held against all limits that it comes under, and passes if all allow it.

Which limits those are follows from three sets of bits, one bit a limit: those of its command (worked out for each static
command beforehand), those of its session's user, database and certificate (worked out when these change), and, for limits with a
condition on the key, what its keys say. What a request has been counted for is a list of *charges*; if a limit says no,
those before it are given back.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._codec.key_rules cimport KeyRules, rules_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._proxy.refusing cimport RefusingStep
from shotover._proxy.session cimport session_t
from shotover.transforms._request_throttling_meter cimport Meters, meter_t


cdef enum:
    LIMITS_MAX = 64             # bits of a set
    USER_SIZE_MAX = 1025        # bytes kept of a user's name: one more than a rule can name

cdef enum:                      # limit_t.per: what has a meter of its own
    PER_ALL = 0
    PER_USER = 1
    PER_CLIENT = 2
    PER_COMMAND = 3
    PER_KEY = 4
    PER_PREFIX = 5

cdef struct limit_t:
    void    *meters             # PyObject* of the Meters (borrowed)
    const char *name            # likewise
    uint8_t  per                # PER_*
    uint8_t  delimiter          # of PER_PREFIX
    uint8_t  unweighed          # each request counts as one
    uint32_t skip               # bytes of a key before which no delimiter is looked for

cdef struct weight_t:
    uint32_t weight
    uint8_t  each_key           # times the number of keys

cdef class Picks:
    """Which entries of a list ask for a command, as a set of bits; their other conditions are `rules`."""
    cdef:
        KeyRules  held
        rules_t  *rules
        uint64_t *by_command    # of each static command
        uint64_t  naming        # entries that name commands
        uint32_t  classes[LIMITS_MAX]   # CATEGORY_* of which a command must have one; 0: any command
        uint32_t  spares[LIMITS_MAX]    # CATEGORY_* of which it must have none
        uint32_t  count

    cdef uint64_t of(self, const command_t *command, const slice_t *word) noexcept nogil
    cdef uint64_t _work_out(self, const command_t *command, const slice_t *word) noexcept nogil

cdef class Limits:
    """What all copies of one RequestThrottling go by."""
    cdef:
        readonly Picks limits_picks
        readonly Picks weights_picks
        limit_t   limits[LIMITS_MAX]
        weight_t  weights[LIMITS_MAX]
        uint64_t  keyed         # limits that look at keys
        uint64_t  seed          # of tags
        bint      each_key      # some weight asks for the number of keys
        list      held          # Meters
        readonly list names

cdef struct throttled_t:        # what is known of a session that is not as a new one
    uint64_t user_tag
    uint64_t limits             # those whose user, database and certificate fit
    int32_t  database
    uint32_t user_size          # bytes of its name follow

cdef struct charge_t:
    meter_t *meter
    uint64_t tag
    uint64_t ticks              # of one request
    uint32_t count              # requests

cdef class RequestLimits(RefusingStep):
    cdef:
        Limits    shared
        uint64_t  fresh_limits      # of sessions that are as new ones
        uint64_t  fresh_tag
        charge_t *charges           # of the request that is looked at
        uint32_t  charge_count, charge_room
        slice_t  *words             # likewise
        uint32_t *places
        uint32_t  word_room
        slice_t  *keys
        uint32_t  key_count
        uint32_t  refuser           # the limit that said no, LIMITS_MAX: there was no memory
        uint32_t  wait_ms           # when it would say yes
        uint64_t  throttled_total
        uint64_t  refusals[LIMITS_MAX]
        uint64_t  evictions[LIMITS_MAX]

    cdef uint64_t _fitting(self, const slice_t *user, int32_t database, session_t *session) noexcept nogil
    cdef throttled_t *_note(self, session_t *session, const slice_t *user, int32_t database) noexcept nogil
    cdef uint32_t _take(self, request_t *request) noexcept nogil
    cdef uint32_t _charge(self, uint32_t index, uint64_t tag, uint64_t units, uint32_t wanted, uint64_t now) noexcept nogil
    cdef bint _charge_keys(self, uint32_t index, uint64_t units, uint64_t now) noexcept nogil
    cdef uint32_t _fitting_keys(self, uint32_t index) noexcept nogil
    cdef void _give_back(self, uint32_t granted) noexcept nogil
    cdef bint _make_room(self, uint32_t room) noexcept nogil
    cdef bint _find_keys(self, request_t *request) noexcept nogil
    cdef void _watch(self, request_t *request) noexcept nogil
    cdef void _learn(self, request_t *request) noexcept nogil
    cdef size_t _error(self, uint8_t *out, size_t room, uint32_t refuser, uint32_t wait_ms) noexcept nogil
