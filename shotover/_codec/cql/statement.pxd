"""What a CQL statement says, as spans of its text: so an edit of one of them leaves every other byte as it was.

The result is flat. The caller gives room for items; if a statement has more of them, it is parsed to its end all the same
(kind, table and flags are right) and `truncated` is set: whoever needs every item must look at that. Nothing is allocated.

    SELECT a, f(b) AS x FROM ks.t WHERE k = ? AND c > 1 LIMIT 10
           ^  ^                         ^         ^           ^
           SELECT, SELECT + MENTION     WHERE     WHERE       LIMIT        (and a BIND for each mark)

Every place where a column is read or written has an item with its name: SELECT (a plain column), MENTION (a column within an
expression), COLUMN, ASSIGN, DELETE, WHERE, IF, ORDER. `SELECT *` and INSERT ... JSON name none: see the flags.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.lexer cimport cql_lexer_t, cql_span_t, cql_token_t


cdef enum:                          # cql_statement_t.type
    STATEMENT_UNKNOWN = 0           # see error_at, expected
    STATEMENT_SELECT = 1
    STATEMENT_INSERT = 2
    STATEMENT_UPDATE = 3
    STATEMENT_DELETE = 4
    STATEMENT_BATCH = 5
    STATEMENT_TRUNCATE = 6
    STATEMENT_USE = 7
    STATEMENT_CREATE = 8            # `object` says of what
    STATEMENT_ALTER = 9
    STATEMENT_DROP = 10
    STATEMENT_GRANT = 11
    STATEMENT_REVOKE = 12
    STATEMENT_LIST = 13
    STATEMENT_DESCRIBE = 14
    STATEMENT_ADD = 15              # ADD IDENTITY

cdef enum:                          # cql_statement_t.object, of schema statements
    OBJECT_NONE = 0
    OBJECT_KEYSPACE = 1             # its name is `keyspace`, and there is no table
    OBJECT_TABLE = 2
    OBJECT_TYPE = 3                 # from here on `other` is its name, but a table that is named, too, is `table`
    OBJECT_FUNCTION = 4
    OBJECT_AGGREGATE = 5
    OBJECT_VIEW = 6                 # `table` is the base table of a CREATE
    OBJECT_INDEX = 7
    OBJECT_TRIGGER = 8
    OBJECT_ROLE = 9                 # users as well
    OBJECT_IDENTITY = 10
    OBJECT_PERMISSION = 11

cdef enum:                          # cql_statement_t.flags
    HAS_STAR = 1 << 0               # SELECT *
    HAS_JSON = 1 << 1               # SELECT JSON, INSERT ... JSON
    HAS_DISTINCT = 1 << 2
    HAS_ALLOW_FILTERING = 1 << 3
    HAS_IF = 1 << 4                 # a lightweight transaction; of schema statements: IF [NOT] EXISTS
    HAS_EXPRESSION = 1 << 5         # something selected is more than a column
    HAS_FUNCTION = 1 << 6           # of a value: what it is worth only the server knows
    HAS_DEFAULT_UNSET = 1 << 7
    HAS_UNLOGGED = 1 << 8
    HAS_COUNTER = 1 << 9            # BEGIN COUNTER BATCH
    HAS_TIMESTAMP = 1 << 10
    NOT_IDEMPOTENT = 1 << 11        # a write that may do something else the second time
    HAS_NAMED_MARKS = 1 << 12

cdef enum:                          # cql_item_t.role
    ITEM_SELECT = 1                 # name: the column, or empty; value: all of it without alias; more: the alias
    ITEM_MENTION = 2                # name
    ITEM_COLUMN = 3                 # of an INSERT: name and its value
    ITEM_JSON = 4                   # of an INSERT: value
    ITEM_ASSIGN = 5                 # of an UPDATE: name, op, value; more: what stands within [ ], or behind the .
    ITEM_DELETE = 6                 # name; more as above
    ITEM_WHERE = 7                  # name, op, value; more: within [ ], or the second value of BETWEEN
    ITEM_IF = 8                     # the same
    ITEM_TIMESTAMP = 9              # USING: value
    ITEM_TTL = 10
    ITEM_LIMIT = 11
    ITEM_PARTITION_LIMIT = 12
    ITEM_ORDER = 13                 # name; value: of ANN OF; op: ORDER_*
    ITEM_GROUP = 14                 # name, or empty; value: all of it
    ITEM_BIND = 15                  # value: the mark; name: of a named one
    ITEM_STATEMENT = 16             # of a batch: all of it; name: table; more: keyspace; op: STATEMENT_*
    ITEM_DEFINE = 17                # of CREATE and ALTER: name; value: type; op: DEFINE_* bits
    ITEM_KEY = 18                   # name: of a primary key; op: 0 partition, 1 clustering
    ITEM_PROPERTY = 19              # name; value

cdef enum:                          # cql_item_t.op
    OP_NONE = 0
    OP_EQ = 1
    OP_LT = 2
    OP_LE = 3
    OP_GT = 4
    OP_GE = 5
    OP_NE = 6
    OP_IN = 7
    OP_CONTAINS = 8
    OP_CONTAINS_KEY = 9
    OP_LIKE = 10
    OP_IS_NOT_NULL = 11
    OP_BETWEEN = 12
    OP_NOT_IN = 13
    OP_NOT_CONTAINS = 14
    OP_NOT_CONTAINS_KEY = 15
    OP_EXPR = 16                    # expr(index, value): name is the index's
    OP_SET = 17                     # of ASSIGN: =
    OP_APPEND = 18                  # col = col + value, +=
    OP_TAKE = 19                    # col = col - value, -=
    OP_PREPEND = 20                 # col = value + col

cdef enum:                          # op of an ITEM_ORDER
    ORDER_ASC = 0
    ORDER_DESC = 1

cdef enum:                          # op of an ITEM_DEFINE
    DEFINE_STATIC = 1
    DEFINE_PRIMARY = 2
    DEFINE_MASKED = 4

cdef enum:                          # cql_item_t.form: what the value is
    FORM_NONE = 0
    FORM_CONSTANT = 1               # `literal` says of what kind of token
    FORM_NULL = 2
    FORM_BIND = 3
    FORM_LIST = 4                   # [ ]
    FORM_SET = 5                    # { a, b }; {} may be a map, too
    FORM_MAP = 6                    # { a : b }, of a user type as well
    FORM_TUPLE = 7                  # ( ), the list of an IN as well
    FORM_FUNCTION = 8
    FORM_CAST = 9                   # (type) value, CAST(value AS type)
    FORM_EXPRESSION = 10            # with operators; fields and elements of a column
    FORM_COLUMN = 11                # a plain column

cdef enum:                          # cql_item_t.flags
    ITEM_TOKEN = 1                  # token(name, ...) op value
    ITEM_TUPLE = 2                  # (name, ...) op value; in both, name spans the parentheses and MENTIONs follow
    ITEM_ELEMENT = 4                # more is what stands within [ ]
    ITEM_FIELD = 8                  # more is a field's name

cdef enum:
    BIND_NONE = -1
    NESTING_MAX = 64                # of values within values, and of types
    CHILDREN_MAX = 65535            # statements of a batch

cdef struct cql_item_t:
    uint8_t    role                 # ITEM_*
    uint8_t    op
    uint8_t    form                 # FORM_* of the value
    uint8_t    literal              # TOKEN_* of a constant
    uint8_t    flags
    uint8_t    spare
    uint16_t   statement            # of a batch: which of its statements, from 1; else 0
    int32_t    bind                 # number of the first mark within, from 0; BIND_NONE
    cql_span_t whole
    cql_span_t name                 # as written: see cql_name_is
    cql_span_t value
    cql_span_t more

cdef struct cql_statement_t:
    cql_item_t *item                # the caller's
    uint32_t    item_room
    uint32_t    item_count
    uint8_t     type                # STATEMENT_*
    uint8_t     kind                # KIND_* of _codec/commands.pxd
    uint8_t     object              # OBJECT_*
    bint        truncated           # there are more items than there was room for
    uint32_t    flags
    uint32_t    bind_count
    cql_span_t  keyspace            # as written; of size 0: not said
    cql_span_t  table
    cql_span_t  other
    uint32_t    error_at            # STATEMENT_UNKNOWN: where it cannot be followed,
    const char *expected            # and what should stand there

cdef struct parser_t:               # of the parser's own parts alone
    cql_lexer_t      lexer
    cql_token_t      now
    uint32_t         last           # where the token before it ends
    uint32_t         depth
    uint16_t         statement
    bint             quiet          # only tried: nothing is noted
    cql_statement_t *out
    cql_item_t       spill          # instead of an item for which there is no room;
    cql_item_t       spill_within   # and of a mark or mention, which may be within another

cdef struct cql_value_of_t:         # of an expression, while it is read
    cql_span_t span
    cql_span_t column               # FORM_COLUMN, and fields and elements of one
    int32_t    bind
    uint8_t    form
    uint8_t    literal


cdef bint cql_parse(const uint8_t *text, size_t size, cql_statement_t *out) noexcept nogil
cdef uint8_t cql_first_look(const uint8_t *text, size_t size, uint8_t *type) noexcept nogil
cdef bint cql_use_keyspace(const uint8_t *text, size_t size, cql_span_t *keyspace) noexcept nogil
