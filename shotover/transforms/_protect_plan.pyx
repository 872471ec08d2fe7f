"""See _protect_plan.pxd. In doubt a statement is refused: what is stored plain cannot be taken back."""

from libc.string cimport memcmp, memcpy, memset

from shotover._codec.cql.lexer cimport (
    TOKEN_BAD,
    TOKEN_END,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_name_is,
    cql_names_agree,
    cql_token_t,
)
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    FORM_NULL,
    FORM_TUPLE,
    HAS_IF,
    HAS_JSON,
    HAS_NAMED_MARKS,
    HAS_STAR,
    ITEM_ASSIGN,
    ITEM_BIND,
    ITEM_COLUMN,
    ITEM_DELETE,
    ITEM_ELEMENT,
    ITEM_FIELD,
    ITEM_GROUP,
    ITEM_IF,
    ITEM_JSON,
    ITEM_MENTION,
    ITEM_ORDER,
    ITEM_SELECT,
    ITEM_STATEMENT,
    ITEM_WHERE,
    OP_EQ,
    OP_IN,
    OP_SET,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_SELECT,
    STATEMENT_UNKNOWN,
    STATEMENT_UPDATE,
    cql_item_t,
    cql_parse,
    cql_statement_t,
)
from shotover._core.memory cimport chunk_data, pool_take

cdef enum:
    ITEMS_MAX = 512             # of a statement that is followed

cdef const char *WHY_UNKNOWN = b"shotover: this statement cannot be followed, and it names a table with protected columns"
cdef const char *WHY_LONG = b"shotover: this statement on a table with protected columns is too long to be followed"
cdef const char *WHY_WHERE = b"shotover: a protected column cannot be compared, ordered or grouped by: the server has it sealed"
cdef const char *WHY_LOOKUP = b"shotover: a protected column with a look-up column can be compared by = and IN in WHERE alone"
cdef const char *WHY_KEPT = b"shotover: a look-up column is written by Protect alone"
cdef const char *WHY_FUNCTION = b"shotover: a protected column cannot be the argument of a function: the server has it sealed"
cdef const char *WHY_PART = b"shotover: a protected column can be written only as a whole"
cdef const char *WHY_JSON = b"shotover: protected columns cannot be read as JSON: the server has them sealed; name the columns"

cdef struct draft_t:
    protect_plan_t plan
    sealing_t      sealings[SEALINGS_MAX]
    int16_t        outputs[ITEMS_MAX]


cdef inline bint _same(slice_t one, slice_t other) noexcept nogil:
    return one.size == other.size and memcmp(one.data, other.data, one.size) == 0


cdef int protected_find(
    const protected_t *all, slice_t keyspace, slice_t table, slice_t name
) noexcept nogil:
    """The index of a protected column, by names as servers have them; NO_COLUMN."""
    cdef uint32_t index
    for index in range(all.count):
        if _same(all.columns[index].name, name) and _same(all.columns[index].table, table) \
                and (keyspace.size == 0 or _same(all.columns[index].keyspace, keyspace)):
            return <int>index
    return NO_COLUMN


cdef int _any_of(const protected_t *all, slice_t keyspace, slice_t table) noexcept nogil:
    """The index of a protected column of that table; NO_COLUMN."""
    cdef uint32_t index
    for index in range(all.count):
        if _same(all.columns[index].table, table) and (keyspace.size == 0 or _same(all.columns[index].keyspace, keyspace)):
            return <int>index
    return NO_COLUMN


cdef int _named(const protected_t *all, slice_t keyspace, slice_t table, const uint8_t *text, cql_span_t name) noexcept nogil:
    """The index of the protected column of that name in that table; NO_COLUMN."""
    cdef uint32_t index
    for index in range(all.count):
        if cql_name_is(text, name, all.columns[index].name.data, all.columns[index].name.size) \
                and _same(all.columns[index].table, table) \
                and (keyspace.size == 0 or _same(all.columns[index].keyspace, keyspace)):
            return <int>index
    return NO_COLUMN


cdef void _refuse(draft_t *draft, const char *why) noexcept nogil:
    draft.plan.what = PROTECT_REFUSE
    draft.plan.why = why


cdef sealing_t *_add(draft_t *draft, int column, uint8_t what, cql_span_t where) noexcept nogil:
    """One more edit, of something that is no mark. NULL: there are too many."""
    cdef sealing_t *sealing
    if draft.plan.sealing_count == SEALINGS_MAX:
        _refuse(draft, WHY_LONG)
        return NULL
    sealing = &draft.sealings[draft.plan.sealing_count]
    draft.plan.sealing_count += 1
    sealing.column = <uint16_t>column
    sealing.what = what
    sealing.literal = TOKEN_END
    sealing.shared = False
    sealing.bind = -1
    sealing.value = where
    return sealing


cdef bint _is_lookup(
    const protected_t *all, slice_t keyspace, slice_t table, const uint8_t *text, cql_span_t name
) noexcept nogil:
    cdef uint32_t index
    for index in range(all.count):
        if all.columns[index].lookup.size \
                and cql_name_is(text, name, all.columns[index].lookup.data, all.columns[index].lookup.size) \
                and _same(all.columns[index].table, table) \
                and (keyspace.size == 0 or _same(all.columns[index].keyspace, keyspace)):
            return True
    return False


cdef bint _look_up(draft_t *draft, const cql_item_t *item, int column, const uint8_t *text) noexcept nogil:
    """WHERE column = value, IN (values), IN ?. False: something else. The limit on edits is seen later."""
    cdef:
        sealing_t  *sealing
        cql_lexer_t lexer
        cql_token_t token
        cql_span_t  span
        uint32_t    depth = 0, end = 0
        int32_t     mark = item.bind
        bint        is_mark = False
    if item.flags or (item.op != OP_EQ and item.op != OP_IN):
        return False
    _add(draft, column, EDIT_NAME, item.name)
    if item.op == OP_EQ or item.form == FORM_BIND:
        if item.form == FORM_NULL:
            return False
        sealing = _add(draft, column, EDIT_HASH if item.op == OP_EQ else EDIT_HASH | EDIT_LISTED, item.value)
        if sealing is not NULL:
            sealing.literal = item.literal
            sealing.bind = item.bind if item.form == FORM_BIND else -1
        return True
    if item.form != FORM_TUPLE:
        return False
    cql_lexer_set(&lexer, text, item.value.at + item.value.size)
    lexer.at = text + item.value.at
    cql_lex(&lexer, &token)
    span.at = 0
    while True:
        cql_lex(&lexer, &token)
        if token.kind == TOKEN_BAD or token.kind == TOKEN_END:
            return False
        if depth == 0 and (token.kind == b',' or token.kind == b')'):
            if end:
                span.size = end - span.at
                sealing = _add(draft, column, EDIT_HASH, span)
                if sealing is not NULL and is_mark:
                    sealing.bind = mark
                    mark += 1
            if token.kind == b')':
                return True
            end = 0
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


cdef void _see_shared(draft_t *draft, const cql_statement_t *said, const uint8_t *text) noexcept nogil:
    """Marks to be changed that have a name which others have, too: one value cannot be both."""
    cdef:
        const cql_item_t *item
        sealing_t        *sealing
        cql_span_t        name
        uint32_t          at, index
    for at in range(draft.plan.sealing_count):
        sealing = &draft.sealings[at]
        if sealing.bind < 0 or text[sealing.value.at] != b':':
            continue
        name.at = sealing.value.at + 1
        name.size = sealing.value.size - 1
        for index in range(said.item_count):
            item = &said.item[index]
            if item.role == ITEM_BIND and item.value.at != sealing.value.at and item.name.size \
                    and cql_names_agree(text, item.name, text, name):
                sealing.shared = True


cdef bint _mentioned(const protected_t *all, slice_t text) noexcept nogil:
    """Whether the name of a protected table stands anywhere in a text, in whatever case."""
    cdef:
        uint32_t index
        size_t   at, byte
        slice_t  name
    for index in range(all.count):
        name = all.columns[index].table
        at = 0
        while at + name.size <= text.size:
            byte = 0
            while byte < name.size and (text.data[at + byte] | 32) == (name.data[byte] | 32):
                byte += 1
            if byte == name.size:
                return True
            at += 1
    return False


cdef bint _tells_little(const uint8_t *text, cql_span_t value) noexcept nogil:
    """count(c), ttl(c), writetime(c), maxwritetime(c): they do not look at the value."""
    cdef:
        cql_span_t name = value
        uint32_t   size = 0
    while size < value.size and text[value.at + size] != b'(' and text[value.at + size] != b' ':
        size += 1
    name.size = size
    return (
        cql_name_is(text, name, <const uint8_t *>b"count", 5) or cql_name_is(text, name, <const uint8_t *>b"ttl", 3)
        or cql_name_is(text, name, <const uint8_t *>b"writetime", 9)
        or cql_name_is(text, name, <const uint8_t *>b"maxwritetime", 12)
    )


cdef void _statement(
    draft_t *draft, const protected_t *all, const cql_statement_t *said, const cql_facts_t *facts, uint16_t which,
    slice_t keyspace, slice_t table
) noexcept nogil:
    """One statement on a protected table, alone or of a batch."""
    cdef:
        const cql_item_t *item
        const cql_item_t *selected = NULL
        const uint8_t    *text = facts.text.data
        sealing_t        *sealing
        uint32_t          index
        int               column
        uint8_t           what
    draft.plan.what = PROTECT_WORK
    for index in range(said.item_count):
        item = &said.item[index]
        if item.statement != which:
            continue
        if item.role == ITEM_SELECT:
            selected = item
            column = NO_COLUMN
            if item.name.size:
                column = _named(all, keyspace, table, text, item.name)
            draft.outputs[draft.plan.output_count] = <int16_t>column
            draft.plan.output_count += 1
            continue
        if item.role == ITEM_JSON:
            sealing = _add(draft, _any_of(all, keyspace, table), EDIT_JSON, item.value)
            if sealing is not NULL and item.form == FORM_BIND:
                sealing.bind = item.bind
            continue
        if item.name.size == 0:
            continue
        column = _named(all, keyspace, table, text, item.name)
        if column == NO_COLUMN:
            if (item.role == ITEM_COLUMN or item.role == ITEM_ASSIGN or item.role == ITEM_DELETE) \
                    and _is_lookup(all, keyspace, table, text, item.name):
                _refuse(draft, WHY_KEPT)
                return
            continue
        if item.role == ITEM_MENTION:
            if selected is NULL or not _tells_little(text, selected.value):
                _refuse(draft, WHY_FUNCTION)
                return
        elif item.role == ITEM_WHERE and all.columns[column].lookup.size:
            if not _look_up(draft, item, column, text):
                _refuse(draft, WHY_LOOKUP)
                return
        elif item.role == ITEM_WHERE or item.role == ITEM_IF or item.role == ITEM_ORDER or item.role == ITEM_GROUP:
            _refuse(draft, WHY_WHERE)
            return
        elif item.role == ITEM_COLUMN or item.role == ITEM_ASSIGN:
            if item.flags & (ITEM_ELEMENT | ITEM_FIELD) or (item.role == ITEM_ASSIGN and item.op != OP_SET):
                _refuse(draft, WHY_PART)
                return
            what = EDIT_SEAL
            if all.columns[column].lookup.size:
                what |= EDIT_ADD_HASH if item.role == ITEM_COLUMN else EDIT_ADD_SET
                if item.role == ITEM_COLUMN:
                    _add(draft, column, EDIT_ADD_NAME, item.name)
            elif item.form == FORM_NULL:
                continue
            sealing = _add(draft, column, what, item.value)
            if sealing is not NULL:
                sealing.literal = item.literal
                sealing.bind = item.bind if item.form == FORM_BIND else -1
                if item.form == FORM_NULL:
                    sealing.what &= ~EDIT_SEAL
        elif item.role == ITEM_DELETE:
            if item.flags & (ITEM_ELEMENT | ITEM_FIELD):
                _refuse(draft, WHY_PART)
                return
            if all.columns[column].lookup.size:
                _add(draft, column, EDIT_ADD_NAME, item.name)


cdef void _batch(draft_t *draft, const protected_t *all, const cql_statement_t *said, const cql_facts_t *facts) noexcept nogil:
    """BEGIN BATCH ... in one text: which statement is on a protected table."""
    cdef:
        const cql_item_t *item
        slice_t           keyspace
        uint32_t          index, column
        uint16_t          done = 0
    for index in range(said.item_count):
        item = &said.item[index]
        if item.role != ITEM_STATEMENT:
            continue
        for column in range(all.count):
            if item.statement <= done:
                break
            if not cql_name_is(facts.text.data, item.name, all.columns[column].table.data, all.columns[column].table.size):
                continue
            keyspace = all.columns[column].keyspace
            if item.more.size:
                if not cql_name_is(facts.text.data, item.more, keyspace.data, keyspace.size):
                    continue
            elif facts.client_keyspace.size and not _same(facts.client_keyspace, keyspace):
                continue
            done = item.statement
            _statement(draft, all, said, facts, item.statement, keyspace, all.columns[column].table)
        if draft.plan.what == PROTECT_REFUSE:
            return


cdef void _sort(draft_t *draft) noexcept nogil:
    """By place in the text."""
    cdef:
        uint32_t  index, at
        sealing_t moved
    for index in range(1, draft.plan.sealing_count):
        moved = draft.sealings[index]
        at = index
        while at and draft.sealings[at - 1].value.at > moved.value.at:
            draft.sealings[at] = draft.sealings[at - 1]
            at -= 1
        draft.sealings[at] = moved


cdef void _draft(draft_t *draft, const protected_t *all, const cql_statement_t *said, const cql_facts_t *facts) noexcept nogil:
    cdef:
        uint8_t  type = facts.type
        uint32_t index
    if type == STATEMENT_UNKNOWN:
        if _mentioned(all, facts.text):
            _refuse(draft, WHY_UNKNOWN)
        return
    if type == STATEMENT_BATCH:
        if said.truncated and _mentioned(all, facts.text):
            _refuse(draft, WHY_LONG)
        else:
            _batch(draft, all, said, facts)
    elif type == STATEMENT_SELECT or type == STATEMENT_INSERT or type == STATEMENT_UPDATE or type == STATEMENT_DELETE:
        if _any_of(all, facts.keyspace, facts.table) == NO_COLUMN:
            return
        if said.truncated:
            _refuse(draft, WHY_LONG)
        else:
            _statement(draft, all, said, facts, 0, facts.keyspace, facts.table)
        if draft.plan.what == PROTECT_WORK and type == STATEMENT_SELECT:
            draft.plan.selects = not said.flags & HAS_STAR
            if said.flags & HAS_JSON:
                for index in range(draft.plan.output_count):
                    if draft.outputs[index] != NO_COLUMN:
                        _refuse(draft, WHY_JSON)
                if said.flags & HAS_STAR:
                    _refuse(draft, WHY_JSON)
    draft.plan.answers = type == STATEMENT_SELECT or said.flags & HAS_IF != 0
    _sort(draft)
    if said.flags & HAS_NAMED_MARKS:
        _see_shared(draft, said, facts.text.data)
    for index in range(draft.plan.sealing_count):
        draft.plan.seals = draft.plan.seals or draft.sealings[index].what & (EDIT_SEAL | EDIT_JSON) != 0
        draft.plan.adds += draft.sealings[index].bind >= 0 and draft.sealings[index].what & EDIT_ADDS != 0


cdef chunk_t *protect_plan_make(pool_t *pool, const protected_t *all, const cql_facts_t *facts) noexcept nogil:
    """The plan, at the beginning of a chunk. NULL: no memory."""
    cdef:
        draft_t         draft
        cql_item_t      items[ITEMS_MAX]
        cql_statement_t said
        chunk_t        *chunk
        protect_plan_t *plan
    memset(&draft.plan, 0, sizeof(protect_plan_t))
    if facts.text.data is not NULL:
        said.item = items
        said.item_room = ITEMS_MAX
        cql_parse(facts.text.data, facts.text.size, &said)
        _draft(&draft, all, &said, facts)
    chunk = pool_take(pool, sizeof(protect_plan_t) + draft.plan.sealing_count * sizeof(sealing_t)
                      + draft.plan.output_count * sizeof(int16_t))
    if chunk is NULL:
        return NULL
    plan = <protect_plan_t *>chunk_data(chunk)
    plan[0] = draft.plan
    plan.sealings = <sealing_t *>(plan + 1)
    memcpy(plan.sealings, draft.sealings, plan.sealing_count * sizeof(sealing_t))
    plan.outputs = <int16_t *>(plan.sealings + plan.sealing_count)
    memcpy(plan.outputs, draft.outputs, plan.output_count * sizeof(int16_t))
    return chunk
