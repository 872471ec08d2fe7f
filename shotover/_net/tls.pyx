"""See tls.pxd."""

from libc.errno cimport ENOMEM, ETIMEDOUT
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._net.address cimport socket_literal
from shotover._net.loop cimport (
    CLOSE_LAYER,
    CLOSE_LOCAL,
    layer_ops_t,
    segment_t,
    stream_close,
    stream_write_layer,
)
from shotover._net.openssl cimport (
    ASN1_STRING,
    BIO,
    BIO_CTRL_FLUSH,
    BIO_FLAGS_READ,
    BIO_FLAGS_SHOULD_RETRY,
    BIO_TYPE_SOURCE_SINK,
    GEN_DNS,
    GEN_URI,
    GENERAL_NAME,
    NID_commonName,
    NID_subject_alt_name,
    OPENSSL_STACK,
    SSL_CTRL_SET_TLSEXT_HOSTNAME,
    SSL_ERROR_WANT_READ,
    SSL_ERROR_ZERO_RETURN,
    X509,
    openssl,
    openssl_reason,
)
from shotover._net.timers cimport timer_cancel

cdef const char *WORD_SILENT = b"no answer to the handshake: is this the port for TLS?"
cdef const char *WORD_ENDED = b"the connection has ended during the handshake"

cdef enum:
    LEND_LEAST = 2048           # less room than this is not worth a call

# ---- what OpenSSL calls instead of a socket -------------------------------------------------------------------------

cdef int _bio_read(BIO *bio, char *out, int room) noexcept nogil:
    cdef:
        tls_t *tls = <tls_t *>openssl.BIO_get_data(bio)
        size_t size = min(<size_t>room, tls.in_left)
    openssl.BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
    if size == 0:
        openssl.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
    memcpy(out, tls.in_at, size)
    tls.in_at += size
    tls.in_left -= size
    return <int>size


cdef int _bio_write(BIO *bio, const char *data, int size) noexcept nogil:
    cdef tls_t *tls = <tls_t *>openssl.BIO_get_data(bio)
    if not stream_write_layer(tls.stream, <const uint8_t *>data, <size_t>size):
        stream_close(tls.stream, ENOMEM)
        return -1
    return size


cdef long _bio_ctrl(BIO *bio, int command, long _number, void *_pointer) noexcept nogil:
    return command == BIO_CTRL_FLUSH


# ---- what the loop tells the layer ----------------------------------------------------------------------------------

cdef void _on_data(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    cdef tls_t *tls = <tls_t *>stream.layer
    tls.in_at = data
    tls.in_left = size
    if unlikely(tls.state == TLS_HANDSHAKE):
        (<TlsSide>tls.side)._handshake(tls)
    if likely(tls.state == TLS_OPEN and not stream.closed):
        (<TlsSide>tls.side)._open(tls)
    tls.in_left = 0


cdef void _on_eof(stream_t *stream) noexcept nogil:
    cdef tls_t *tls = <tls_t *>stream.layer
    if tls.state == TLS_HANDSHAKE:
        (<TlsSide>tls.side)._fail(tls, b"closed by the peer during the handshake")
    elif tls.state == TLS_OPEN:             # without a farewell: RESP and its like say themselves what is whole
        tls.state = TLS_ENDED
        tls.owner.on_eof(stream)


cdef void _on_connected(stream_t *stream) noexcept nogil:
    (<TlsSide>(<tls_t *>stream.layer).side)._handshake(<tls_t *>stream.layer)


cdef void _on_drained(stream_t *stream) noexcept nogil:
    (<tls_t *>stream.layer).owner.on_drained(stream)


cdef void _on_close(stream_t *stream, int error) noexcept nogil:
    cdef tls_t *tls = <tls_t *>stream.layer
    if tls.state == TLS_HANDSHAKE:
        tls.state = TLS_FAILED
        if error == ETIMEDOUT:
            error = CLOSE_LAYER
            (<TlsSide>tls.side)._settled(tls, WORD_SILENT)
        else:
            (<TlsSide>tls.side)._settled(tls, WORD_ENDED if error != CLOSE_LOCAL else <const char *>NULL)
    tls.owner.on_close(stream, error)


cdef void _on_free(stream_t *stream) noexcept nogil:
    pass                                    # _free has put the owner's back


cdef bint _on_seal(stream_t *stream) noexcept nogil:
    return (<TlsSide>(<tls_t *>stream.layer).side)._seal(<tls_t *>stream.layer, stream)


cdef void _closing(stream_t *stream) noexcept nogil:
    """Closed by us: the peer is told that nothing was cut off (RFC 8446, 6.1)."""
    cdef tls_t *tls = <tls_t *>stream.layer
    if stream.error == CLOSE_LOCAL and (tls.state == TLS_OPEN or tls.state == TLS_ENDED) and not tls.said_goodbye \
            and stream.out_size == 0:
        tls.said_goodbye = 1
        openssl.SSL_shutdown(tls.ssl)


cdef void _free(stream_t *stream) noexcept nogil:
    cdef tls_t *tls = <tls_t *>stream.layer
    stream.ops = tls.owner
    stream.layer = NULL
    timer_cancel(&(<TlsSide>tls.side).loop.wheel, &tls.timer)
    openssl.SSL_free(tls.ssl)               # its BIO, too
    openssl_reason()
    free(tls.identity)
    slab_give(&(<TlsSide>tls.side).states, tls)


cdef void _on_timer(timer_t *timer) noexcept nogil:
    cdef tls_t *tls = <tls_t *>timer.owner
    (<TlsSide>tls.side)._expire(tls)


cdef stream_ops_t TLS_OPS
TLS_OPS.on_data = _on_data
TLS_OPS.on_eof = _on_eof
TLS_OPS.on_connected = _on_connected
TLS_OPS.on_drained = _on_drained
TLS_OPS.on_close = _on_close
TLS_OPS.on_free = _on_free

cdef layer_ops_t LAYER_OPS
LAYER_OPS.seal = _on_seal
LAYER_OPS.closing = _closing
LAYER_OPS.free = _free


cdef class TlsSide:

    def __init__(self, Loop loop, TlsContext context, double handshake_timeout=0):
        self.loop = loop
        self.context = context
        self.handshake_ns = <uint64_t>(handshake_timeout * 1e9)
        slab_init(&self.states, sizeof(tls_t))
        self.scratch = <uint8_t *>malloc(RECORD_MAX)
        self.method = openssl.BIO_meth_new(BIO_TYPE_SOURCE_SINK, b"shotover")
        if self.scratch is NULL or self.method is NULL:
            raise MemoryError()
        openssl.BIO_meth_set_read(self.method, _bio_read)
        openssl.BIO_meth_set_write(self.method, _bio_write)
        openssl.BIO_meth_set_ctrl(self.method, _bio_ctrl)

    def __dealloc__(self):
        if self.session is not NULL:
            openssl.SSL_SESSION_free(self.session)
        free(self.scratch)                  # the method stays: it is small, and a connection may still name it
        slab_close(&self.states)

    def call(self, str host):
        """A client's: whom it connects to, for SNI and for the certificate to name."""
        cdef bytes name = host.encode() if host.isascii() else host.encode("idna")
        self.name_server(name)

    cdef void name_server(self, const char *name) noexcept nogil:
        cdef:
            uint8_t address[128]
            int     family
        snprintf(self.server_name, NAME_MAX, b"%s", name)
        self.by_address = socket_literal(name, 0, address, sizeof(address), &family) > 0

    cdef int accept(self, stream_t *stream) noexcept nogil:
        """After Loop.attach. 0, or -ENOMEM: the stream is as it was."""
        cdef tls_t *tls
        cdef int    result = self._begin(stream)
        if result == 0:
            tls = <tls_t *>stream.layer
            openssl.SSL_set_accept_state(tls.ssl)
        return result

    cdef int connect(self, stream_t *stream) noexcept nogil:
        """After Loop.connect. 0, or -ENOMEM: the stream is as it was."""
        cdef tls_t *tls
        cdef int    result = self._begin(stream)
        if result != 0:
            return result
        tls = <tls_t *>stream.layer
        openssl.SSL_set_connect_state(tls.ssl)
        openssl.SSL_set_ex_data(tls.ssl, 0, &self.session)
        if self.server_name[0]:
            if not self.by_address:
                openssl.SSL_ctrl(tls.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, self.server_name)
            if self.context.verify_hostname:
                if self.by_address:
                    openssl.X509_VERIFY_PARAM_set1_ip_asc(openssl.SSL_get0_param(tls.ssl), self.server_name)
                else:
                    openssl.SSL_set1_host(tls.ssl, self.server_name)
        if self.session is not NULL:
            openssl.SSL_set_session(tls.ssl, self.session)
        return 0

    cdef int _begin(self, stream_t *stream) noexcept nogil:
        cdef:
            tls_t *tls = <tls_t *>slab_take(&self.states)
            BIO   *bio
        if tls is NULL:
            return -ENOMEM
        memset(tls, 0, sizeof(tls_t))
        tls.ssl = openssl.SSL_new(self.context.live.ctx)
        bio = openssl.BIO_new(self.method)
        if tls.ssl is NULL or bio is NULL:
            if tls.ssl is not NULL:
                openssl.SSL_free(tls.ssl)
            openssl_reason()
            slab_give(&self.states, tls)
            return -ENOMEM
        openssl.BIO_set_data(bio, tls)
        openssl.BIO_set_init(bio, 1)
        openssl.SSL_set_bio(tls.ssl, bio, bio)
        tls.layer.ops = &LAYER_OPS
        tls.stream = stream
        tls.owner = stream.ops
        tls.side = <void *>self
        tls.timer.fire = _on_timer
        tls.timer.owner = tls
        if self.handshake_ns:
            self.loop.set_timer(&tls.timer, self.handshake_ns)
        self.handshaking += 1
        stream.layer = &tls.layer
        stream.ops = &TLS_OPS
        return 0

    cdef bint _seal(self, tls_t *tls, stream_t *stream) noexcept nogil:
        """All that the owner has written becomes records."""
        cdef:
            segment_t *segment
            uint8_t   *at
            size_t     size, piece, written
        if tls.state == TLS_HANDSHAKE:
            return True                         # it waits
        while stream.out.head is not NULL and tls.state != TLS_FAILED:
            segment = stream.out.head
            at = segment.start
            size = <size_t>(segment.end - segment.start)
            if size >= RECORD_MAX:
                size = RECORD_MAX
            elif segment.next is not NULL:      # one record for what is small
                at = self.scratch
                size = 0
                while segment is not NULL and size < RECORD_MAX:
                    piece = min(<size_t>(segment.end - segment.start), RECORD_MAX - size)
                    memcpy(at + size, segment.start, piece)
                    size += piece
                    segment = segment.next
            if unlikely(openssl.SSL_write_ex(tls.ssl, at, size, &written) != 1):
                self._fail(tls, openssl_reason())
                return False
            stream.out_size -= size
            self.loop.take_off(&stream.out, size)
        if unlikely(stream.finishing and not tls.said_goodbye):
            tls.said_goodbye = 1
            openssl.SSL_shutdown(tls.ssl)
        return not stream.closed

    cdef void _handshake(self, tls_t *tls) noexcept nogil:
        cdef:
            int  result = openssl.SSL_do_handshake(tls.ssl)
            int  error
            long verdict
        if result != 1:
            error = openssl.SSL_get_error(tls.ssl, result)
            if error == SSL_ERROR_WANT_READ or tls.stream.closed:
                return
            verdict = openssl.SSL_get_verify_result(tls.ssl)
            if verdict:
                openssl_reason()
                self._fail(tls, openssl.X509_verify_cert_error_string(verdict))
            else:
                self._fail(tls, openssl_reason())
            return
        tls.state = TLS_OPEN
        self.handshakes_total += 1
        if openssl.SSL_session_reused(tls.ssl):
            self.resumed_total += 1
        if self.context.asks_client:
            tls.identity = _identity(tls.ssl)
        self._settled(tls, NULL)
        if not self.context.server:
            tls.owner.on_connected(tls.stream)
        if tls.stream.out_size and not tls.stream.dirty and not tls.stream.blocked and not tls.stream.closed:
            self.loop._mark_dirty(tls.stream)

    cdef void _expire(self, tls_t *tls) noexcept nogil:
        self.expired_total += 1
        self._fail(tls, b"the handshake took too long (handshake_timeout)")

    cdef void _settled(self, tls_t *tls, const char *why) noexcept nogil:
        self.loop.cancel_timer(&tls.timer)
        self.handshaking -= 1
        if why is not NULL:
            self.failed_total += 1
            snprintf(self.why, NAME_MAX, b"TLS: %s", why)
        if self.on_settled is not NULL:
            self.on_settled(self.settled_owner, <const char *>NULL if why is NULL else <const char *>self.why)

    cdef void _fail(self, tls_t *tls, const char *why) noexcept nogil:
        """The end. The loop still sends the alert that OpenSSL may have written."""
        if tls.state == TLS_HANDSHAKE:
            tls.state = TLS_FAILED
            self._settled(tls, why)
        else:
            tls.state = TLS_FAILED
            self.failed_total += 1
            snprintf(self.why, NAME_MAX, b"TLS: %s", why)
        stream_close(tls.stream, CLOSE_LAYER)

    cdef void _open(self, tls_t *tls) noexcept nogil:
        """Opens what has come, and hands it on in pieces as large as may be."""
        cdef:
            stream_t *stream = tls.stream
            uint8_t  *at
            size_t    room = 0, size, piece
            int       error = 0
        while True:
            at = self.loop.lend(LEND_LEAST, &room)
            if unlikely(at is NULL):
                stream_close(stream, ENOMEM)
                return
            size = 0
            while size < room:
                if likely(openssl.SSL_read_ex(tls.ssl, at + size, room - size, &piece) == 1):
                    size += piece
                    continue
                error = openssl.SSL_get_error(tls.ssl, 0)
                break
            self.loop.lent_used += size
            if size:
                tls.owner.on_data(stream, at, size)
                if stream.closed:
                    return
            if error == 0:
                continue
            if error == SSL_ERROR_ZERO_RETURN:
                tls.state = TLS_ENDED
                stream.ended = 1
                tls.owner.on_eof(stream)
            elif error != SSL_ERROR_WANT_READ:
                self._fail(tls, openssl_reason())
            return


cdef const char *stream_identity(stream_t *stream) noexcept nogil:
    """Whom the client's certificate names; NULL: it has shown none. Lives as long as the stream."""
    if stream.layer is NULL:
        return NULL
    return (<tls_t *>stream.layer).identity


cdef char *_identity(SSL *ssl) noexcept nogil:
    """The first URI among a certificate's names (as SPIFFE puts it there), else its common name, else its first DNS name."""
    cdef:
        X509          *certificate = openssl.SSL_get1_peer_certificate(ssl)
        OPENSSL_STACK *listed
        GENERAL_NAME  *name
        char           text[NAME_MAX]
        int            index, size, found = 0
    if certificate is NULL:
        return NULL
    text[0] = 0
    listed = <OPENSSL_STACK *>openssl.X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
    if listed is not NULL:
        for index in range(openssl.OPENSSL_sk_num(listed)):
            name = <GENERAL_NAME *>openssl.OPENSSL_sk_value(listed, index)
            if name.type == GEN_URI or (name.type == GEN_DNS and not found):
                size = openssl.ASN1_STRING_length(<const ASN1_STRING *>name.value)
                if 0 < size < NAME_MAX:
                    memcpy(text, openssl.ASN1_STRING_get0_data(<const ASN1_STRING *>name.value), size)
                    text[size] = 0
                    found = name.type
            if found == GEN_URI:
                break
        openssl.OPENSSL_sk_pop_free(listed, <void (*)(void *) noexcept nogil>openssl.GENERAL_NAME_free)
    if found != GEN_URI:
        _common_name(certificate, text)
    openssl.X509_free(certificate)
    return _copied(text)


cdef void _common_name(X509 *certificate, char *text) noexcept nogil:
    """Into `text`, if it has one."""
    cdef char own[NAME_MAX]
    if openssl.X509_NAME_get_text_by_NID(openssl.X509_get_subject_name(certificate), NID_commonName, own, NAME_MAX) > 0:
        memcpy(text, own, NAME_MAX)


cdef char *_copied(const char *text) noexcept nogil:
    cdef:
        size_t size = strlen(text)
        char  *made
    if size == 0:
        return NULL
    made = <char *>malloc(size + 1)
    if made is not NULL:
        memcpy(made, text, size + 1)
    return made


def tls_samples(TlsSide side, dict labels):
    """What metrics say of one side; nothing for None."""
    if side is None:
        return []
    counted = "shotover_tls_handshakes_count"
    samples = [
        (counted, labels | {"result": "full"}, "counter", side.handshakes_total - side.resumed_total),
        (counted, labels | {"result": "resumed"}, "counter", side.resumed_total),
        (counted, labels | {"result": "timeout"}, "counter", side.expired_total),
        (counted, labels | {"result": "failed"}, "counter", side.failed_total - side.expired_total),
        ("shotover_tls_handshakes_under_way", labels, "gauge", side.handshaking),
    ]
    left = side.context.seconds_left()
    if left is not None:
        samples.append(("shotover_tls_certificate_expires_in_seconds", labels, "gauge", left))
    return samples
