"""OpenSSL's functions, as a table that is filled when TLS is first used; see openssl.h.

Each thread keeps OpenSSL's queue of errors empty: who has had an error takes it with `openssl_reason`.
"""

from libc.stdint cimport uint64_t


cdef extern from "shotover/_net/openssl.h" nogil:
    ctypedef struct SSL_CTX:
        pass
    ctypedef struct SSL:
        pass
    ctypedef struct SSL_METHOD:
        pass
    ctypedef struct SSL_SESSION:
        pass
    ctypedef struct BIO:
        pass
    ctypedef struct BIO_METHOD:
        pass
    ctypedef struct X509:
        pass
    ctypedef struct X509_NAME:
        pass
    ctypedef struct X509_VERIFY_PARAM:
        pass
    ctypedef struct ASN1_STRING:
        pass
    ctypedef struct OPENSSL_STACK:
        pass
    ctypedef struct EVP_MD:
        pass
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct GENERAL_NAME:
        int   type
        void *value

    ctypedef struct openssl_t:
        unsigned long (*OpenSSL_version_num)() noexcept nogil
        const char *(*OpenSSL_version)(int) noexcept nogil
        unsigned long (*ERR_get_error)() noexcept nogil
        unsigned long (*ERR_peek_last_error)() noexcept nogil
        void (*ERR_clear_error)() noexcept nogil
        const char *(*ERR_reason_error_string)(unsigned long) noexcept nogil
        const SSL_METHOD *(*TLS_method)() noexcept nogil
        SSL_CTX *(*SSL_CTX_new)(const SSL_METHOD *) noexcept nogil
        void (*SSL_CTX_free)(SSL_CTX *) noexcept nogil
        long (*SSL_CTX_ctrl)(SSL_CTX *, int, long, void *) noexcept nogil
        long (*SSL_CTX_callback_ctrl)(SSL_CTX *, int, void (*)() noexcept nogil) noexcept nogil
        uint64_t (*SSL_CTX_set_options)(SSL_CTX *, uint64_t) noexcept nogil
        int (*SSL_CTX_set_cipher_list)(SSL_CTX *, const char *) noexcept nogil
        int (*SSL_CTX_set_ciphersuites)(SSL_CTX *, const char *) noexcept nogil
        int (*SSL_CTX_use_certificate_chain_file)(SSL_CTX *, const char *) noexcept nogil
        int (*SSL_CTX_use_PrivateKey_file)(SSL_CTX *, const char *, int) noexcept nogil
        int (*SSL_CTX_up_ref)(SSL_CTX *) noexcept nogil
        int (*SSL_CTX_check_private_key)(const SSL_CTX *) noexcept nogil
        X509 *(*SSL_CTX_get0_certificate)(const SSL_CTX *) noexcept nogil
        int (*SSL_CTX_load_verify_file)(SSL_CTX *, const char *) noexcept nogil
        int (*SSL_CTX_set_default_verify_paths)(SSL_CTX *) noexcept nogil
        void (*SSL_CTX_set_verify)(SSL_CTX *, int, void *) noexcept nogil
        OPENSSL_STACK *(*SSL_load_client_CA_file)(const char *) noexcept nogil
        void (*SSL_CTX_set_client_CA_list)(SSL_CTX *, OPENSSL_STACK *) noexcept nogil
        int (*SSL_CTX_set_session_id_context)(SSL_CTX *, const unsigned char *, unsigned int) noexcept nogil
        void (*SSL_CTX_set_default_passwd_cb)(SSL_CTX *, int (*)(char *, int, int, void *) noexcept nogil) noexcept nogil
        void (*SSL_CTX_set_default_passwd_cb_userdata)(SSL_CTX *, void *) noexcept nogil
        void (*SSL_CTX_sess_set_new_cb)(SSL_CTX *, int (*)(SSL *, SSL_SESSION *) noexcept nogil) noexcept nogil
        int (*SSL_CTX_set_alpn_protos)(SSL_CTX *, const unsigned char *, unsigned int) noexcept nogil
        void (*SSL_CTX_set_alpn_select_cb)(
            SSL_CTX *,
            int (*)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *) noexcept nogil,
            void *) noexcept nogil
        int (*SSL_select_next_proto)(unsigned char **, unsigned char *, const unsigned char *, unsigned int,
                                     const unsigned char *, unsigned int) noexcept nogil
        SSL *(*SSL_new)(SSL_CTX *) noexcept nogil
        void (*SSL_free)(SSL *) noexcept nogil
        void (*SSL_set_bio)(SSL *, BIO *, BIO *) noexcept nogil
        int (*SSL_set_fd)(SSL *, int) noexcept nogil
        void (*SSL_set_accept_state)(SSL *) noexcept nogil
        void (*SSL_set_connect_state)(SSL *) noexcept nogil
        int (*SSL_do_handshake)(SSL *) noexcept nogil
        int (*SSL_read_ex)(SSL *, void *, size_t, size_t *) noexcept nogil
        int (*SSL_write_ex)(SSL *, const void *, size_t, size_t *) noexcept nogil
        int (*SSL_shutdown)(SSL *) noexcept nogil
        int (*SSL_get_error)(const SSL *, int) noexcept nogil
        long (*SSL_ctrl)(SSL *, int, long, void *) noexcept nogil
        int (*SSL_set_ex_data)(SSL *, int, void *) noexcept nogil
        void *(*SSL_get_ex_data)(const SSL *, int) noexcept nogil
        int (*SSL_set1_host)(SSL *, const char *) noexcept nogil
        X509_VERIFY_PARAM *(*SSL_get0_param)(SSL *) noexcept nogil
        int (*X509_VERIFY_PARAM_set1_ip_asc)(X509_VERIFY_PARAM *, const char *) noexcept nogil
        long (*SSL_get_verify_result)(const SSL *) noexcept nogil
        const char *(*X509_verify_cert_error_string)(long) noexcept nogil
        int (*SSL_session_reused)(const SSL *) noexcept nogil
        int (*SSL_set_session)(SSL *, SSL_SESSION *) noexcept nogil
        void (*SSL_SESSION_free)(SSL_SESSION *) noexcept nogil
        const char *(*SSL_get_version)(const SSL *) noexcept nogil
        const char *(*SSL_get_servername)(const SSL *, int) noexcept nogil
        SSL_CTX *(*SSL_set_SSL_CTX)(SSL *, SSL_CTX *) noexcept nogil
        X509 *(*SSL_get1_peer_certificate)(const SSL *) noexcept nogil
        void (*X509_free)(X509 *) noexcept nogil
        X509_NAME *(*X509_get_subject_name)(const X509 *) noexcept nogil
        int (*X509_NAME_get_text_by_NID)(X509_NAME *, int, char *, int) noexcept nogil
        void *(*X509_get_ext_d2i)(const X509 *, int, int *, int *) noexcept nogil
        const ASN1_STRING *(*X509_get0_notAfter)(const X509 *) noexcept nogil
        int (*ASN1_TIME_diff)(int *, int *, const ASN1_STRING *, const ASN1_STRING *) noexcept nogil
        int (*OPENSSL_sk_num)(const OPENSSL_STACK *) noexcept nogil
        void *(*OPENSSL_sk_value)(const OPENSSL_STACK *, int) noexcept nogil
        void (*OPENSSL_sk_pop_free)(OPENSSL_STACK *, void (*)(void *) noexcept nogil) noexcept nogil
        void (*GENERAL_NAME_free)(GENERAL_NAME *) noexcept nogil
        const unsigned char *(*ASN1_STRING_get0_data)(const ASN1_STRING *) noexcept nogil
        int (*ASN1_STRING_length)(const ASN1_STRING *) noexcept nogil
        BIO_METHOD *(*BIO_meth_new)(int, const char *) noexcept nogil
        int (*BIO_meth_set_write)(BIO_METHOD *, int (*)(BIO *, const char *, int) noexcept nogil) noexcept nogil
        int (*BIO_meth_set_read)(BIO_METHOD *, int (*)(BIO *, char *, int) noexcept nogil) noexcept nogil
        int (*BIO_meth_set_ctrl)(BIO_METHOD *, long (*)(BIO *, int, long, void *) noexcept nogil) noexcept nogil
        BIO *(*BIO_new)(const BIO_METHOD *) noexcept nogil
        void (*BIO_set_data)(BIO *, void *) noexcept nogil
        void *(*BIO_get_data)(BIO *) noexcept nogil
        void (*BIO_set_init)(BIO *, int) noexcept nogil
        void (*BIO_set_flags)(BIO *, int) noexcept nogil
        void (*BIO_clear_flags)(BIO *, int) noexcept nogil
        EVP_MD *(*EVP_MD_fetch)(void *, const char *, const char *) noexcept nogil
        void (*EVP_MD_free)(EVP_MD *) noexcept nogil
        EVP_MD_CTX *(*EVP_MD_CTX_new)() noexcept nogil
        void (*EVP_MD_CTX_free)(EVP_MD_CTX *) noexcept nogil
        int (*EVP_DigestInit_ex)(EVP_MD_CTX *, const EVP_MD *, void *) noexcept nogil
        int (*EVP_DigestUpdate)(EVP_MD_CTX *, const void *, size_t) noexcept nogil
        int (*EVP_DigestFinal_ex)(EVP_MD_CTX *, unsigned char *, unsigned int *) noexcept nogil
        EVP_CIPHER *(*EVP_CIPHER_fetch)(void *, const char *, const char *) noexcept nogil
        void (*EVP_CIPHER_free)(EVP_CIPHER *) noexcept nogil
        EVP_CIPHER_CTX *(*EVP_CIPHER_CTX_new)() noexcept nogil
        void (*EVP_CIPHER_CTX_free)(EVP_CIPHER_CTX *) noexcept nogil
        int (*EVP_CIPHER_CTX_ctrl)(EVP_CIPHER_CTX *, int, int, void *) noexcept nogil
        int (*EVP_EncryptInit_ex)(
            EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *) noexcept nogil
        int (*EVP_EncryptUpdate)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int) noexcept nogil
        int (*EVP_EncryptFinal_ex)(EVP_CIPHER_CTX *, unsigned char *, int *) noexcept nogil
        int (*EVP_DecryptInit_ex)(
            EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *) noexcept nogil
        int (*EVP_DecryptUpdate)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int) noexcept nogil
        int (*EVP_DecryptFinal_ex)(EVP_CIPHER_CTX *, unsigned char *, int *) noexcept nogil
        int (*RAND_bytes)(unsigned char *, int) noexcept nogil

    enum:
        SSL_FILETYPE_PEM
        SSL_ERROR_SSL
        SSL_ERROR_WANT_READ
        SSL_ERROR_WANT_WRITE
        SSL_ERROR_SYSCALL
        SSL_ERROR_ZERO_RETURN
        SSL_VERIFY_NONE
        SSL_VERIFY_PEER
        SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        SSL_CTRL_MODE
        SSL_CTRL_SET_SESS_CACHE_MODE
        SSL_CTRL_SET_TLSEXT_SERVERNAME_CB
        SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG
        SSL_CTRL_SET_TLSEXT_HOSTNAME
        SSL_CTRL_GET_TLSEXT_TICKET_KEYS
        SSL_CTRL_SET_TLSEXT_TICKET_KEYS
        SSL_CTRL_SET_MIN_PROTO_VERSION
        SSL_MODE_ENABLE_PARTIAL_WRITE
        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        SSL_MODE_RELEASE_BUFFERS
        SSL_SESS_CACHE_OFF
        SSL_SESS_CACHE_CLIENT
        SSL_SESS_CACHE_NO_INTERNAL
        SSL_TLSEXT_ERR_OK
        SSL_TLSEXT_ERR_ALERT_FATAL
        SSL_TLSEXT_ERR_NOACK
        OPENSSL_NPN_NEGOTIATED
        TLS_1_2
        TLS_1_3
        BIO_TYPE_SOURCE_SINK
        BIO_CTRL_FLUSH
        BIO_FLAGS_READ
        BIO_FLAGS_SHOULD_RETRY
        NID_commonName
        NID_subject_alt_name
        GEN_DNS
        GEN_URI
        TICKET_KEYS_BYTES
        EVP_CTRL_AEAD_GET_TAG
        EVP_CTRL_AEAD_SET_TAG
    uint64_t SSL_OP_NO_COMPRESSION_
    uint64_t SSL_OP_NO_RENEGOTIATION_
    uint64_t SSL_OP_IGNORE_UNEXPECTED_EOF_
    uint64_t SSL_OP_CIPHER_SERVER_PREFERENCE_


cdef openssl_t openssl

cdef const char *openssl_reason() noexcept nogil
