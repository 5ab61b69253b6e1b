/* Twin of image/regions.py: connected cells of a class map. */
#include "kernels.h"

/* Cells `start` to `end` of the map, in one row; runs of one region lead to the same root. */
typedef struct {
    Py_ssize_t start, end, root, cells;
} Run;

static Py_ssize_t root_of(Run *runs, Py_ssize_t run) {
    while (runs[run].root != run) run = runs[run].root = runs[runs[run].root].root;
    return run;
}

/* The runs of all rows; those that touch runs of the row above get the same root. Returns their number. */
static Py_ssize_t find_runs(const uint8_t *ids, Py_ssize_t rows, Py_ssize_t width, uint8_t background, Run *runs) {
    Py_ssize_t found = 0;
    for (Py_ssize_t row = 0, above = 0, own = 0; row < rows; row++, above = own) {
        const Py_ssize_t last = (row + 1) * width;
        own = found;
        for (Py_ssize_t cell = row * width, other = above; cell < last;) {
            while (cell < last && ids[cell] == background) cell++;
            if (cell == last) break;
            Run *run = runs + found;
            *run = (Run){cell, cell, found, 0};
            while (cell < last && ids[cell] != background) cell++;
            run->end = cell;
            while (other < own && runs[other].end + width <= run->start) other++;
            for (Py_ssize_t k = other; k < own && runs[k].start + width < run->end; k++)
                runs[root_of(runs, k)].root = root_of(runs, found);
            found++;
        }
    }
    return found;
}

/* Class ids (N,) row by row, of which small regions become background: columns of the map, id of the background, smallest
 * share of the largest region. Cells of a region touch along an edge. */
KERNEL(drop_islands) {
    TAKE(a, "wBN s s s");
    uint8_t *ids = a.at[0];
    const uint8_t background = (uint8_t)a.number[2];
    const Py_ssize_t width = a.number[1] >= 1 ? (Py_ssize_t)a.number[1] : 1, rows = a.count['N'] / width;
    Run *runs = PyMem_Malloc(sizeof *runs * (rows * ((width + 1) / 2) + 1));
    if (!runs) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    const Py_ssize_t found = find_runs(ids, rows, width, background, runs);
    Py_ssize_t largest = 0;
    for (Py_ssize_t k = 0; k < found; k++) {
        Run *root = runs + root_of(runs, k);
        root->cells += runs[k].end - runs[k].start;
        if (root->cells > largest) largest = root->cells;
    }
    for (Py_ssize_t k = 0; k < found; k++)
        if (runs[root_of(runs, k)].cells < a.number[3] * largest)
            memset(ids + runs[k].start, background, runs[k].end - runs[k].start);
    PyMem_Free(runs);
    DONE(a);
}
