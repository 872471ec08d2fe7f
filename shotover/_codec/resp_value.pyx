"""RESP values as Python values and back.

    $ bulk         bytes            *  array        list
    + simple       str              %  map          dict (a list of pairs when a key cannot be one)
    : integer      int              ~  set          set (a list when an element cannot be in one)
    $-1 *-1 _      None             ,  double       float
    - ! error      ReplyError       #  boolean      bool
    ( big number   int              =  verbatim     bytes, without its type

An attribute (|) is passed over: it stands before a value and is none. Towards a client of RESP2 the types of the right
column become what a server makes of them: maps and sets arrays, doubles bulk strings, booleans 0 and 1.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

cdef enum:
    DEPTH_MAX = 64          # of values within values
    LINE_END = 2            # bytes


class ReplyError(Exception):
    """An error reply; its text is the server's, code included."""

    @property
    def code(self):
        """Its first word, such as ERR or WRONGTYPE."""
        return str(self).partition(" ")[0]


def decode(bytes raw not None):
    """The value of one or more whole replies; of more than one, a list of their values. ValueError: not RESP, or cut."""
    return resp_decode(<const uint8_t *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


def encode(value, int protocol=2):
    """The reply that says `value` to a client of that version of RESP."""
    return resp_encode(value, protocol)


cdef object resp_decode(const uint8_t *data, size_t size):
    cdef:
        const uint8_t *end = data + size
        object value = _decode(&data, end, 0)
        list   more
    if data == end:
        return value
    more = [value]                          # confirmations of one SUBSCRIBE with several channels
    while data < end:
        more.append(_decode(&data, end, 0))
    return more


cdef object _decode(const uint8_t **at_io, const uint8_t *end, int depth):
    """The value at *at_io, which moves behind it."""
    cdef:
        const uint8_t *at = at_io[0]
        uint8_t *line_end = NULL
        uint8_t sign
        int64_t number
        object line
    if depth > DEPTH_MAX:
        raise ValueError("a reply is nested too deeply")
    if at < end:
        line_end = <uint8_t *>memchr(at, b'\r', end - at)
    if line_end is NULL or end - line_end < LINE_END:
        raise ValueError("a reply is cut")
    if line_end == at:
        raise ValueError("a reply begins with an empty line")
    sign = at[0]
    line = PyBytes_FromStringAndSize(<const char *>at + 1, line_end - at - 1)
    at_io[0] = line_end + LINE_END
    if sign == b'+':
        return _text(line)
    if sign == b'-':
        return ReplyError(_text(line))
    if sign == b':' or sign == b'(':
        return int(line)
    if sign == b'_':
        return None
    if sign == b',':
        return float(line)
    if sign == b'#':
        return line == b"t"
    number = _length(line, end - at_io[0])
    if sign == b'$' or sign == b'=' or sign == b'!':
        return _decode_bulk(at_io, end, sign, number)
    if number < 0:
        return None
    if sign == b'|':
        for _ in range(number):
            _decode(at_io, end, depth + 1)
            _decode(at_io, end, depth + 1)
        return _decode(at_io, end, depth + 1)
    return _decode_many(at_io, end, sign, number, depth + 1)


cdef int64_t _length(bytes line, Py_ssize_t left) except? -2:
    """How many bytes or values follow; -1: a null. There are `left` bytes more, and a value takes one at least."""
    cdef object number = int(line)
    if number < 0:
        return -1
    if number > left:
        raise ValueError("a reply is cut")
    return number


cdef object _decode_bulk(const uint8_t **at_io, const uint8_t *end, uint8_t sign, int64_t size):
    cdef const char *at = <const char *>at_io[0]
    if size < 0:
        return None
    if end - at_io[0] < size + LINE_END:
        raise ValueError("a reply is cut")
    at_io[0] += size + LINE_END
    if sign == b'!':
        return ReplyError(_text(at[:size]))
    if sign == b'=' and size >= 4:          # "txt:" or "mkd:"
        return PyBytes_FromStringAndSize(at + 4, size - 4)
    return PyBytes_FromStringAndSize(at, size)


cdef object _decode_many(const uint8_t **at_io, const uint8_t *end, uint8_t sign, int64_t number, int depth):
    cdef list values
    if sign == b'*' or sign == b'>':
        return [_decode(at_io, end, depth) for _ in range(number)]
    if sign == b'~':
        values = [_decode(at_io, end, depth) for _ in range(number)]
        return _hashed(values, set(), values)
    if sign == b'%':
        values = [(_decode(at_io, end, depth), _decode(at_io, end, depth)) for _ in range(number)]
        return _hashed(values, {}, values)
    raise ValueError(f"a reply begins with the byte {sign}")


cdef object _hashed(list values, into, otherwise):
    """`into` filled, or `otherwise` when something in it cannot be hashed."""
    try:
        into.update(values)
    except TypeError:
        return otherwise
    return into


cdef inline str _text(bytes line):
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line), "surrogateescape")


# ---- encoding ---------------------------------------------------------------------------------------------------

cdef bytes resp_encode(object value, int protocol):
    cdef list parts
    if type(value) is bytes:
        return b"$%d\r\n%b\r\n" % (len(<bytes>value), value)
    if value is None:
        return b"_\r\n" if protocol > 2 else b"$-1\r\n"
    parts = []
    _encode(value, protocol, parts, 0)
    return b"".join(parts)


cdef int _encode(object value, int protocol, list parts, int depth) except -1:
    if depth > DEPTH_MAX:
        raise ValueError("a reply is nested too deeply")
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value)
        parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
    elif value is None:
        parts.append(b"_\r\n" if protocol > 2 else b"$-1\r\n")
    elif isinstance(value, str):
        parts.append(_simple(value))
    elif isinstance(value, bool):
        parts.append((b"#t\r\n" if value else b"#f\r\n") if protocol > 2 else b":%d\r\n" % value)
    elif isinstance(value, int):
        parts.append(b":%d\r\n" % value if -(1 << 63) <= value < 1 << 63 else _big(value, protocol))
    elif isinstance(value, float):
        parts.append(_double(value, protocol))
    elif isinstance(value, BaseException):
        parts.append(b"-%b\r\n" % resp_error_text(value))
    elif isinstance(value, dict):
        parts.append(b"%%%d\r\n" % len(value) if protocol > 2 else b"*%d\r\n" % (2 * len(value)))
        for key, item in value.items():
            _encode(key, protocol, parts, depth + 1)
            _encode(item, protocol, parts, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        sign = b"~" if protocol > 2 and isinstance(value, (set, frozenset)) else b"*"
        parts.append(b"%b%d\r\n" % (sign, len(value)))
        for item in value:
            _encode(item, protocol, parts, depth + 1)
    else:
        raise TypeError(f"a reply cannot say {type(value).__name__}: use bytes, str, int, float, bool, None, list, "
                        "dict, set or an exception")
    return 0


cdef bytes _simple(str value):
    cdef bytes line = value.encode("utf-8", "surrogateescape")
    if b"\r" in line or b"\n" in line:
        raise ValueError("a simple string (str) cannot hold a line break: answer with bytes")
    return b"+%b\r\n" % line


cdef bytes _big(value, int protocol):
    cdef bytes digits = b"%d" % value
    return b"(%b\r\n" % digits if protocol > 2 else b"$%d\r\n%b\r\n" % (len(digits), digits)


cdef bytes _double(value, int protocol):
    cdef bytes digits = b"nan" if value != value else (repr(value).encode() if value - value == 0
                                                       else (b"inf" if value > 0 else b"-inf"))
    return b",%b\r\n" % digits if protocol > 2 else b"$%d\r\n%b\r\n" % (len(digits), digits)


cdef bytes resp_error_text(object error):
    """The line of an error reply: ERR goes before a text that begins with no code of its own."""
    cdef:
        str text = str(error) or type(error).__name__
        bytes line = " ".join(text.splitlines()).encode("utf-8", "surrogateescape")
        bytes first = line.partition(b" ")[0]
    return line if first.isalpha() and first.isupper() else b"ERR " + line


cdef bytes word_of(object value):
    """A word of a request: bytes as they are, text as UTF-8, numbers in decimal."""
    if type(value) is bytes:
        return <bytes>value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value).encode()
    raise TypeError(f"a word of a request is bytes, str, int or float, not {type(value).__name__}")
