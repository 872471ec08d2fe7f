"""Audit: a record of each request that passes: who, when, what, and what came of it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport limits_t
from shotover._codec.json_text cimport json_t
from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport request_t
from shotover._proxy.selecting cimport SelectingStep, selected_t
from shotover._proxy.step cimport Chain
from shotover.transforms._audit_ring cimport AuditRing


cdef enum:
    WORD_MAX = 48               # of a command's name
    KEY_MAX = 128               # bytes of a key, or of a user who logs in, that are shown
    HEAD_MAX = 64               # bytes of a reply that are looked at where it comes in pieces
    RECORD_MAX = 8192

cdef struct audit_client_t:
    selected_t base             # first
    chunk_t   *who              # the fields that say who it is, as JSON; a reference; NULL: not yet written

cdef struct audited_t:          # a request that is under way
    chunk_t   *who              # a reference; NULL: nobody's
    uint64_t   reserved         # bytes of the ring that are kept for its record
    uint64_t   reply_size       # bytes seen so far
    uint32_t   rows
    int        level            # its consistency; -1: none
    uint8_t    has_rows
    uint8_t    gathered         # its reply is not looked at in pieces
    uint8_t    word_size
    uint8_t    key_size         # 0: none
    uint8_t    login            # what `key` holds is a user
    uint8_t    cut              # the key is longer
    uint8_t    head_size
    uint8_t    word[WORD_MAX]
    uint8_t    key[KEY_MAX]
    uint8_t    head[HEAD_MAX]

cdef class Audit(SelectingStep):
    cdef:
        AuditRing ring          # None: records go to the chain alone
        object    writer
        Chain     aside         # None: to the file alone
        bytes     aside_head    # of the command that a record is sent with
        const uint8_t *aside_data
        size_t    aside_size
        limits_t  aside_limits
        uint64_t  aside_pending, aside_most
        bint      refuses       # requests, where there is no room for their records
        bint      all_of_them   # there are no rules
        bint      draining
        size_t    statement_max     # bytes of a statement that are shown
        uint64_t  reserved
        uint64_t  records_total, lost_total, refused_total, aside_total
        uint64_t  gap_count     # records lost since the last one that was written
        uint64_t  gap_ns        # when the first of them was
        slab_t    items
        uint64_t  second        # of which `date` is
        char      date[24]
        char      source[64]

    cdef bint _wants(self, request_t *request, audit_client_t *client) noexcept nogil
    cdef audited_t *_begin(self, request_t *request, audit_client_t *client) noexcept nogil
    cdef void _note_command(self, audited_t *item, request_t *request) noexcept nogil
    cdef const chunk_t *_statement(self, request_t *request) noexcept nogil
    cdef chunk_t *_who(self, audit_client_t *client) noexcept nogil
    cdef bint _has_room(self, uint64_t size) noexcept nogil
    cdef void _look(self, audited_t *item, const uint8_t *data, size_t size) noexcept nogil
    cdef void _end(self, request_t *request, audited_t *item) noexcept nogil
    cdef void _put_time(self, json_t *json, uint64_t wall_ns) noexcept nogil
    cdef void _put_what(self, json_t *json, request_t *request, audited_t *item) noexcept nogil
    cdef void _put_statement(self, json_t *json, request_t *request, audited_t *item) noexcept nogil
    cdef void _put_outcome(self, json_t *json, request_t *request, audited_t *item) noexcept nogil
    cdef void _record(self, const uint8_t *data, size_t size) noexcept nogil
    cdef void _put_gap(self) noexcept nogil
    cdef void _send_aside(self, const uint8_t *data, size_t size) noexcept nogil
