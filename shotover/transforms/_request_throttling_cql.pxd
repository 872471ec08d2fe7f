"""RequestThrottling with `limits` before Cassandra: limits and weights are rules of a SelectingStep."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._proxy.selecting cimport SelectingStep, selected_t
from shotover.transforms._request_throttling_meter cimport meter_t


cdef enum:
    LIMITS_MAX = 64

cdef enum:                      # what has a meter of its own
    PER_ALL = 0
    PER_USER = 1
    PER_CLIENT = 2
    PER_STATEMENT = 3
    PER_KEYSPACE = 4
    PER_TABLE = 5
    PER_KEY = 6

cdef struct cql_limit_t:
    void       *meters          # PyObject* of the Meters (borrowed)
    const char *name            # likewise
    uint8_t     per             # PER_*
    uint8_t     unweighed       # each request counts as one

cdef struct cql_charge_t:
    meter_t *meter
    uint64_t tag
    uint64_t ticks

cdef class StatementLimits:
    """What all copies of one such step go by."""
    cdef:
        cql_limit_t limits[LIMITS_MAX]
        uint32_t    weights[LIMITS_MAX]
        uint32_t    limit_count
        uint32_t    weight_count
        uint64_t    seed        # of tags
        readonly list rows      # of set_rules: limits, then weights
        readonly list names
        list        held

cdef class CqlLimits(SelectingStep):
    cdef:
        StatementLimits shared
        cql_charge_t charges[256]
        uint32_t     charge_count
        uint32_t     refuser    # the limit that said no
        uint32_t     wait_ms    # when it would say yes
        uint64_t     throttled_total
        uint64_t     refusals[LIMITS_MAX]
        uint64_t     evictions[LIMITS_MAX]

    cdef bint _take(self, request_t *request, selected_t *client) noexcept nogil
    cdef bint _charge(self, uint32_t index, uint64_t tag, uint64_t units) noexcept nogil
    cdef bint _charge_tables(self, uint32_t index, request_t *request, uint64_t weight) noexcept nogil
    cdef uint64_t _tag(self, uint8_t per, request_t *request, selected_t *client) noexcept nogil
