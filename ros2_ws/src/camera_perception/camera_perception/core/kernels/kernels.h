/* The compiled twins of a few functions of this library. Each does what its NumPy twin does, in the same order of
 * operations where the result of rounding could be seen, and works on the memory of NumPy's arrays through Python's
 * buffers: the version of NumPy does not matter. Built without -ffast-math and without contraction of a * b + c. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KERNELS_VERSION 6 /* as in core/__init__.py; counted up when arguments change */
#define MOST_ARGUMENTS 64

/* The arguments of a call: arrays and numbers, in order. */
typedef struct {
    void *at[MOST_ARGUMENTS];        /* first element of an array, NULL for None */
    double number[MOST_ARGUMENTS];   /* the value, where the argument is a number */
    int64_t integer[MOST_ARGUMENTS]; /* the value, where it is an integer */
    Py_ssize_t count[128];           /* rows by the letter of their dimension */
    Py_buffer views[MOST_ARGUMENTS];
    int taken;
} Arguments;

/* Read arguments by their layout, one word each: "s" for a number, "n" for an integer, else the type of an array
 * (d float64, f float32, l int64, i int32, B uint8, ? bool), the letter of its rows, and what a row holds, such as "dT25"
 * for five by five numbers or "dTN" for a matrix whose columns are known from an argument before; a "w" in front: written
 * to; an "o": may be None. A dimension that only arrays without rows name is 0. Words in parentheses are the items of one
 * argument that is a tuple, and count one by one. Raises TypeError or ValueError and returns false when an argument does
 * not fit. */
bool take(Arguments *found, const char *layout, PyObject *const *arguments, Py_ssize_t count);
void give_back(Arguments *found);

#define KERNEL(name) PyObject *name(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
#define TAKE(found, layout) \
    Arguments found; \
    if (!take(&found, layout, arguments, count)) return NULL
#define DONE(found) \
    give_back(&found); \
    Py_RETURN_NONE

/* Of NumPy: nan wins. */
static inline double least(double a, double b) { return a < b || a != a ? a : b; }
static inline double most(double a, double b) { return a > b || a != a ? a : b; }
/* The index of the first of the largest numbers. */
static inline Py_ssize_t most_votes(const double *votes, Py_ssize_t count) {
    Py_ssize_t best = 0;
    for (Py_ssize_t i = 1; i < count; i++)
        if (votes[i] > votes[best]) best = i;
    return best;
}
static inline double clip(double x, double low, double high) { return least(most(x, low), high); }

#define INFEASIBLE 1e6 /* the cost of pairs that must not match, as core/assignment.py */

/* Write column_of: the column of each row at minimum total cost, -1 for none, as `match` of core/assignment.py. Raises
 * MemoryError and returns false when there is no room. */
bool cheapest_pairs(const double *costs, Py_ssize_t rows, Py_ssize_t columns, int64_t *column_of);

KERNEL(nms);
KERNEL(decay_scores);
KERNEL(drop_islands);
KERNEL(duplicate_objects);
KERNEL(match_tracks);
KERNEL(associate);
KERNEL(predict_ground);
KERNEL(predict_boxes);
KERNEL(update_tracks);
KERNEL(publish);
KERNEL(ground_with_covariance);
KERNEL(pack_objects);
KERNEL(serialize);
KERNEL(fit_lines);
KERNEL(locate_objects);
KERNEL(near_sides);
KERNEL(follow_lines);
KERNEL(lane_roles);
KERNEL(ego_lane);
KERNEL(decode_boxes);
KERNEL(decode_lines);
KERNEL(lowest_crossings);
KERNEL(road_boundary);
KERNEL(free_road);
KERNEL(line_planes);
KERNEL(read_numbers);
KERNEL(squared_distances);
KERNEL(close_pairs);
KERNEL(merge_objects);
KERNEL(pack_fused);
KERNEL(locate_lines);
KERNEL(box_edges);
KERNEL(kept_tracks);
KERNEL(duplicate_tracks);
KERNEL(fit_merged);
KERNEL(convert_pixels);
KERNEL(halve);
KERNEL(light_relevances);
