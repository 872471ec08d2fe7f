"""See cql_probe.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shotover._codec.cql.redact cimport cql_redact
from shotover._codec.cql.literals cimport cql_literal_put
from shotover._codec.cql.types cimport (
    TYPE_VECTOR,
    cql_type_of_class,
    cql_type_of_text,
    cql_type_read,
    cql_type_t,
    cql_types_t,
)
from shotover._codec.cql.messages cimport (
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_execute_put,
    cql_execute_read,
    cql_execute_t,
    cql_option_next,
    cql_options_read,
    cql_params_t,
    cql_prefix_read,
    cql_prefix_t,
    cql_prepare_put,
    cql_prepare_read,
    cql_prepare_t,
    cql_query_put,
    cql_query_read,
    cql_query_t,
    cql_register_read,
    cql_token_read,
    cql_value_next,
    cql_value_t,
)
from shotover._codec.cql.partition cimport (
    partition_key_put,
    partition_key_size,
    partitioner_of,
    token_compare_bytes,
    token_murmur3,
    token_random,
    wide_t,
)
from shotover._codec.cql.results cimport (
    METADATA_NONE,
    RESULT_PREPARED,
    RESULT_ROWS,
    cql_change_t,
    cql_column_next,
    cql_column_put,
    cql_column_t,
    cql_error_put,
    cql_error_read,
    cql_error_t,
    cql_event_put,
    cql_event_read,
    cql_event_t,
    cql_metadata_t,
    cql_result_put,
    cql_result_read,
    cql_result_t,
    cql_rows_check,
    cql_supported_next,
    cql_supported_read,
)
from shotover._codec.cql.wire cimport (
    wire_bytes,
    wire_read,
    wire_reader_t,
    wire_string,
    wire_write,
    wire_writer_t,
)
from shotover._codec.cql.statement cimport (
    cql_first_look,
    cql_item_t,
    cql_parse,
    cql_statement_t,
    cql_use_keyspace,
)
from shotover._core.slice cimport slice_t

from shotover._codec.cql.lexer cimport (
    TOKEN_BAD,
    TOKEN_END,
    WORD_NONE,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_name_is,
    cql_name_put,
    cql_names_agree,
    cql_span_t,
    cql_string_put,
    cql_token_t,
    cql_word_class,
)

cdef class Exact:
    """A copy of some bytes with nothing behind it: a sanitizer sees the first byte too far."""
    cdef:
        uint8_t *at
        size_t   size

    def __cinit__(self, bytes data not None):
        self.size = len(data)
        self.at = <uint8_t *>malloc(self.size)
        if self.at is NULL:
            raise MemoryError
        memcpy(self.at, <const char *>data, self.size)

    def __dealloc__(self):
        free(self.at)


# ---- lexer ---------------------------------------------------------------------------------------------------------


def tokens(bytes text):
    """[(kind, text, keyword class)] up to the end, or to what is bad."""
    cdef:
        Exact       exact = Exact(text)
        cql_lexer_t lexer
        cql_token_t token
        size_t      last = 0
    cql_lexer_set(&lexer, exact.at, exact.size)
    found = []
    while True:
        cql_lex(&lexer, &token)
        assert last <= token.at and token.at + token.size <= exact.size
        assert token.size or token.kind in (TOKEN_END, TOKEN_BAD)
        last = token.at + token.size
        found.append((token.kind, text[token.at:last], cql_word_class(token.word) if token.word != WORD_NONE else 0))
        if token.kind == TOKEN_END or token.kind == TOKEN_BAD:
            return found


def redact(bytes text, size_t room=1 << 16):
    """What is shown of a statement."""
    cdef bytearray out = bytearray(room)
    return bytes(out[:cql_redact(<uint8_t *><char *>out, room, <const uint8_t *><const char *>text, len(text))])


def name(bytes text):
    """What the servers make of a name; and it is that name, and agrees with itself."""
    cdef:
        Exact      exact = Exact(text)
        cql_span_t span
        bytes      out = bytes(len(text))
        bytes      kept
    span.at = 0
    span.size = len(text)
    kept = out[:cql_name_put(<uint8_t *><char *>out, exact.at, span)]
    assert cql_name_is(exact.at, span, <const uint8_t *><char *>kept, len(kept))
    assert cql_names_agree(exact.at, span, exact.at, span)
    return kept


def agree(bytes one, bytes other):
    cdef:
        Exact      first = Exact(one)
        Exact      second = Exact(other)
        cql_span_t span, span2
    span.at = span2.at = 0
    span.size = len(one)
    span2.size = len(other)
    return bool(cql_names_agree(first.at, span, second.at, span2))


def string(bytes text):
    """What a string between quotes or dollars says."""
    cdef:
        Exact      exact = Exact(text)
        cql_span_t span
        bytes      out = bytes(len(text))
    span.at = 0
    span.size = len(text)
    return out[:cql_string_put(<uint8_t *><char *>out, exact.at, span)]


# ---- messages ------------------------------------------------------------------------------------------------------


cdef class Room:
    """Where a writer writes; it is measured first, and one byte less must be too little."""
    cdef:
        Exact         exact
        wire_writer_t writer

    def __init__(self, size):
        self.exact = Exact(bytes(size))
        wire_write(&self.writer, self.exact.at, size)

    def written(self):
        assert self.writer.full == (self.writer.size > self.exact.size)
        return None if self.writer.full else self.exact.at[:self.writer.size]


cdef object taken(slice_t found):
    return None if found.data is NULL else found.data[:found.size]


cdef list strings(slice_t found, uint32_t count):
    cdef wire_reader_t reader
    wire_read(&reader, found.data, found.size)
    said = [taken(wire_string(&reader)) for _ in range(count)]
    assert not reader.bad and reader.at == reader.end
    return said


cdef list values(slice_t found, uint32_t count, const cql_params_t *params):
    cdef:
        wire_reader_t reader
        cql_value_t   value
    wire_read(&reader, found.data, found.size)
    said = []
    for _ in range(count):
        assert cql_value_next(&reader, params, &value)
        one = ... if value.unset else taken(value.value)
        said.append(one if value.name.data is NULL else (taken(value.name), one))
    assert reader.at == reader.end
    return said


cdef dict params_of(const cql_params_t *params):
    return {
        "consistency": params.consistency, "flags": params.flags, "values": values(params.values, params.value_count, params),
        "page_size": params.page_size, "paging_state": taken(params.paging_state), "serial": params.serial,
        "timestamp": params.timestamp, "keyspace": taken(params.keyspace), "now": params.now,
    }


def prefix(bytes body, uint8_t flags, bint response):
    cdef:
        Exact        exact = Exact(body)
        cql_prefix_t found
    if not cql_prefix_read(exact.at, exact.size, flags, response, &found):
        return None
    return taken(found.tracing), strings(found.warnings, found.warning_count), found.payload_count, taken(found.body)


def query(bytes body, int version, size_t room=0):
    """(the text, its parameters, the body written again), or None."""
    cdef:
        Exact       exact = Exact(body)
        cql_query_t found
        Room        again = Room(room or len(body))
    if not cql_query_read(exact.at, exact.size, version, &found):
        return None
    cql_query_put(&again.writer, &found, version)
    return taken(found.text), params_of(&found.params), again.written()


def prepare(bytes body, int version):
    cdef:
        Exact         exact = Exact(body)
        cql_prepare_t found
        Room          again = Room(len(body))
    if not cql_prepare_read(exact.at, exact.size, version, &found):
        return None
    cql_prepare_put(&again.writer, &found, version)
    return taken(found.text), taken(found.keyspace), again.written()


def execute(bytes body, int version):
    cdef:
        Exact         exact = Exact(body)
        cql_execute_t found
        Room          again = Room(len(body))
    if not cql_execute_read(exact.at, exact.size, version, &found):
        return None
    cql_execute_put(&again.writer, &found, version)
    return taken(found.id), taken(found.metadata_id), params_of(&found.params), again.written()


def batch(bytes body, int version):
    """(type, [(prepared, text or id, values)], parameters), or None."""
    cdef:
        Exact            exact = Exact(body)
        cql_batch_t      found
        cql_batch_item_t item
        cql_params_t     plain
        wire_reader_t    reader
    if not cql_batch_read(exact.at, exact.size, version, &found):
        return None
    plain.flags = 0
    wire_read(&reader, found.items.data, found.items.size)
    items = []
    for _ in range(found.count):
        assert cql_batch_next(&reader, &item)
        items.append((bool(item.prepared), taken(item.text), values(item.values, item.value_count, &plain)))
    assert reader.at == reader.end
    return found.type, items, params_of(&found.params)


def options(bytes body):
    cdef:
        Exact         exact = Exact(body)
        uint32_t      count
        wire_reader_t reader
        slice_t       name, value
    if not cql_options_read(exact.at, exact.size, &count):
        return None
    wire_read(&reader, exact.at + 2, exact.size - 2)
    found = []
    for _ in range(count):
        assert cql_option_next(&reader, &name, &value)
        found.append((taken(name), taken(value)))
    return found


def registered(bytes body):
    cdef:
        Exact    exact = Exact(body)
        uint32_t count
    return count if cql_register_read(exact.at, exact.size, &count) else None


def token_of(bytes body):
    cdef:
        Exact   exact = Exact(body)
        slice_t token
    return (taken(token),) if cql_token_read(exact.at, exact.size, &token) else None


# ---- results -------------------------------------------------------------------------------------------------------


cdef list columns(const cql_metadata_t *metadata):
    cdef:
        wire_reader_t reader
        cql_column_t  column
        Room          again = Room(metadata.columns.size)
    if metadata.flags & METADATA_NONE:
        assert metadata.columns.size == 0
        return None
    wire_read(&reader, metadata.columns.data, metadata.columns.size)
    found = []
    for _ in range(metadata.column_count):
        assert cql_column_next(&reader, metadata, &column)
        cql_column_put(&again.writer, metadata, &column)
        found.append((taken(column.keyspace), taken(column.table), taken(column.name), column.type_id, taken(column.type)))
    assert reader.at == reader.end
    assert again.written() == (b"" if metadata.columns.data is NULL else taken(metadata.columns))
    return found


cdef list rows(const cql_result_t *result):
    cdef:
        wire_reader_t reader
        slice_t       cell
    wire_read(&reader, result.rows.data, result.rows.size)
    found = []
    for _ in range(result.row_count):
        row = []
        for _ in range(result.metadata.column_count):
            wire_bytes(&reader, &cell)
            row.append(taken(cell))
        found.append(row)
    assert not reader.bad and reader.at == reader.end
    return found


cdef tuple change(const cql_change_t *found):
    return (taken(found.change), taken(found.target), taken(found.keyspace), taken(found.name),
            strings(found.arguments, found.argument_count))


def result(bytes body, int version):
    """A dict of what there is, and the body written again; None for what is none."""
    cdef:
        Exact        exact = Exact(body)
        cql_result_t found
        Room         again = Room(len(body))
    if not cql_result_read(exact.at, exact.size, version, &found):
        return None
    cql_result_put(&again.writer, &found, version)
    said = {"kind": found.kind, "columns": columns(&found.metadata), "keyspace": taken(found.keyspace), "id": taken(found.id),
            "metadata_id": taken(found.metadata_id), "paging_state": taken(found.metadata.paging_state),
            "new_id": taken(found.metadata.new_id), "change": change(&found.change)}
    if found.kind == RESULT_PREPARED:
        said["bound"] = columns(&found.bound)
        raw = taken(found.bound.keys) or b""
        said["keys"] = [raw[at] << 8 | raw[at + 1] for at in range(0, 2 * found.bound.key_count, 2)]
    if found.kind == RESULT_ROWS:
        said["rows"] = rows(&found) if cql_rows_check(&found) else None
    return said, again.written()


def error(bytes body, int version):
    cdef:
        Exact       exact = Exact(body)
        cql_error_t found
        Room        again = Room(len(body))
    if not cql_error_read(exact.at, exact.size, version, &found):
        return None
    cql_error_put(&again.writer, &found, version)
    return {
        "code": found.code, "message": taken(found.message), "consistency": found.consistency, "received": found.received,
        "required": found.required, "data_present": found.data_present, "failures": found.failure_count,
        "write_type": taken(found.write_type), "contentions": found.contentions, "keyspace": taken(found.keyspace),
        "name": taken(found.name), "arguments": strings(found.arguments, found.argument_count), "id": taken(found.id),
    }, again.written()


def event(bytes body, int version):
    cdef:
        Exact       exact = Exact(body)
        cql_event_t found
        Room        again = Room(len(body))
    if not cql_event_read(exact.at, exact.size, version, &found):
        return None
    cql_event_put(&again.writer, &found, version)
    return (taken(found.type), taken(found.change), taken(found.address), found.port, change(&found.schema)), again.written()


def supported(bytes body):
    cdef:
        Exact         exact = Exact(body)
        uint32_t      count, value_count
        wire_reader_t reader
        slice_t       name, said
    if not cql_supported_read(exact.at, exact.size, &count):
        return None
    wire_read(&reader, exact.at + 2, exact.size - 2)
    found = []
    for _ in range(count):
        assert cql_supported_next(&reader, &name, &said, &value_count)
        found.append((taken(name), strings(said, value_count)))
    return found


# ---- statements ----------------------------------------------------------------------------------------------------

ROLES = ("", "select", "mention", "column", "json", "assign", "delete", "where", "if", "timestamp", "ttl", "limit",
         "partition limit", "order", "group", "bind", "statement", "define", "key", "property")
TYPES = ("unknown", "select", "insert", "update", "delete", "batch", "truncate", "use", "create", "alter", "drop", "grant",
         "revoke", "list", "describe", "add")


cdef str said(bytes text, cql_span_t span):
    assert span.at + span.size <= len(text)
    return text[span.at:span.at + span.size].decode("utf-8", "surrogateescape")


def parse(bytes text, uint32_t room=256):
    """The statement as a dict; items as dicts without what is empty. Unknown ones have `at` and `expected` alone."""
    cdef:
        Exact           exact = Exact(text)
        Exact           place = Exact(bytes(room * sizeof(cql_item_t)))
        cql_statement_t out
        cql_item_t     *item
        uint8_t         type
        uint8_t         kind = cql_first_look(exact.at, exact.size, &type)
    out.item = <cql_item_t *>place.at
    out.item_room = room
    if not cql_parse(exact.at, exact.size, &out):
        assert out.type == 0 and out.kind == 0 and out.expected is not NULL and out.error_at <= exact.size
        return {"type": "unknown", "at": out.error_at, "expected": (<bytes>out.expected).decode()}
    assert (out.type, out.kind) == (type, kind)
    assert out.item_count <= room
    found = {"type": TYPES[out.type], "kind": out.kind, "object": out.object, "flags": out.flags, "binds": out.bind_count,
             "keyspace": said(text, out.keyspace), "table": said(text, out.table), "other": said(text, out.other),
             "truncated": bool(out.truncated), "items": []}
    for index in range(out.item_count):
        item = &out.item[index]
        one = {"role": ROLES[item.role], "name": said(text, item.name), "op": item.op, "value": said(text, item.value),
               "more": said(text, item.more), "form": item.form, "literal": item.literal, "flags": item.flags,
               "statement": item.statement, "whole": said(text, item.whole)}
        if item.bind >= 0:
            one["bind"] = item.bind
        found["items"].append({name: value for name, value in one.items() if value or name == "bind"})
    return found


def parse_often(bytes text, uint32_t rounds):
    """For benchmarks: parses it so often, and returns how often it was a statement."""
    cdef:
        cql_item_t      items[64]
        cql_statement_t out
        uint32_t        found = 0, _
        const uint8_t  *at = <const uint8_t *><const char *>text
        size_t          size = len(text)
    out.item = items
    out.item_room = 64
    with nogil:
        for _ in range(rounds):
            found += cql_parse(at, size, &out)
    return found


def use_keyspace(bytes text):
    cdef:
        Exact      exact = Exact(text)
        cql_span_t span
    return said(text, span) if cql_use_keyspace(exact.at, exact.size, &span) else None


# ---- partition keys ------------------------------------------------------------------------------------------------


def murmur3(bytes key):
    cdef Exact exact = Exact(key)
    return token_murmur3(exact.at, exact.size)


def random_token(bytes key):
    cdef Exact  exact = Exact(key)
    cdef wide_t token = token_random(exact.at, exact.size)
    high, low = (<object>token.high, <object>token.low)
    return high << 64 | low


def compare_bytes(bytes one, bytes other):
    cdef slice_t first, second
    first.data = <uint8_t *><char *>one
    first.size = len(one)
    second.data = <uint8_t *><char *>other
    second.size = len(other)
    return token_compare_bytes(first, second)


def partitioner(bytes name):
    cdef Exact exact = Exact(name)
    return partitioner_of(exact.at, exact.size)


def partition_key(list parts):
    """The key of at most 8 values, or None."""
    cdef:
        slice_t  at[8]
        uint32_t index
        bytes    part
        Exact    room
        size_t   size
    for index, value in enumerate(parts):
        part = value or b""
        at[index].data = NULL if value is None else <uint8_t *><char *>part
        at[index].size = len(part)
    held = [part for part in parts]
    size = partition_key_size(at, len(held))
    if size == 0:
        return None
    room = Exact(bytes(size))
    assert partition_key_put(room.at, at, len(held)) == size
    return room.at[:size]


# ---- types and literals --------------------------------------------------------------------------------------------


cdef object tree(const cql_type_t *type):
    cdef const cql_type_t *part = type + 1
    name, field = taken(type.name), taken(type.field)
    parts = []
    while part < type + type.span:
        parts.append(tree(part))
        part += part.span
    assert type.id == TYPE_VECTOR or type.count == len(parts)
    found = [type.id, *parts]
    if type.id == TYPE_VECTOR:
        found.append(type.count)
    if name is not None:
        found.append(name)
    return tuple(found) if field is None else (field, tuple(found))


def type_of(bytes text, str how, uint32_t room=64):
    """The tree of a type: (id, parts ...). `how`: option, text or class."""
    cdef:
        Exact         exact = Exact(text)
        Exact         place = Exact(bytes(room * sizeof(cql_type_t)))
        cql_types_t   types
        wire_reader_t reader
        bint          fine
    types.nodes = <cql_type_t *>place.at
    types.room = room
    types.count = 0
    if how == "option":
        wire_read(&reader, exact.at, exact.size)
        fine = cql_type_read(&types, &reader) and reader.at == reader.end
    elif how == "text":
        fine = cql_type_of_text(&types, exact.at, exact.size)
    else:
        fine = cql_type_of_class(&types, exact.at, exact.size)
    if not fine:
        return None
    assert types.nodes[0].span == types.count
    return tree(types.nodes)


def literal(bytes type_text, bytes value, str how="text"):
    """("fine", bytes), ("null", None) and so on. `how`: text or option, the notation of the type."""
    cdef:
        Exact         exact = Exact(value)
        Exact         kind = Exact(type_text)
        cql_type_t    nodes[64]
        cql_types_t   types
        cql_span_t    span
        wire_writer_t measure
        wire_reader_t reader
        Room          room
        int           answer
    types.nodes = nodes
    types.room = 64
    types.count = 0
    wire_read(&reader, kind.at, kind.size)
    if not (cql_type_read(&types, &reader) if how == "option" else cql_type_of_text(&types, kind.at, kind.size)):
        return None
    span.at = 0
    span.size = len(value)
    wire_write(&measure, NULL, 0)
    answer = cql_literal_put(nodes, exact.at, span, &measure)
    if answer != 0:
        return ("fine", "null", "unknown", "wrong")[answer], None
    room = Room(measure.size)
    answer = cql_literal_put(nodes, exact.at, span, &room.writer)
    if answer:
        return ("fine", "null", "unknown", "wrong")[answer], None
    return "fine", room.written()
