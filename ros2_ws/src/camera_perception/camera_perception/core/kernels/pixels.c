/* Twin of the conversion in image/letterbox.py: pixels as the numbers that a network reads. */
#include "kernels.h"

/* Pixels (count, 3) by the tables (3, 256) of the three channels of the network, interleaved or plane by plane. */
#define CONVERT(type) \
    static void convert_##type(const uint8_t *pixels, Py_ssize_t count, const type *table, bool swap, bool planar, \
                               type *to) { \
        const int step = planar ? 1 : 3; \
        for (int channel = 0; channel < 3; channel++) { \
            const type *own = table + 256 * channel; \
            const uint8_t *from = pixels + (swap ? 2 - channel : channel); \
            type *out = to + (planar ? channel * count : channel); \
            for (Py_ssize_t n = 0; n < count; n++) out[step * n] = own[from[3 * n]]; \
        } \
    }

CONVERT(uint16_t)
CONVERT(uint32_t)

/* Pixels (N, 3); bytes of the tables (3, 256), whose numbers have 2 or 4 bytes; whether channels change their order and
 * whether each has a plane of its own; the bytes of the N * 3 numbers are written. */
KERNEL(convert_pixels) {
    TAKE(a, "BN3 BE s s wBX");
    const Py_ssize_t pixels = a.count['N'], size = a.count['E'] / 768;
    const bool swap = a.number[2] != 0, planar = a.number[3] != 0;
    const bool fits = a.count['E'] == 768 * size && a.count['X'] == 3 * pixels * size;
    if (fits && size == 2) convert_uint16_t(a.at[0], pixels, a.at[1], swap, planar, a.at[4]);
    else if (fits && size == 4) convert_uint32_t(a.at[0], pixels, a.at[1], swap, planar, a.at[4]);
    else PyErr_SetString(PyExc_ValueError, "expected tables of 256 numbers for three channels, and room for all pixels");
    give_back(&a);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}
