/* Twin of a cv2.resize to half the size, whose own loop for three channels takes one number at a time. */
#include "kernels.h"
#if defined(__GNUC__) && defined(__x86_64__)
#include <tmmintrin.h>
#define FAST __builtin_cpu_supports("ssse3")
#define FAST_TARGET __attribute__((target("ssse3")))
#else
#define FAST false
#define FAST_TARGET
#endif

/* One row of means of two by two pixels, rounded up from a half; from two rows of twice as many pixels. */
FAST_TARGET static void halve_row(const uint8_t *a, const uint8_t *b, Py_ssize_t columns, uint8_t *to) {
    Py_ssize_t x = 0;
#if defined(__GNUC__) && defined(__x86_64__)
    /* the numbers of one channel of two pixels next to each other */
    const __m128i pairs = _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1);
    const __m128i ones = _mm_set1_epi8(1), half = _mm_set1_epi16(2);
    for (; x + 4 <= columns; x += 2) { /* reads 16 bytes for 12, and writes 8 for 6 */
        const __m128i upper = _mm_loadu_si128((const __m128i *)(a + 6 * x));
        const __m128i lower = _mm_loadu_si128((const __m128i *)(b + 6 * x));
        const __m128i sum = _mm_add_epi16(_mm_maddubs_epi16(_mm_shuffle_epi8(upper, pairs), ones),
                                          _mm_maddubs_epi16(_mm_shuffle_epi8(lower, pairs), ones));
        const __m128i mean = _mm_srli_epi16(_mm_add_epi16(sum, half), 2);
        _mm_storel_epi64((__m128i *)(to + 3 * x), _mm_packus_epi16(mean, mean));
    }
#endif
    for (; x < columns; x++)
        for (int c = 0; c < 3; c++) {
            const uint8_t *upper = a + 6 * x + c, *lower = b + 6 * x + c;
            to[3 * x + c] = (upper[0] + upper[3] + lower[0] + lower[3] + 2) >> 2;
        }
}

static bool is_image(const Py_buffer *view) {
    return view->ndim == 3 && view->itemsize == 1 && view->shape[2] == 3 && view->strides[2] == 1 && view->strides[1] == 3;
}

static void halve_rows(const Py_buffer *from, const Py_buffer *to) {
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t y = 0; y < to->shape[0]; y++) {
        const uint8_t *row = (uint8_t *)from->buf + 2 * y * from->strides[0];
        halve_row(row, row + from->strides[0], to->shape[1], (uint8_t *)to->buf + y * to->strides[0]);
    }
    Py_END_ALLOW_THREADS
}

/* An image (2 h, 2 w, 3) of uint8 and one (h, w, 3) that is written; rows may be apart. Returns false, and writes nothing,
 * where that is not what they are, or OpenCV is as fast. */
KERNEL(halve) {
    Py_buffer from, to;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "expected two images");
        return NULL;
    }
    if (PyObject_GetBuffer(arguments[0], &from, PyBUF_STRIDED_RO) < 0) return NULL;
    if (PyObject_GetBuffer(arguments[1], &to, PyBUF_STRIDED) < 0) {
        PyBuffer_Release(&from);
        return NULL;
    }
    const bool fits = FAST && is_image(&from) && is_image(&to) && from.shape[0] == 2 * to.shape[0] &&
                      from.shape[1] == 2 * to.shape[1];
    if (fits) halve_rows(&from, &to);
    PyBuffer_Release(&from), PyBuffer_Release(&to);
    return PyBool_FromLong(fits);
}
