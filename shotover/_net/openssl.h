/* OpenSSL 3, found when it is first needed: what is used of it, as a table of functions.
 *
 * It is not linked, and its headers are not read, so that a machine without them can build Shotover, a wheel does not bind
 * itself to one distribution, and a process without TLS neither maps the library nor pays for it. What is declared here is
 * the library's documented and stable interface (OpenSSL 3.0 manual pages, section 3); all objects are opaque.
 */
#ifndef SHOTOVER_OPENSSL_H
#define SHOTOVER_OPENSSL_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_method_st SSL_METHOD;
typedef struct ssl_session_st SSL_SESSION;
typedef struct ssl_cipher_st SSL_CIPHER;
typedef struct bio_st BIO;
typedef struct bio_method_st BIO_METHOD;
typedef struct x509_st X509;
typedef struct X509_name_st X509_NAME;
typedef struct X509_VERIFY_PARAM_st X509_VERIFY_PARAM;
typedef struct asn1_string_st ASN1_STRING;
typedef struct asn1_object_st ASN1_OBJECT;
typedef struct stack_st OPENSSL_STACK;
typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;

typedef struct {        /* GENERAL_NAME (openssl/x509v3.h): its kind, and what that kind says */
    int type;           /* 1: e-mail, 2: DNS, 6: URI, 7: IP address */
    void *value;
} GENERAL_NAME;

#define OPENSSL_FUNCTIONS(F) \
    F(unsigned long, OpenSSL_version_num, (void)) \
    F(const char *, OpenSSL_version, (int)) \
    F(int, OPENSSL_init_ssl, (uint64_t, const void *)) \
    F(unsigned long, ERR_get_error, (void)) \
    F(unsigned long, ERR_peek_last_error, (void)) \
    F(void, ERR_clear_error, (void)) \
    F(const char *, ERR_reason_error_string, (unsigned long)) \
    F(const SSL_METHOD *, TLS_method, (void)) \
    F(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *)) \
    F(void, SSL_CTX_free, (SSL_CTX *)) \
    F(int, SSL_CTX_up_ref, (SSL_CTX *)) \
    F(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *)) \
    F(long, SSL_CTX_callback_ctrl, (SSL_CTX *, int, void (*)(void))) \
    F(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t)) \
    F(int, SSL_CTX_set_cipher_list, (SSL_CTX *, const char *)) \
    F(int, SSL_CTX_set_ciphersuites, (SSL_CTX *, const char *)) \
    F(int, SSL_CTX_use_certificate_chain_file, (SSL_CTX *, const char *)) \
    F(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX *, const char *, int)) \
    F(int, SSL_CTX_check_private_key, (const SSL_CTX *)) \
    F(X509 *, SSL_CTX_get0_certificate, (const SSL_CTX *)) \
    F(int, SSL_CTX_load_verify_file, (SSL_CTX *, const char *)) \
    F(int, SSL_CTX_set_default_verify_paths, (SSL_CTX *)) \
    F(void, SSL_CTX_set_verify, (SSL_CTX *, int, void *)) \
    F(OPENSSL_STACK *, SSL_load_client_CA_file, (const char *)) \
    F(void, SSL_CTX_set_client_CA_list, (SSL_CTX *, OPENSSL_STACK *)) \
    F(int, SSL_CTX_set_session_id_context, (SSL_CTX *, const unsigned char *, unsigned int)) \
    F(void, SSL_CTX_set_default_passwd_cb, (SSL_CTX *, int (*)(char *, int, int, void *))) \
    F(void, SSL_CTX_set_default_passwd_cb_userdata, (SSL_CTX *, void *)) \
    F(void, SSL_CTX_sess_set_new_cb, (SSL_CTX *, int (*)(SSL *, SSL_SESSION *))) \
    F(int, SSL_CTX_set_alpn_protos, (SSL_CTX *, const unsigned char *, unsigned int)) \
    F(void, SSL_CTX_set_alpn_select_cb, (SSL_CTX *, \
        int (*)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *), void *)) \
    F(int, SSL_select_next_proto, (unsigned char **, unsigned char *, const unsigned char *, unsigned int, \
        const unsigned char *, unsigned int)) \
    F(SSL *, SSL_new, (SSL_CTX *)) \
    F(void, SSL_free, (SSL *)) \
    F(void, SSL_set_bio, (SSL *, BIO *, BIO *)) \
    F(int, SSL_set_fd, (SSL *, int)) \
    F(void, SSL_set_accept_state, (SSL *)) \
    F(void, SSL_set_connect_state, (SSL *)) \
    F(int, SSL_do_handshake, (SSL *)) \
    F(int, SSL_read_ex, (SSL *, void *, size_t, size_t *)) \
    F(int, SSL_write_ex, (SSL *, const void *, size_t, size_t *)) \
    F(int, SSL_shutdown, (SSL *)) \
    F(int, SSL_get_error, (const SSL *, int)) \
    F(long, SSL_ctrl, (SSL *, int, long, void *)) \
    F(int, SSL_set_ex_data, (SSL *, int, void *)) \
    F(void *, SSL_get_ex_data, (const SSL *, int)) \
    F(int, SSL_set1_host, (SSL *, const char *)) \
    F(X509_VERIFY_PARAM *, SSL_get0_param, (SSL *)) \
    F(int, X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM *, const char *)) \
    F(long, SSL_get_verify_result, (const SSL *)) \
    F(const char *, X509_verify_cert_error_string, (long)) \
    F(int, SSL_session_reused, (const SSL *)) \
    F(int, SSL_set_session, (SSL *, SSL_SESSION *)) \
    F(void, SSL_SESSION_free, (SSL_SESSION *)) \
    F(const char *, SSL_get_version, (const SSL *)) \
    F(const char *, SSL_get_servername, (const SSL *, int)) \
    F(SSL_CTX *, SSL_set_SSL_CTX, (SSL *, SSL_CTX *)) \
    F(X509 *, SSL_get1_peer_certificate, (const SSL *)) \
    F(void, X509_free, (X509 *)) \
    F(X509_NAME *, X509_get_subject_name, (const X509 *)) \
    F(int, X509_NAME_get_text_by_NID, (X509_NAME *, int, char *, int)) \
    F(void *, X509_get_ext_d2i, (const X509 *, int, int *, int *)) \
    F(const ASN1_STRING *, X509_get0_notAfter, (const X509 *)) \
    F(int, ASN1_TIME_diff, (int *, int *, const ASN1_STRING *, const ASN1_STRING *)) \
    F(int, OPENSSL_sk_num, (const OPENSSL_STACK *)) \
    F(void *, OPENSSL_sk_value, (const OPENSSL_STACK *, int)) \
    F(void, OPENSSL_sk_pop_free, (OPENSSL_STACK *, void (*)(void *))) \
    F(void, GENERAL_NAME_free, (GENERAL_NAME *)) \
    F(const unsigned char *, ASN1_STRING_get0_data, (const ASN1_STRING *)) \
    F(int, ASN1_STRING_length, (const ASN1_STRING *)) \
    F(BIO_METHOD *, BIO_meth_new, (int, const char *)) \
    F(int, BIO_meth_set_write, (BIO_METHOD *, int (*)(BIO *, const char *, int))) \
    F(int, BIO_meth_set_read, (BIO_METHOD *, int (*)(BIO *, char *, int))) \
    F(int, BIO_meth_set_ctrl, (BIO_METHOD *, long (*)(BIO *, int, long, void *))) \
    F(BIO *, BIO_new, (const BIO_METHOD *)) \
    F(void, BIO_set_data, (BIO *, void *)) \
    F(void *, BIO_get_data, (BIO *)) \
    F(void, BIO_set_init, (BIO *, int)) \
    F(void, BIO_set_flags, (BIO *, int)) \
    F(void, BIO_clear_flags, (BIO *, int)) \
    F(EVP_MD *, EVP_MD_fetch, (OSSL_LIB_CTX *, const char *, const char *)) \
    F(void, EVP_MD_free, (EVP_MD *)) \
    F(EVP_MD_CTX *, EVP_MD_CTX_new, (void)) \
    F(void, EVP_MD_CTX_free, (EVP_MD_CTX *)) \
    F(int, EVP_DigestInit_ex, (EVP_MD_CTX *, const EVP_MD *, void *)) \
    F(int, EVP_DigestUpdate, (EVP_MD_CTX *, const void *, size_t)) \
    F(int, EVP_DigestFinal_ex, (EVP_MD_CTX *, unsigned char *, unsigned int *)) \
    F(EVP_CIPHER *, EVP_CIPHER_fetch, (OSSL_LIB_CTX *, const char *, const char *)) \
    F(void, EVP_CIPHER_free, (EVP_CIPHER *)) \
    F(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void)) \
    F(void, EVP_CIPHER_CTX_free, (EVP_CIPHER_CTX *)) \
    F(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX *, int, int, void *)) \
    F(int, EVP_EncryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *)) \
    F(int, EVP_EncryptUpdate, (EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int)) \
    F(int, EVP_EncryptFinal_ex, (EVP_CIPHER_CTX *, unsigned char *, int *)) \
    F(int, EVP_DecryptInit_ex, (EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *)) \
    F(int, EVP_DecryptUpdate, (EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int)) \
    F(int, EVP_DecryptFinal_ex, (EVP_CIPHER_CTX *, unsigned char *, int *)) \
    F(int, RAND_bytes, (unsigned char *, int))

#define OPENSSL_MEMBER(result, name, arguments) result (*name) arguments;
typedef struct {
    OPENSSL_FUNCTIONS(OPENSSL_MEMBER)
} openssl_t;
#undef OPENSSL_MEMBER

/* Constants of the interface (openssl/ssl.h, bio.h, x509.h, obj_mac.h), which never change. */
enum {
    SSL_FILETYPE_PEM = 1,
    SSL_ERROR_SSL = 1,
    SSL_ERROR_WANT_READ = 2,
    SSL_ERROR_WANT_WRITE = 3,
    SSL_ERROR_SYSCALL = 5,
    SSL_ERROR_ZERO_RETURN = 6,
    SSL_VERIFY_NONE = 0,
    SSL_VERIFY_PEER = 1,
    SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2,
    SSL_CTRL_MODE = 33,
    SSL_CTRL_SET_SESS_CACHE_SIZE = 42,
    SSL_CTRL_SET_SESS_CACHE_MODE = 44,
    SSL_CTRL_SET_TLSEXT_SERVERNAME_CB = 53,
    SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG = 54,
    SSL_CTRL_SET_TLSEXT_HOSTNAME = 55,
    SSL_CTRL_GET_TLSEXT_TICKET_KEYS = 58,
    SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59,
    SSL_CTRL_SET_MIN_PROTO_VERSION = 123,
    SSL_MODE_ENABLE_PARTIAL_WRITE = 1,
    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 2,
    SSL_MODE_RELEASE_BUFFERS = 16,
    SSL_SESS_CACHE_OFF = 0,
    SSL_SESS_CACHE_CLIENT = 1,
    SSL_SESS_CACHE_NO_INTERNAL = 0x300,
    SSL_TLSEXT_ERR_OK = 0,
    SSL_TLSEXT_ERR_ALERT_FATAL = 2,
    SSL_TLSEXT_ERR_NOACK = 3,
    OPENSSL_NPN_NEGOTIATED = 1,
    TLS_1_2 = 0x0303,
    TLS_1_3 = 0x0304,
    BIO_TYPE_SOURCE_SINK = 0x400,
    BIO_CTRL_FLUSH = 11,
    BIO_FLAGS_READ = 1,
    BIO_FLAGS_SHOULD_RETRY = 8,
    NID_commonName = 13,
    NID_subject_alt_name = 85,
    GEN_DNS = 2,
    GEN_URI = 6,
    TICKET_KEYS_BYTES = 80,
    EVP_CTRL_AEAD_GET_TAG = 16,
    EVP_CTRL_AEAD_SET_TAG = 17
};
#define OPENSSL_INIT_NO_ATEXIT_ ((uint64_t)0x80000)
#define SSL_OP_NO_COMPRESSION_ ((uint64_t)1 << 17)
#define SSL_OP_NO_RENEGOTIATION_ ((uint64_t)1 << 30)
#define SSL_OP_IGNORE_UNEXPECTED_EOF_ ((uint64_t)1 << 7)
#define SSL_OP_CIPHER_SERVER_PREFERENCE_ ((uint64_t)1 << 22)

/* Fills the table. 0; -1: why says what is missing. SHOTOVER_LIBSSL names the library where it is somewhere unusual. */
static int openssl_load(openssl_t *table, char *why, size_t room)
{
    static const char *const names[] = {
        "libssl.so.3", "libssl.3.dylib", "/opt/homebrew/opt/openssl@3/lib/libssl.3.dylib",
        "/usr/local/opt/openssl@3/lib/libssl.3.dylib", "/opt/local/lib/libssl.3.dylib", NULL
    };
    const char *named = getenv("SHOTOVER_LIBSSL");
    void *library = NULL;
    int index;

    if (named != NULL)
        library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    for (index = 0; library == NULL && named == NULL && names[index] != NULL; index++)
        library = dlopen(names[index], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        if (named != NULL)
            snprintf(why, room, "SHOTOVER_LIBSSL=%s: %s", named, dlerror());
        else
            snprintf(why, room, "TLS needs OpenSSL 3, and libssl.so.3 (macOS: libssl.3.dylib) is not there: install libssl3 "
                     "(Debian, Ubuntu), openssl-libs (Fedora) or openssl@3 (Homebrew), or name it in SHOTOVER_LIBSSL");
        return -1;
    }
#define OPENSSL_FIND(result, name, arguments) \
    *(void **)&table->name = dlsym(library, #name); \
    if (table->name == NULL) { \
        snprintf(why, room, "the OpenSSL that was found has no %s: version 3.0 or newer is needed", #name); \
        return -1; \
    }
    OPENSSL_FUNCTIONS(OPENSSL_FIND)
#undef OPENSSL_FIND
    /* Its own clean-up at the end of the process would pull it from under a worker that was left behind. */
    table->OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT_, NULL);
    return 0;
}

#endif
