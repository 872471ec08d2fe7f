"""The replies of a fan's parts as the one reply that a single server would have given; by the command's response policy.

  policy             parts' replies                     the reply
  default, keys      arrays, one element for each key   one array, elements in the order of the request's keys
  default, no keys   arrays, or sets, or maps           one with all their elements; nothing is taken out that is there twice
                     nulls among them                   count as empty; null if all are
  default            other types                        if all say the same, that; else an error
  agg_sum min max    integers, doubles                  of the same type
  agg_logical_*      integers, booleans                 likewise; of integers 0 is false and 1 is the answer's true
  agg_*              arrays of such, of equal length    element by element (SCRIPT EXISTS, WAITAOF)
  all_succeeded      any                                the first part's
  one_succeeded      any                                the first one that is no error
  special            any                                left to the caller

An error among the parts (but for one_succeeded, where all must be errors) makes the reply an error: the first one, in the
order of parts. Under one_succeeded NOTBUSY gives way to others: it says no more than that a script runs elsewhere. Parts of
different types, sums beyond 64 bits, arrays of a wrong length and bytes that are no reply give errors of our own, ERR.
Attributes in front of a part's reply are left out; within it they stay. Integers of RESP3's big type are taken if they fit
into 64 bits.

The reply is always one whole RESP value, whatever the parts' bytes are.
"""

from libc.stdint cimport uint64_t

from shotover._codec.fan cimport fan_t
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    JOIN_DONE = 0
    JOIN_ERROR = 1          # there is a reply; it is an error
    JOIN_SPECIAL = 2        # there is none: the caller looks at fan.parts[].reply itself

cdef int fan_join(pool_t *pool, fan_t *fan, slice_t *reply, chunk_t **owner) noexcept nogil
cdef bint fan_answer(pool_t *pool, fan_t *fan, request_t *request) noexcept nogil
cdef void fan_pick(pool_t *pool, fan_t *fan, request_t *request, uint64_t number) noexcept nogil
