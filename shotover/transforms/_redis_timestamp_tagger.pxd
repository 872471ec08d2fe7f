"""RedisTimestampTagger: asks with each read how long ago its keys were last used, and stamps the reply with that.

The question (OBJECT IDLETIME, one for each key) goes ahead of the read on the same way: after it, the read itself would
have set the clock back.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.step cimport Step


cdef struct tagged_t:           # a read and its questions; in the tags of them all
    request_t *read
    int64_t    idle             # least of the answers, in seconds; -1: none yet
    uint32_t   left             # replies awaited, the read's own included

cdef class RedisTimestampTagger(Step):
    cdef:
        slab_t   pairs              # tagged_t
        uint64_t tagged_total       # reads that have a stamp
        uint64_t untagged_total     # reads of which no server would tell: no such key, or it keeps no such clock

    cdef void _follow(self, request_t *request) noexcept nogil
    cdef bint _tag(self, request_t *request, batch_t *down) noexcept nogil
    cdef request_t *_question(self, request_t *request, const unsigned char *key, size_t size) noexcept nogil
    cdef void _returned(self, tagged_t *tagged, request_t *request) noexcept nogil
