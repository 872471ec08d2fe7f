"""See parse_rows.pxd. The word that a statement begins with is still at hand in parse_change, and taken in the others."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.lexer cimport (
    TOKEN_ADD,
    TOKEN_DOLLARS,
    TOKEN_GE,
    TOKEN_INTEGER,
    TOKEN_LE,
    TOKEN_NE,
    TOKEN_QUOTED,
    TOKEN_STRING,
    TOKEN_TAKE,
    WORD_ALLOW,
    WORD_AND,
    WORD_ANN,
    WORD_APPLY,
    WORD_AS,
    WORD_ASC,
    WORD_BATCH,
    WORD_BETWEEN,
    WORD_BY,
    WORD_CONTAINS,
    WORD_COUNTER,
    WORD_DEFAULT,
    WORD_DELETE,
    WORD_DESC,
    WORD_DISTINCT,
    WORD_EXISTS,
    WORD_FILTERING,
    WORD_FROM,
    WORD_GROUP,
    WORD_IF,
    WORD_IN,
    WORD_INSERT,
    WORD_INTO,
    WORD_IS,
    WORD_JSON,
    WORD_KEY,
    WORD_LIKE,
    WORD_LIMIT,
    WORD_NONE,
    WORD_NOT,
    WORD_NULL,
    WORD_OF,
    WORD_ORDER,
    WORD_PARTITION,
    WORD_PER,
    WORD_SET,
    WORD_TIMESTAMP,
    WORD_TOKEN,
    WORD_TTL,
    WORD_UNLOGGED,
    WORD_UNSET,
    WORD_UPDATE,
    WORD_USING,
    WORD_VALUES,
    WORD_WHERE,
    cql_lex,
    cql_lexer_t,
    cql_names_agree,
    cql_span_t,
    cql_token_t,
)
from shotover._codec.cql.parser cimport (
    NAMES_ANY,
    parser_expression,
    parser_fail,
    parser_integer,
    parser_is_name,
    parser_item,
    parser_name,
    parser_names,
    parser_need,
    parser_need_word,
    parser_next,
    parser_peek,
    parser_qualified,
    parser_since,
    parser_take,
    parser_take_word,
    parser_value,
)
from shotover._codec.cql.statement cimport (
    BIND_NONE,
    CHILDREN_MAX,
    FORM_COLUMN,
    FORM_NULL,
    FORM_TUPLE,
    HAS_ALLOW_FILTERING,
    HAS_COUNTER,
    HAS_DEFAULT_UNSET,
    HAS_DISTINCT,
    HAS_EXPRESSION,
    HAS_IF,
    HAS_JSON,
    HAS_STAR,
    HAS_TIMESTAMP,
    HAS_UNLOGGED,
    ITEM_ASSIGN,
    ITEM_COLUMN,
    ITEM_DELETE,
    ITEM_ELEMENT,
    ITEM_FIELD,
    ITEM_GROUP,
    ITEM_IF,
    ITEM_JSON,
    ITEM_LIMIT,
    ITEM_ORDER,
    ITEM_PARTITION_LIMIT,
    ITEM_SELECT,
    ITEM_STATEMENT,
    ITEM_TIMESTAMP,
    ITEM_TOKEN,
    ITEM_TTL,
    ITEM_TUPLE,
    ITEM_WHERE,
    NOT_IDEMPOTENT,
    OP_APPEND,
    OP_BETWEEN,
    OP_CONTAINS,
    OP_CONTAINS_KEY,
    OP_EQ,
    OP_EXPR,
    OP_GE,
    OP_GT,
    OP_IN,
    OP_IS_NOT_NULL,
    OP_LE,
    OP_LIKE,
    OP_LT,
    OP_NE,
    OP_NOT_CONTAINS,
    OP_NOT_CONTAINS_KEY,
    OP_NOT_IN,
    OP_PREPEND,
    OP_SET,
    OP_TAKE,
    ORDER_DESC,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_UPDATE,
    cql_item_t,
    cql_value_of_t,
)


# ---- SELECT --------------------------------------------------------------------------------------------------------


cdef bint _selector(parser_t *p) noexcept nogil:
    cdef:
        cql_item_t    *item = parser_item(p, ITEM_SELECT)
        cql_value_of_t value
        uint32_t       start = p.now.at
        uint8_t        after = parser_peek(p)
    if after != b'(' and after != b'.' and after != b'[' and parser_is_name(p, NAMES_ANY) and _ends_selector(p):
        parser_name(p, &item.name, NAMES_ANY)       # the common case: a column
        item.value = item.name
        item.form = FORM_COLUMN
    else:
        p.out.flags |= HAS_EXPRESSION
        if not parser_expression(p, &value, True):
            return False
        item.value = value.span
        item.form = value.form
        item.bind = value.bind
    if parser_take_word(p, WORD_AS):
        if not parser_name(p, &item.more, NAMES_ANY):
            return False
    item.whole = parser_since(p, start)
    return True


cdef bint _ends_selector(parser_t *p) noexcept nogil:
    """Whether what is at hand is all of a selector: what follows is a comma, FROM or AS."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
    cql_lex(&lexer, &token)
    return token.kind == b',' or token.word == WORD_FROM or token.word == WORD_AS


cdef bint parse_selectors(parser_t *p) noexcept nogil:
    if parser_take(p, b'*'):
        p.out.flags |= HAS_STAR
        return True
    while True:
        if not _selector(p):
            return False
        if not parser_take(p, b','):
            return True


cdef bint _is_prefix(parser_t *p, uint8_t word) noexcept nogil:
    """Whether JSON or DISTINCT is at hand, and not a column or function of that name."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
    if p.now.word != word:
        return False
    cql_lex(&lexer, &token)
    if token.kind in (b',', b'.', b'[', b'+', b'-', b'/', b'%') or token.word == WORD_FROM:
        return False
    if token.word == WORD_AS:               # a column of that name with an alias, unless what is selected is named "as"
        cql_lex(&lexer, &token)
        return token.kind == b',' or token.word == WORD_FROM or token.word == WORD_AS
    if token.kind == b'*':                  # SELECT JSON * FROM, not json * 2
        cql_lex(&lexer, &token)
        return token.word == WORD_FROM
    return True


cdef bint _ordering(parser_t *p) noexcept nogil:
    cdef cql_item_t *item = parser_item(p, ITEM_ORDER)
    cdef uint32_t start = p.now.at
    if not parser_name(p, &item.name, NAMES_ANY):
        return False
    if parser_take_word(p, WORD_ANN):
        if not parser_need_word(p, WORD_OF, b"OF") or not parser_value(p, item, NULL):
            return False
    if parser_take_word(p, WORD_DESC):
        item.op = ORDER_DESC
    else:
        parser_take_word(p, WORD_ASC)
    item.whole = parser_since(p, start)
    return True


cdef bint _grouping(parser_t *p) noexcept nogil:
    cdef:
        cql_item_t    *item = parser_item(p, ITEM_GROUP)
        cql_value_of_t value
    if not parser_expression(p, &value, True):
        return False
    item.value = item.whole = value.span
    item.form = value.form
    item.bind = value.bind
    if value.form == FORM_COLUMN:
        item.name = value.column
    return True


cdef bint _each(parser_t *p, bint (*part)(parser_t *) noexcept nogil) noexcept nogil:
    while part(p):
        if not parser_take(p, b','):
            return True
    return False


cdef bint parse_select(parser_t *p) noexcept nogil:
    if _is_prefix(p, WORD_JSON):
        p.out.flags |= HAS_JSON
        parser_next(p)
    if _is_prefix(p, WORD_DISTINCT):
        p.out.flags |= HAS_DISTINCT
        parser_next(p)
    if not parse_selectors(p) or not parser_need_word(p, WORD_FROM, b", or FROM") \
            or not parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY):
        return False
    if parser_take_word(p, WORD_WHERE) and not parse_where(p):
        return False
    if parser_take_word(p, WORD_GROUP):
        if not parser_need_word(p, WORD_BY, b"BY") or not _each(p, _grouping):
            return False
    if parser_take_word(p, WORD_ORDER):
        if not parser_need_word(p, WORD_BY, b"BY") or not _each(p, _ordering):
            return False
    if parser_take_word(p, WORD_PER):
        if not parser_need_word(p, WORD_PARTITION, b"PARTITION") or not parser_need_word(p, WORD_LIMIT, b"LIMIT") \
                or not parser_integer(p, ITEM_PARTITION_LIMIT):
            return False
    if parser_take_word(p, WORD_LIMIT) and not parser_integer(p, ITEM_LIMIT):
        return False
    if parser_take_word(p, WORD_ALLOW):
        if not parser_need_word(p, WORD_FILTERING, b"FILTERING"):
            return False
        p.out.flags |= HAS_ALLOW_FILTERING
    return True


# ---- WHERE and IF --------------------------------------------------------------------------------------------------


cdef uint8_t _comparison(parser_t *p) noexcept nogil:
    """Takes an operator; 0: there is none."""
    cdef uint8_t kind = p.now.kind
    cdef uint8_t op = (OP_EQ if kind == b'=' else OP_LT if kind == b'<' else OP_GT if kind == b'>' else OP_LE if kind == TOKEN_LE
                       else OP_GE if kind == TOKEN_GE else OP_NE if kind == TOKEN_NE else 0)
    if op:
        parser_next(p)
    return op


cdef bint _in_values(parser_t *p, cql_item_t *item) noexcept nogil:
    """( value, ... ) or one mark"""
    cdef:
        uint32_t       start = p.now.at
        int32_t        bind = BIND_NONE
        cql_value_of_t value
    if p.now.kind == b'?' or p.now.kind == b':':
        return parser_value(p, item, NULL)
    if not parser_need(p, b'(', b"( or a mark"):
        return False
    if not parser_take(p, b')'):
        while True:
            if not parser_expression(p, &value, False):
                return False
            if bind == BIND_NONE:
                bind = value.bind
            if not parser_take(p, b','):
                break
        if not parser_need(p, b')', b", or )"):
            return False
    item.value = parser_since(p, start)
    item.form = FORM_TUPLE
    item.bind = bind
    return True


cdef bint _compared(parser_t *p, cql_item_t *item) noexcept nogil:
    """What a column, an element, a tuple or a token is compared with."""
    cdef cql_value_of_t value
    cdef bint negated
    item.op = _comparison(p)
    if item.op:
        return parser_value(p, item, NULL)
    if parser_take_word(p, WORD_BETWEEN):
        item.op = OP_BETWEEN
        if not parser_value(p, item, NULL) or not parser_need_word(p, WORD_AND, b"AND") \
                or not parser_expression(p, &value, False):
            return False
        item.more = value.span
        if item.bind == BIND_NONE:
            item.bind = value.bind
        return True
    if parser_take_word(p, WORD_LIKE):
        item.op = OP_LIKE
        return parser_value(p, item, NULL)
    if parser_take_word(p, WORD_IS):
        item.op = OP_IS_NOT_NULL
        item.form = FORM_NULL
        return parser_need_word(p, WORD_NOT, b"NOT") and parser_need_word(p, WORD_NULL, b"NULL")
    negated = parser_take_word(p, WORD_NOT)
    if parser_take_word(p, WORD_IN):
        item.op = OP_NOT_IN if negated else OP_IN
        return _in_values(p, item)
    if parser_take_word(p, WORD_CONTAINS):
        item.op = OP_NOT_CONTAINS if negated else OP_CONTAINS
        if parser_take_word(p, WORD_KEY):
            item.op = OP_NOT_CONTAINS_KEY if negated else OP_CONTAINS_KEY
        return parser_value(p, item, NULL)
    return parser_fail(p, b"an operator, such as = or IN")


cdef bint _element(parser_t *p, cql_item_t *item) noexcept nogil:
    """[ value ] or .field behind a column, if there is one."""
    cdef cql_value_of_t value
    if parser_take(p, b'['):
        if not parser_expression(p, &value, False):
            return False
        item.more = value.span
        item.bind = value.bind
        item.flags |= ITEM_ELEMENT
        return parser_need(p, b']', b"]")
    if parser_take(p, b'.'):
        item.flags |= ITEM_FIELD
        return parser_name(p, &item.more, NAMES_ANY)
    return True


cdef bint _names_follow(parser_t *p) noexcept nogil:
    """Whether, at a (, names stand in parentheses, not a relation."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
    cql_lex(&lexer, &token)
    if token.kind == b'(':
        return False
    cql_lex(&lexer, &token)
    return token.kind == b',' or token.kind == b')'


cdef bint _relation(parser_t *p) noexcept nogil:
    cdef:
        uint32_t    start = p.now.at
        cql_item_t *item
        cql_span_t  keyspace
        int32_t     bind
        bint        fine
    if p.now.kind == b'(' and not _names_follow(p):
        if p.depth >= 32:
            return parser_fail(p, b"a relation that is nested less deeply")
        p.depth += 1
        parser_next(p)
        fine = _relation(p) and parser_need(p, b')', b")")
        p.depth -= 1
        return fine
    item = parser_item(p, ITEM_WHERE)
    if p.now.kind == b'(':
        item.flags = ITEM_TUPLE
        fine = parser_names(p, &item.name) and _compared(p, item)
    elif p.now.word == WORD_TOKEN and parser_peek(p) == b'(':
        item.flags = ITEM_TOKEN
        parser_next(p)
        fine = parser_names(p, &item.name) and _compared(p, item)
    elif p.now.word == WORD_NONE and p.now.size == 4 and p.now.kind != TOKEN_QUOTED and parser_peek(p) == b'(':
        parser_next(p)
        parser_next(p)
        item.op = OP_EXPR
        fine = parser_qualified(p, &keyspace, &item.name, NAMES_ANY) and parser_need(p, b',', b",") \
            and parser_value(p, item, NULL) and parser_need(p, b')', b")")
    else:
        fine = parser_name(p, &item.name, NAMES_ANY) and _element(p, item)
        bind = item.bind
        fine = fine and _compared(p, item)
        if bind != BIND_NONE:
            item.bind = bind
    item.whole = parser_since(p, start)
    return fine


cdef bint parse_where(parser_t *p) noexcept nogil:
    while True:
        if not _relation(p):
            return False
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _conditions(parser_t *p) noexcept nogil:
    """EXISTS, or conditions; behind IF."""
    cdef:
        cql_item_t *item
        uint32_t    start
        int32_t     bind
    p.out.flags |= HAS_IF | NOT_IDEMPOTENT
    if p.now.word == WORD_EXISTS and parser_peek(p) not in (b'=', b'<', b'>', b'[', b'.', TOKEN_LE, TOKEN_GE, TOKEN_NE) \
            and not _in_follows(p):
        parser_next(p)
        return True
    while True:
        start = p.now.at
        item = parser_item(p, ITEM_IF)
        if not parser_name(p, &item.name, NAMES_ANY) or not _element(p, item):
            return False
        bind = item.bind
        if not _compared(p, item):
            return False
        if bind != BIND_NONE:
            item.bind = bind
        item.whole = parser_since(p, start)
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _in_follows(parser_t *p) noexcept nogil:
    """A column may be named exists: IF exists IN (...)."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
    cql_lex(&lexer, &token)
    return token.word == WORD_IN or token.word == WORD_CONTAINS


# ---- INSERT, UPDATE, DELETE ----------------------------------------------------------------------------------------


cdef bint _using(parser_t *p) noexcept nogil:
    if not parser_take_word(p, WORD_USING):
        return True
    while True:
        if parser_take_word(p, WORD_TIMESTAMP):
            p.out.flags |= HAS_TIMESTAMP
            if not parser_integer(p, ITEM_TIMESTAMP):
                return False
        elif parser_take_word(p, WORD_TTL):
            if not parser_integer(p, ITEM_TTL):
                return False
        else:
            return parser_fail(p, b"TIMESTAMP or TTL")
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _if_not_exists(parser_t *p) noexcept nogil:
    if not parser_take_word(p, WORD_IF):
        return True
    p.out.flags |= HAS_IF | NOT_IDEMPOTENT
    return parser_need_word(p, WORD_NOT, b"NOT") and parser_need_word(p, WORD_EXISTS, b"EXISTS")


cdef bint _insert_json(parser_t *p) noexcept nogil:
    cdef cql_item_t *item = parser_item(p, ITEM_JSON)
    p.out.flags |= HAS_JSON
    if p.now.kind not in (TOKEN_STRING, TOKEN_DOLLARS, b'?', b':'):
        return parser_fail(p, b"a string, ? or :name")
    if not parser_value(p, item, NULL):
        return False
    item.whole = item.value
    if parser_take_word(p, WORD_DEFAULT):
        if parser_take_word(p, WORD_UNSET):
            p.out.flags |= HAS_DEFAULT_UNSET
        elif not parser_need_word(p, WORD_NULL, b"NULL or UNSET"):
            return False
    return True


cdef bint _insert_values(parser_t *p) noexcept nogil:
    """( columns ) VALUES ( values ): each value goes to the item of its column."""
    cdef:
        cql_item_t *item
        uint32_t    first = p.out.item_count
        uint32_t    noted, columns = 0, values = 0
    if not parser_need(p, b'(', b"( or JSON"):
        return False
    while True:
        item = parser_item(p, ITEM_COLUMN)
        if not parser_name(p, &item.name, NAMES_ANY):
            return False
        columns += 1
        if not parser_take(p, b','):
            break
    noted = p.out.item_count - first
    if not parser_need(p, b')', b", or )") or not parser_need_word(p, WORD_VALUES, b"VALUES") or not parser_need(p, b'(', b"("):
        return False
    while True:
        item = &p.out.item[first + values] if values < noted else &p.spill
        if not parser_value(p, item, NULL):
            return False
        item.whole = item.value
        values += 1
        if not parser_take(p, b','):
            break
    if values != columns:
        return parser_fail(p, b"as many values as columns")
    return parser_need(p, b')', b", or )")


cdef bint _insert(parser_t *p) noexcept nogil:
    if not parser_need_word(p, WORD_INTO, b"INTO") or not parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY):
        return False
    if parser_take_word(p, WORD_JSON):
        if not _insert_json(p):
            return False
    elif not _insert_values(p):
        return False
    return _if_not_exists(p) and _using(p)


cdef bint _assigned(parser_t *p, cql_item_t *item) noexcept nogil:
    """What follows the = of SET: a value, or one added to or taken from the column itself."""
    cdef:
        cql_span_t name
        uint8_t    after
    if parser_is_name(p, NAMES_ANY) and item.flags == 0:
        after = parser_peek(p)
        if after != b'(' and after != b'.':
            if not parser_name(p, &name, NAMES_ANY):
                return False
            if not cql_names_agree(p.lexer.text, item.name, p.lexer.text, name):
                return parser_fail(p, b"the column that is set")
            p.out.flags |= NOT_IDEMPOTENT
            if p.now.kind == TOKEN_INTEGER:         # c = c -3; the servers take c = c 3, too
                item.op = OP_APPEND
                return parser_value(p, item, NULL)
            item.op = OP_APPEND if p.now.kind == b'+' else OP_TAKE
            if not parser_take(p, b'+') and not parser_need(p, b'-', b"+ or -"):
                return False
            return parser_value(p, item, NULL)
    item.op = OP_SET
    if not parser_value(p, item, NULL):
        return False
    if item.flags == 0 and parser_take(p, b'+'):
        item.op = OP_PREPEND
        p.out.flags |= NOT_IDEMPOTENT
        if not parser_name(p, &name, NAMES_ANY):
            return False
        if not cql_names_agree(p.lexer.text, item.name, p.lexer.text, name):
            return parser_fail(p, b"the column that is set")
    return True


cdef bint _assignment(parser_t *p) noexcept nogil:
    cdef:
        cql_item_t *item = parser_item(p, ITEM_ASSIGN)
        uint32_t    start = p.now.at
        int32_t     bind
        uint8_t     kind
    if not parser_name(p, &item.name, NAMES_ANY) or not _element(p, item):
        return False
    bind = item.bind
    kind = p.now.kind
    if item.flags == 0 and (kind == TOKEN_ADD or kind == TOKEN_TAKE):
        parser_next(p)
        item.op = OP_APPEND if kind == TOKEN_ADD else OP_TAKE
        p.out.flags |= NOT_IDEMPOTENT
        if not parser_value(p, item, NULL):
            return False
    elif not parser_need(p, b'=', b"=") or not _assigned(p, item):
        return False
    if bind != BIND_NONE:
        item.bind = bind
    item.whole = parser_since(p, start)
    return True


cdef bint _where_and_if(parser_t *p) noexcept nogil:
    if not parser_need_word(p, WORD_WHERE, b", or WHERE") or not parse_where(p):
        return False
    return not parser_take_word(p, WORD_IF) or _conditions(p)


cdef bint _update(parser_t *p) noexcept nogil:
    return parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY) and _using(p) \
        and parser_need_word(p, WORD_SET, b"SET") and _each(p, _assignment) and _where_and_if(p)


cdef bint _deletion(parser_t *p) noexcept nogil:
    cdef cql_item_t *item = parser_item(p, ITEM_DELETE)
    cdef uint32_t start = p.now.at
    if not parser_name(p, &item.name, NAMES_ANY) or not _element(p, item):
        return False
    if item.flags & ITEM_ELEMENT:           # of a list, it would be another one the second time
        p.out.flags |= NOT_IDEMPOTENT
    item.whole = parser_since(p, start)
    return True


cdef bint _delete(parser_t *p) noexcept nogil:
    if p.now.word != WORD_FROM and not _each(p, _deletion):
        return False
    return parser_need_word(p, WORD_FROM, b", or FROM") and parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY) \
        and _using(p) and _where_and_if(p)


cdef bint parse_change(parser_t *p) noexcept nogil:
    """INSERT, UPDATE or DELETE, the word itself included; sets `type`."""
    if parser_take_word(p, WORD_INSERT):
        p.out.type = STATEMENT_INSERT
        return _insert(p)
    if parser_take_word(p, WORD_UPDATE):
        p.out.type = STATEMENT_UPDATE
        return _update(p)
    if parser_take_word(p, WORD_DELETE):
        p.out.type = STATEMENT_DELETE
        return _delete(p)
    return parser_fail(p, b"INSERT, UPDATE, DELETE or APPLY BATCH")


# ---- BATCH ---------------------------------------------------------------------------------------------------------


cdef bint parse_batch(parser_t *p) noexcept nogil:
    """[UNLOGGED | COUNTER] BATCH ... APPLY BATCH, behind BEGIN. Keyspace and table are those of the statements' items."""
    cdef:
        cql_item_t *item
        uint32_t    start, count = 0
    if parser_take_word(p, WORD_UNLOGGED):
        p.out.flags |= HAS_UNLOGGED
    elif parser_take_word(p, WORD_COUNTER):
        p.out.flags |= HAS_COUNTER | NOT_IDEMPOTENT
    if not parser_need_word(p, WORD_BATCH, b"BATCH") or not _using(p):
        return False
    while p.now.word != WORD_APPLY:
        count += 1
        if count > CHILDREN_MAX:
            return parser_fail(p, b"fewer statements")
        start = p.now.at
        p.statement = <uint16_t>count
        item = parser_item(p, ITEM_STATEMENT)
        if not parse_change(p):
            return False
        item.whole = parser_since(p, start)
        item.name = p.out.table
        item.more = p.out.keyspace
        item.op = p.out.type
        parser_take(p, b';')
    p.statement = 0
    p.out.type = STATEMENT_BATCH
    p.out.keyspace.size = p.out.table.size = 0
    parser_next(p)
    return parser_need_word(p, WORD_BATCH, b"BATCH")
