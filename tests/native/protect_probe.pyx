"""See protect_probe.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc

from shotover._codec.cql.json_values cimport (
    JSON_BAD,
    JSON_END,
    json_column_put,
    json_member_next,
    json_member_t,
    json_read,
    json_reader_t,
)
from shotover._codec.cql.lexer cimport cql_span_t
from shotover._codec.cql.literals cimport LITERAL_FINE, cql_literal_put
from shotover._codec.cql.types cimport cql_type_of_text, cql_type_t, cql_types_t
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._core.slice cimport slice_t
from shotover.transforms._protect_keys cimport DataKeys
from shotover.transforms._protect_rust cimport (
    rust_literal_put,
    rust_value_read,
    rust_value_t,
)

SAID = ("opened", "not sealed", "unknown key", "not ours")


cdef slice_t _slice(bytes data):
    cdef slice_t found
    found.data = <uint8_t *><const char *>data
    found.size = len(data)
    return found


def seal(DataKeys keys, bytes column, bytes plain):
    cdef:
        size_t   size = keys.sealed_size(len(plain))
        uint8_t *out = <uint8_t *>malloc(size)
    try:
        assert keys.seal_value(_slice(column), _slice(plain), out)
        return (<const char *>out)[:size]
    finally:
        free(out)


def opened(DataKeys keys, bytes column, bytes sealed):
    """(what it says, the value if it is "opened", else None)"""
    cdef:
        uint8_t *out = <uint8_t *>malloc(len(sealed) + 1)
        size_t   size = 0
        int      said
    try:
        said = keys.open_value(_slice(column), _slice(sealed), out, &size)
        return SAID[said], (<const char *>out)[:size] if said == 0 else None
    finally:
        free(out)


def json_members(bytes text):
    """[(column, value as it is written)] of a JSON object; None: it is bad."""
    cdef:
        json_reader_t reader
        json_member_t member
        uint8_t       name[64]
        size_t        size
        int           said
    found = []
    json_read(&reader, _slice(text))
    while True:
        said = json_member_next(&reader, &member)
        if said == JSON_END:
            return found
        if said == JSON_BAD or not json_column_put(member.key, name, sizeof(name), &size):
            return None
        column = (<const char *>name)[:size] if size <= sizeof(name) else b""
        found.append((column, (<const char *>member.value.data)[:member.value.size]))


def opened_rust(DataKeys keys, bytes sealed, bytes declared):
    """(the literal that a value of Shotover in Rust is, its bytes by the declared type); None for what cannot be had."""
    cdef:
        cql_type_t    nodes[32]
        cql_types_t   types
        rust_value_t  value
        slice_t       plain
        wire_writer_t writer
        cql_span_t    span
        uint8_t       literal = 0
        uint8_t      *room = <uint8_t *>malloc(10 * len(sealed) + 64)
        size_t        size = 0
    types.nodes = nodes
    types.room = 32
    types.count = 0
    assert cql_type_of_text(&types, declared, len(declared))
    try:
        if not rust_value_read(_slice(sealed), &value) or keys.open_rust(&value, room, &size) != 0:
            return None, None
        plain.data = room
        plain.size = size
        wire_write(&writer, room + len(sealed), 8 * size)
        if not rust_literal_put(plain, &writer, &literal) or writer.full:
            return None, None
        written = (<const char *>room)[len(sealed):len(sealed) + writer.size]
        span.at = 0
        span.size = <uint32_t>writer.size
        wire_write(&writer, room, len(sealed))
        said = cql_literal_put(nodes, written, span, &writer)
        return written, (<const char *>room)[:writer.size] if said == LITERAL_FINE and not writer.full else None
    finally:
        free(room)


def seal_often(DataKeys keys, bytes plain, uint32_t rounds):
    """For benchmarks."""
    cdef:
        uint8_t *out = <uint8_t *>malloc(keys.sealed_size(len(plain)))
        slice_t  one = _slice(b"keyspace\0table\0column\0"), two = _slice(plain)
        uint32_t _
    with nogil:
        for _ in range(rounds):
            keys.seal_value(one, two, out)
    free(out)


def open_often(DataKeys keys, bytes sealed, uint32_t rounds):
    cdef:
        uint8_t *out = <uint8_t *>malloc(len(sealed))
        slice_t  one = _slice(b"keyspace\0table\0column\0"), two = _slice(sealed)
        size_t   size
        uint32_t _
    with nogil:
        for _ in range(rounds):
            keys.open_value(one, two, out, &size)
    free(out)
