/* invariant(x): what cannot be false. Aborts in debug builds, gone in release. Input from a peer is never an invariant. */
#ifndef SHOTOVER_DEBUG_H
#define SHOTOVER_DEBUG_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef SHOTOVER_DEBUG
#define invariant(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #x), abort()))
#define SHOTOVER_DEBUG_BUILD 1
#else
#define invariant(x) ((void)0)
#define SHOTOVER_DEBUG_BUILD 0
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
static inline int lowest_bit(uint64_t x) { return __builtin_ctzll(x); }
#endif
