"""TlsContext: certificates, keys and rules of one side of TLS, shared by all workers, replaced as a whole when read again.

Workers look at `live` only to begin a connection. What they may still have in hand when it is replaced is kept for
RETIRED_SECONDS, which is longer than any handshake may take.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._net.openssl cimport SSL_CTX


cdef enum:
    RETIRED_SECONDS = 900

cdef struct named_t:            # a certificate for clients that ask for one of its names
    char    *name               # exact, or *.example.com
    SSL_CTX *ctx                # one reference for each name

cdef struct generation_t:       # what was read at one time
    SSL_CTX  *ctx               # the first certificate's
    named_t  *named
    uint32_t  named_count
    uint8_t  *alpn              # as on the wire: each name behind its length
    uint32_t  alpn_size

cdef class TlsContext:
    cdef:
        readonly bint server
        readonly bint asks_client       # a server: its clients must have certificates
        readonly bint verify_hostname   # a client
        readonly int  reloads
        object        options
        list          retired           # (when, address of a generation_t)
        generation_t *live

    cdef generation_t *_read(self) except NULL
    cdef SSL_CTX *_make(self, str certificate, str key, bytes password) except NULL
