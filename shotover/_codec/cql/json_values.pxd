"""JSON as INSERT ... JSON has it (RFC 8259): the members of an object, and their values as literals of CQL.

Only what is sure is followed: what is no JSON, and what another parser may take otherwise, is bad.

    {"id": 1, "Name": "x", "tags": ["a"]}
     ----  -                                    one member: raw key, raw value, both borrowed
"""

from libc.stdint cimport uint8_t

from shotover._codec.cql.types cimport cql_type_t
from shotover._codec.cql.wire cimport wire_writer_t
from shotover._core.slice cimport slice_t


cdef enum:                      # json_member_next
    JSON_MEMBER = 1
    JSON_END = 0
    JSON_BAD = -1

cdef enum:
    JSON_DEPTH_MAX = 32

cdef struct json_reader_t:
    const uint8_t *at
    const uint8_t *end
    bint           begun        # a member has been read

cdef struct json_member_t:
    slice_t key                 # with its quotes
    slice_t value               # without white space around it


cdef void json_read(json_reader_t *reader, slice_t text) noexcept nogil
cdef int json_member_next(json_reader_t *reader, json_member_t *member) noexcept nogil
cdef bint json_column_put(slice_t key, uint8_t *out, size_t room, size_t *size) noexcept nogil
cdef bint json_literal_put(const cql_type_t *type, slice_t value, wire_writer_t *writer) noexcept nogil
