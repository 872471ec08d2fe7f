"""See render.pxd. Values are not shown, texts are; those about roles, in which passwords stand, are not."""

from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf

from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_AUTH_CHALLENGE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_AUTHENTICATE,
    OP_BATCH,
    OP_ERROR,
    OP_EVENT,
    OP_EXECUTE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_READY,
    OP_REGISTER,
    OP_RESULT,
    OP_STARTUP,
    OP_SUPPORTED,
)
from shotover._codec.cql.messages cimport cql_params_t, cql_prefix_read, cql_prefix_t
from shotover._codec.cql.names cimport consistency_word, statement_word
from shotover._codec.cql.reading cimport cql_consistency, cql_params_of
from shotover._codec.cql.results cimport (
    RESULT_PREPARED,
    RESULT_ROWS,
    RESULT_SCHEMA_CHANGE,
    RESULT_SET_KEYSPACE,
    RESULT_VOID,
    cql_error_read,
    cql_error_t,
    cql_result_read,
    cql_result_t,
)
from shotover._codec.cql.statement cimport OBJECT_ROLE, STATEMENT_UNKNOWN

cdef enum:
    TEXT_MAX = 160              # bytes of a text that are shown


cdef const char *_opcode_word(uint8_t opcode) noexcept nogil:
    if opcode == OP_QUERY:
        return b"QUERY"
    if opcode == OP_EXECUTE:
        return b"EXECUTE"
    if opcode == OP_PREPARE:
        return b"PREPARE"
    if opcode == OP_BATCH:
        return b"BATCH"
    if opcode == OP_STARTUP:
        return b"STARTUP"
    if opcode == OP_OPTIONS:
        return b"OPTIONS"
    if opcode == OP_REGISTER:
        return b"REGISTER"
    if opcode == OP_AUTH_RESPONSE:
        return b"AUTH_RESPONSE (not shown)"
    if opcode == OP_RESULT:
        return b"RESULT"
    if opcode == OP_ERROR:
        return b"ERROR"
    if opcode == OP_READY:
        return b"READY"
    if opcode == OP_AUTHENTICATE:
        return b"AUTHENTICATE"
    if opcode == OP_SUPPORTED:
        return b"SUPPORTED"
    if opcode == OP_EVENT:
        return b"EVENT"
    if opcode == OP_AUTH_CHALLENGE:
        return b"AUTH_CHALLENGE"
    return b"AUTH_SUCCESS" if opcode == OP_AUTH_SUCCESS else b"?"


cdef size_t _put_text(char *out, size_t room, const uint8_t *text, size_t size) noexcept nogil:
    """Printable ASCII as it is, line breaks as spaces, anything else as `?`. NUL ended; `room` >= 4."""
    cdef:
        size_t index, shown = min(min(size, <size_t>TEXT_MAX), room - 4)
    for index in range(shown):
        out[index] = <char>text[index] if 32 <= text[index] < 127 else (b' ' if text[index] < 32 else b'?')
    if shown < size:
        out[shown] = out[shown + 1] = out[shown + 2] = b'.'
        shown += 3
    out[shown] = 0
    return shown


cdef size_t cql_render_request(char *out, size_t room, const request_t *request) noexcept nogil:
    """NUL ended; returns its size. `room` >= 64."""
    cdef:
        const cql_facts_t *facts = cql_facts(request)
        cql_params_t params
        size_t       used = <size_t>snprintf(out, room, b"%s", _opcode_word(request.opcode))
        int          level = cql_consistency(request)
    if facts is NULL:
        return used
    out[used] = b' '
    used += 1
    if facts.text.data is NULL:
        used += <size_t>snprintf(out + used, room - used, b"of %u statements", facts.head.part_count)
    elif facts.type == STATEMENT_UNKNOWN or facts.object == OBJECT_ROLE:
        used += <size_t>snprintf(out + used, room - used, b"%s (its text is not shown)", statement_word(facts.type))
    else:
        used += _put_text(out + used, room - used, facts.text.data, facts.text.size)
    if level >= 0 and room - used > 32:
        params.value_count = 0
        cql_params_of(request, &params)
        used += <size_t>snprintf(out + used, room - used, b" (%s, %u values)", consistency_word(level), params.value_count)
    return min(used, room - 1)


cdef size_t cql_render_reply(char *out, size_t room, const uint8_t *reply, size_t size) noexcept nogil:
    """The same for a whole frame of a server."""
    cdef:
        cql_prefix_t prefix
        cql_result_t result
        cql_error_t  error
        size_t       used
        int          version
    if size < HEADER_SIZE:
        return <size_t>snprintf(out, room, b"(not whole)")
    version = reply[0] & 0x7f
    if reply[1] & FLAG_COMPRESSED or not cql_prefix_read(reply + HEADER_SIZE, size - HEADER_SIZE, reply[1], True, &prefix):
        return <size_t>snprintf(out, room, b"%s (compressed, %zu bytes)", _opcode_word(reply[4]), size)
    if reply[4] == OP_ERROR and cql_error_read(prefix.body.data, prefix.body.size, version, &error):
        used = <size_t>snprintf(out, room, b"ERROR 0x%04X ", <uint32_t>error.code)
        return used + _put_text(out + used, room - used, error.message.data, error.message.size)
    if reply[4] != OP_RESULT or not cql_result_read(prefix.body.data, prefix.body.size, version, &result):
        return <size_t>snprintf(out, room, b"%s", _opcode_word(reply[4]))
    if result.kind == RESULT_ROWS:
        return <size_t>snprintf(out, room, b"RESULT of %u rows, %u columns", result.row_count, result.metadata.column_count)
    if result.kind == RESULT_VOID:
        return <size_t>snprintf(out, room, b"RESULT")
    if result.kind == RESULT_PREPARED:
        return <size_t>snprintf(out, room, b"RESULT prepared, %u values", result.bound.column_count)
    if result.kind == RESULT_SCHEMA_CHANGE:
        return <size_t>snprintf(out, room, b"RESULT schema change")
    if result.kind == RESULT_SET_KEYSPACE:
        return <size_t>snprintf(out, room, b"RESULT in another keyspace")
    return <size_t>snprintf(out, room, b"RESULT")
