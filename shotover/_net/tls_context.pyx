"""Files to contexts. Ordinary Python but for the callbacks at the end, which OpenSSL calls in the workers."""

import os
import time

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, strcasecmp, strchr, strlen

from shotover._net.openssl cimport (
    ASN1_STRING,
    GEN_DNS,
    GENERAL_NAME,
    NID_subject_alt_name,
    OPENSSL_NPN_NEGOTIATED,
    OPENSSL_STACK,
    SSL,
    SSL_SESSION,
    SSL_CTRL_GET_TLSEXT_TICKET_KEYS,
    SSL_CTRL_MODE,
    SSL_CTRL_SET_MIN_PROTO_VERSION,
    SSL_CTRL_SET_SESS_CACHE_MODE,
    SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG,
    SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
    SSL_CTRL_SET_TLSEXT_TICKET_KEYS,
    SSL_FILETYPE_PEM,
    SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_CIPHER_SERVER_PREFERENCE_,
    SSL_OP_IGNORE_UNEXPECTED_EOF_,
    SSL_OP_NO_COMPRESSION_,
    SSL_OP_NO_RENEGOTIATION_,
    SSL_SESS_CACHE_CLIENT,
    SSL_SESS_CACHE_NO_INTERNAL,
    SSL_SESS_CACHE_OFF,
    SSL_TLSEXT_ERR_ALERT_FATAL,
    SSL_TLSEXT_ERR_NOACK,
    SSL_TLSEXT_ERR_OK,
    SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    SSL_VERIFY_NONE,
    SSL_VERIFY_PEER,
    TICKET_KEYS_BYTES,
    TLS_1_2,
    TLS_1_3,
    X509,
    openssl,
    openssl_reason,
)

from shotover._net.openssl import load

cdef const unsigned char *SESSION_OWNER = b"shotover"


class TlsFileError(ValueError):
    """Something that was configured cannot be used; `field` names it as TlsContext's argument does."""

    field = ""

    def __init__(self, field, message):
        super().__init__(message)
        self.field = field


cdef class TlsContext:
    """certificate_path, private_key_path: PEM files, a chain with its own certificate first; its key, PKCS#8, PKCS#1 or SEC1.
    private_key_password_path: a file whose first line opens an encrypted key.
    certificate_authority_path: PEM file of whom to trust: a server then demands client certificates; a client without it
    trusts what the system does. min_version: "1.2" or "1.3". ciphers, ciphersuites: OpenSSL's names for 1.2, for 1.3.
    alpn: names of protocols, most wanted first. more: further (certificate_path, private_key_path) of a server, chosen by the
    name that a client asks for (SNI).

    Raises OSError when there is no OpenSSL, TlsFileError (a ValueError) when something cannot be used.
    """

    def __init__(self, *, bint server, certificate_path=None, private_key_path=None, private_key_password_path=None,
                 certificate_authority_path=None, bint verify_hostname=True, str min_version="1.2", ciphers=None,
                 ciphersuites=None, alpn=(), more=()):
        load()
        self.server = server
        self.verify_hostname = verify_hostname
        self.asks_client = server and certificate_authority_path is not None
        self.options = dict(
            certificate_path=certificate_path, private_key_path=private_key_path,
            private_key_password_path=private_key_password_path, certificate_authority_path=certificate_authority_path,
            min_version=min_version, ciphers=ciphers, ciphersuites=ciphersuites, alpn=tuple(alpn), more=tuple(more))
        self.retired = []
        self.live = self._read()

    def __dealloc__(self):
        for _when, address in self.retired or ():
            _free(<generation_t *><uintptr_t>address)
        _free(self.live)

    def files(self):
        """The paths of all files that it is read from."""
        options = self.options
        named = [options[name] for name in
                 ("certificate_path", "private_key_path", "private_key_password_path", "certificate_authority_path")]
        return [path for path in (*named, *(path for pair in options["more"] for path in pair)) if path]

    def reload(self):
        """Reads the files again, for connections from now on. Raises TlsFileError: then all stays as it was."""
        cdef:
            generation_t *old = self.live
            generation_t *new = self._read()
            uint8_t       keys[TICKET_KEYS_BYTES]
            double        now = time.monotonic()
        if self.server:                     # tickets that were given stay good
            openssl.SSL_CTX_ctrl(old.ctx, SSL_CTRL_GET_TLSEXT_TICKET_KEYS, TICKET_KEYS_BYTES, keys)
            openssl.SSL_CTX_ctrl(new.ctx, SSL_CTRL_SET_TLSEXT_TICKET_KEYS, TICKET_KEYS_BYTES, keys)
        self.live = new                     # one aligned store: a worker sees the old or the new
        while self.retired and now - self.retired[0][0] > RETIRED_SECONDS:
            _free(<generation_t *><uintptr_t>self.retired.pop(0)[1])
        self.retired.append((now, <uintptr_t>old))
        self.reloads += 1

    def seconds_left(self):
        """Until its own certificate expires, the first of several to do so; None: it has none."""
        cdef:
            int   days = 0, seconds = 0
            X509 *certificate = openssl.SSL_CTX_get0_certificate(self.live.ctx)
        if certificate is NULL:
            return None
        openssl.ASN1_TIME_diff(&days, &seconds, NULL, openssl.X509_get0_notAfter(certificate))
        left = days * 86400 + seconds
        for index in range(self.live.named_count):
            certificate = openssl.SSL_CTX_get0_certificate(self.live.named[index].ctx)
            openssl.ASN1_TIME_diff(&days, &seconds, NULL, openssl.X509_get0_notAfter(certificate))
            left = min(left, days * 86400 + seconds)
        return left

    def names(self):
        """The DNS names of its certificates that clients may ask for, the first one's excepted."""
        return [(<bytes>self.live.named[index].name).decode() for index in range(self.live.named_count)]

    cdef generation_t *_read(self) except NULL:
        options = self.options
        cdef generation_t *made = <generation_t *>calloc(1, sizeof(generation_t))
        if made is NULL:
            raise MemoryError()
        try:
            password = _password(options["private_key_password_path"])
            made.ctx = self._make(options["certificate_path"], options["private_key_path"], password)
            self._set_alpn(<uintptr_t>made, b"".join(bytes([len(name)]) + name.encode() for name in options["alpn"]))
            self._add_named(<uintptr_t>made, password)
        except BaseException:
            _free(made)
            raise
        return made

    def _add_named(self, address, password):
        cdef:
            generation_t *made = <generation_t *><uintptr_t>address
            SSL_CTX      *ctx
            named_t      *at
        pairs = self.options["more"]
        if not pairs:
            return
        found = []
        for certificate_path, private_key_path in pairs:
            try:
                ctx = self._make(certificate_path, private_key_path, password)
            except TlsFileError as error:
                raise TlsFileError("more", str(error)) from None
            names = _dns_names(ctx)
            if not names:
                openssl.SSL_CTX_free(ctx)
                raise TlsFileError("more", f"{certificate_path}: has no DNS name that a client could ask for")
            found.extend((name, <uintptr_t>ctx, index == 0) for index, name in enumerate(names))
        made.named = <named_t *>calloc(len(found), sizeof(named_t))
        if made.named is NULL:
            raise MemoryError()
        for name, ctx_address, first in found:
            at = &made.named[made.named_count]
            at.name = <char *>malloc(len(name) + 1)
            if at.name is NULL:
                raise MemoryError()
            memcpy(at.name, <const char *>name, len(name) + 1)
            at.ctx = <SSL_CTX *><uintptr_t>ctx_address
            if not first:
                openssl.SSL_CTX_up_ref(at.ctx)
            made.named_count += 1
        openssl.SSL_CTX_callback_ctrl(made.ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, <void (*)() noexcept nogil>_on_name)
        openssl.SSL_CTX_ctrl(made.ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, made)

    def _set_alpn(self, address, bytes wire):
        cdef generation_t *made = <generation_t *><uintptr_t>address
        if not wire:
            return
        made.alpn = <uint8_t *>malloc(len(wire))
        if made.alpn is NULL:
            raise MemoryError()
        memcpy(made.alpn, <const char *>wire, len(wire))
        made.alpn_size = len(wire)
        if self.server:
            openssl.SSL_CTX_set_alpn_select_cb(made.ctx, _on_alpn, made)
        elif openssl.SSL_CTX_set_alpn_protos(made.ctx, made.alpn, made.alpn_size) != 0:
            raise TlsFileError("alpn", (<bytes>openssl_reason()).decode())

    cdef SSL_CTX *_make(self, str certificate, str key, bytes password) except NULL:
        """A context of one certificate with all the rules."""
        cdef SSL_CTX *ctx = openssl.SSL_CTX_new(openssl.TLS_method())
        if ctx is NULL:
            raise MemoryError()
        try:
            self._fill(<uintptr_t>ctx, certificate, key, password)
        except BaseException:
            openssl.SSL_CTX_free(ctx)
            raise
        return ctx

    def _fill(self, address, certificate, key, password):
        cdef:
            SSL_CTX *ctx = <SSL_CTX *><uintptr_t>address
            OPENSSL_STACK *authorities
        options = self.options
        openssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION,
                             TLS_1_3 if options["min_version"] == "1.3" else TLS_1_2, NULL)
        openssl.SSL_CTX_ctrl(ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL)
        openssl.SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION_ | SSL_OP_NO_RENEGOTIATION_ | SSL_OP_IGNORE_UNEXPECTED_EOF_)
        if options["ciphers"] and not openssl.SSL_CTX_set_cipher_list(ctx, options["ciphers"].encode()):
            raise TlsFileError("ciphers", (<bytes>openssl_reason()).decode())
        if options["ciphersuites"] and not openssl.SSL_CTX_set_ciphersuites(ctx, options["ciphersuites"].encode()):
            raise TlsFileError("ciphersuites", (<bytes>openssl_reason()).decode())
        if certificate:
            _readable("certificate_path", certificate)
            if openssl.SSL_CTX_use_certificate_chain_file(ctx, os.fsencode(certificate)) != 1:
                raise _bad_file("certificate_path", certificate, "no certificate can be read from it")
            _readable("private_key_path", key)
            openssl.SSL_CTX_set_default_passwd_cb(ctx, _on_password)
            openssl.SSL_CTX_set_default_passwd_cb_userdata(ctx, <void *><char *>password if password is not None else NULL)
            if openssl.SSL_CTX_use_PrivateKey_file(ctx, os.fsencode(key), SSL_FILETYPE_PEM) != 1:
                raise _bad_key(key, certificate, password)
            openssl.SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL)
            if openssl.SSL_CTX_check_private_key(ctx) != 1:
                raise _bad_key(key, certificate, password)
        trusted = options["certificate_authority_path"]
        if trusted:
            _readable("certificate_authority_path", trusted)
            if openssl.SSL_CTX_load_verify_file(ctx, os.fsencode(trusted)) != 1:
                raise _bad_file("certificate_authority_path", trusted, "no certificate can be read from it")
        if self.server:
            openssl.SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE_)
            openssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL)    # tickets keep the sessions
            openssl.SSL_CTX_set_session_id_context(ctx, SESSION_OWNER, 8)
            if trusted:
                authorities = openssl.SSL_load_client_CA_file(os.fsencode(trusted))
                if authorities is not NULL:
                    openssl.SSL_CTX_set_client_CA_list(ctx, authorities)
                openssl.SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL)
            else:
                openssl.SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL)
        else:
            if not trusted:
                openssl.SSL_CTX_set_default_verify_paths(ctx)
            openssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL, NULL)
            openssl.SSL_CTX_sess_set_new_cb(ctx, _on_session)
            openssl.SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL)
        openssl_reason()                    # what was tried in vain on the way leaves no trace


cdef void _free(generation_t *made) noexcept:
    cdef uint32_t index
    if made is NULL:
        return
    for index in range(made.named_count):
        openssl.SSL_CTX_free(made.named[index].ctx)
        free(made.named[index].name)
    free(made.named)
    free(made.alpn)
    if made.ctx is not NULL:
        openssl.SSL_CTX_free(made.ctx)
    free(made)


cdef list _dns_names(SSL_CTX *ctx):
    """The DNS names that a context's certificate is for."""
    cdef:
        OPENSSL_STACK *listed = <OPENSSL_STACK *>openssl.X509_get_ext_d2i(
            openssl.SSL_CTX_get0_certificate(ctx), NID_subject_alt_name, NULL, NULL)
        GENERAL_NAME  *name
        int            index
    names = []
    if listed is NULL:
        return names
    for index in range(openssl.OPENSSL_sk_num(listed)):
        name = <GENERAL_NAME *>openssl.OPENSSL_sk_value(listed, index)
        if name.type == GEN_DNS:
            size = openssl.ASN1_STRING_length(<const ASN1_STRING *>name.value)
            names.append((<const char *>openssl.ASN1_STRING_get0_data(<const ASN1_STRING *>name.value))[:size])
    openssl.OPENSSL_sk_pop_free(listed, <void (*)(void *) noexcept nogil>openssl.GENERAL_NAME_free)
    return names


def _readable(field, path):
    try:
        with open(path, "rb") as stream:
            stream.read(1)
    except OSError as error:
        raise TlsFileError(field, f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _bad_file(field, path, what):
    return TlsFileError(field, f"{path}: {what}: {(<bytes>openssl_reason()).decode()}")


def _bad_key(path, certificate, password):
    """An error that says which of the many things that can be wrong with a key it is."""
    reason = (<bytes>openssl_reason()).decode()
    with open(path, "rb") as stream:
        text = stream.read(1 << 20)
    if b"ENCRYPTED" in text and password is None:
        return TlsFileError("private_key_path", f"{path}: the key is encrypted: say where its password is "
                            "(private_key_password_path)")
    if b"ENCRYPTED" in text:
        return TlsFileError("private_key_password_path", f"{path}: the key cannot be opened with that password: {reason}")
    if "mismatch" in reason:
        return TlsFileError("private_key_path", f"{path}: is not the key of the certificate in {certificate}")
    return TlsFileError("private_key_path", f"{path}: no private key can be read from it: {reason}")


def _password(path):
    if path is None:
        return None
    _readable("private_key_password_path", path)
    with open(path, "rb") as stream:
        return stream.readline(1024).rstrip(b"\r\n")


# ---- what OpenSSL calls, in the workers but for the first -----------------------------------------------------------

cdef int _on_password(char *out, int room, int _writing, void *password) noexcept nogil:
    cdef size_t size
    if password is NULL:
        return -1
    size = strlen(<const char *>password)
    if size > <size_t>room:
        return -1
    memcpy(out, password, size)
    return <int>size


cdef int _on_name(SSL *ssl, int *_alert, void *argument) noexcept nogil:
    """A client asks for a server by name."""
    cdef:
        generation_t *made = <generation_t *>argument
        const char   *name = openssl.SSL_get_servername(ssl, 0)
        const char   *parent
        uint32_t      index
    if name is NULL:
        return SSL_TLSEXT_ERR_NOACK
    parent = strchr(name, b".")
    for index in range(made.named_count):
        if strcasecmp(made.named[index].name, name) == 0 or (
            parent is not NULL and parent != name and made.named[index].name[0] == b"*"
            and strcasecmp(made.named[index].name + 1, parent) == 0
        ):
            openssl.SSL_set_SSL_CTX(ssl, made.named[index].ctx)
            break
    return SSL_TLSEXT_ERR_OK


cdef int _on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *offered,
                  unsigned int offered_size, void *argument) noexcept nogil:
    """A client says which protocols it could speak (RFC 7301): ours that comes first, or none of them (3.2: an alert)."""
    cdef generation_t *made = <generation_t *>argument
    if openssl.SSL_select_next_proto(<unsigned char **>out, out_size, made.alpn, made.alpn_size, offered,
                                     offered_size) == OPENSSL_NPN_NEGOTIATED:
        return SSL_TLSEXT_ERR_OK
    return SSL_TLSEXT_ERR_ALERT_FATAL


cdef int _on_session(SSL *ssl, SSL_SESSION *session) noexcept nogil:
    """A server has given a ticket: the next connection may begin with it (RFC 8446, 2.2). Where it is kept stands with `ssl`."""
    cdef SSL_SESSION **kept = <SSL_SESSION **>openssl.SSL_get_ex_data(ssl, 0)
    if kept[0] is not NULL:
        openssl.SSL_SESSION_free(kept[0])
    kept[0] = session
    return 1                                # the reference is ours now
