"""Names, types and values: what statements are made of. See parser.pxd."""

from libc.stdint cimport int32_t
from libc.string cimport memset

from shotover._codec.cql.lexer cimport (
    CLASS_BASIC,
    CLASS_NOT_OF_FUNCTIONS,
    CLASS_RESERVED,
    CLASS_TYPE,
    TOKEN_DOLLARS,
    TOKEN_HEX,
    TOKEN_INTEGER,
    TOKEN_QUOTED,
    TOKEN_RANGE,
    TOKEN_STRING,
    WORD_AS,
    WORD_CAST,
    WORD_COUNT,
    WORD_FROZEN,
    WORD_KEY,
    WORD_LIST,
    WORD_MAP,
    WORD_MAXWRITETIME,
    WORD_NULL,
    WORD_SET,
    WORD_TOKEN,
    WORD_TTL,
    WORD_TUPLE,
    WORD_VECTOR,
    WORD_WRITETIME,
    cql_lexer_t,
    cql_name_is,
    cql_token_t,
    cql_word_class,
)
from shotover._codec.cql.statement cimport (
    FORM_BIND,
    FORM_CAST,
    FORM_COLUMN,
    FORM_CONSTANT,
    FORM_EXPRESSION,
    FORM_FUNCTION,
    FORM_LIST,
    FORM_MAP,
    FORM_NULL,
    FORM_SET,
    FORM_TUPLE,
    HAS_FUNCTION,
    HAS_NAMED_MARKS,
    ITEM_BIND,
    ITEM_MENTION,
    NESTING_MAX,
    NOT_IDEMPOTENT,
)


cdef bint parser_fail(parser_t *p, const char *expected) noexcept nogil:
    """Notes the first place that cannot be followed. Always False."""
    if not p.quiet and p.out.expected is NULL:
        p.out.error_at = p.now.at
        p.out.expected = expected
    return False


cdef cql_item_t *parser_item(parser_t *p, uint8_t role) noexcept nogil:
    """A new item, empty but for its role. It stays where it is; what goes beyond the room is forgotten."""
    cdef cql_item_t *item = &p.spill_within if role == ITEM_BIND or role == ITEM_MENTION else &p.spill
    if not p.quiet:
        if p.out.item_count < p.out.item_room:
            item = &p.out.item[p.out.item_count]
            p.out.item_count += 1
        else:
            p.out.truncated = True
    memset(item, 0, sizeof(cql_item_t))
    item.role = role
    item.bind = BIND_NONE
    item.statement = p.statement
    return item


cdef uint8_t parser_peek(parser_t *p) noexcept nogil:
    """The kind of the token behind the one at hand."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
    cql_lex(&lexer, &token)
    return token.kind


# ---- names ---------------------------------------------------------------------------------------------------------


cdef bint parser_is_name(parser_t *p, int which) noexcept nogil:
    cdef uint8_t klass
    if p.now.kind == TOKEN_QUOTED:
        return True
    if p.now.kind != TOKEN_NAME:
        return False
    if p.now.word == WORD_NONE:
        return True
    klass = cql_word_class(p.now.word)
    if klass == CLASS_RESERVED:
        return which == NAMES_OF_FUNCTIONS and p.now.word == WORD_TOKEN
    if which == NAMES_OF_FUNCTIONS:
        return klass != CLASS_NOT_OF_FUNCTIONS or p.now.word == WORD_COUNT
    if which == NAMES_OF_TYPES:
        return klass == CLASS_BASIC or p.now.word == WORD_KEY
    return True


cdef bint parser_name(parser_t *p, cql_span_t *name, int which) noexcept nogil:
    if not parser_is_name(p, which):
        return parser_fail(p, b"a name")
    name[0] = parser_here(p)
    parser_next(p)
    return True


cdef bint parser_qualified(parser_t *p, cql_span_t *keyspace, cql_span_t *name, int which) noexcept nogil:
    """[keyspace.]name"""
    keyspace.at = keyspace.size = 0
    if parser_peek(p) == b'.' and parser_is_name(p, NAMES_ANY):
        keyspace[0] = parser_here(p)
        parser_next(p)
        parser_next(p)
    return parser_name(p, name, which)


cdef bint parser_names(parser_t *p, cql_span_t *span) noexcept nogil:
    """( name, ... ): a MENTION for each."""
    cdef:
        uint32_t    start = p.now.at
        cql_item_t *item
    if not parser_need(p, b'(', b"("):
        return False
    while True:
        item = parser_item(p, ITEM_MENTION)
        if not parser_name(p, &item.name, NAMES_ANY):
            return False
        item.whole = item.name
        if not parser_take(p, b','):
            break
    if not parser_need(p, b')', b", or )"):
        return False
    span[0] = parser_since(p, start)
    return True


# ---- types ---------------------------------------------------------------------------------------------------------


cdef bint _type(parser_t *p) noexcept nogil:
    cdef:
        uint8_t    word = p.now.word
        cql_span_t keyspace, name
    if p.depth >= NESTING_MAX:
        return parser_fail(p, b"a type that is nested less deeply")
    if parser_take(p, TOKEN_STRING) or parser_take(p, TOKEN_DOLLARS):
        return True
    if (word == WORD_MAP or word == WORD_LIST or word == WORD_SET or word == WORD_TUPLE or word == WORD_FROZEN
            or word == WORD_VECTOR) and parser_peek(p) == b'<':
        parser_next(p)
        parser_next(p)
        p.depth += 1
        while True:
            if parser_take(p, TOKEN_INTEGER):       # a vector's dimension
                pass
            elif not _type(p):
                return False
            if not parser_take(p, b','):
                break
        p.depth -= 1
        return parser_need(p, b'>', b">")
    if cql_word_class(word) == CLASS_TYPE and parser_peek(p) != b'.':
        parser_next(p)
        return True
    return parser_qualified(p, &keyspace, &name, NAMES_OF_TYPES)


cdef bint parser_type(parser_t *p, cql_span_t *span) noexcept nogil:
    cdef uint32_t start = p.now.at
    if not _type(p):
        return False
    span[0] = parser_since(p, start)
    return True


cdef bint _is_cast(parser_t *p, bint columns) noexcept nogil:
    """Whether, at a (, a type in parentheses stands before a value. The parser is as before."""
    cdef:
        parser_t before = p[0]
        bint     found
        uint8_t  kind
    parser_next(p)
    p.quiet = True
    found = _type(p) and parser_take(p, b')')
    kind = p.now.kind
    if found:
        found = (
            TOKEN_STRING <= kind <= TOKEN_HEX or kind == b'?' or kind == b':' or kind == b'(' or kind == b'[' or kind == b'{'
            or p.now.word == WORD_NULL or p.now.word == WORD_CAST
            or (parser_is_name(p, NAMES_OF_FUNCTIONS) and (columns or parser_peek(p) == b'(' or parser_peek(p) == b'.'))
        ) and not (columns and p.now.word == WORD_AS)
    p[0] = before
    return found


# ---- values --------------------------------------------------------------------------------------------------------


cdef bint parser_mark(parser_t *p, cql_value_of_t *value) noexcept nogil:
    """? or :name"""
    cdef:
        cql_item_t *item
        uint32_t    start = p.now.at
    item = parser_item(p, ITEM_BIND)
    if not parser_take(p, b'?'):
        if not parser_need(p, b':', b"? or :name") or not parser_name(p, &item.name, NAMES_ANY):
            return False
        p.out.flags |= HAS_NAMED_MARKS
    item.value = item.whole = parser_since(p, start)
    item.bind = <int32_t>p.out.bind_count
    item.form = FORM_BIND
    if value.bind == BIND_NONE:
        value.bind = item.bind
    value.form = FORM_BIND
    if not p.quiet:
        p.out.bind_count += 1
    return True


cdef bint _several(parser_t *p, cql_value_of_t *value, uint8_t close, bint columns) noexcept nogil:
    """Values up to `close`, whose opening has been taken; none as well."""
    if parser_take(p, close):
        return True
    while True:
        if not _sum(p, value, columns):
            return False
        if not parser_take(p, b','):
            return parser_need(p, close, b", or the end of a list")


cdef bint _braces(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """A set, a map or a user type, whose { has been taken."""
    cdef uint8_t form = FORM_SET
    if not parser_take(p, b'}'):
        while True:
            if not columns and parser_is_name(p, NAMES_ANY) and parser_peek(p) == b':':
                parser_next(p)                      # a field
            elif not _sum(p, value, columns):
                return False
            if parser_take(p, b':'):
                form = FORM_MAP
                if not _sum(p, value, columns):
                    return False
            if not parser_take(p, b','):
                break
        if not parser_need(p, b'}', b", or }"):
            return False
    value.form = form
    return True


cdef bint _parentheses(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    cdef cql_span_t span
    if _is_cast(p, columns):
        parser_next(p)
        if not parser_type(p, &span) or not parser_need(p, b')', b")") or not _one(p, value, columns):
            return False
        value.form = FORM_CAST
        return True
    parser_next(p)
    if not _sum(p, value, columns):
        return False
    while parser_take(p, b','):
        if not _sum(p, value, columns):
            return False
    value.form = FORM_TUPLE
    return parser_need(p, b')', b", or )")


cdef bint _cast(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """( value AS type ), behind CAST"""
    cdef cql_span_t span
    if not parser_need(p, b'(', b"(") or not _sum(p, value, columns) \
            or not parser_need_word(p, WORD_AS, b"AS") or not parser_type(p, &span):
        return False
    value.form = FORM_CAST
    return parser_need(p, b')', b")")


cdef bint _repeats(parser_t *p, cql_span_t name) noexcept nogil:
    """Whether a function of that name gives the same for the same arguments, as far as we know."""
    cdef const uint8_t *text = p.lexer.text
    cdef const uint8_t *at = text + name.at
    if name.size > 6 and cql_name_is(text, name, b"totimestamp", 11):
        return True
    return (
        cql_name_is(text, name, b"token", 5) or cql_name_is(text, name, b"tojson", 6) or cql_name_is(text, name, b"fromjson", 8)
        or cql_name_is(text, name, b"to_json", 7) or cql_name_is(text, name, b"from_json", 9)
        or cql_name_is(text, name, b"todate", 6) or cql_name_is(text, name, b"to_date", 7)
        or cql_name_is(text, name, b"to_timestamp", 12) or cql_name_is(text, name, b"mintimeuuid", 11)
        or cql_name_is(text, name, b"maxtimeuuid", 11) or cql_name_is(text, name, b"min_timeuuid", 12)
        or cql_name_is(text, name, b"max_timeuuid", 12)
        or (name.size > 6 and at[name.size - 6] | 0x20 == b'a' and at[name.size - 5] | 0x20 == b's'
            and at[name.size - 4] | 0x20 == b'b')                           # intAsBlob, text_as_blob
        or (name.size > 6 and at[0] | 0x20 == b'b' and at[1] | 0x20 == b'l' and at[2] | 0x20 == b'o' and at[3] | 0x20 == b'b')
    )


cdef bint _function(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """A call; count(*), writetime(column) and ttl(column) only where there are columns."""
    cdef:
        cql_span_t keyspace, name
        uint8_t    word = p.now.word
    if columns and (word == WORD_WRITETIME or word == WORD_TTL or word == WORD_MAXWRITETIME):
        parser_next(p)
    elif not parser_qualified(p, &keyspace, &name, NAMES_OF_FUNCTIONS):
        return False
    elif not p.quiet:
        if not columns:
            p.out.flags |= HAS_FUNCTION
        if keyspace.size or not _repeats(p, name):
            p.out.flags |= NOT_IDEMPOTENT
    if not parser_need(p, b'(', b"("):
        return False
    if columns and parser_take(p, b'*'):
        if not parser_need(p, b')', b")"):
            return False
    elif not _several(p, value, b')', columns):
        return False
    value.form = FORM_FUNCTION
    return True


cdef bint _column(parser_t *p, cql_value_of_t *value) noexcept nogil:
    cdef cql_item_t *item = parser_item(p, ITEM_MENTION)
    if not parser_name(p, &item.name, NAMES_ANY):
        return False
    item.whole = item.name
    value.column = item.name
    value.form = FORM_COLUMN
    return True


cdef bint _modifiers(parser_t *p, cql_value_of_t *value) noexcept nogil:
    """.field, [element], [from .. to]"""
    cdef cql_span_t name
    while p.now.kind == b'.' or p.now.kind == b'[':
        if parser_take(p, b'.'):
            if not parser_name(p, &name, NAMES_ANY):
                return False
        else:
            parser_next(p)
            if not parser_take(p, TOKEN_RANGE):
                if not _sum(p, value, False):
                    return False
                if not parser_take(p, TOKEN_RANGE):
                    if not parser_need(p, b']', b"]"):
                        return False
                    value.form = FORM_EXPRESSION
                    continue
            if p.now.kind != b']' and not _sum(p, value, False):
                return False
            if not parser_need(p, b']', b"]"):
                return False
        value.form = FORM_EXPRESSION
    return True


cdef bint _one(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """A value without operators."""
    cdef:
        uint8_t kind = p.now.kind
        uint8_t after
        bint    fine = True
    if p.depth >= NESTING_MAX:
        return parser_fail(p, b"a value that is nested less deeply")
    p.depth += 1
    if TOKEN_STRING <= kind <= TOKEN_HEX:
        value.form = FORM_CONSTANT
        value.literal = kind
        parser_next(p)
    elif kind == b'?' or kind == b':':
        fine = parser_mark(p, value)
    elif kind == b'[':
        parser_next(p)
        fine = _several(p, value, b']', columns)
        value.form = FORM_LIST
    elif kind == b'{':
        parser_next(p)
        fine = _braces(p, value, columns)
    elif kind == b'(':
        fine = _parentheses(p, value, columns)
    elif kind == TOKEN_NAME or kind == TOKEN_QUOTED:
        if p.now.word == WORD_NULL:
            parser_next(p)
            value.form = FORM_NULL
        else:
            after = parser_peek(p)
            if p.now.word == WORD_CAST and after == b'(':
                parser_next(p)
                fine = _cast(p, value, columns)
            elif after == b'(':
                fine = _function(p, value, columns)
            elif after == b'.' and (not columns or _calls_qualified(p)):
                fine = _function(p, value, columns)
            elif columns:
                fine = _column(p, value)
            else:
                fine = parser_fail(p, b"a value")
    else:
        fine = parser_fail(p, b"a value")
    if fine and columns and (p.now.kind == b'.' or p.now.kind == b'['):
        fine = _modifiers(p, value)
    p.depth -= 1
    return fine


cdef bint _calls_qualified(parser_t *p) noexcept nogil:
    """Whether keyspace.function( is at hand, not column.field."""
    cdef:
        cql_lexer_t lexer = p.lexer
        cql_token_t token
        int         _
    for _ in range(3):
        cql_lex(&lexer, &token)
    return token.kind == b'('


cdef bint _sum(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """Values joined by operators. What they are joined to does not matter here, so nothing is said of which binds closer."""
    cdef:
        uint8_t kind
        bint    joined = False
    while True:
        while parser_take(p, b'-'):
            joined = True
        if not _one(p, value, columns):
            return False
        kind = p.now.kind
        if kind != b'+' and kind != b'-' and kind != b'*' and kind != b'/' and kind != b'%':
            break
        if kind == b'+' and not columns and p.depth == 0 and _adds_column(p):
            break
        joined = True
        parser_next(p)
    if joined:
        value.form = FORM_EXPRESSION
    return True


cdef bint _adds_column(parser_t *p) noexcept nogil:
    """Whether, at a +, a column follows, as in SET c = [1] + c."""
    cdef:
        parser_t after = p[0]
        uint8_t  kind
    parser_next(&after)
    if not parser_is_name(&after, NAMES_ANY):
        return False
    kind = parser_peek(&after)
    return kind != b'(' and kind != b'.'


cdef bint parser_expression(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil:
    """A value, or where there are columns whatever may be selected."""
    cdef uint32_t start = p.now.at
    value.bind = BIND_NONE
    value.form = value.literal = 0
    value.column.at = value.column.size = 0
    if not _sum(p, value, columns):
        return False
    value.span = parser_since(p, start)
    return True


cdef bint parser_value(parser_t *p, cql_item_t *item, cql_value_of_t *value) noexcept nogil:
    """A value, noted in the item. `value` is the caller's, for more about it; NULL: nobody asks."""
    cdef cql_value_of_t own
    if value is NULL:
        value = &own
    if not parser_expression(p, value, False):
        return False
    item.value = value.span
    item.bind = value.bind
    item.form = value.form
    item.literal = value.literal if value.form == FORM_CONSTANT else 0
    return True


cdef bint parser_integer(parser_t *p, uint8_t role) noexcept nogil:
    """An integer or a mark, as an item of that role."""
    cdef cql_item_t *item
    if p.now.kind != TOKEN_INTEGER and p.now.kind != b'?' and p.now.kind != b':':
        return parser_fail(p, b"an integer, ? or :name")
    item = parser_item(p, role)
    if not parser_value(p, item, NULL):
        return False
    item.whole = item.value
    return True
