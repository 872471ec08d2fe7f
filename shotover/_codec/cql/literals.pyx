"""See literals.pxd. The bytes are those that Cassandra gives a value in a row, a key, or an element of a collection."""

from libc.stdint cimport INT64_MAX, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport strtod
from libc.string cimport memchr, memcpy

from shotover._codec.cql.lexer cimport (
    TOKEN_BOOLEAN,
    TOKEN_DOLLARS,
    TOKEN_DURATION,
    TOKEN_END,
    TOKEN_FLOAT,
    TOKEN_HEX,
    TOKEN_INTEGER,
    TOKEN_NAME,
    TOKEN_QUOTED,
    TOKEN_STRING,
    TOKEN_UUID,
    WORD_NULL,
    WORD_TRUE,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_name_is,
    cql_string_put,
    cql_token_t,
)
from shotover._codec.cql.results cimport (
    TYPE_ASCII,
    TYPE_BIGINT,
    TYPE_BLOB,
    TYPE_BOOLEAN,
    TYPE_COUNTER,
    TYPE_DATE,
    TYPE_DECIMAL,
    TYPE_DOUBLE,
    TYPE_DURATION,
    TYPE_FLOAT,
    TYPE_INET,
    TYPE_INT,
    TYPE_LIST,
    TYPE_MAP,
    TYPE_SET,
    TYPE_SMALLINT,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TIMEUUID,
    TYPE_TINYINT,
    TYPE_TUPLE,
    TYPE_UDT,
    TYPE_UUID,
    TYPE_VARCHAR,
    TYPE_VARINT,
)
from shotover._codec.cql.literal_parts cimport (
    ORDER_UNKNOWN,
    literal_order,
    literal_put_decimal,
    literal_put_duration,
    literal_put_varint,
    literal_turn,
)
from shotover._codec.cql.types cimport TYPE_VECTOR, cql_type_fixed_size
from shotover._codec.cql.wire cimport (
    wire_put,
    wire_put_byte,
    wire_put_int,
    wire_put_long,
    wire_put_short,
    wire_uint_at,
    wire_write,
)
from shotover._core.slice cimport slice_t

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *address)
    enum:
        AF_INET
        AF_INET6

cdef extern from "<stdlib.h>" nogil:
    float strtof(const char *text, char **end)

cdef enum:
    TEXT_MAX = 128              # of numbers, dates and addresses; longer ones are for the server
    DEPTH_MAX = 32
    ELEMENTS_MAX = 256          # of a set or map, which are put in order here
    FIELDS_MAX = 64             # of a user type


# ---- single values -------------------------------------------------------------------------------------------------


cdef bint _integer(const uint8_t *at, size_t size, int64_t *value) noexcept nogil:
    """False: beyond 64 bits."""
    cdef:
        uint64_t number = 0, most = <uint64_t>INT64_MAX
        bint     negative = at[0] == b'-'
        size_t   index
        uint8_t  digit
    if negative:
        most += 1
    for index in range(negative, size):
        digit = at[index] - 48
        if digit > 9 or number > (most - digit) // 10:
            return False
        number = number * 10 + digit
    value[0] = <int64_t>(0 - number if negative else number)
    return True


cdef int _put_integer(uint16_t id, int64_t value, wire_writer_t *writer) noexcept nogil:
    cdef int bits = 64 if id == TYPE_BIGINT or id == TYPE_COUNTER else 32 if id == TYPE_INT else 16 if id == TYPE_SMALLINT else 8
    if bits < 64 and not -(<int64_t>1 << (bits - 1)) <= value < <int64_t>1 << (bits - 1):
        return LITERAL_WRONG
    if bits == 64:
        wire_put_long(writer, value)
    elif bits == 32:
        wire_put_int(writer, value)
    elif bits == 16:
        wire_put_short(writer, <uint32_t>value)
    else:
        wire_put_byte(writer, <uint8_t>value)
    return LITERAL_FINE


cdef int _number(uint16_t id, const uint8_t *at, const cql_token_t *token, wire_writer_t *writer) noexcept nogil:
    """A float or double, of any number."""
    cdef:
        char     text[TEXT_MAX]
        double   value
        float    half
        int64_t  bits
        int      bits_of_half
    if token.size >= TEXT_MAX:
        return LITERAL_UNKNOWN
    memcpy(text, at, token.size)
    text[token.size] = 0
    if id == TYPE_FLOAT:
        half = strtof(text, NULL)
        if half != half:
            bits_of_half = 0x7fc00000
        else:
            memcpy(&bits_of_half, &half, 4)
        wire_put_int(writer, bits_of_half)
        return LITERAL_FINE
    value = strtod(text, NULL)
    if value != value:
        bits = <int64_t>0x7ff8 << 48
    else:
        memcpy(&bits, &value, 8)
    wire_put_long(writer, bits)
    return LITERAL_FINE


cdef inline int _nibble(uint8_t byte) noexcept nogil:
    return byte - 48 if byte <= b'9' else (byte | 0x20) - 87


cdef int _hex(const uint8_t *at, const uint8_t *end, wire_writer_t *writer) noexcept nogil:
    """Digits in pairs; a - between them is passed over."""
    while at < end:
        if at[0] == b'-':
            at += 1
            continue
        if end - at < 2:
            return LITERAL_WRONG
        wire_put_byte(writer, <uint8_t>(_nibble(at[0]) << 4 | _nibble(at[1])))
        at += 2
    return LITERAL_FINE


cdef int _put_text(const uint8_t *text, const cql_token_t *token, wire_writer_t *writer) noexcept nogil:
    """What a string says: piece by piece, as it may not fit."""
    cdef:
        const uint8_t *at = text + token.at + 1
        const uint8_t *end = text + token.at + token.size - 1
        const uint8_t *quote
    if token.kind == TOKEN_DOLLARS:
        wire_put(writer, at + 1, token.size - 4)
        return LITERAL_FINE
    while at < end:
        quote = <const uint8_t *>memchr(at, b"'", <size_t>(end - at))
        if quote is NULL:
            quote = end - 1
        wire_put(writer, at, <size_t>(quote + 1 - at))
        at = quote + (2 if quote + 1 < end and quote[0] == b"'" else 1)
    return LITERAL_FINE


# ---- addresses, dates, times ---------------------------------------------------------------------------------------


cdef int _address(const char *text, wire_writer_t *writer) noexcept nogil:
    cdef uint8_t raw[16]
    if inet_pton(AF_INET, text, raw) == 1:
        wire_put(writer, raw, 4)
        return LITERAL_FINE
    if inet_pton(AF_INET6, text, raw) != 1:
        return LITERAL_UNKNOWN          # a host name, perhaps
    if (<uint64_t *>raw)[0] == 0 and raw[8] == 0 and raw[9] == 0 and raw[10] == 0xff and raw[11] == 0xff:
        wire_put(writer, raw + 12, 4)   # the servers make it one of IPv4
    else:
        wire_put(writer, raw, 16)
    return LITERAL_FINE


cdef bint _digits(const char **at, int count, int64_t *value) noexcept nogil:
    """Exactly so many."""
    cdef int index
    value[0] = 0
    for index in range(count):
        if not b'0' <= at[0][index] <= b'9':
            return False
        value[0] = value[0] * 10 + (at[0][index] - 48)
    at[0] += count
    return True


cdef bint _take(const char **at, char sign) noexcept nogil:
    if at[0][0] != sign:
        return False
    at[0] += 1
    return True


cdef bint _day(const char **at, int64_t *days) noexcept nogil:
    """yyyy-mm-dd as days since 1970 (of the Gregorian calendar, before it began, too)."""
    cdef:
        int64_t year, month, day, era, of_era, last
    if not _digits(at, 4, &year) or not _take(at, b'-') or not _digits(at, 2, &month) or not _take(at, b'-') \
            or not _digits(at, 2, &day) or not 1 <= month <= 12:
        return False
    last = 30 if month in (4, 6, 9, 11) else 31
    if month == 2:
        last = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    if not 1 <= day <= last:
        return False
    if month <= 2:
        year -= 1
    era = year // 400 if year >= 0 else -1
    of_era = year - era * 400
    month = month - 3 if month > 2 else month + 9
    days[0] = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * month + 2) // 5 + day - 1 - 719468
    return True


cdef bint _clock(const char **at, int fraction_max, int64_t *ns) noexcept nogil:
    """hh:mm:ss with up to so many digits behind the point."""
    cdef int64_t hours, minutes, seconds, fraction = 0
    cdef int     digits = 0
    if not _digits(at, 2, &hours) or not _take(at, b':') or not _digits(at, 2, &minutes) or not _take(at, b':') \
            or not _digits(at, 2, &seconds) or hours > 23 or minutes > 59 or seconds > 59:
        return False
    if _take(at, b'.'):
        while digits < fraction_max and b'0' <= at[0][0] <= b'9':
            fraction = fraction * 10 + (at[0][0] - 48)
            at[0] += 1
            digits += 1
        if digits == 0:
            return False
        while digits < 9:
            fraction *= 10
            digits += 1
    ns[0] = ((hours * 60 + minutes) * 60 + seconds) * 1000000000 + fraction
    return True


cdef int _moment(const char *at, wire_writer_t *writer) noexcept nogil:
    """A timestamp with its zone, in one of the common forms; of others only the server knows what it makes."""
    cdef:
        int64_t days, ns, hours, minutes = 0
        int     sign
        const char *fraction
    if not _day(&at, &days) or (not _take(&at, b' ') and not _take(&at, b'T')):
        return LITERAL_UNKNOWN
    fraction = at + 8
    if not _clock(&at, 3, &ns) or (at > fraction and at - fraction != 4):
        return LITERAL_UNKNOWN
    if at[0] == b'+' or at[0] == b'-':
        sign = -1 if at[0] == b'-' else 1
        at += 1
        if not _digits(&at, 2, &hours):
            return LITERAL_UNKNOWN
        _take(&at, b':')
        if not _digits(&at, 2, &minutes):
            return LITERAL_UNKNOWN
        minutes = sign * (hours * 60 + minutes)
    elif not _take(&at, b'Z'):
        return LITERAL_UNKNOWN
    if at[0] != 0:
        return LITERAL_UNKNOWN
    wire_put_long(writer, days * 86400000 + ns // 1000000 - minutes * 60000)
    return LITERAL_FINE


cdef int _of_string(uint16_t id, const uint8_t *text, const cql_token_t *token, wire_writer_t *writer) noexcept nogil:
    """Types that a string may stand for."""
    cdef:
        uint8_t     said[TEXT_MAX]
        const char *at = <const char *>said
        size_t      size
        int64_t     value
    if id == TYPE_VARCHAR or id == TYPE_ASCII:
        return _put_text(text, token, writer)
    if id not in (TYPE_INET, TYPE_DATE, TYPE_TIME, TYPE_TIMESTAMP) or token.size >= TEXT_MAX:
        return LITERAL_UNKNOWN
    size = cql_string_put(said, text, token_span(token))
    if memchr(said, 0, size) is not NULL:
        return LITERAL_UNKNOWN
    said[size] = 0
    if id == TYPE_INET:
        return _address(at, writer)
    if id == TYPE_TIMESTAMP:
        return _moment(at, writer)
    if id == TYPE_DATE:
        if not _day(&at, &value) or at[0] != 0:
            return LITERAL_UNKNOWN
        wire_put_int(writer, value + (<int64_t>1 << 31))
        return LITERAL_FINE
    if not _clock(&at, 9, &value) or at[0] != 0:
        return LITERAL_UNKNOWN
    wire_put_long(writer, value)
    return LITERAL_FINE


cdef inline cql_span_t token_span(const cql_token_t *token) noexcept nogil:
    cdef cql_span_t span
    span.at = token.at
    span.size = token.size
    return span


cdef int _constant(uint16_t id, const uint8_t *text, const cql_token_t *token, wire_writer_t *writer) noexcept nogil:
    cdef:
        const uint8_t *at = text + token.at
        int64_t        value
    if token.kind == TOKEN_STRING or token.kind == TOKEN_DOLLARS:
        return _of_string(id, text, token, writer)
    if token.kind == TOKEN_BOOLEAN and id == TYPE_BOOLEAN:
        wire_put_byte(writer, token.word == WORD_TRUE)
        return LITERAL_FINE
    if token.kind == TOKEN_UUID and (id == TYPE_UUID or id == TYPE_TIMEUUID):
        return _hex(at, at + token.size, writer)
    if token.kind == TOKEN_DURATION and id == TYPE_DURATION:
        return LITERAL_FINE if literal_put_duration(at, token.size, writer) else LITERAL_UNKNOWN
    if (token.kind == TOKEN_INTEGER or token.kind == TOKEN_FLOAT) and id == TYPE_DECIMAL:
        return LITERAL_FINE if literal_put_decimal(at, token.size, writer) else LITERAL_UNKNOWN
    if token.kind == TOKEN_HEX and id == TYPE_BLOB:
        return _hex(at + 2, at + token.size, writer)
    if (token.kind == TOKEN_INTEGER or token.kind == TOKEN_FLOAT) and (id == TYPE_FLOAT or id == TYPE_DOUBLE):
        return _number(id, at, token, writer)
    if token.kind != TOKEN_INTEGER:
        return LITERAL_UNKNOWN
    if id in (TYPE_INT, TYPE_BIGINT, TYPE_SMALLINT, TYPE_TINYINT, TYPE_COUNTER):
        return _put_integer(id, value, writer) if _integer(at, token.size, &value) else LITERAL_WRONG
    if id == TYPE_VARINT:
        return LITERAL_FINE if literal_put_varint(at, token.size, writer) else LITERAL_UNKNOWN
    if (id == TYPE_TIMESTAMP or id == TYPE_TIME) and _integer(at, token.size, &value):
        wire_put_long(writer, value)
        return LITERAL_FINE
    return LITERAL_UNKNOWN


# ---- values within values ------------------------------------------------------------------------------------------


cdef int _sized(const cql_type_t *type, cql_lexer_t *lexer, cql_token_t *now, wire_writer_t *writer, int depth,
                bint plain) noexcept nogil:
    """A value with its size before it, unless `plain`."""
    cdef:
        wire_writer_t sized = writer[0]         # where the size belongs
        size_t        start
        int           said
    if plain:
        return _value(type, lexer, now, writer, depth)
    wire_put_int(writer, 0)
    start = writer.size
    said = _value(type, lexer, now, writer, depth)
    wire_put_int(&sized, -1 if said == LITERAL_NULL else <int64_t>(writer.size - start))
    return said


cdef int _find_place(const cql_type_t *type, uint8_t **places, uint32_t count) noexcept nogil:
    """Brings the last of `count` elements to its place among those before it. 0: one of these is the same; ORDER_UNKNOWN; else
    it has been done."""
    cdef:
        slice_t  last = _element(places[count - 1])
        size_t   size = <size_t>(places[count] - places[count - 1])
        uint32_t low = 0, high = count - 1, middle
        int      order
    while low < high:
        middle = (low + high) // 2
        order = literal_order(type + 1, last, _element(places[middle]))
        if order == 0 or order == ORDER_UNKNOWN:
            return order
        if order < 0:
            high = middle
        else:
            low = middle + 1
    if low < count - 1:
        literal_turn(places[low], <size_t>(places[count - 1] - places[low]), size)
        for middle in range(count - 1, low, -1):
            places[middle] = places[middle - 1] + size
    return 1


cdef inline slice_t _element(uint8_t *at) noexcept nogil:
    """Behind its size."""
    cdef slice_t found
    found.data = at + 4
    found.size = wire_uint_at(at)
    return found


cdef int _fields(const cql_type_t *type, cql_lexer_t *lexer, cql_token_t *now, wire_writer_t *writer, int depth) noexcept nogil:
    """{name: value, ...} of a user type, up to its }: in the order of the type, null where there is none. All are read once to
    see where each is, and once more to be written."""
    cdef:
        const cql_type_t *part
        cql_lexer_t   lexers[FIELDS_MAX]
        cql_token_t   tokens[FIELDS_MAX]
        bint          there[FIELDS_MAX]
        wire_writer_t nowhere
        cql_span_t    name
        uint32_t      index
        int           said
    if type.count == 0 or type.count > FIELDS_MAX or type.span == 1 or type[1].field.size == 0:
        return LITERAL_UNKNOWN              # only the schema tells them
    for index in range(type.count):
        there[index] = False
    while now.kind != b'}':
        if now.kind != TOKEN_NAME and now.kind != TOKEN_QUOTED:
            return LITERAL_UNKNOWN
        name = token_span(now)
        part = type + 1
        index = 0
        while index < type.count and not cql_name_is(lexer.text, name, part.field.data, part.field.size):
            part += part.span
            index += 1
        cql_lex(lexer, now)
        if index == type.count or there[index] or now.kind != b':':
            return LITERAL_UNKNOWN
        cql_lex(lexer, now)
        there[index] = True
        lexers[index] = lexer[0]
        tokens[index] = now[0]
        wire_write(&nowhere, NULL, 0)
        said = _value(part, lexer, now, &nowhere, depth + 1)
        if said != LITERAL_FINE and said != LITERAL_NULL:
            return said
        if now.kind == b',':
            cql_lex(lexer, now)
            if now.kind == b'}':
                return LITERAL_UNKNOWN
        elif now.kind != b'}':
            return LITERAL_UNKNOWN
    cql_lex(lexer, now)
    part = type + 1
    for index in range(type.count):
        if there[index]:
            _sized(part, &lexers[index], &tokens[index], writer, depth + 1, False)
        else:
            wire_put_int(writer, -1)
        part += part.span
    return LITERAL_FINE


cdef int _several(const cql_type_t *type, cql_lexer_t *lexer, cql_token_t *now, wire_writer_t *writer, int depth,
                  uint8_t close) noexcept nogil:
    """Elements up to `close`, of a list, a tuple, a vector, a set or a map; those of the last two in the order of their type."""
    cdef:
        wire_writer_t     counted = writer[0]       # where the number of elements belongs
        const cql_type_t *part = type + 1
        bint              ordered = type.id == TYPE_SET or type.id == TYPE_MAP
        uint8_t          *places[ELEMENTS_MAX + 1]  # of each of these an element, and the end of them
        uint32_t          count = 0
        int               said
        bint              plain = type.id == TYPE_VECTOR and cql_type_fixed_size(part) > 0
    if type.id == TYPE_VECTOR and not plain:
        return LITERAL_UNKNOWN
    if type.id != TYPE_TUPLE and type.id != TYPE_VECTOR:
        wire_put_int(writer, 0)
    if now.kind != close:
        while True:
            if type.id == TYPE_TUPLE and count == type.count:
                return LITERAL_WRONG
            if ordered and count == ELEMENTS_MAX:
                return LITERAL_UNKNOWN
            if ordered:
                places[count] = writer.at
            said = _sized(part, lexer, now, writer, depth + 1, plain)
            if said == LITERAL_NULL and type.id == TYPE_TUPLE:
                said = LITERAL_FINE
            if said != LITERAL_FINE:
                return LITERAL_WRONG if said == LITERAL_NULL else said
            count += 1
            if type.id == TYPE_TUPLE:
                part += part.span
            if type.id == TYPE_MAP:
                if now.kind != b':':
                    return LITERAL_WRONG
                cql_lex(lexer, now)
                said = _sized(type + 1 + type[1].span, lexer, now, writer, depth + 1, False)
                if said != LITERAL_FINE:
                    return LITERAL_WRONG if said == LITERAL_NULL else said
            if ordered and count > 1 and not writer.full:
                places[count] = writer.at
                said = _find_place(type, places, count)
                if said == ORDER_UNKNOWN or (said == 0 and type.id == TYPE_MAP):
                    return LITERAL_UNKNOWN
                if said == 0:                       # it is there already
                    count -= 1
                    writer.size -= <size_t>(writer.at - places[count])
                    writer.at = places[count]
            if now.kind != b',':
                break
            cql_lex(lexer, now)
    if now.kind != close or (type.id == TYPE_VECTOR and count != type.count):
        return LITERAL_UNKNOWN
    cql_lex(lexer, now)
    if type.id == TYPE_LIST or type.id == TYPE_SET or type.id == TYPE_MAP:
        wire_put_int(&counted, count)
    return LITERAL_FINE


cdef int _value(const cql_type_t *type, cql_lexer_t *lexer, cql_token_t *now, wire_writer_t *writer, int depth) noexcept nogil:
    """The value whose first token is at hand; behind it, what follows is."""
    cdef:
        cql_token_t token = now[0]
        uint8_t     close
    if depth > DEPTH_MAX:
        return LITERAL_UNKNOWN
    cql_lex(lexer, now)
    if token.kind == TOKEN_NAME and token.word == WORD_NULL:
        return LITERAL_NULL
    if TOKEN_STRING <= token.kind <= TOKEN_HEX:
        return _constant(type.id, lexer.text, &token, writer)
    if token.kind == b'[' and (type.id == TYPE_LIST or type.id == TYPE_VECTOR):
        close = b']'
    elif token.kind == b'{' and type.id == TYPE_UDT:
        return _fields(type, lexer, now, writer, depth)
    elif token.kind == b'{' and (type.id == TYPE_SET or type.id == TYPE_MAP):
        close = b'}'
    elif token.kind == b'(' and type.id == TYPE_TUPLE:
        close = b')'
    else:
        return LITERAL_UNKNOWN
    return _several(type, lexer, now, writer, depth, close)


cdef int cql_literal_put(const cql_type_t *type, const uint8_t *text, cql_span_t value, wire_writer_t *writer) noexcept nogil:
    """What the server makes of the value at that span: LITERAL_*. Where it is not LITERAL_FINE, what was written is void.

    A writer without room measures: no less than is needed, but a set's elements that are there twice count twice, and whether
    their order can be told is not looked at."""
    cdef:
        cql_lexer_t lexer
        cql_token_t now
        int         said
    cql_lexer_set(&lexer, text, value.at + value.size)
    lexer.at = text + value.at
    cql_lex(&lexer, &now)
    said = _value(type, &lexer, &now, writer, 0)
    if said == LITERAL_FINE and now.kind != TOKEN_END:
        return LITERAL_UNKNOWN              # an operator follows, or a field
    return said
