"""A SELECT answered from rows at hand, and rows of a server's answer read. For the control plane: everything here needs the GIL.

A *table* is (keyspace, name, columns, rows): columns are (name, its [option]) pairs, a row is a dict of bytes by name; a value
that is not there is null. What such a SELECT cannot do is said by a ValueError in words for the client.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc

from shotover._codec.cql.lexer cimport TOKEN_END, cql_lex, cql_lexer_set, cql_lexer_t, cql_name_put, cql_span_t, cql_token_t
from shotover._codec.cql.literals cimport LITERAL_FINE, cql_literal_put
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_params_t, cql_value_next, cql_value_t
from shotover._codec.cql.results cimport (
    METADATA_MORE_PAGES,
    RESULT_ROWS,
    TYPE_BIGINT,
    cql_column_next,
    cql_column_t,
    cql_result_read,
    cql_result_t,
    cql_rows_check,
)
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    FORM_TUPLE,
    HAS_JSON,
    HAS_STAR,
    ITEM_BIND,
    ITEM_GROUP,
    ITEM_LIMIT,
    ITEM_ORDER,
    ITEM_SELECT,
    ITEM_TOKEN,
    ITEM_TUPLE,
    ITEM_WHERE,
    OP_EQ,
    OP_IN,
    STATEMENT_SELECT,
    cql_item_t,
    cql_parse,
    cql_statement_t,
)
from shotover._codec.cql.types cimport cql_type_read, cql_type_t, cql_types_t
from shotover._codec.cql.wire cimport wire_bytes, wire_read, wire_reader_t, wire_write, wire_writer_t
from shotover._core.slice cimport slice_t

cdef enum:
    ITEMS = 512
    NODES = 64
    VALUE_ROOM = 4096


cdef bytes _taken(slice_t found):
    return None if found.data is NULL else found.data[:found.size]


def read_rows(bytes body not None, int version):
    """(columns, rows, paging state or None) of the body of a RESULT; ValueError: it has no rows."""
    cdef:
        cql_result_t  result
        wire_reader_t reader
        cql_column_t  column
        slice_t       cell
        uint32_t      _
    if not cql_result_read(<const uint8_t *><char *>body, len(body), version, &result) or result.kind != RESULT_ROWS \
            or not cql_rows_check(&result):
        raise ValueError("not rows")
    columns = []
    wire_read(&reader, result.metadata.columns.data, result.metadata.columns.size)
    for _ in range(result.metadata.column_count):
        if not cql_column_next(&reader, &result.metadata, &column):
            raise ValueError("rows without names")
        columns.append((_taken(column.name).decode(), _taken(column.type)))
    rows = []
    wire_read(&reader, result.rows.data, result.rows.size)
    for _ in range(result.row_count):
        row = {}
        for name, _type in columns:
            wire_bytes(&reader, &cell)
            row[name] = _taken(cell)
        rows.append(row)
    state = _taken(result.metadata.paging_state) if result.metadata.flags & METADATA_MORE_PAGES else None
    return columns, rows, state


cdef class Select:
    """A SELECT as `answer` wants it. ValueError: it is none, or more than is done here."""
    cdef:
        readonly str  keyspace      # empty: the session's
        readonly str  table
        readonly bint star
        readonly list selected      # (column, or "" for count(*); what it is called)
        readonly list wanted        # (column, whether any of several, marks or texts of the values)
        readonly list marks         # names of the bound values, "" of those without
        readonly object limit       # a number, or a mark
        bytes text

    def __init__(self, bytes text not None):
        cdef:
            cql_statement_t statement
            cql_item_t     *item
            const uint8_t  *at = <const uint8_t *><char *>text
            uint32_t        index
        self.text = text
        statement.item = <cql_item_t *>malloc(ITEMS * sizeof(cql_item_t))
        if statement.item is NULL:
            raise MemoryError()
        statement.item_room = ITEMS
        try:
            if not cql_parse(at, len(text), &statement) or statement.type != STATEMENT_SELECT or statement.truncated:
                raise ValueError("cannot be read by the proxy")
            if statement.flags & HAS_JSON:
                raise ValueError("SELECT JSON is not answered by the proxy")
            self.keyspace = self._name(statement.keyspace)
            self.table = self._name(statement.table)
            self.star = statement.flags & HAS_STAR
            self.selected = []
            self.wanted = []
            self.marks = []
            for index in range(statement.item_count):
                item = &statement.item[index]
                if item.role == ITEM_SELECT:
                    self._select(item)
                elif item.role == ITEM_WHERE:
                    self._where(item)
                elif item.role == ITEM_BIND:
                    self.marks.append(self._name(item.name))
                elif item.role == ITEM_LIMIT:
                    self.limit = (item.bind,) if item.form == FORM_BIND else int(self._text(item.value))
                elif item.role == ITEM_GROUP or item.role == ITEM_ORDER:
                    raise ValueError("GROUP BY and ORDER BY are not answered by the proxy")
        finally:
            free(statement.item)

    cdef str _name(self, cql_span_t span):
        cdef bytes out = bytes(span.size)
        return out[:cql_name_put(<uint8_t *><char *>out, <const uint8_t *><char *>self.text, span)].decode() if span.size else ""

    cdef bytes _text(self, cql_span_t span):
        return self.text[span.at:span.at + span.size]

    cdef object _select(self, cql_item_t *item):
        column = self._name(item.name)
        called = self._name(item.more) or column
        if not column:
            if self._text(item.value).lower().replace(b" ", b"") not in (b"count(*)", b"count(1)"):
                raise ValueError("only columns and count(*) are selected by the proxy")
            called = called or "count"
        self.selected.append((column, called))

    cdef object _where(self, cql_item_t *item):
        column = self._name(item.name)
        if item.op not in (OP_EQ, OP_IN) or item.flags & (ITEM_TOKEN | ITEM_TUPLE) or item.more.size:
            raise ValueError("only = and IN are compared by the proxy")
        if item.form == FORM_BIND:
            values = [item.bind]
        elif item.op == OP_IN:
            if item.form != FORM_TUPLE:
                raise ValueError("this IN is not answered by the proxy")
            values = self._parts(item.value, item.bind)
        else:
            values = [(item.value.at, item.value.size)]
        self.wanted.append((column, item.op == OP_IN, item.form == FORM_BIND, values))

    cdef list _parts(self, cql_span_t span, int bind):
        """The values within ( )."""
        cdef:
            cql_lexer_t lexer
            cql_token_t token
            uint32_t    start = span.at + 1
            int         depth = 0
        found = []
        cql_lexer_set(&lexer, <const uint8_t *><char *>self.text, span.at + span.size)
        lexer.at = lexer.text + span.at
        while True:
            cql_lex(&lexer, &token)
            if token.kind == TOKEN_END:
                return found
            if depth == 1 and token.kind in (c',', c')'):
                part = self.text[start:token.at].strip()
                if part[:1] in (b"?", b":"):
                    found.append(bind)
                    bind += 1
                elif part:
                    found.append((start, token.at - start))
                start = token.at + 1
            if token.kind in (c'(', c'[', c'{'):
                depth += 1
            elif token.kind in (c')', c']', c'}'):
                depth -= 1

    cdef bytes _value(self, value, bytes option, list bound):
        """Of a mark's number, or of a literal's span."""
        cdef:
            cql_type_t    nodes[NODES]
            cql_types_t   types
            wire_reader_t reader
            wire_writer_t writer
            cql_span_t    span
            uint8_t       room[VALUE_ROOM]
        if isinstance(value, int):
            if value >= len(bound):
                raise ValueError("there are fewer values than marks")
            return bound[value]
        types.nodes = nodes
        types.room = NODES
        types.count = 0
        wire_read(&reader, <const uint8_t *><char *>option, len(option))
        span.at, span.size = value
        wire_write(&writer, room, VALUE_ROOM)
        if not cql_type_read(&types, &reader) or writer.full or \
                cql_literal_put(nodes, <const uint8_t *><char *>self.text, span, &writer) != LITERAL_FINE or writer.full:
            raise ValueError(f"{self._text(span)[:60].decode('utf-8', 'replace')} is no value for that column")
        return room[:writer.size]

    cdef list _chosen(self, dict types, rows, list bound):
        """Those rows that it asks for."""
        for column, any_of, marked, values in self.wanted:
            if column not in types:
                raise ValueError(f"Undefined column name {column} in table {self.table}")
            found = [self._value(value, types[column], bound) for value in values]
            if marked and any_of:
                found = _list_of(found[0])
            rows = [row for row in rows if row.get(column) in found and row.get(column) is not None]
        limit = self.limit
        if isinstance(limit, tuple):
            limit = int.from_bytes(self._value(limit[0], b"", bound) or b"", "big", signed=True)
        if limit is not None and limit <= 0:
            raise ValueError("LIMIT must be strictly positive")
        return list(rows if limit is None or any(not column for column, _ in self.selected) else rows[:limit])

    def answer(self, table, list bound, bint without_names=False):
        """The body of a RESULT. `bound`: the values of its marks."""
        keyspace, name, columns, rows = table
        types = dict(columns)
        chosen = self._chosen(types, rows, bound)
        selected = [(column, column) for column, _ in columns] if self.star else self.selected
        for column, _ in selected:
            if column and column not in types:
                raise ValueError(f"Undefined column name {column} in table {keyspace}.{name}")
        if any(not column for column, _ in selected):
            first = chosen[0] if chosen else {}     # an aggregate: one row
            chosen = [{**first, "": len(chosen).to_bytes(8, "big")}]
        told = [(called, types[column] if column else TYPE_BIGINT.to_bytes(2, "big")) for column, called in selected]
        out = [RESULT_ROWS.to_bytes(4, "big")]
        if without_names:
            out += [b"\0\0\0\4", len(told).to_bytes(4, "big")]
        else:
            out += [b"\0\0\0\1", len(told).to_bytes(4, "big"), _string(keyspace), _string(name)]
            out += [_string(called) + option for called, option in told]
        out.append(len(chosen).to_bytes(4, "big"))
        for row in chosen:
            out += [_cell(row.get(column)) for column, _ in selected]
        return b"".join(out)


cdef list values_of(const cql_params_t *params, list marks):
    """The bound values of a QUERY or EXECUTE in the order of its marks."""
    cdef:
        wire_reader_t reader
        cql_value_t   value
        uint32_t      _
    found = []
    named = {}
    wire_read(&reader, params.values.data, params.values.size)
    for _ in range(params.value_count):
        if not cql_value_next(&reader, params, &value):
            raise ValueError("values that cannot be read")
        found.append(_taken(value.value))
        if params.flags & PARAM_NAMES:
            named[_taken(value.name).decode("utf-8", "replace")] = _taken(value.value)
    return [named.get(name) for name in marks] if params.flags & PARAM_NAMES else found


def _string(str text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _cell(value):
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


def _list_of(bytes raw):
    """The values of a list as it is bound."""
    cdef:
        wire_reader_t reader
        slice_t       value
        uint32_t      _
    found = []
    if raw is None or len(raw) < 4:
        return found
    wire_read(&reader, <const uint8_t *><char *>raw + 4, len(raw) - 4)
    for _ in range(min(int.from_bytes(raw[:4], "big"), len(raw) // 4)):
        wire_bytes(&reader, &value)
        found.append(_taken(value))
    return found
