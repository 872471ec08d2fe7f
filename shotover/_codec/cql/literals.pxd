"""Literals of CQL as the bytes that a server makes of them, by the type of the column."""

from libc.stdint cimport uint8_t

from shotover._codec.cql.lexer cimport cql_span_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._codec.cql.wire cimport wire_writer_t


cdef enum:                      # what cql_literal_put says
    LITERAL_FINE = 0            # written, if the writer had room
    LITERAL_NULL = 1
    LITERAL_UNKNOWN = 2         # only the server can tell: a mark, a function, a set of sets ...
    LITERAL_WRONG = 3           # not of that type: the server will refuse it


cdef int cql_literal_put(const cql_type_t *type, const uint8_t *text, cql_span_t value, wire_writer_t *writer) noexcept nogil
