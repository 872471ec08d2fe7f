"""Finds OpenSSL; see openssl.pxd."""


cdef extern from "shotover/_net/openssl.h" nogil:
    int openssl_load(openssl_t *table, char *why, size_t room)


cdef bint found = False


def load():
    """Fills the table, once. OSError: there is no OpenSSL 3 here; its text says what to install. Returns the version found."""
    global found
    cdef char why[400]
    if not found:
        if openssl_load(&openssl, why, sizeof(why)) != 0:
            raise OSError(0, (<bytes>why).decode())
        if openssl.OpenSSL_version_num() < 0x30000000:
            raise OSError(0, f"TLS needs OpenSSL 3.0 or newer, found {(<bytes>openssl.OpenSSL_version(0)).decode()}")
        found = True
    return (<bytes>openssl.OpenSSL_version(0)).decode()


cdef const char *openssl_reason() noexcept nogil:
    """The reason of this thread's latest error, whose queue is emptied. Static text; never NULL."""
    cdef const char *text = openssl.ERR_reason_error_string(openssl.ERR_peek_last_error())
    openssl.ERR_clear_error()
    if text is NULL:
        return b"unknown error"
    return text
