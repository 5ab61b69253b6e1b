/* Twin of io/packed_objects.py: the objects of a PerceptionFrame as CDR. */
#include "writer.h"

/* Rows of objects in order (R,), columns of Objects (N, ...), names as bytes that end with a zero, bytes of the message
 * before, whether velocities are over the ground, a buffer (B,); returns the number of bytes written. */
KERNEL(pack_objects) {
    TAKE(a, "lR fN4 fN iN BN lN iN ?N BN fN fN3 fN4 fN2 fN4 wBB s s");
    if (count != 18 || !PyTuple_Check(arguments[17])) {
        give_back(&a);
        PyErr_SetString(PyExc_TypeError, "names must be a tuple of bytes");
        return NULL;
    }
    PyObject *names = arguments[17];
    const int64_t *rows = a.at[0], *ids = a.at[5];
    const float *boxes = a.at[1], *scores = a.at[2], *widths = a.at[9], *positions = a.at[10], *covs = a.at[11];
    const float *velocities = a.at[12], *velocity_covs = a.at[13];
    const int32_t *classes = a.at[3], *ages = a.at[6];
    const uint8_t *truncated = a.at[4], *methods = a.at[8];
    const bool *coasted = a.at[7];
    Writer w = {a.at[14], (Py_ssize_t)a.number[15], 0};
    for (Py_ssize_t r = 0; r < a.count['R']; r++) {
        const int64_t n = rows[r];
        if (n < 0 || n >= a.count['N']) continue;
        const bool named = classes[n] >= 0 && classes[n] < PyTuple_GET_SIZE(names);
        PyObject *name = named ? PyTuple_GET_ITEM(names, classes[n]) : NULL;
        const char *text = name && PyBytes_Check(name) ? PyBytes_AS_STRING(name) : "";
        const Py_ssize_t length = strlen(text) + 1;
        if (w.end + length + 192 > a.count['B']) break;
        put_u16(&w, classes[n]);
        put_u32(&w, length);
        memcpy(w.at + w.end, text, length), w.end += length;
        put_f32(&w, scores[n]);
        put_u32(&w, 0); /* alternatives */
        const double x0 = boxes[4 * n], y0 = boxes[4 * n + 1], x1 = boxes[4 * n + 2], y1 = boxes[4 * n + 3];
        put_f32(&w, (x0 + x1) / 2), put_f32(&w, (y0 + y1) / 2), put_f32(&w, x1 - x0), put_f32(&w, y1 - y0);
        put_u8(&w, truncated[n]);
        put_u32(&w, ids[n] & 0xFFFFFFFF);
        put_u16(&w, ages[n] < 0xFFFF ? ages[n] : 0xFFFF);
        put_u8(&w, coasted[n]);
        const double x = positions[3 * n], y = positions[3 * n + 1];
        const bool known = isfinite(x) && isfinite(y);
        put_u8(&w, known), put_u8(&w, known ? methods[n] : 0);
        for (int i = 0; i < 3; i++) put_f64(&w, positions[3 * n + i]);
        for (int i = 0; i < 4; i++) put_f32(&w, covs[4 * n + i]);
        put_f32(&w, widths[n]), put_f32(&w, hypot(x, y)), put_f32(&w, atan2(y, x));
        const double vx = velocities[2 * n], vy = velocities[2 * n + 1];
        const bool moving = isfinite(vx) && isfinite(vy);
        put_u8(&w, moving);
        put_f64(&w, vx), put_f64(&w, vy), put_f64(&w, moving ? 0.0 : NAN);
        put_u8(&w, moving && a.number[16] != 0);
        for (int i = 0; i < 4; i++) put_f32(&w, velocity_covs[4 * n + i]);
    }
    give_back(&a);
    return PyLong_FromSsize_t(w.end);
}
