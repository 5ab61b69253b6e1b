/* Twin of io/cdr.py: a message from nested dicts. Whatever is unusual, such as a field that the type does not have or a
 * number that does not fit, returns None: the twin then writes the message or raises the error. */
#include "kernels.h"

enum { NUMBER, NUMBERS, MESSAGE, TEXT, MESSAGES };
enum { FIELD_NAME, FIELD_KIND, FIELD_CODE, FIELD_LENGTH, FIELD_PLAN }; /* of an entry of a plan */

typedef struct {
    char *bytes;
    Py_ssize_t size, room;
} Body;

static const Py_ssize_t HEADER = 4; /* bytes that alignment does not count */

static bool grow(Body *body, Py_ssize_t more) {
    if (body->size + more <= body->room) return true;
    body->room = 2 * (body->size + more);
    char *bytes = PyMem_Realloc(body->bytes, body->room);
    if (!bytes) return false;
    body->bytes = bytes;
    return true;
}

static bool align(Body *body, int size) {
    const Py_ssize_t gap = (size - (body->size - HEADER) % size) % size;
    if (!grow(body, gap)) return false;
    memset(body->bytes + body->size, 0, gap);
    body->size += gap;
    return true;
}

static bool append(Body *body, const void *bytes, Py_ssize_t count) {
    if (!grow(body, count)) return false;
    if (count) memcpy(body->bytes + body->size, bytes, count);
    body->size += count;
    return true;
}

static bool append_count(Body *body, Py_ssize_t count) {
    const uint32_t number = count;
    return align(body, 4) && append(body, &number, 4);
}

static int size_of(char code) {
    switch (code) {
        case 'h': case 'H': return 2;
        case 'i': case 'I': case 'f': return 4;
        case 'q': case 'Q': case 'd': return 8;
    }
    return 1;
}

static bool write_integer(Body *body, char code, PyObject *value) {
    const int size = size_of(code);
    PyObject *index = PyNumber_Index(value);
    if (!index) return false;
    int overflow;
    const long long number = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    const bool is_signed = code == 'b' || code == 'h' || code == 'i' || code == 'q';
    const long long highest = size == 8 ? INT64_MAX : (1LL << (8 * size - is_signed)) - 1;
    const long long lowest = !is_signed ? 0 : size == 8 ? INT64_MIN : -highest - 1;
    return !overflow && number >= lowest && number <= highest && append(body, &number, size); /* little-endian */
}

static bool write_number(Body *body, char code, PyObject *value) {
    if (!align(body, size_of(code))) return false;
    if (code == '?') {
        const int found = value ? PyObject_IsTrue(value) : 0;
        const uint8_t truth = found;
        return found >= 0 && append(body, &truth, 1);
    }
    if (code == 'f' || code == 'd') {
        const double number = value ? PyFloat_AsDouble(value) : 0;
        const float small = number;
        if (number == -1 && PyErr_Occurred()) return false;
        if (code == 'd') return append(body, &number, 8);
        return isinf(small) == isinf(number) && append(body, &small, 4);
    }
    const int64_t zero = 0;
    return value ? write_integer(body, code, value) : append(body, &zero, size_of(code));
}

/* Numbers of the type of an array: one after the other, whatever their distance in memory. */
static bool write_array(Body *body, const Py_buffer *view, int size) {
    const Py_ssize_t count = view->len / view->itemsize;
    if (!count) return true;
    if (!align(body, size) || !grow(body, view->len)) return false;
    if (PyBuffer_IsContiguous(view, 'C')) return append(body, view->buf, view->len);
    if (view->ndim != 1) return false;
    for (Py_ssize_t i = 0; i < count; i++) append(body, (char *)view->buf + i * view->strides[0], size);
    return true;
}

static bool is_of(const Py_buffer *view, char code) {
    const char *format = view->format;
    if (*format == '<' || *format == '=') format++;
    if ((*format == 'l' && code == 'q') || (*format == 'L' && code == 'Q')) return view->itemsize == 8 && !format[1];
    return *format == code && !format[1];
}

static bool write_numbers(Body *body, char code, Py_ssize_t length, PyObject *value) {
    const int size = size_of(code);
    if (!value) {
        for (Py_ssize_t i = 0; i < length; i++)
            if (!write_number(body, code, NULL)) return false;
        return length ? true : append_count(body, 0);
    }
    Py_buffer view;
    if (PyList_Check(value) || PyTuple_Check(value)) {
        const Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
        if (length ? count != length : !append_count(body, count)) return false;
        for (Py_ssize_t i = 0; i < count; i++)
            if (!write_number(body, code, PySequence_Fast_GET_ITEM(value, i))) return false;
        return true;
    }
    if (PyBytes_Check(value) || PyObject_GetBuffer(value, &view, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) return false;
    const Py_ssize_t count = view.len / view.itemsize;
    const bool done = is_of(&view, code) && (length ? count == length : append_count(body, count)) &&
                      write_array(body, &view, size);
    PyBuffer_Release(&view);
    return done;
}

static bool write_text(Body *body, PyObject *value) {
    Py_ssize_t size = 0;
    const char *text = "";
    if (value && !(PyUnicode_Check(value) && (text = PyUnicode_AsUTF8AndSize(value, &size)))) return false;
    return append_count(body, size + 1) && append(body, text, size) && append(body, "", 1);
}

static bool write_message(Body *body, PyObject *plan, PyObject *values);

/* Elements that write themselves into a bytearray with the same alignment. */
static bool write_packed(Body *body, PyObject *value) {
    const Py_ssize_t before = (body->size - HEADER) & 7;
    PyObject *written = PyByteArray_FromStringAndSize("\0\0\0\0\0\0\0", before);
    PyObject *done = written ? PyObject_CallMethod(value, "write", "O", written) : NULL;
    const bool good = done && append(body, PyByteArray_AS_STRING(written) + before, PyByteArray_GET_SIZE(written) - before);
    Py_XDECREF(done), Py_XDECREF(written);
    return good;
}

/* Messages or, without a plan, texts. */
static bool write_messages(Body *body, PyObject *plan, Py_ssize_t length, PyObject *value) {
    if (!value) return length ? false : append_count(body, 0);
    if (PyList_Check(value) || PyTuple_Check(value)) {
        const Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
        if (length ? count != length : !append_count(body, count)) return false;
        for (Py_ssize_t i = 0; i < count; i++) {
            PyObject *item = PySequence_Fast_GET_ITEM(value, i);
            if (!(plan == Py_None ? write_text(body, item) : write_message(body, plan, item))) return false;
        }
        return true;
    }
    const Py_ssize_t count = PyObject_Size(value);
    if (count < 0 || length || !append_count(body, count)) return false;
    if (!PyObject_CheckBuffer(value)) return write_packed(body, value);
    Py_buffer view; /* points as an array, with one column for each field */
    if (PyObject_GetBuffer(value, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) return false;
    const char code = view.itemsize == 8 ? 'd' : 'f';
    bool done = is_of(&view, code) && view.ndim == 2 && plan != Py_None && view.shape[1] == PyTuple_GET_SIZE(plan);
    for (Py_ssize_t i = 0; done && i < PyTuple_GET_SIZE(plan); i++) {
        PyObject *field = PyTuple_GET_ITEM(plan, i);
        done = PyLong_AsLong(PyTuple_GET_ITEM(field, FIELD_KIND)) == NUMBER &&
               PyLong_AsLong(PyTuple_GET_ITEM(field, FIELD_CODE)) == code;
    }
    done = done && write_array(body, &view, view.itemsize);
    PyBuffer_Release(&view);
    return done;
}

static bool write_message(Body *body, PyObject *plan, PyObject *values) {
    Py_ssize_t known = 0;
    if (values && !PyDict_Check(values)) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plan); i++) {
        PyObject *field = PyTuple_GET_ITEM(plan, i), *inner = PyTuple_GET_ITEM(field, FIELD_PLAN);
        PyObject *value = values ? PyDict_GetItemWithError(values, PyTuple_GET_ITEM(field, FIELD_NAME)) : NULL;
        const char code = PyLong_AsLong(PyTuple_GET_ITEM(field, FIELD_CODE));
        const Py_ssize_t length = PyLong_AsSsize_t(PyTuple_GET_ITEM(field, FIELD_LENGTH));
        bool done = false;
        known += value != NULL;
        switch (PyLong_AsLong(PyTuple_GET_ITEM(field, FIELD_KIND))) {
            case NUMBER: done = write_number(body, code, value); break;
            case NUMBERS: done = write_numbers(body, code, length, value); break;
            case MESSAGE: done = write_message(body, inner, value); break;
            case TEXT: done = write_text(body, value); break;
            case MESSAGES: done = write_messages(body, inner, length, value); break;
        }
        if (!done) return false;
    }
    return !values || known == PyDict_GET_SIZE(values);
}

/* The plan of a message type, its fields: bytes with the encapsulation header, or None. */
KERNEL(serialize) {
    if (count != 2 || !PyTuple_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "expected a plan and the fields of a message");
        return NULL;
    }
    Body body = {NULL, 0, 0};
    const bool done = append(&body, "\0\1\0\0", HEADER) && write_message(&body, arguments[0], arguments[1]);
    PyObject *bytes = done ? PyBytes_FromStringAndSize(body.bytes, body.size) : NULL;
    PyMem_Free(body.bytes);
    if (bytes) return bytes;
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* Append what a plan names of an object to numbers: an attribute, a tuple of the name of an inner object and the plans of
 * its attributes, or of the name of a float32 array and its length. False, and an error, where that does not fit. */
static bool read_attribute(PyObject *object, PyObject *plan, double **at, const double *end) {
    if (PyUnicode_Check(plan)) {
        PyObject *value = PyObject_GetAttr(object, plan);
        const double number = value ? PyFloat_AsDouble(value) : -1;
        Py_XDECREF(value);
        if (number == -1 && PyErr_Occurred()) return false;
        if (*at < end) *(*at)++ = number;
        return true;
    }
    PyObject *name, *inner;
    if (!PyArg_ParseTuple(plan, "OO", &name, &inner)) return false;
    PyObject *value = PyObject_GetAttr(object, name);
    bool good = value != NULL;
    if (good && PyTuple_Check(inner)) {
        for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(inner); i++)
            good = read_attribute(value, PyTuple_GET_ITEM(inner, i), at, end);
    } else if (good) {
        const Py_ssize_t length = PyLong_AsSsize_t(inner);
        Py_buffer view;
        good = PyObject_GetBuffer(value, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0;
        if (good && (view.itemsize != 4 || !view.format || view.format[0] != 'f' || view.len != 4 * length)) {
            PyErr_Format(PyExc_TypeError, "%U must have %zd numbers of float32", name, length);
            PyBuffer_Release(&view);
            good = false;
        }
        for (Py_ssize_t i = 0; good && i < length && *at < end; i++) *(*at)++ = ((const float *)view.buf)[i];
        if (good) PyBuffer_Release(&view);
    }
    Py_XDECREF(value);
    return good;
}

/* A list of N objects, a plan of their numbers, a matrix (N, K) that is written. */
KERNEL(read_numbers) {
    Py_buffer view;
    if (count != 3 || !PyList_Check(arguments[0]) || !PyTuple_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "expected a list, a tuple and an array");
        return NULL;
    }
    if (PyObject_GetBuffer(arguments[2], &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE | PyBUF_FORMAT) < 0) return NULL;
    bool good = view.itemsize == 8 && view.format && view.format[0] == 'd';
    if (!good) PyErr_SetString(PyExc_TypeError, "expected an array of float64");
    double *at = view.buf;
    const double *end = at + view.len / 8;
    for (Py_ssize_t n = 0; good && n < PyList_GET_SIZE(arguments[0]); n++)
        for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(arguments[1]); i++)
            good = read_attribute(PyList_GET_ITEM(arguments[0], n), PyTuple_GET_ITEM(arguments[1], i), &at, end);
    PyBuffer_Release(&view);
    if (!good) return NULL;
    Py_RETURN_NONE;
}
