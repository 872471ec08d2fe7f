"""See parse_schema.pxd. The word that a statement begins with has been taken.

Transforms ask of these what they are about, and of tables which columns they have; so names, columns and properties become
items, and what is within permissions, functions and roles is only followed.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.cql.lexer cimport (
    TOKEN_BOOLEAN,
    TOKEN_DOLLARS,
    TOKEN_GE,
    TOKEN_INTEGER,
    TOKEN_LE,
    TOKEN_NAME,
    TOKEN_NE,
    TOKEN_STRING,
    WORD_ACCESS,
    WORD_ADD,
    WORD_AGGREGATE,
    WORD_AGGREGATES,
    WORD_ALL,
    WORD_ALTER,
    WORD_AND,
    WORD_AS,
    WORD_ASC,
    WORD_AUTHORIZE,
    WORD_BY,
    WORD_CALLED,
    WORD_CHECK,
    WORD_CIDRS,
    WORD_CLUSTER,
    WORD_CLUSTERING,
    WORD_COLUMNFAMILIES,
    WORD_COLUMNFAMILY,
    WORD_COMPACT,
    WORD_CREATE,
    WORD_CUSTOM,
    WORD_DATACENTERS,
    WORD_DEFAULT,
    WORD_DESC,
    WORD_DESCRIBE,
    WORD_DROP,
    WORD_ENTRIES,
    WORD_EXECUTE,
    WORD_EXISTS,
    WORD_FINALFUNC,
    WORD_FROM,
    WORD_FULL,
    WORD_FUNCTION,
    WORD_FUNCTIONS,
    WORD_GENERATED,
    WORD_HASHED,
    WORD_IDENTITY,
    WORD_IF,
    WORD_IN,
    WORD_INDEX,
    WORD_INDEXES,
    WORD_INITCOND,
    WORD_INPUT,
    WORD_INTERNALS,
    WORD_KEY,
    WORD_KEYS,
    WORD_KEYSPACE,
    WORD_KEYSPACES,
    WORD_LANGUAGE,
    WORD_LIKE,
    WORD_LOGIN,
    WORD_MASKED,
    WORD_MATERIALIZED,
    WORD_MBEAN,
    WORD_MBEANS,
    WORD_MODIFY,
    WORD_NORECURSIVE,
    WORD_NOSUPERUSER,
    WORD_NOT,
    WORD_NULL,
    WORD_OF,
    WORD_ON,
    WORD_ONLY,
    WORD_OPTIONS,
    WORD_OR,
    WORD_ORDER,
    WORD_PASSWORD,
    WORD_PERMISSION,
    WORD_PERMISSIONS,
    WORD_PRIMARY,
    WORD_RENAME,
    WORD_REPLACE,
    WORD_RETURNS,
    WORD_ROLE,
    WORD_ROLES,
    WORD_SCHEMA,
    WORD_SELECT,
    WORD_SELECT_MASKED,
    WORD_SFUNC,
    WORD_STATIC,
    WORD_STORAGE,
    WORD_STYPE,
    WORD_SUPERUSER,
    WORD_SUPERUSERS,
    WORD_TABLE,
    WORD_TABLES,
    WORD_TIMESTAMP,
    WORD_TO,
    WORD_TRIGGER,
    WORD_TYPE,
    WORD_TYPES,
    WORD_UNMASK,
    WORD_USER,
    WORD_USERS,
    WORD_USING,
    WORD_VALUES,
    WORD_VIEW,
    WORD_WHERE,
    WORD_WITH,
    cql_span_t,
)
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
    HAS_IF,
    ITEM_DEFINE,
    ITEM_KEY,
    ITEM_PROPERTY,
    OBJECT_AGGREGATE,
    OBJECT_FUNCTION,
    OBJECT_IDENTITY,
    OBJECT_INDEX,
    OBJECT_KEYSPACE,
    OBJECT_PERMISSION,
    OBJECT_ROLE,
    OBJECT_TABLE,
    OBJECT_TRIGGER,
    OBJECT_TYPE,
    OBJECT_VIEW,
    cql_item_t,
    cql_value_of_t,
)


cdef bint _if_exists(parser_t *p, bint negated) noexcept nogil:
    if not parser_take_word(p, WORD_IF):
        return True
    p.out.flags |= HAS_IF
    if negated and not parser_need_word(p, WORD_NOT, b"NOT"):
        return False
    return parser_need_word(p, WORD_EXISTS, b"EXISTS")


cdef inline bint _is_table(parser_t *p) noexcept nogil:
    return parser_take_word(p, WORD_TABLE) or parser_take_word(p, WORD_COLUMNFAMILY)


cdef inline bint _is_keyspace(parser_t *p) noexcept nogil:
    return parser_take_word(p, WORD_KEYSPACE) or parser_take_word(p, WORD_SCHEMA)


cdef inline bint _table(parser_t *p) noexcept nogil:
    return parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY)


cdef inline bint _other(parser_t *p, int which) noexcept nogil:
    return parser_qualified(p, &p.out.keyspace, &p.out.other, which)


cdef bint _string(parser_t *p) noexcept nogil:
    return parser_take(p, TOKEN_STRING) or parser_need(p, TOKEN_DOLLARS, b"a string")


cdef bint _named(parser_t *p, cql_span_t *name) noexcept nogil:
    """A role, user or identity: a name or a string."""
    if p.now.kind == TOKEN_STRING or p.now.kind == TOKEN_DOLLARS:
        name[0] = parser_here(p)
        parser_next(p)
        return True
    return parser_name(p, name, NAMES_ANY)


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
    if not _if_exists(p, True) or not _table(p):
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
    if not parser_need_word(p, WORD_VIEW, b"VIEW") or not _if_exists(p, True) or not _other(p, NAMES_ANY) \
            or not parser_need_word(p, WORD_AS, b"AS") or not parser_need_word(p, WORD_SELECT, b"SELECT") \
            or not parse_selectors(p) or not parser_need_word(p, WORD_FROM, b", or FROM") or not _table(p):
        return False
    if parser_take_word(p, WORD_WHERE) and not parse_where(p):
        return False
    if not parser_need_word(p, WORD_PRIMARY, b"PRIMARY KEY") or not _primary_key(p):
        return False
    return _with(p)


cdef bint _create_index(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_INDEX
    if not _if_exists(p, True):
        return False
    if parser_is_name(p, NAMES_ANY) and not parser_name(p, &p.out.other, NAMES_ANY):
        return False
    if not parser_need_word(p, WORD_ON, b"ON") or not _table(p) or not parser_need(p, b'(', b"("):
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
    if parser_take_word(p, WORD_USING) and not _string(p):
        return False
    return _with(p)


cdef bint _trigger(parser_t *p, bint created) noexcept nogil:
    p.out.object = OBJECT_TRIGGER
    if not _if_exists(p, created) or not parser_name(p, &p.out.other, NAMES_ANY) or not parser_need_word(p, WORD_ON, b"ON") \
            or not _table(p):
        return False
    return not created or (parser_need_word(p, WORD_USING, b"USING") and _string(p))


# ---- types, functions ----------------------------------------------------------------------------------------------


cdef bint _create_type(parser_t *p) noexcept nogil:
    p.out.object = OBJECT_TYPE
    if not _if_exists(p, True) or not _other(p, NAMES_OF_TYPES) or not parser_need(p, b'(', b"("):
        return False
    while not parser_take(p, b')'):
        if not _definition(p):
            return False
        if not parser_take(p, b',') and p.now.kind != b')':
            return parser_fail(p, b", or )")
    return True


cdef bint _arguments(parser_t *p, bint named) noexcept nogil:
    """( type, ... ) or ( name type, ... )"""
    cdef cql_span_t span
    if not parser_need(p, b'(', b"("):
        return False
    if parser_take(p, b')'):
        return True
    while True:
        if named and not parser_name(p, &span, NAMES_ANY):
            return False
        if not parser_type(p, &span):
            return False
        if not parser_take(p, b','):
            return parser_need(p, b')', b", or )")


cdef bint _create_function(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    p.out.object = OBJECT_FUNCTION
    if not _if_exists(p, True) or not _other(p, NAMES_OF_FUNCTIONS) or not _arguments(p, True):
        return False
    if parser_take_word(p, WORD_RETURNS):
        if not parser_need_word(p, WORD_NULL, b"NULL"):
            return False
    elif not parser_need_word(p, WORD_CALLED, b"CALLED or RETURNS NULL"):
        return False
    return parser_need_word(p, WORD_ON, b"ON") and parser_need_word(p, WORD_NULL, b"NULL") \
        and parser_need_word(p, WORD_INPUT, b"INPUT") and parser_need_word(p, WORD_RETURNS, b"RETURNS") \
        and parser_type(p, &span) and parser_need_word(p, WORD_LANGUAGE, b"LANGUAGE") and parser_name(p, &span, NAMES_ANY) \
        and parser_need_word(p, WORD_AS, b"AS") and _string(p)


cdef bint _create_aggregate(parser_t *p) noexcept nogil:
    cdef:
        cql_span_t     span
        cql_value_of_t value
    p.out.object = OBJECT_AGGREGATE
    if not _if_exists(p, True) or not _other(p, NAMES_OF_FUNCTIONS) or not _arguments(p, False) \
            or not parser_need_word(p, WORD_SFUNC, b"SFUNC") or not parser_name(p, &span, NAMES_OF_FUNCTIONS) \
            or not parser_need_word(p, WORD_STYPE, b"STYPE") or not parser_type(p, &span):
        return False
    if parser_take_word(p, WORD_FINALFUNC) and not parser_name(p, &span, NAMES_OF_FUNCTIONS):
        return False
    return not parser_take_word(p, WORD_INITCOND) or parser_expression(p, &value, False)


# ---- roles ---------------------------------------------------------------------------------------------------------


cdef bint _strings_in_braces(parser_t *p) noexcept nogil:
    if not parser_need(p, b'{', b"{"):
        return False
    while True:
        if not _string(p):
            return False
        if not parser_take(p, b','):
            return parser_need(p, b'}', b", or }")


cdef bint _role_option(parser_t *p) noexcept nogil:
    cdef cql_value_of_t value
    if parser_take_word(p, WORD_GENERATED):
        return parser_need_word(p, WORD_PASSWORD, b"PASSWORD")
    if parser_take_word(p, WORD_ACCESS):
        if parser_take_word(p, WORD_TO):
            if parser_take_word(p, WORD_ALL):
                return parser_need_word(p, WORD_DATACENTERS, b"DATACENTERS")
            return parser_need_word(p, WORD_DATACENTERS, b"DATACENTERS") and _strings_in_braces(p)
        if not parser_need_word(p, WORD_FROM, b"TO or FROM"):
            return False
        if parser_take_word(p, WORD_ALL):
            return parser_need_word(p, WORD_CIDRS, b"CIDRS")
        return parser_need_word(p, WORD_CIDRS, b"CIDRS") and _strings_in_braces(p)
    if parser_take_word(p, WORD_SUPERUSER) or parser_take_word(p, WORD_LOGIN):
        return parser_need(p, b'=', b"=") and parser_need(p, TOKEN_BOOLEAN, b"true or false")
    if parser_take_word(p, WORD_OPTIONS):
        return parser_need(p, b'=', b"=") and parser_expression(p, &value, False)
    parser_take_word(p, WORD_HASHED)
    return parser_need_word(p, WORD_PASSWORD, b"an option of a role") and parser_need(p, b'=', b"=") and _string(p)


cdef bint _role(parser_t *p, bint created) noexcept nogil:
    """CREATE and ALTER"""
    p.out.object = OBJECT_ROLE
    if not _if_exists(p, created) or not _named(p, &p.out.other):
        return False
    if not parser_take_word(p, WORD_WITH):
        return True
    while True:
        if not _role_option(p):
            return False
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint _user(parser_t *p, bint created) noexcept nogil:
    p.out.object = OBJECT_ROLE
    if not _if_exists(p, created) or not _named(p, &p.out.other):
        return False
    if parser_take_word(p, WORD_WITH):
        if parser_take_word(p, WORD_GENERATED):
            if not parser_need_word(p, WORD_PASSWORD, b"PASSWORD"):
                return False
        else:
            parser_take_word(p, WORD_HASHED)
            if not parser_need_word(p, WORD_PASSWORD, b"PASSWORD") or not _string(p):
                return False
    if not parser_take_word(p, WORD_SUPERUSER):
        parser_take_word(p, WORD_NOSUPERUSER)
    return True


# ---- CREATE, ALTER, DROP -------------------------------------------------------------------------------------------


cdef bint parse_create(parser_t *p) noexcept nogil:
    if parser_take_word(p, WORD_OR):
        if not parser_need_word(p, WORD_REPLACE, b"REPLACE"):
            return False
    if parser_take_word(p, WORD_CUSTOM):
        return parser_need_word(p, WORD_INDEX, b"INDEX") and _create_index(p)
    if _is_table(p):
        return _create_table(p)
    if _is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return _if_exists(p, True) and parser_name(p, &p.out.keyspace, NAMES_ANY) and parser_need_word(p, WORD_WITH, b"WITH") \
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
        return _role(p, True)
    if parser_take_word(p, WORD_USER):
        return _user(p, True)
    return parser_fail(p, b"what is to be created, such as TABLE")


cdef bint _renames(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    if not _if_exists(p, False):
        return False
    while True:
        if not parser_name(p, &name, NAMES_ANY) or not parser_need_word(p, WORD_TO, b"TO") or not parser_name(p, &name, NAMES_ANY):
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
    if not _if_exists(p, False) or not parser_name(p, &name, NAMES_ANY):
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
    if not _if_exists(p, False) or not _table(p):
        return False
    if parser_take_word(p, WORD_ALTER):
        return _alter_column(p)
    if parser_take_word(p, WORD_ADD):
        return _if_exists(p, True) and _in_parentheses(p, _definition)
    if parser_take_word(p, WORD_DROP):
        if p.now.word == WORD_COMPACT:
            parser_next(p)
            if parser_take_word(p, WORD_STORAGE):
                return True
        elif not _if_exists(p, False) or not _in_parentheses(p, _dropped):
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
    if not _if_exists(p, False) or not _other(p, NAMES_OF_TYPES):
        return False
    if parser_take_word(p, WORD_ALTER):
        return parser_name(p, &span, NAMES_ANY) and parser_need_word(p, WORD_TYPE, b"TYPE") and parser_type(p, &span)
    if parser_take_word(p, WORD_ADD):
        return _if_exists(p, True) and _definition(p)
    return parser_need_word(p, WORD_RENAME, b"ADD, ALTER or RENAME") and _renames(p)


cdef bint parse_alter(parser_t *p) noexcept nogil:
    if _is_table(p):
        return _alter_table(p)
    if _is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return _if_exists(p, False) and parser_name(p, &p.out.keyspace, NAMES_ANY) and parser_need_word(p, WORD_WITH, b"WITH") \
            and _properties(p)
    if parser_take_word(p, WORD_TYPE):
        return _alter_type(p)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and _if_exists(p, False) and _other(p, NAMES_ANY) \
            and parser_need_word(p, WORD_WITH, b"WITH") and _properties(p)
    if parser_take_word(p, WORD_ROLE):
        return _role(p, False)
    if parser_take_word(p, WORD_USER):
        return _user(p, False)
    return parser_fail(p, b"what is to be altered, such as TABLE")


cdef bint parse_drop(parser_t *p) noexcept nogil:
    if _is_table(p):
        p.out.object = OBJECT_TABLE
        return _if_exists(p, False) and _table(p)
    if _is_keyspace(p):
        p.out.object = OBJECT_KEYSPACE
        return _if_exists(p, False) and parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parser_take_word(p, WORD_TYPE):
        p.out.object = OBJECT_TYPE
        return _if_exists(p, False) and _other(p, NAMES_OF_TYPES)
    if parser_take_word(p, WORD_INDEX):
        p.out.object = OBJECT_INDEX
        return _if_exists(p, False) and _other(p, NAMES_ANY)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and _if_exists(p, False) and _other(p, NAMES_ANY)
    if p.now.word == WORD_FUNCTION or p.now.word == WORD_AGGREGATE:
        p.out.object = OBJECT_FUNCTION if p.now.word == WORD_FUNCTION else OBJECT_AGGREGATE
        parser_next(p)
        return _if_exists(p, False) and _other(p, NAMES_OF_FUNCTIONS) and (p.now.kind != b'(' or _arguments(p, False))
    if parser_take_word(p, WORD_TRIGGER):
        return _trigger(p, False)
    if parser_take_word(p, WORD_ROLE) or parser_take_word(p, WORD_USER):
        p.out.object = OBJECT_ROLE
        return _if_exists(p, False) and _named(p, &p.out.other)
    if parser_take_word(p, WORD_IDENTITY):
        p.out.object = OBJECT_IDENTITY
        return _if_exists(p, False) and _named(p, &p.out.other)
    return parser_fail(p, b"what is to be dropped, such as TABLE")


# ---- permissions ---------------------------------------------------------------------------------------------------


cdef bint _is_permission(parser_t *p) noexcept nogil:
    return p.now.word in (WORD_CREATE, WORD_ALTER, WORD_DROP, WORD_SELECT, WORD_MODIFY, WORD_AUTHORIZE, WORD_DESCRIBE,
                          WORD_EXECUTE, WORD_UNMASK, WORD_SELECT_MASKED)


cdef bint _permissions(parser_t *p) noexcept nogil:
    """ALL [PERMISSIONS], or some"""
    if parser_take_word(p, WORD_ALL):
        parser_take_word(p, WORD_PERMISSIONS)
        return True
    while True:
        if not _is_permission(p):
            return parser_fail(p, b"a permission")
        parser_next(p)
        parser_take_word(p, WORD_PERMISSION)
        if not parser_take(p, b','):
            return True


cdef bint _resource(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    p.out.object = OBJECT_PERMISSION
    if p.now.word == WORD_ALL and parser_peek(p) == TOKEN_NAME:
        parser_next(p)
        if parser_take_word(p, WORD_TABLES) or parser_take_word(p, WORD_COLUMNFAMILIES):
            return parser_need_word(p, WORD_IN, b"IN") and (_is_keyspace(p) or parser_fail(p, b"KEYSPACE")) \
                and parser_name(p, &p.out.keyspace, NAMES_ANY)
        if parser_take_word(p, WORD_FUNCTIONS):
            return not parser_take_word(p, WORD_IN) or ((_is_keyspace(p) or parser_fail(p, b"KEYSPACE"))
                                                        and parser_name(p, &p.out.keyspace, NAMES_ANY))
        return parser_take_word(p, WORD_KEYSPACES) or parser_take_word(p, WORD_ROLES) \
            or parser_need_word(p, WORD_MBEANS, b"KEYSPACES, TABLES, FUNCTIONS, ROLES or MBEANS")
    if _is_keyspace(p):
        return parser_name(p, &p.out.keyspace, NAMES_ANY)
    if _is_table(p):
        return _table(p)
    if p.now.word == WORD_ROLE and parser_peek(p) not in (b'.', 0) and not _ends_resource(p):
        parser_next(p)
        return _named(p, &p.out.other)
    if p.now.word == WORD_FUNCTION and parser_peek(p) != b'.' and not _ends_resource(p):
        parser_next(p)
        return parser_qualified(p, &p.out.keyspace, &span, NAMES_OF_FUNCTIONS) and _arguments(p, False)
    if (p.now.word == WORD_MBEAN or p.now.word == WORD_MBEANS) and parser_peek(p) in (TOKEN_STRING, TOKEN_DOLLARS):
        parser_next(p)
        return _string(p)
    return _table(p)


cdef bint _ends_resource(parser_t *p) noexcept nogil:
    """Whether the word at hand is a table's name: TO, FROM or OF follows."""
    cdef parser_t after = p[0]
    parser_next(&after)
    return after.now.word == WORD_TO or after.now.word == WORD_FROM or after.now.word == WORD_OF \
        or after.now.word == WORD_NORECURSIVE


cdef bint parse_grant(parser_t *p, bint granted) noexcept nogil:
    """GRANT and REVOKE, of permissions and of roles"""
    cdef cql_span_t name
    cdef bint permissions = _is_permission(p)
    if p.now.word == WORD_ALL:
        permissions = not _ends_resource(p)
    if permissions:
        if not _permissions(p) or not parser_need_word(p, WORD_ON, b", or ON") or not _resource(p):
            return False
    else:
        p.out.object = OBJECT_ROLE
        if not _named(p, &p.out.other):
            return False
    if granted:
        return parser_need_word(p, WORD_TO, b"TO") and _named(p, &name)
    return parser_need_word(p, WORD_FROM, b"FROM") and _named(p, &name)


cdef bint parse_list(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_ROLE
    if parser_take_word(p, WORD_USERS) or parser_take_word(p, WORD_SUPERUSERS):
        return True
    if not parser_take_word(p, WORD_ROLES):
        p.out.object = OBJECT_PERMISSION
        if not _permissions(p) or (parser_take_word(p, WORD_ON) and not _resource(p)):
            return False
    if parser_take_word(p, WORD_OF) and not _named(p, &name):
        return False
    parser_take_word(p, WORD_NORECURSIVE)
    return True


cdef bint parse_add(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_IDENTITY
    return parser_need_word(p, WORD_IDENTITY, b"IDENTITY") and _if_exists(p, True) and _named(p, &p.out.other) \
        and parser_need_word(p, WORD_TO, b"TO") and parser_need_word(p, WORD_ROLE, b"ROLE") and _named(p, &name)


cdef bint _described(parser_t *p) noexcept nogil:
    cdef uint8_t word = p.now.word
    cdef uint8_t after = parser_peek(p)
    if parser_take_word(p, WORD_FULL):
        return parser_need_word(p, WORD_SCHEMA, b"SCHEMA")
    if parser_take_word(p, WORD_ONLY):
        if p.now.word != WORD_KEYSPACE and p.now.word != WORD_SCHEMA:
            return True                                 # a table of that name
    if parser_take_word(p, WORD_SCHEMA):
        return not parser_is_name(p, NAMES_ANY) or parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parser_take_word(p, WORD_KEYSPACE):
        p.out.object = OBJECT_KEYSPACE
        return not parser_is_name(p, NAMES_ANY) or parser_name(p, &p.out.keyspace, NAMES_ANY)
    if _is_table(p):
        p.out.object = OBJECT_TABLE
        return _table(p)
    if parser_take_word(p, WORD_INDEX):
        p.out.object = OBJECT_INDEX
        return _other(p, NAMES_ANY)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and _other(p, NAMES_ANY)
    if after == TOKEN_NAME and p.now.word != WORD_CLUSTER and (word == WORD_TYPE or word == WORD_FUNCTION or word == WORD_AGGREGATE):
        p.out.object = OBJECT_TYPE if word == WORD_TYPE else OBJECT_FUNCTION if word == WORD_FUNCTION else OBJECT_AGGREGATE
        parser_next(p)
        return _other(p, NAMES_ANY)
    if after != b'.' and word in (WORD_CLUSTER, WORD_KEYSPACES, WORD_TABLES, WORD_COLUMNFAMILIES, WORD_TYPES, WORD_FUNCTIONS,
                                  WORD_AGGREGATES):
        parser_next(p)
        return True
    return _table(p)


cdef bint parse_describe(parser_t *p) noexcept nogil:
    if not _described(p):
        return False
    return not parser_take_word(p, WORD_WITH) or parser_need_word(p, WORD_INTERNALS, b"INTERNALS")
