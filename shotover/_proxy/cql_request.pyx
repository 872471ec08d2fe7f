"""See cql_request.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from shotover._codec.cql.attach cimport attach_text, talk_t
from shotover._codec.cql.codec cimport CqlCodec
from shotover._codec.cql.compression cimport body_size, body_unpack
from shotover._codec.cql.facts cimport cql_facts, cql_facts_in, cql_facts_t
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    IS_REPLY,
    OP_AUTH_RESPONSE,
    OP_BATCH,
    OP_ERROR,
    OP_EXECUTE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_REGISTER,
    OP_RESULT,
    frame_head,
    put_int,
    read_int,
)
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_params_t, cql_prefix_read, cql_prefix_t, cql_value_next, cql_value_t
from shotover._codec.cql.names cimport consistency_word
from shotover._codec.cql.reading cimport cql_body, cql_consistency, cql_params_of, cql_partition_key
from shotover._codec.cql.results cimport (
    RESULT_ROWS,
    RESULT_VOID,
    cql_column_next,
    cql_column_t,
    cql_error_read,
    cql_error_t,
    cql_metadata_t,
    cql_result_read,
    cql_result_t,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t, wire_write, wire_writer_t
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.slice cimport slice_t
from shotover._core.status cimport NO_MEMORY, OK
from shotover._proxy.request cimport ANSWER, HELD_REPLY, IN_HOOK, IN_REPLY_HOOK
from shotover._proxy.session cimport session_t

from shotover._codec.cql.names import statement_name
from shotover._codec.cql.values import CqlType

cdef enum:
    PLAIN_MAX = 67108864

cdef dict OPCODES = {
    OP_QUERY: b"QUERY", OP_EXECUTE: b"EXECUTE", OP_PREPARE: b"PREPARE", OP_BATCH: b"BATCH", OP_OPTIONS: b"OPTIONS",
    OP_REGISTER: b"REGISTER", OP_AUTH_RESPONSE: b"AUTH_RESPONSE", 1: b"STARTUP",
}
NO_WORDS = "requests of CQL have no words: they have text, values, statement_kind, keyspace and table"


cdef str _text(slice_t text):
    return None if text.size == 0 else text.data[:text.size].decode("utf-8", "replace")


cdef list _types(const cql_metadata_t *metadata):
    """[(name, CqlType)] of its columns."""
    cdef:
        wire_reader_t columns
        cql_column_t  column
        uint32_t      _
    found = []
    wire_read(&columns, metadata.columns.data, metadata.columns.size)
    for _ in range(metadata.column_count if metadata.columns.size else 0):
        if not cql_column_next(&columns, metadata, &column):
            break
        found.append((_text(column.name), CqlType.of_option(column.type.data[:column.type.size])))
    return found


cdef bytes _whole(object raw):
    """`raw` as bytes, if it is one whole frame of a server."""
    cdef bytes checked = bytes(raw)
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(checked)
    if PyBytes_GET_SIZE(checked) < HEADER_SIZE or not at[0] & IS_REPLY \
            or <Py_ssize_t>read_int(at + 5) != PyBytes_GET_SIZE(checked) - HEADER_SIZE:
        raise ValueError(f"expected the bytes of exactly one whole frame of a server, got {checked[:40]!r}")
    return checked


class CqlError(Exception):
    """An error of a server, as the value of a reply: `code` and `message`."""

    def __init__(self, code, message):
        super().__init__(f"0x{code:04X} {message}")
        self.code = code
        self.message = message


cdef class CqlReply(Reply):
    """The reply of a request on its way to the client: one frame."""

    cdef bytes _plain(self):
        """Its body behind what flags put before it; None: it is not what it should be."""
        cdef:
            bytes        raw = self.raw
            uint8_t     *at = <uint8_t *>PyBytes_AS_STRING(raw)
            size_t       size = PyBytes_GET_SIZE(raw), plain
            cql_prefix_t prefix
            talk_t      *talk = NULL
            bytes        body
        if size < HEADER_SIZE:
            return None
        body = raw[HEADER_SIZE:]
        if at[1] & FLAG_COMPRESSED:
            if self.request.queued and self.request.session is not NULL:
                talk = <talk_t *>(<session_t *>self.request.session).talk
            if talk is NULL or body_size(talk.compression, at + HEADER_SIZE, size - HEADER_SIZE, PLAIN_MAX, &plain) != OK:
                return None
            body = PyBytes_FromStringAndSize(NULL, plain)
            if body_unpack(talk.compression, at + HEADER_SIZE, size - HEADER_SIZE,
                           <uint8_t *>PyBytes_AS_STRING(body), plain) != OK:
                return None
        if not cql_prefix_read(<uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), at[1], True, &prefix):
            return None
        return prefix.body.data[:prefix.body.size]

    @property
    def raw(self):
        """The frame as the client would get it. Assignable: exactly one whole frame; the stream id is put right."""
        return Reply.raw.__get__(self)

    @raw.setter
    def raw(self, value):
        self.check()
        self.new_raw = _whole(value)
        self.is_parsed = False

    @property
    def value(self):
        """Of rows: a list of dicts; of an error: a CqlError; None for the rest."""
        cdef:
            bytes         raw, body
            cql_result_t  result
            cql_error_t   error
            wire_reader_t cells
            slice_t       cell
            uint32_t      _
            int           version
        self.check()
        if self.is_parsed:
            return self.parsed
        raw, body = self.raw, self._plain()
        self.parsed = None
        self.is_parsed = True
        if body is None:
            return None
        version = raw[0] & 0x7f
        if raw[4] == OP_ERROR and cql_error_read(<uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), version, &error):
            self.parsed = CqlError(error.code, _text(error.message) or "")
        elif raw[4] == OP_RESULT and cql_result_read(
                <uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), version, &result) and result.kind == RESULT_ROWS:
            columns = _types(&result.metadata)
            if not columns and cql_facts(self.request) is not NULL:     # an EXECUTE need not be told what it knows
                columns = _types(&cql_facts(self.request).metadata)
            wire_read(&cells, result.rows.data, result.rows.size)
            rows = []
            for _ in range(result.row_count if columns else 0):
                row = {}
                for name, type in columns:
                    wire_bytes(&cells, &cell)
                    row[name] = None if cell.data is NULL else type.decode(cell.data[:cell.size])
                rows.append(row)
            self.parsed = rows
        return self.parsed

    @value.setter
    def value(self, value):
        raise TypeError("the reply of a request of CQL can be changed by its bytes alone: reply.raw")

    @property
    def is_error(self):
        self.check()
        return self.raw[4:5] == b"\0"


cdef class CqlRequest(Request):
    """One request of CQL in the hands of a transform; see Request."""

    cdef const request_t *_looked_at(self) except NULL:
        if self.stage != IN_HOOK:
            self.check()
        return self.request

    cdef Reply make_reply(self):
        return CqlReply.__new__(CqlReply)

    cdef int put_edits(self) except -1:
        """A new text goes into the frame, in place of the old one; what is known of the statement is found anew."""
        cdef:
            request_t *request = self.request
            chunk_t   *chunk
            uint8_t   *at
            slice_t    body
            size_t     head, tail, size
            talk_t     nobody
            talk_t    *talk = &nobody
        if self.new_text is None:
            return 0
        if not cql_body(request, &body) or body.size < 4 or read_int(body.data) > body.size - 4:
            raise ValueError("this request is not whole, so that its text cannot be changed")
        size = PyBytes_GET_SIZE(self.new_text)
        head = <size_t>(body.data - request.wire.data)
        tail = body.size - 4 - read_int(body.data)
        chunk = pool_take(&self.host.loop.pool, head + 4 + size + tail)
        if chunk is NULL:
            raise MemoryError()
        at = chunk_data(chunk)
        memcpy(at, request.wire.data, head)
        put_int(at + 5, <uint32_t>(head + 4 + size + tail - HEADER_SIZE))
        put_int(at + head, <uint32_t>size)
        memcpy(at + head + 4, PyBytes_AS_STRING(self.new_text), size)
        memcpy(at + head + 4 + size, body.data + body.size - tail, tail)
        if request.owner is not NULL:
            chunk_put(&self.host.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = at
        request.wire.size = head + 4 + size + tail
        request.edited = 1
        self.new_text = None
        memset(&nobody, 0, sizeof(nobody))
        if request.session is not NULL and (request.queued or self.stage == IN_HOOK) \
                and (<session_t *>request.session).talk is not NULL:
            talk = <talk_t *>(<session_t *>request.session).talk
        if attach_text(&(<CqlCodec>self.host.codec).library, talk, request, &self.host.loop.pool) == NO_MEMORY:
            raise MemoryError()
        return 0

    cdef bint goes_by(self, frozenset names) except -1:
        """Whether one of the names is its opcode, or the type of its statement, with or without of what."""
        cdef const cql_facts_t *facts = cql_facts(self.request)
        if OPCODES.get(self.request.opcode) in names:
            return True
        if facts is NULL or self.request.opcode == OP_PREPARE:
            return False
        kind = statement_name(facts.type, facts.object).upper().encode()
        return kind in names or kind.partition(b" ")[0] in names

    cdef void clear(self) noexcept:
        self.new_text = None
        Request.clear(self)

    # what it is

    @property
    def command(self):
        """QUERY, EXECUTE, PREPARE, BATCH, or what it is else in the protocol, as bytes."""
        return OPCODES.get(self._looked_at().opcode, b"?")

    @property
    def args(self):
        raise TypeError(NO_WORDS)

    @property
    def key_indexes(self):
        raise TypeError(NO_WORDS)

    @property
    def keys(self):
        key = self.key
        return [] if key is None else [key]

    @property
    def key(self):
        """The partition key, as bytes that servers make tokens of; None: it is not known (see the docs)."""
        cdef wire_writer_t out
        cdef bytes room
        if self._looked_at().opcode != OP_EXECUTE:
            return None
        wire_write(&out, NULL, 0)
        if not cql_partition_key(self.request, &out) and not out.full:
            return None
        room = PyBytes_FromStringAndSize(NULL, out.size)
        wire_write(&out, <uint8_t *>PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room))
        return room if cql_partition_key(self.request, &out) else None

    @property
    def statement_kind(self):
        """SELECT, INSERT, CREATE TABLE, BATCH ...; "unknown": its text cannot be understood; None: it has no statement."""
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        return None if facts is NULL else statement_name(facts.type, facts.object)

    @property
    def keyspace(self):
        """As the server knows it; None: none, or not known; of a batch the one of all its statements."""
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        return None if facts is NULL else _text(facts.keyspace)

    @property
    def table(self):
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        return None if facts is NULL else _text(facts.table)

    @property
    def tables(self):
        """[(kind of statement, keyspace, table, how many)], each once; of a batch at most 32."""
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        cdef uint32_t index
        return [] if facts is NULL else [
            (statement_name(facts.touches[index].type, facts.touches[index].object), _text(facts.touches[index].keyspace),
             _text(facts.touches[index].table), facts.touches[index].count) for index in range(facts.touch_count)]

    @property
    def text(self):
        """The statement, also of what is executed; None: it has none, or several. Assignable for QUERY and PREPARE."""
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        if self.new_text is not None:
            return self.new_text.decode()
        return None if facts is NULL or facts.text.data is NULL else facts.text.data[:facts.text.size].decode("utf-8", "replace")

    @text.setter
    def text(self, value):
        cdef bytes encoded = str(value).encode()
        cdef uint8_t opcode = self._looked_at().opcode
        if self.stage == IN_REPLY_HOOK or self.stage == HELD_REPLY:
            raise RuntimeError("this request has been sent already: its text can be read, but not changed")
        if opcode != OP_QUERY and opcode != OP_PREPARE:
            raise TypeError("only a QUERY or PREPARE has a text that can be changed")
        self.new_text = encoded
        self.touched = True

    @property
    def texts(self):
        """The texts of its statements, in order: one, or those of a batch."""
        cdef const cql_facts_t *facts = cql_facts(self._looked_at())
        cdef uint32_t index
        if facts is NULL or facts.text.data is not NULL:
            return [] if facts is NULL else [self.text]
        return [_text(cql_facts_in(facts.head.parts[index]).text) or "" for index in range(facts.head.part_count)]

    @property
    def consistency(self):
        """ONE, LOCAL_QUORUM ...; None: it has none."""
        return (<bytes>consistency_word(cql_consistency(self._looked_at()))).decode() or None

    @property
    def values(self):
        """Its bound values: of an EXECUTE as Python values, of a QUERY as bytes; None for null, ... for one that is not set.

        By name in a dict where they are sent so, else a list.
        """
        cdef:
            const request_t   *request = self._looked_at()
            const cql_facts_t *facts = cql_facts(request)
            cql_params_t  params
            cql_value_t   value
            wire_reader_t values
            uint32_t      index
        if request.opcode == OP_BATCH or not cql_params_of(request, &params):
            return []
        types = _types(&facts.bound) if request.opcode == OP_EXECUTE and facts is not NULL else []
        by_name = dict(types)
        found = []
        wire_read(&values, params.values.data, params.values.size)
        for index in range(params.value_count):
            if not cql_value_next(&values, &params, &value):
                break
            name = _text(value.name)
            type = by_name.get(name) if params.flags & PARAM_NAMES else (types[index][1] if index < len(types) else None)
            if value.value.data is NULL:
                plain = ... if value.unset else None
            else:
                plain = value.value.data[:value.value.size]
                plain = plain if type is None else type.decode(plain)
            found.append((name, plain))
        return dict(found) if params.flags & PARAM_NAMES else [plain for _name, plain in found]

    @property
    def user(self):
        """As whom the client has logged in; "anonymous": it has not."""
        cdef talk_t *talk
        self.check()
        if not self.request.queued or self.request.session is NULL:
            return "anonymous"
        talk = <talk_t *>(<session_t *>self.request.session).talk
        if talk is NULL or talk.user_size == 0:
            return "anonymous"
        return talk.user[:talk.user_size].decode("utf-8", "replace")

    # what becomes of it

    def answer(self, value=None, *, reply_raw=None):
        """Answers it without asking the server: with nothing (as of a write), or with the bytes of a frame."""
        cdef uint8_t head[16]
        self.check()
        if value is not None:
            raise TypeError("a request of CQL is answered with nothing, or with reply_raw")
        if reply_raw is not None:
            raw = _whole(reply_raw)
        else:
            frame_head(head, self.request.version | IS_REPLY, self.request.stream, OP_RESULT, 4)
            put_int(head + HEADER_SIZE, RESULT_VOID)
            raw = head[:HEADER_SIZE + 4]
        self.decide(ANSWER)
        self.answer_raw = raw
