#pragma once
#include "kernels.h"

/* Intersection over union of boxes x0 y0 x1 y1, as iou_matrix of core/boxes.py. */
static inline double overlap(const double *a, const double *b) {
    double width = least(a[2], b[2]) - most(a[0], b[0]), height = least(a[3], b[3]) - most(a[1], b[1]);
    double inside = most(width, 0) * most(height, 0);
    double areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
    return inside / most(areas - inside, 1e-9);
}

/* Whether two boxes share an area; most pairs do not, and comparing is several times faster than dividing. */
static inline bool touch(const double *a, const double *b) {
    return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/* Corners x0 y0 x1 y1 of the filter of a box: centre u v, width, height, each with its rate. */
static inline void corners(const double *filter, double *box) {
    const double half_width = most(filter[4], 1) / 2, half_height = most(filter[6], 1) / 2;
    box[0] = filter[0] - half_width, box[1] = filter[2] - half_height;
    box[2] = filter[0] + half_width, box[3] = filter[2] + half_height;
}
