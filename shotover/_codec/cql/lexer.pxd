"""The tokens of CQL, one at a time: spans of the text, which is never changed or copied.

Cut as the servers cut it (the longest token that fits; of equal ones, a duration before a name): whoever looks at a
statement here must see the one that the server will see. So what the server's lexer refuses is TOKEN_BAD here, but for a
line comment that the end of the text ends.

A token of one byte has that byte as its kind. Words are not case-sensitive: their number is WORD_*, WORD_NONE for names.
"""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "shotover/_codec/generated/cql_keywords.h" nogil:
    enum:
        WORD_NONE
        WORD_ACCESS
        WORD_ADD
        WORD_AGGREGATE
        WORD_AGGREGATES
        WORD_ALL
        WORD_ALLOW
        WORD_ALTER
        WORD_AND
        WORD_ANN
        WORD_APPLY
        WORD_AS
        WORD_ASC
        WORD_AUTHORIZE
        WORD_BATCH
        WORD_BEGIN
        WORD_BETWEEN
        WORD_BY
        WORD_CALLED
        WORD_CAST
        WORD_CHECK
        WORD_CIDRS
        WORD_CLUSTER
        WORD_CLUSTERING
        WORD_COLUMNFAMILIES
        WORD_COLUMNFAMILY
        WORD_COMPACT
        WORD_CONTAINS
        WORD_COUNT
        WORD_COUNTER
        WORD_CREATE
        WORD_CUSTOM
        WORD_DATACENTERS
        WORD_DEFAULT
        WORD_DELETE
        WORD_DESC
        WORD_DESCRIBE
        WORD_DISTINCT
        WORD_DROP
        WORD_ENTRIES
        WORD_EXECUTE
        WORD_EXISTS
        WORD_FALSE
        WORD_FILTERING
        WORD_FINALFUNC
        WORD_FROM
        WORD_FROZEN
        WORD_FULL
        WORD_FUNCTION
        WORD_FUNCTIONS
        WORD_GENERATED
        WORD_GRANT
        WORD_GROUP
        WORD_HASHED
        WORD_IDENTITY
        WORD_IF
        WORD_IN
        WORD_INDEX
        WORD_INDEXES
        WORD_INFINITY
        WORD_INITCOND
        WORD_INPUT
        WORD_INSERT
        WORD_INTERNALS
        WORD_INTO
        WORD_IS
        WORD_JSON
        WORD_KEY
        WORD_KEYS
        WORD_KEYSPACE
        WORD_KEYSPACES
        WORD_LANGUAGE
        WORD_LIKE
        WORD_LIMIT
        WORD_LIST
        WORD_LOGIN
        WORD_MAP
        WORD_MASKED
        WORD_MATERIALIZED
        WORD_MAXWRITETIME
        WORD_MBEAN
        WORD_MBEANS
        WORD_MODIFY
        WORD_NAN
        WORD_NORECURSIVE
        WORD_NOSUPERUSER
        WORD_NOT
        WORD_NULL
        WORD_OF
        WORD_ON
        WORD_ONLY
        WORD_OPTIONS
        WORD_OR
        WORD_ORDER
        WORD_PARTITION
        WORD_PASSWORD
        WORD_PER
        WORD_PERMISSION
        WORD_PERMISSIONS
        WORD_PRIMARY
        WORD_RENAME
        WORD_REPLACE
        WORD_RETURNS
        WORD_REVOKE
        WORD_ROLE
        WORD_ROLES
        WORD_SCHEMA
        WORD_SELECT
        WORD_SELECT_MASKED
        WORD_SET
        WORD_SFUNC
        WORD_STATIC
        WORD_STORAGE
        WORD_STYPE
        WORD_SUPERUSER
        WORD_SUPERUSERS
        WORD_TABLE
        WORD_TABLES
        WORD_TIMESTAMP
        WORD_TO
        WORD_TOKEN
        WORD_TRIGGER
        WORD_TRUE
        WORD_TRUNCATE
        WORD_TTL
        WORD_TUPLE
        WORD_TYPE
        WORD_TYPES
        WORD_UNLOGGED
        WORD_UNMASK
        WORD_UNSET
        WORD_UPDATE
        WORD_USE
        WORD_USER
        WORD_USERS
        WORD_USING
        WORD_VALUES
        WORD_VECTOR
        WORD_VIEW
        WORD_WHERE
        WORD_WITH
        WORD_WRITETIME
    enum:
        CLASS_NONE
        CLASS_RESERVED          # may not be a name
        CLASS_TYPE              # a native type; may be a name, but not of a type
        CLASS_BASIC             # may be any name
        CLASS_NOT_OF_FUNCTIONS  # may be a name, but not of a function

cdef enum:                      # cql_token_t.kind, besides the bytes ( ) [ ] { } , ; : . = < > + - * / % ?
    TOKEN_END = 0               # of the text
    TOKEN_NAME = 128            # a word, keyword or not
    TOKEN_QUOTED = 129          # "a ""name"""; it may be empty
    TOKEN_STRING = 130          # 'it''s'
    TOKEN_DOLLARS = 131         # $$it's$$
    TOKEN_INTEGER = 132         # may begin with -
    TOKEN_FLOAT = 133           # NaN and Infinity, too; may begin with -
    TOKEN_BOOLEAN = 134
    TOKEN_DURATION = 135        # may begin with -
    TOKEN_UUID = 136
    TOKEN_HEX = 137             # 0x..., of any number of digits
    TOKEN_RANGE = 138           # ..
    TOKEN_LE = 139
    TOKEN_GE = 140
    TOKEN_NE = 141
    TOKEN_ADD = 142             # +=
    TOKEN_TAKE = 143            # -=
    TOKEN_BAD = 255             # nothing that CQL knows, or a string or comment without an end; the last token

cdef struct cql_span_t:
    uint32_t at                 # in the text; of size 0: there is none
    uint32_t size

cdef struct cql_token_t:
    uint32_t at
    uint32_t size
    uint8_t  kind               # TOKEN_*, or the byte that it is
    uint8_t  word               # WORD_*, of a TOKEN_NAME

cdef struct cql_lexer_t:        # a copy of it is a mark to come back to
    const uint8_t *text
    const uint8_t *at
    const uint8_t *end


cdef void cql_lexer_set(cql_lexer_t *lexer, const uint8_t *text, size_t size) noexcept nogil
cdef void cql_lex(cql_lexer_t *lexer, cql_token_t *token) noexcept nogil
cdef uint8_t cql_word_class(uint8_t word) noexcept nogil
cdef bint cql_name_is(const uint8_t *text, cql_span_t name, const uint8_t *other, size_t size) noexcept nogil
cdef bint cql_names_agree(const uint8_t *text, cql_span_t name, const uint8_t *text2, cql_span_t other) noexcept nogil
cdef size_t cql_name_put(uint8_t *out, const uint8_t *text, cql_span_t name) noexcept nogil
cdef size_t cql_string_put(uint8_t *out, const uint8_t *text, cql_span_t string) noexcept nogil
