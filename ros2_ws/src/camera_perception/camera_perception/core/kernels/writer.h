/* Numbers as CDR, aligned to multiples of their size. */
#pragma once
#include "kernels.h"

typedef struct {
    char *at;
    Py_ssize_t start, end; /* bytes of the message before, and written */
} Writer;

static inline void put(Writer *w, const void *value, int size) {
    while ((w->start + w->end) % size) w->at[w->end++] = 0;
    memcpy(w->at + w->end, value, size);
    w->end += size;
}

static inline void put_u32(Writer *w, uint32_t value) { put(w, &value, 4); }
static inline void put_u16(Writer *w, uint16_t value) { put(w, &value, 2); }
static inline void put_u8(Writer *w, uint8_t value) { put(w, &value, 1); }
static inline void put_f32(Writer *w, float value) { put(w, &value, 4); }
static inline void put_f64(Writer *w, double value) { put(w, &value, 8); }
