/* zero_lines: clears what traffic is born in. Compilers make of memset with a size they know one string instruction, which
 * takes longer to begin than a few hundred bytes take to be written; these stay plain stores of 16 bytes each. */
#ifndef SHOTOVER_ZERO_H
#define SHOTOVER_ZERO_H
#include <stddef.h>
#include <string.h>

typedef long long zero_t __attribute__((vector_size(16), may_alias, aligned(8)));

/* `at` is aligned to 8 bytes; `size` is a compile-time constant. */
static inline __attribute__((always_inline)) void zero_lines(void *at, size_t size) {
    char *to = (char *)at;
    char *end = to + (size & ~(size_t)63);
    for (; to != end; to += 64) {
        ((zero_t *)to)[0] = (zero_t){0, 0};
        ((zero_t *)to)[1] = (zero_t){0, 0};
        ((zero_t *)to)[2] = (zero_t){0, 0};
        ((zero_t *)to)[3] = (zero_t){0, 0};
        __asm__("" : "+r"(to));                 /* or the loop is recognised as a memset */
    }
    memset(to, 0, size & 63);
}
#endif
