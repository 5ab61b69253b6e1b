/* Twins of lanes/roles.py: which line is which, and the lane between the two of the car. */
#include "kernels.h"

/* Metres: where lines are compared, the start of lines further ahead, lane width by default, distance of two lines of one
 * border, farthest line, and the smoothed lane width. */
typedef struct {
    double comparison_x, max_start_x, lane_width, same_line, farthest, width;
} Roles;

/* y of a cubic at x, extrapolated straight before its start. */
static double y_on(const float *poly, double start, double max_start_x, double x) {
    const double c0 = poly[0], c1 = poly[1], c2 = poly[2], c3 = poly[3];
    start = start > max_start_x ? max_start_x : start;
    start = start > x ? start : x;
    const double value = c0 + start * (c1 + start * (c2 + start * c3));
    return value + (c1 + start * (2 * c2 + start * 3 * c3)) * (x - start);
}

/* Rows in the order of side * y, the nearest to the right (side 1) or to the left (-1) first. */
static void order(const double *y, Py_ssize_t count, int side, int64_t *rows) {
    for (Py_ssize_t n = 0; n < count; n++) {
        Py_ssize_t at = n;
        const int64_t row = rows[n];
        for (; at > 0 && side * y[row] < side * y[rows[at - 1]]; at--) rows[at] = rows[at - 1];
        rows[at] = row;
    }
}

/* Whether positions grow from left to right with the ego lane around the car; rows are from left to right. */
static bool plausible(const double *y, const int64_t *rows, Py_ssize_t count, const int64_t *positions,
                      const Roles *config) {
    for (Py_ssize_t n = 0; n < count; n++) {
        const double right = -y[rows[n]], limit = 1.5 * config->lane_width;
        const int64_t position = positions[rows[n]];
        const bool on_its_side = right != 0 && position != 0 && (right > 0) == (position > 0);
        if (!on_its_side || (n && positions[rows[n - 1]] >= position)) return false;
        if ((position == -1 || position == 1) && !(-limit < right && right < limit)) return false;
    }
    return true;
}

/* Positions on one side (1 left, -1 right) of rows from the car outwards. */
static void count_outwards(const double *y, const int64_t *rows, Py_ssize_t count, int side, const Roles *config,
                           int64_t *positions) {
    double last = 0;
    int64_t number = 0;
    for (Py_ssize_t n = 0; n < count; n++) {
        const double offset = side * y[rows[n]];
        if (!(0 < offset && offset < config->farthest) || (number && offset - last < config->same_line)) continue;
        if (number) number += most(1, rint((offset - last) / config->width));
        else number = 1 + (offset > 1.25 * config->width);
        positions[rows[n]] = -side * number, last = offset;
    }
}

/* Cubics (L, 4) and their first and last x (L, 2), nan without one; settings. Positions (L,) are corrected where they are
 * not plausible. As `roles` of lanes/roles.py. */
KERNEL(lane_roles) {
    TAKE(a, "fL4 dL2 d6 wlL");
    const float *polys = a.at[0];
    const double *ends = a.at[1];
    const Roles *config = a.at[2];
    int64_t *positions = a.at[3], *rows = PyMem_Malloc(16 * (a.count['L'] + 1));
    if (!rows) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    double *y = (double *)(rows + a.count['L']);
    Py_ssize_t near = 0;
    for (Py_ssize_t n = 0; n < a.count['L']; n++) {
        if (!(ends[2 * n] < config->max_start_x)) continue;
        y[n] = y_on(polys + 4 * n, ends[2 * n], config->max_start_x, config->comparison_x);
        if (y[n] == y[n]) rows[near++] = n;
    }
    order(y, near, -1, rows);
    if (near && !plausible(y, rows, near, positions, config)) {
        memset(positions, 0, a.count['L'] * sizeof *positions);
        for (int side = 1; side >= -1; side -= 2) {
            order(y, near, side, rows);
            count_outwards(y, rows, near, side, config, positions);
        }
    }
    PyMem_Free(rows);
    DONE(a);
}

/* y of the lane centre; one of its lines may be nan. */
static double middle(double left, double right, double lane_width) {
    if (right != right) return left - lane_width / 2;
    return left != left ? right + lane_width / 2 : (left + right) / 2;
}

/* Cubics (L, 4), first and last x (L, 2), positions (L,), largest start, lane width, half of the car's width, sigma of
 * headings; offset, heading, curvature, width, margins to the left and right are written. Returns whether there is an ego
 * lane. As `ego_lane` of lanes/roles.py. */
KERNEL(ego_lane) {
    TAKE(a, "fL4 dL2 lL s s s s wd6");
    const float *polys = a.at[0], *lines[2] = {NULL, NULL};
    const double *ends = a.at[1], max_start_x = a.number[3], car = a.number[5];
    const int64_t *positions = a.at[2];
    double *lane = a.at[7], y[2] = {NAN, NAN}, total = 0, slope = 0, quadratic = 0;
    for (Py_ssize_t n = 0; n < a.count['L']; n++) {
        const int side = positions[n] == 1;
        if (!(side || positions[n] == -1) || !(ends[2 * n] < max_start_x)) continue;
        lines[side] = polys + 4 * n;
        y[side] = y_on(lines[side], ends[2 * n], max_start_x, 0);
    }
    const bool found = lines[0] || lines[1];
    for (int side = 0; side < 2; side++) {
        if (!lines[side]) continue;
        const double c1 = lines[side][1], weight = 1 / (a.number[6] * a.number[6] + c1 * c1);
        total += weight, slope += weight * c1, quadratic += weight * lines[side][2];
    }
    slope /= total, quadratic /= total;
    const double numbers[6] = {-middle(y[0], y[1], a.number[4]), -atan(slope),
                               2 * quadratic / pow(1 + slope * slope, 1.5), y[0] - y[1], y[0] - car, -y[1] - car};
    if (found) memcpy(lane, numbers, sizeof numbers);
    give_back(&a);
    return PyBool_FromLong(found);
}
