/* Which blocks of code an input has entered. Preloaded: modules built with -fsanitize-coverage=trace-pc call in here.

   An edge (one block after another) is a cell of a map that counts how often it was taken. Of a count only its size
   matters: once, twice, three times, up to 7, 15, 31, 127, more; each is a bit. Cells are chosen by a hash, so two edges
   may share one: then something new is overlooked, never the other way round.
   One thread is traced, the one that has called trace_begin; others pass through. */
#include <stdint.h>
#include <string.h>

enum { CELLS = 1 << 16 };

static uint8_t hits[CELLS] __attribute__((aligned(64)));
static uint8_t seen[CELLS];
static __thread int traced;
static uint32_t previous;

void __sanitizer_cov_trace_pc(void) {
    uint64_t pc;
    uint32_t cell;
    if (!traced) {
        return;
    }
    pc = (uint64_t)(uintptr_t)__builtin_return_address(0);
    cell = (uint32_t)((pc * UINT64_C(0x9E3779B97F4A7C15)) >> 48);
    if (hits[cell ^ previous] != UINT8_MAX) {
        hits[cell ^ previous]++;
    }
    previous = cell >> 1;
}

static uint8_t size_of(uint8_t count) {
    static const uint8_t small[8] = {0, 1, 2, 4, 8, 8, 8, 8};
    return count < 8 ? small[count] : count < 16 ? 16 : count < 32 ? 32 : count < 128 ? 64 : 128;
}

void trace_begin(void) {
    memset(hits, 0, sizeof hits);
    previous = 0;
    traced = 1;
}

/* How much since trace_begin was never seen before: edges, and new sizes of their counts. */
int trace_end(void) {
    int cell, at, fresh = 0;
    uint8_t bit;
    traced = 0;
    for (cell = 0; cell < CELLS; cell += 8) {
        uint64_t eight;
        memcpy(&eight, hits + cell, 8);
        for (at = cell; eight != 0 && at < cell + 8; at++) {
            bit = size_of(hits[at]);
            if (bit & ~seen[at]) {
                seen[at] |= bit;
                fresh++;
            }
        }
    }
    return fresh;
}

/* As if nothing had been seen. */
void trace_forget(void) {
    memset(seen, 0, sizeof seen);
}

/* How many edges have ever been taken. */
int trace_edges(void) {
    int cell, count = 0;
    for (cell = 0; cell < CELLS; cell++) {
        count += seen[cell] != 0;
    }
    return count;
}
