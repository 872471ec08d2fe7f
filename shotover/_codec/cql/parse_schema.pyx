"""See parse_schema.pxd. The word that a statement begins with has been taken.

Transforms ask of these what they are about, and of tables which columns they have; so names, columns and properties become
items, and what is within permissions, functions and roles is only followed.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.cql.lexer cimport (
    TOKEN_GE,
    TOKEN_INTEGER,
    TOKEN_LE,
    TOKEN_NAME,
    TOKEN_NE,
    WORD_ADD,
    WORD_AGGREGATE,
    WORD_ALTER,
    WORD_AND,
    WORD_AS,
    WORD_ASC,
    WORD_BY,
    WORD_CALLED,
    WORD_CHECK,
    WORD_CLUSTERING,
    WORD_COMPACT,
    WORD_CUSTOM,
    WORD_DEFAULT,
    WORD_DESC,
    WORD_DROP,
    WORD_ENTRIES,
    WORD_FINALFUNC,
    WORD_FROM,
    WORD_FULL,
    WORD_FUNCTION,
    WORD_IDENTITY,
    WORD_INDEX,
    WORD_INDEXES,
    WORD_INITCOND,
    WORD_INPUT,
    WORD_KEY,
    WORD_KEYS,
    WORD_LANGUAGE,
    WORD_LIKE,
    WORD_MASKED,
    WORD_MATERIALIZED,
    WORD_NULL,
    WORD_ON,
    WORD_OR,
    WORD_ORDER,
    WORD_PRIMARY,
    WORD_RENAME,
    WORD_REPLACE,
    WORD_RETURNS,
    WORD_ROLE,
    WORD_SELECT,
    WORD_SFUNC,
    WORD_STATIC,
    WORD_STORAGE,
    WORD_STYPE,
    WORD_TIMESTAMP,
    WORD_TO,
    WORD_TRIGGER,
    WORD_TYPE,
    WORD_USER,
    WORD_USING,
    WORD_VALUES,
    WORD_VIEW,
    WORD_WHERE,
    WORD_WITH,
    cql_span_t,
)
from shotover._codec.cql.parse_parts cimport (
    parse_if_exists,
    parse_is_table,
    parse_is_keyspace,
    parse_table,
    parse_other,
    parse_string,
    parse_named,
    parse_arguments,
)
from shotover._codec.cql.parse_roles cimport parse_role, parse_user
from shotover._codec.cql.parse_rows cimport parse_selectors, parse_where
from shotover._codec.cql.parser cimport (
    NAMES_ANY,
    NAMES_OF_FUNCTIONS,
    NAMES_OF_TYPES,
    parser_expression,
    parser_fail,
    parser_here,
    parser_is_name,
    parser_item,
    parser_name,
    parser_need,
    parser_need_word,
    parser_next,
    parser_peek,
    parser_qualified,
    parser_since,
    parser_take,
    parser_take_word,
    parser_type,
    parser_value,
)
from shotover._codec.cql.statement cimport (
    DEFINE_MASKED,
    DEFINE_PRIMARY,
    DEFINE_STATIC,
    ITEM_DEFINE,
    ITEM_KEY,
    ITEM_PROPERTY,
    OBJECT_AGGREGATE,
    OBJECT_FUNCTION,
    OBJECT_IDENTITY,
    OBJECT_INDEX,
    OBJECT_KEYSPACE,
    OBJECT_ROLE,
    OBJECT_TABLE,
    OBJECT_TRIGGER,
    OBJECT_TYPE,
    OBJECT_VIEW,
    cql_item_t,
    cql_value_of_t,
)


cdef bint _properties(parser_t *p) noexcept nogil:
    """name = value AND ...; COMPACT STORAGE, CLUSTERING ORDER BY (...) and INDEXES as well. Behind WITH."""
    cdef:
        cql_item_t *item
        cql_span_t  name
        uint32_t    start
    while True:
        start = p.now.at
        if p.now.word == WORD_COMPACT and parser_peek(p) != b'=':
            parser_next(p)
            if not parser_need_word(p, WORD_STORAGE, b"STORAGE"):
                return False
        elif p.now.word == WORD_INDEXES and parser_peek(p) != b'=':
            parser_next(p)
        elif p.now.word == WORD_CLUSTERING and parser_peek(p) != b'=':
            parser_next(p)
            if not parser_need_word(p, WORD_ORDER, b"ORDER") or not parser_need_word(p, WORD_BY, b"BY") \
                    or not parser_need(p, b'(', b"("):
                return False
            while True:
                if not parser_name(p, &name, NAMES_ANY):
                    return False
                if not parser_take_word(p, WORD_DESC) and not parser_need_word(p, WORD_ASC, b"ASC or DESC"):
                    return False
                if not parser_take(p, b','):
                    break
            if not parser_need(p, b')', b", or )"):
                return False
        else:
            item = parser_item(p, ITEM_PROPERTY)
            if not parser_name(p, &item.name, NAMES_ANY) or not parser_need(p, b'=', b"="):
                return False
            if p.now.kind == TOKEN_NAME and parser_is_name(p, NAMES_ANY):
                item.value = parser_here(p)
                parser_next(p)
            elif not parser_value(p, item, NULL):
                return False
            item.whole = parser_since(p, start)
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _with(parser_t *p) noexcept nogil:
    return not parser_take_word(p, WORD_WITH) or _properties(p)


# ---- tables --------------------------------------------------------------------------------------------------------


cdef bint _mask(parser_t *p) noexcept nogil:
    """WITH DEFAULT or WITH function(values), behind MASKED"""
    cdef cql_value_of_t value
    if not parser_need_word(p, WORD_WITH, b"WITH"):
        return False
    if p.now.word == WORD_DEFAULT and parser_peek(p) != b'(':
        parser_next(p)
        return True
    return parser_expression(p, &value, False)


cdef bint _checks(parser_t *p) noexcept nogil:
    """Constraints, behind CHECK: a column or a function of it, compared or alone."""
    cdef cql_value_of_t value
    while True:
        if not parser_expression(p, &value, True):
            return False
        if p.now.kind in (b'=', b'<', b'>', TOKEN_LE, TOKEN_GE, TOKEN_NE):
            parser_next(p)
            if not parser_expression(p, &value, False):
                return False
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _definition(parser_t *p) noexcept nogil:
    """name type [STATIC] [MASKED ...] [CHECK ...] [PRIMARY KEY]"""
    cdef:
        cql_item_t *item = parser_item(p, ITEM_DEFINE)
        uint32_t    start = p.now.at
    if not parser_name(p, &item.name, NAMES_ANY) or not parser_type(p, &item.value):
        return False
    if parser_take_word(p, WORD_STATIC):
        item.op |= DEFINE_STATIC
    if parser_take_word(p, WORD_MASKED):
        item.op |= DEFINE_MASKED
        if not _mask(p):
            return False
    if parser_take_word(p, WORD_CHECK) and not _checks(p):
        return False
    if parser_take_word(p, WORD_PRIMARY):
        item.op |= DEFINE_PRIMARY
        if not parser_need_word(p, WORD_KEY, b"KEY"):
            return False
    item.whole = parser_since(p, start)
    return True


cdef bint _key(parser_t *p, uint8_t op) noexcept nogil:
    cdef cql_item_t *item = parser_item(p, ITEM_KEY)
    item.op = op
    if not parser_name(p, &item.name, NAMES_ANY):
        return False
    item.whole = item.name
    return True


cdef bint _primary_key(parser_t *p) noexcept nogil:
    """KEY ( a, b ) or KEY ( ( a, b ), c ), behind PRIMARY"""
    if not parser_need_word(p, WORD_KEY, b"KEY") or not parser_need(p, b'(', b"("):
        return False
    if parser_take(p, b'('):
        while True:
            if not _key(p, 0):
                return False
            if not parser_take(p, b','):
                break
        if not parser_need(p, b')', b", or )"):
            return False
    elif not _key(p, 0):
        return False
    while parser_take(p, b','):
        if not _key(p, 1):
            return False
    return parser_need(p, b')', b", or )")


cdef bint _create_table(parser_t *p) noexcept nogil:
    p.out.object = OBJECT_TABLE
    if not parse_if_exists(p, True) or not parse_table(p):
        return False
    if parser_take_word(p, WORD_LIKE):
        return _like(p) and _with(p)
    if not parser_need(p, b'(', b"("):
        return False
    while not parser_take(p, b')'):
        if p.now.word == WORD_PRIMARY:
            parser_next(p)
            if not _primary_key(p):
                return False
        elif not _definition(p):
            return False
        if not parser_take(p, b',') and p.now.kind != b')':
            return parser_fail(p, b", or )")
        while parser_take(p, b','):             # as the servers: any number of them
            pass
    return _with(p)


cdef bint _like(parser_t *p) noexcept nogil:
    """The table that another is to be like: `other` spans its keyspace, too."""
    cdef:
        cql_span_t keyspace, name
        uint32_t   start = p.now.at
    if not parser_qualified(p, &keyspace, &name, NAMES_ANY):
        return False
    p.out.other = parser_since(p, start)
    return True


cdef bint _create_view(parser_t *p) noexcept nogil:
    p.out.object = OBJECT_VIEW
    if not parser_need_word(p, WORD_VIEW, b"VIEW") or not parse_if_exists(p, True) or not parse_other(p, NAMES_ANY) \
            or not parser_need_word(p, WORD_AS, b"AS") or not parser_need_word(p, WORD_SELECT, b"SELECT") \
            or not parse_selectors(p) or not parser_need_word(p, WORD_FROM, b", or FROM") or not parse_table(p):
        return False
    if parser_take_word(p, WORD_WHERE) and not parse_where(p):
        return False
    if not parser_need_word(p, WORD_PRIMARY, b"PRIMARY KEY") or not _primary_key(p):
        return False
    return _with(p)


cdef bint _create_index(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_INDEX
    if not parse_if_exists(p, True):
        return False
    if parser_is_name(p, NAMES_ANY) and not parser_name(p, &p.out.other, NAMES_ANY):
        return False
    if not parser_need_word(p, WORD_ON, b"ON") or not parse_table(p) or not parser_need(p, b'(', b"("):
        return False
    while not parser_take(p, b')'):
        if p.now.word in (WORD_VALUES, WORD_KEYS, WORD_ENTRIES, WORD_FULL) and parser_peek(p) == b'(':
            parser_next(p)
            parser_next(p)
            if not parser_name(p, &name, NAMES_ANY) or not parser_need(p, b')', b")"):
                return False
        elif not parser_name(p, &name, NAMES_ANY):
            return False
        if not parser_take(p, b',') and p.now.kind != b')':
            return parser_fail(p, b", or )")
    if parser_take_word(p, WORD_USING) and not parse_string(p):
        return False
    return _with(p)


cdef bint _trigger(parser_t *p, bint created) noexcept nogil:
    p.out.object = OBJECT_TRIGGER
    if not parse_if_exists(p, created) or not parser_name(p, &p.out.other, NAMES_ANY) or not parser_need_word(p, WORD_ON, b"ON") \
            or not parse_table(p):
        return False
    return not created or (parser_need_word(p, WORD_USING, b"USING") and parse_string(p))


# ---- types, functions ----------------------------------------------------------------------------------------------


cdef bint _create_type(parser_t *p) noexcept nogil:
    p.out.object = OBJECT_TYPE
    if not parse_if_exists(p, True) or not parse_other(p, NAMES_OF_TYPES) or not parser_need(p, b'(', b"("):
        return False
    while not parser_take(p, b')'):
        if not _definition(p):
            return False
        if not parser_take(p, b',') and p.now.kind != b')':
            return parser_fail(p, b", or )")
    return True


cdef bint _create_function(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    p.out.object = OBJECT_FUNCTION
    if not parse_if_exists(p, True) or not parse_other(p, NAMES_OF_FUNCTIONS) or not parse_arguments(p, True):
        return False
    if parser_take_word(p, WORD_RETURNS):
        if not parser_need_word(p, WORD_NULL, b"NULL"):
            return False
    elif not parser_need_word(p, WORD_CALLED, b"CALLED or RETURNS NULL"):
        return False
    return parser_need_word(p, WORD_ON, b"ON") and parser_need_word(p, WORD_NULL, b"NULL") \
        and parser_need_word(p, WORD_INPUT, b"INPUT") and parser_need_word(p, WORD_RETURNS, b"RETURNS") \
        and parser_type(p, &span) and parser_need_word(p, WORD_LANGUAGE, b"LANGUAGE") and parser_name(p, &span, NAMES_ANY) \
        and parser_need_word(p, WORD_AS, b"AS") and parse_string(p)


cdef bint _create_aggregate(parser_t *p) noexcept nogil:
    cdef:
        cql_span_t     span
        cql_value_of_t value
    p.out.object = OBJECT_AGGREGATE
    if not parse_if_exists(p, True) or not parse_other(p, NAMES_OF_FUNCTIONS) or not parse_arguments(p, False) \
            or not parser_need_word(p, WORD_SFUNC, b"SFUNC") or not parser_name(p, &span, NAMES_OF_FUNCTIONS) \
            or not parser_need_word(p, WORD_STYPE, b"STYPE") or not parser_type(p, &span):
        return False
    if parser_take_word(p, WORD_FINALFUNC) and not parser_name(p, &span, NAMES_OF_FUNCTIONS):
        return False
    return not parser_take_word(p, WORD_INITCOND) or parser_expression(p, &value, False)


# ---- CREATE, ALTER, DROP -------------------------------------------------------------------------------------------


cdef bint parse_create(parser_t *p) noexcept nogil:
    if parser_take_word(p, WORD_OR):
        if not parser_need_word(p, WORD_REPLACE, b"REPLACE"):
            return False
    if parser_take_word(p, WORD_CUSTOM):
        return parser_need_word(p, WORD_INDEX, b"INDEX") and _create_index(p)
    if parse_is_table(p):
        return _create_table(p)
    if parse_is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return parse_if_exists(p, True) and parser_name(p, &p.out.keyspace, NAMES_ANY) \
            and parser_need_word(p, WORD_WITH, b"WITH") \
            and _properties(p)
    if parser_take_word(p, WORD_TYPE):
        return _create_type(p)
    if parser_take_word(p, WORD_INDEX):
        return _create_index(p)
    if parser_take_word(p, WORD_MATERIALIZED):
        return _create_view(p)
    if parser_take_word(p, WORD_FUNCTION):
        return _create_function(p)
    if parser_take_word(p, WORD_AGGREGATE):
        return _create_aggregate(p)
    if parser_take_word(p, WORD_TRIGGER):
        return _trigger(p, True)
    if parser_take_word(p, WORD_ROLE):
        return parse_role(p, True)
    if parser_take_word(p, WORD_USER):
        return parse_user(p, True)
    return parser_fail(p, b"what is to be created, such as TABLE")


cdef bint _renames(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    if not parse_if_exists(p, False):
        return False
    while True:
        if not parser_name(p, &name, NAMES_ANY) or not parser_need_word(p, WORD_TO, b"TO") \
                or not parser_name(p, &name, NAMES_ANY):
            return False
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _in_parentheses(parser_t *p, bint (*part)(parser_t *) noexcept nogil) noexcept nogil:
    """One, or several within parentheses."""
    if not parser_take(p, b'('):
        return part(p)
    while True:
        if not part(p):
            return False
        if not parser_take(p, b','):
            return parser_need(p, b')', b", or )")


cdef bint _dropped(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    return parser_name(p, &name, NAMES_ANY)


cdef bint _alter_column(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    if not parse_if_exists(p, False) or not parser_name(p, &name, NAMES_ANY):
        return False
    if parser_take_word(p, WORD_TYPE):
        return parser_type(p, &name)
    if parser_take_word(p, WORD_MASKED):
        return _mask(p)
    if parser_take_word(p, WORD_CHECK):
        return _checks(p)
    if not parser_need_word(p, WORD_DROP, b"TYPE, MASKED or DROP"):
        return False
    return parser_take_word(p, WORD_CHECK) or parser_need_word(p, WORD_MASKED, b"MASKED")


cdef bint _alter_table(parser_t *p) noexcept nogil:
    p.out.object = OBJECT_TABLE
    if not parse_if_exists(p, False) or not parse_table(p):
        return False
    if parser_take_word(p, WORD_ALTER):
        return _alter_column(p)
    if parser_take_word(p, WORD_ADD):
        return parse_if_exists(p, True) and _in_parentheses(p, _definition)
    if parser_take_word(p, WORD_DROP):
        if p.now.word == WORD_COMPACT:
            parser_next(p)
            if parser_take_word(p, WORD_STORAGE):
                return True
        elif not parse_if_exists(p, False) or not _in_parentheses(p, _dropped):
            return False
        if not parser_take_word(p, WORD_USING):
            return True
        return parser_need_word(p, WORD_TIMESTAMP, b"TIMESTAMP") and parser_need(p, TOKEN_INTEGER, b"an integer")
    if parser_take_word(p, WORD_RENAME):
        return _renames(p)
    return parser_need_word(p, WORD_WITH, b"ADD, ALTER, DROP, RENAME or WITH") and _properties(p)


cdef bint _alter_type(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    p.out.object = OBJECT_TYPE
    if not parse_if_exists(p, False) or not parse_other(p, NAMES_OF_TYPES):
        return False
    if parser_take_word(p, WORD_ALTER):
        return parser_name(p, &span, NAMES_ANY) and parser_need_word(p, WORD_TYPE, b"TYPE") and parser_type(p, &span)
    if parser_take_word(p, WORD_ADD):
        return parse_if_exists(p, True) and _definition(p)
    return parser_need_word(p, WORD_RENAME, b"ADD, ALTER or RENAME") and _renames(p)


cdef bint parse_alter(parser_t *p) noexcept nogil:
    if parse_is_table(p):
        return _alter_table(p)
    if parse_is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return parse_if_exists(p, False) and parser_name(p, &p.out.keyspace, NAMES_ANY) \
            and parser_need_word(p, WORD_WITH, b"WITH") \
            and _properties(p)
    if parser_take_word(p, WORD_TYPE):
        return _alter_type(p)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and parse_if_exists(p, False) and parse_other(p, NAMES_ANY) \
            and parser_need_word(p, WORD_WITH, b"WITH") and _properties(p)
    if parser_take_word(p, WORD_ROLE):
        return parse_role(p, False)
    if parser_take_word(p, WORD_USER):
        return parse_user(p, False)
    return parser_fail(p, b"what is to be altered, such as TABLE")


cdef bint parse_drop(parser_t *p) noexcept nogil:
    if parse_is_table(p):
        p.out.object = OBJECT_TABLE
        return parse_if_exists(p, False) and parse_table(p)
    if parse_is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return parse_if_exists(p, False) and parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parser_take_word(p, WORD_TYPE):
        p.out.object = OBJECT_TYPE
        return parse_if_exists(p, False) and parse_other(p, NAMES_OF_TYPES)
    if parser_take_word(p, WORD_INDEX):
        p.out.object = OBJECT_INDEX
        return parse_if_exists(p, False) and parse_other(p, NAMES_ANY)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and parse_if_exists(p, False) and parse_other(p, NAMES_ANY)
    if p.now.word == WORD_FUNCTION or p.now.word == WORD_AGGREGATE:
        p.out.object = OBJECT_FUNCTION if p.now.word == WORD_FUNCTION else OBJECT_AGGREGATE
        parser_next(p)
        return parse_if_exists(p, False) and parse_other(p, NAMES_OF_FUNCTIONS) \
            and (p.now.kind != b'(' or parse_arguments(p, False))
    if parser_take_word(p, WORD_TRIGGER):
        return _trigger(p, False)
    if parser_take_word(p, WORD_ROLE) or parser_take_word(p, WORD_USER):
        p.out.object = OBJECT_ROLE
        return parse_if_exists(p, False) and parse_named(p, &p.out.other)
    if parser_take_word(p, WORD_IDENTITY):
        p.out.object = OBJECT_IDENTITY
        return parse_if_exists(p, False) and parse_named(p, &p.out.other)
    return parser_fail(p, b"what is to be dropped, such as TABLE")
