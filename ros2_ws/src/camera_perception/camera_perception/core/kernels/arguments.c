/* Arguments of kernels: buffers of NumPy arrays whose types and shapes are checked, so that no kernel leaves them. */
#include "kernels.h"
#include <ctype.h>

static char kind_of(const Py_buffer *view) {
    const char *format = view->format ? view->format : "B";
    if (*format == '@' || *format == '=' || *format == '<') format++;
    if (format[0] == 0 || format[1] != 0) return 0;
    switch (*format) {
        case 'l': case 'q': return view->itemsize == 8 ? 'l' : 'i';
        case 'i': return 'i';
        case 'd': case 'f': case 'B': case '?': return *format;
    }
    return 0;
}

static bool wrong(Arguments *found, PyObject *type, const char *word, int number, const char *problem) {
    give_back(found);
    if (!PyErr_Occurred())
        PyErr_Format(type, "argument %d: expected an array of layout '%.12s', got %s", number, word, problem);
    return false;
}

/* Whether the items are the product of the dimensions, of which one may be unknown yet. */
static bool fits(Arguments *found, const char *shape, Py_ssize_t items) {
    Py_ssize_t known = 1, *unknown = NULL;
    while (*shape && *shape != ' ' && *shape != ')') {
        if (isdigit((unsigned char)*shape)) {
            known *= strtol(shape, (char **)&shape, 10);
            continue;
        }
        Py_ssize_t *count = &found->count[(unsigned char)*shape++];
        if (*count >= 0) known *= *count;
        else if (unknown == count) *count = sqrt((double)items), known *= *count * *count, unknown = NULL;
        else unknown = count;
    }
    if (unknown && known) *unknown = items / known, known *= *unknown; /* an array without rows leaves it open */
    return known == items;
}

static bool take_array(Arguments *found, const char *word, PyObject *argument, int number) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (*word == 'o') {
        word++;
        if (argument == Py_None) return true;
    }
    if (*word == 'w') {
        word++;
        flags |= PyBUF_WRITABLE;
    }
    Py_buffer *view = &found->views[found->taken];
    if (PyObject_GetBuffer(argument, view, flags) < 0) return wrong(found, PyExc_TypeError, word, number, "another");
    found->taken++;
    if (kind_of(view) != *word) return wrong(found, PyExc_TypeError, word, number, "another type");
    if (!fits(found, word + 1, view->len / view->itemsize))
        return wrong(found, PyExc_ValueError, word, number, "another shape");
    found->at[number] = view->buf;
    return true;
}

/* Arguments of the call, or what one of them that is a tuple holds. */
typedef struct {
    PyObject *const *items;
    Py_ssize_t count, next;
} Source;

static bool open_tuple(Arguments *found, Source *outer, Source *tuple, const char *word, int number) {
    PyObject *argument = outer->next < outer->count ? outer->items[outer->next++] : NULL;
    if (!argument || !PyTuple_Check(argument)) return wrong(found, PyExc_TypeError, word, number, "no tuple of arrays");
    *tuple = (Source){&PyTuple_GET_ITEM(argument, 0), PyTuple_GET_SIZE(argument), 0};
    return true;
}

static bool take_next(Arguments *found, Source *from, const char *word, int number) {
    if (from->next >= from->count) {
        give_back(found);
        PyErr_Format(PyExc_TypeError, "%zd arguments are too few: rebuild the compiled part", from->count);
        return false;
    }
    PyObject *argument = from->items[from->next++];
    if (*word == 'n') found->integer[number] = PyLong_AsLongLong(argument);
    else if (*word == 's') found->number[number] = PyFloat_AsDouble(argument);
    else return take_array(found, word, argument, number);
    return !PyErr_Occurred() || wrong(found, PyExc_TypeError, word, number, "no number");
}

bool take(Arguments *found, const char *layout, PyObject *const *arguments, Py_ssize_t count) {
    memset(found->at, 0, sizeof found->at);
    memset(found->count, -1, sizeof found->count);
    found->taken = 0;
    Source call = {arguments, count, 0}, tuple, *from = &call;
    for (int number = 0; *layout; number++) {
        if (*layout == '(') {
            if (!open_tuple(found, &call, &tuple, ++layout, number)) return false;
            from = &tuple;
        }
        if (!take_next(found, from, layout, number)) return false;
        for (; *layout && *layout != ' '; layout++) {
            if (*layout != ')') continue;
            if (tuple.next < tuple.count) return wrong(found, PyExc_TypeError, "()", number, "a longer tuple");
            from = &call;
        }
        while (*layout == ' ') layout++;
    }
    for (int letter = 'A'; letter <= 'Z'; letter++)
        if (found->count[letter] < 0) found->count[letter] = 0;
    return true;
}

void give_back(Arguments *found) {
    while (found->taken) PyBuffer_Release(&found->views[--found->taken]);
}
