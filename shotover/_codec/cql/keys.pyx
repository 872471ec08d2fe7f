"""See keys.pxd. A key that is told wrongly would be looked for in the wrong place: in doubt there is none."""

from libc.stdint cimport int32_t, uint64_t

from shotover._codec.cql.lexer cimport (
    TOKEN_BAD,
    TOKEN_END,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_name_is,
    cql_span_t,
    cql_token_t,
)
from shotover._codec.cql.literals cimport LITERAL_FINE, cql_literal_put
from shotover._codec.cql.messages cimport PARAM_NAMES, cql_value_next, cql_value_t
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    FORM_CONSTANT,
    FORM_TUPLE,
    HAS_JSON,
    ITEM_COLUMN,
    ITEM_ELEMENT,
    ITEM_FIELD,
    ITEM_STATEMENT,
    ITEM_TOKEN,
    ITEM_TUPLE,
    ITEM_WHERE,
    OP_EQ,
    OP_IN,
    STATEMENT_BATCH,
    STATEMENT_INSERT,
    cql_item_t,
)
from shotover._codec.cql.wire cimport wire_bytes, wire_int, wire_left, wire_read, wire_reader_t, wire_writer_t


cdef bint cql_key_plan(
    const cql_statement_t *statement, const uint8_t *text, uint16_t which, const slice_t *columns, uint32_t count,
    cql_key_plan_t *plan
) noexcept nogil:
    """Where the partition key is, of a statement that was parsed with room for all its items.

    which: 0, or the statement of a BATCH from 1. columns: names as the server has them, in the order of the key.
    False: not all columns are said, by = or IN, once each.
    """
    cdef:
        const cql_item_t *item
        uint32_t          index, column
        uint32_t          found = 0
        uint8_t           wanted = ITEM_WHERE
        uint8_t           type = statement.type
    if statement.truncated or count == 0 or count > KEY_COLUMNS_MAX:
        return False
    if type == STATEMENT_BATCH:
        for index in range(statement.item_count):
            item = &statement.item[index]
            if item.role == ITEM_STATEMENT and item.statement == which:
                type = item.op
    elif type == STATEMENT_INSERT and statement.flags & HAS_JSON:
        return False
    if type == STATEMENT_INSERT:
        wanted = ITEM_COLUMN
    plan.count = count
    for column in range(count):
        plan.item[column] = <uint32_t>-1
    for index in range(statement.item_count):
        item = &statement.item[index]
        if item.role != wanted or item.statement != which:
            continue
        if item.flags & (ITEM_TOKEN | ITEM_TUPLE | ITEM_ELEMENT | ITEM_FIELD):
            if item.flags & (ITEM_TOKEN | ITEM_TUPLE):
                continue
            return False
        for column in range(count):
            if cql_name_is(text, item.name, columns[column].data, columns[column].size):
                if plan.item[column] != <uint32_t>-1:
                    return False
                if wanted == ITEM_WHERE and item.op != OP_EQ and item.op != OP_IN:
                    return False
                plan.item[column] = index
                found += 1
    return found == count


cdef bint _bound(const cql_params_t *params, uint32_t number, slice_t *value) noexcept nogil:
    """A value by its number. False: there is none, or it is null or unset."""
    cdef:
        wire_reader_t reader
        cql_value_t   found
        uint32_t      _
    if params is NULL or number >= params.value_count or params.flags & PARAM_NAMES:
        return False
    wire_read(&reader, params.values.data, params.values.size)
    for _ in range(number + 1):
        if not cql_value_next(&reader, params, &found):
            return False
    value[0] = found.value
    return found.value.data is not NULL


cdef bint _bound_by_name(const cql_params_t *params, const uint8_t *text, cql_span_t mark, slice_t *value) noexcept nogil:
    """The value of :name, where the values came with names. Of two with one name the last counts, as it does for servers."""
    cdef:
        wire_reader_t reader
        cql_value_t   bound
        cql_span_t    name = mark
        uint32_t      _
        bint          found = False
    if params is NULL or mark.size < 2 or text[mark.at] != b':':
        return False
    name.at += 1
    name.size -= 1
    while name.size and (text[name.at] == b' ' or text[name.at] == b'\t' or text[name.at] == b'\n' or text[name.at] == b'\r'):
        name.at += 1
        name.size -= 1
    wire_read(&reader, params.values.data, params.values.size)
    for _ in range(params.value_count):
        if not cql_value_next(&reader, params, &bound):
            return False
        if cql_name_is(text, name, bound.name.data, bound.name.size):
            value[0] = bound.value
            found = True
    return found and value.data is not NULL


cdef bint _mark(
    const cql_params_t *params, const uint8_t *text, cql_span_t mark, int32_t number, slice_t *value
) noexcept nogil:
    if params is not NULL and params.flags & PARAM_NAMES:
        return _bound_by_name(params, text, mark, value)
    return number >= 0 and _bound(params, <uint32_t>number, value)


cdef bint _add(cql_keys_t *keys, slice_t value) noexcept nogil:
    if keys.used == KEY_VALUES_MAX:
        return False
    keys.values[keys.used] = value
    keys.used += 1
    return True


cdef bint _add_literal(cql_keys_t *keys, const cql_type_t *type, const uint8_t *text, cql_span_t span) noexcept nogil:
    cdef:
        wire_writer_t writer
        slice_t       value
    writer.at = keys.room + keys.room_used
    writer.end = keys.room + KEY_ROOM
    writer.size = 0
    writer.full = False
    value.data = writer.at
    if cql_literal_put(type, text, span, &writer) != LITERAL_FINE or writer.full:
        return False
    value.size = writer.size
    keys.room_used += writer.size
    return _add(keys, value)


cdef bint _add_listed(
    cql_keys_t *keys, const cql_type_t *type, const uint8_t *text, const cql_item_t *item, const cql_params_t *params
) noexcept nogil:
    """IN (1, ?, 3)."""
    cdef:
        cql_lexer_t lexer
        cql_token_t token
        cql_span_t  span
        slice_t     value
        uint32_t    depth = 0, end = 0
        int32_t     mark = item.bind
        bint        is_mark = False
        const uint8_t *list_text = text + item.value.at
    cql_lexer_set(&lexer, list_text, item.value.size)
    cql_lex(&lexer, &token)
    if token.kind != b'(':
        return False
    span.at = 0
    span.size = 0
    while True:
        cql_lex(&lexer, &token)
        if token.kind == TOKEN_BAD or token.kind == TOKEN_END:
            return False
        if depth == 0 and (token.kind == b',' or token.kind == b')'):
            if span.size == 0 and end == 0:
                return token.kind == b')'           # IN ()
            span.size = end - span.at
            span.at += item.value.at
            if is_mark:
                if not _mark(params, text, span, mark, &value) or not _add(keys, value):
                    return False
                mark += 1
            elif not _add_literal(keys, type, text, span):
                return False
            if token.kind == b')':
                return True
            span.at = 0
            span.size = 0
            end = 0
            is_mark = False
            continue
        if end == 0:
            span.at = token.at
            is_mark = token.kind == b'?' or token.kind == b':'
        elif token.kind == b'?':
            return False
        end = token.at + token.size
        if token.kind == b'(' or token.kind == b'[' or token.kind == b'{':
            depth += 1
        elif token.kind == b')' or token.kind == b']' or token.kind == b'}':
            if depth == 0:
                return False
            depth -= 1


cdef bint _add_bound_list(cql_keys_t *keys, slice_t listed) noexcept nogil:
    """IN ?: a list of values."""
    cdef:
        wire_reader_t reader
        int32_t       count
        slice_t       value
    wire_read(&reader, listed.data, listed.size)
    count = wire_int(&reader)
    if reader.bad or count < 0:
        return False
    while count:
        if wire_bytes(&reader, &value) < 0 or reader.bad or not _add(keys, value):
            return False
        count -= 1
    return wire_left(&reader) == 0


cdef bint cql_keys_read(
    const cql_key_plan_t *plan, const cql_statement_t *statement, const uint8_t *text, const cql_params_t *params,
    const cql_type_t **types, cql_keys_t *keys
) noexcept nogil:
    """The partitions of one request: `keys.count` of them, 0 for an empty IN.

    params: of the request, NULL: it has no values. types: of the columns of the key. False: they cannot be told.
    """
    cdef:
        const cql_item_t *item
        uint32_t          column
        uint64_t          count = 1
        slice_t           value
        bint              fine
    keys.columns = plan.count
    keys.used = 0
    keys.room_used = 0
    keys.count = 0
    for column in range(plan.count):
        item = &statement.item[plan.item[column]]
        keys.first[column] = <uint16_t>keys.used
        if item.op == OP_IN:
            if item.form == FORM_BIND:
                fine = _mark(params, text, item.value, item.bind, &value) and _add_bound_list(keys, value)
            else:
                fine = item.form == FORM_TUPLE and _add_listed(keys, types[column], text, item, params)
        elif item.form == FORM_BIND:
            fine = _mark(params, text, item.value, item.bind, &value) and _add(keys, value)
        else:
            fine = item.form == FORM_CONSTANT and _add_literal(keys, types[column], text, item.value)
        if not fine:
            return False
        keys.many[column] = <uint16_t>(keys.used - keys.first[column])
        count *= keys.many[column]
        if count > KEYS_MAX:
            return False
    keys.count = <uint32_t>count
    return True


cdef void cql_keys_at(const cql_keys_t *keys, uint32_t index, slice_t *parts) noexcept nogil:
    """The columns of one of the keys."""
    cdef uint32_t column
    for column in range(keys.columns):
        parts[column] = keys.values[keys.first[column] + index % keys.many[column]]
        index //= keys.many[column]
