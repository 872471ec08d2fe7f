"""Bytes no driver would send;

Each is a whole connection, ended by our side's close at the latest.
"""

from __future__ import annotations

from support.resp import encode

RAW: dict[str, bytes] = {
    "inline": b"PING\r\n",
    "inline with arguments": b"SET a 1\r\nGET a\r\nECHO x\r\n",
    "inline with tabs and spaces": b"  SET \t a   1  \r\n\tGET a\r\n",
    "inline ended by a bare newline": b"PING\nECHO x\n",
    "inline with quotes": b"SET a \"x \\x41\\n\\\"\" \r\nGET a\r\nSET a 'it\\'s \\n'\r\nGET a\r\n",
    "inline with a zero byte": b"ECHO a\x00b\r\nPING\r\n",
    "inline empty lines": b"\r\n\r\n\nPING\r\n",
    "inline of spaces only": b"   \r\nPING\r\n",
    "inline unbalanced quote": b'PING\r\nGET "a\r\nPING\r\n',
    "inline quote glued to text": b'GET "a"b\r\nPING\r\n',
    "inline single quote open": b"GET 'a\r\n",
    "inline unknown command": b"nosuch a b\r\nPING\r\n",
    "inline wrong arity": b"GET\r\nPING\r\n",
    "inline as the first byte of RESP types": b"+OK\r\n-ERR\r\n:1\r\n$3\r\nabc\r\nPING\r\n",
    "inline in the middle of arrays": encode("SET", "a", "1") + b"GET a\r\n" + encode("GET", "a"),
    "inline of non-ASCII bytes": "ECHO žluťoučký\r\n".encode() + b"ECHO \xff\xfe\r\n",
    "inline too big": b"PING\r\n" + b"x" * 70_000,
    "inline MULTI": b"MULTI\r\nSET a 1\r\nGET a\r\nEXEC\r\n",
    "inline SUBSCRIBE": b"SUBSCRIBE a b\r\nUNSUBSCRIBE a b\r\nPING\r\n",
    "empty array": b"*0\r\nPING\r\n",
    "negative array": b"*-1\r\nPING\r\n",
    "array of minus ten": b"*-10\r\nPING\r\n",
    "array count not a number": b"PING\r\n*x\r\nPING\r\n",
    "array count with a sign": b"*+1\r\n$4\r\nPING\r\n",
    "array count with leading zeros": b"*01\r\n$4\r\nPING\r\n",
    "array count with a space": b"* 1\r\n$4\r\nPING\r\n",
    "array count empty": b"*\r\nPING\r\n",
    "array count huge": b"PING\r\n*2147483648\r\n",
    "array count beyond 64 bits": b"*99999999999999999999\r\n",
    "array count endless": b"*" + b"1" * 70_000,
    "bulk length negative": b"PING\r\n*1\r\n$-1\r\nPING\r\n",
    "bulk length not a number": b"*1\r\n$x\r\nPING\r\n",
    "bulk length empty": b"*1\r\n$\r\n\r\n",
    "bulk length with a sign": b"*1\r\n$+4\r\nPING\r\n",
    "bulk length huge": b"*2\r\n$4\r\nECHO\r\n$536870913\r\n",
    "bulk length beyond 64 bits": b"*1\r\n$99999999999999999999\r\n",
    "bulk length endless": b"*1\r\n$" + b"1" * 70_000,
    "element not a bulk": b"*1\r\n:1\r\nPING\r\n",
    "element is an array": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "element is a simple string": b"*2\r\n$3\r\nGET\r\n+a\r\n",
    "element type unprintable": b"*1\r\n\x00\r\n",
    "bulk empty": encode("ECHO", "") + encode("PING"),
    "bulk command empty": b"*1\r\n$0\r\n\r\n" + encode("PING"),
    "good ones before a bad one": encode("SET", "a", "1")
    + encode("GET", "a")
    + b"*1\r\n$-5\r\n"
    + encode("PING"),
    "bad one inside MULTI": encode("MULTI") + encode("SET", "a", "1") + b"*1\r\n$-5\r\n",
    "POST": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "Host header": b"Host: localhost\r\n\r\n",
    "POST as an array": encode("POST", "/"),
    "QUIT": encode("PING") + encode("QUIT") + encode("PING"),
    "QUIT with arguments": encode("QUIT", "now") + encode("PING"),
    "QUIT inline": b"QUIT\r\nPING\r\n",
    "QUIT inside MULTI": encode("MULTI") + encode("SET", "a", "1") + encode("QUIT"),
    "QUIT while subscribed": encode("SUBSCRIBE", "a") + encode("QUIT"),
    "RESP3 HELLO then a null": encode("HELLO", "3", "SETNAME", "x")
    + encode("GET", "missing")
    + encode("QUIT"),
    "lower case words": b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\ngEt\r\n$1\r\na\r\n",
    "security word lower case": b"post / HTTP/1.1\r\nPING\r\n",
    "CLIENT REPLY OFF then ON": b"".join(
        encode(*words)
        for words in (
            ("CLIENT", "REPLY", "OFF"),
            ("SET", "a", "1"),
            ("PING",),
            ("CLIENT", "REPLY", "ON"),
            ("GET", "a"),
        )
    ),
    "CLIENT REPLY SKIP": encode("CLIENT", "REPLY", "SKIP")
    + encode("SET", "a", "1")
    + encode("GET", "a"),
    "CLIENT REPLY SKIP twice": (
        encode("CLIENT", "REPLY", "SKIP") * 2 + encode("SET", "a", "1") + encode("GET", "a")
    ),
}
