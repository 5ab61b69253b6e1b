/* Twins of lanes/image_lines.py and lanes/free_road.py: the end of the free road. */
#include "kernels.h"

/* Class ids (R, W), for each id whether it is drivable (256,), cells to ignore (R, W) or None, centre columns of strips
 * (C,), columns on both sides of a centre; written: the row below the lowest cell of each column that is not drivable
 * (W,), and the largest of each strip (C,). Returns the number of drivable cells. As `boundary`. */
KERNEL(road_boundary) {
    TAKE(a, "wlW BRW BX256 oBRW lC s wlC");
    int64_t *lowest = a.at[0], *found = a.at[6], drivable = 0;
    const uint8_t *ids = a.at[1], *is_drivable = a.at[2], *ignored = a.at[3];
    const int64_t *centers = a.at[4], half = (int64_t)a.number[5], width = a.count['W'];
    memset(lowest, 0, sizeof *lowest * width);
    for (int64_t row = 0; row < a.count['R']; row++, ids += width) {
        for (int64_t column = 0; column < width; column++) {
            const bool free = is_drivable[ids[column]];
            drivable += free;
            if (!free && !(ignored && ignored[row * width + column])) lowest[column] = row + 1;
        }
    }
    for (Py_ssize_t strip = 0; strip < a.count['C']; strip++) {
        const int64_t last = centers[strip] + half < width ? centers[strip] + half : width - 1;
        found[strip] = 0;
        for (int64_t column = centers[strip] > half ? centers[strip] - half : 0; column <= last; column++)
            if (lowest[column] > found[strip]) found[strip] = lowest[column];
    }
    give_back(&a);
    return PyLong_FromLongLong(drivable);
}

#define BOTTOM_POINTS 9
#define PARTS 8 /* of an edge of the border */

typedef struct {
    double pose[16], focal_x, focal_y, center_x, center_y, bottom, max_range, min_descent, half_width;
} View;

/* Where a pixel lies on the road, at most max_range from the camera. */
static void on_road(const View *view, double u, double v, double *at) {
    const double ray[3] = {(u - view->center_x) / view->focal_x, (v - view->center_y) / view->focal_y, 1};
    double turned[3];
    for (int i = 0; i < 3; i++)
        turned[i] = ray[0] * view->pose[4 * i] + ray[1] * view->pose[4 * i + 1] + ray[2] * view->pose[4 * i + 2];
    const double to_range = view->max_range / hypot(turned[0], turned[1]);
    const double scale = least(to_range, view->pose[11] / most(-turned[2], view->min_descent));
    for (int i = 0; i < 2; i++) at[i] = view->pose[4 * i + 3] + turned[i] * scale;
}

/* Points at the smallest distance ahead of the car, on straight edges between `far` (count, 2), within its width. */
static double free_distance(const double *far, Py_ssize_t count, const View *view) {
    double nearest = NAN;
    for (Py_ssize_t p = 0; p + 1 < count; p++) {
        for (int part = 0; part <= PARTS; part++) {
            const double to = part / (double)PARTS, *from = far + 2 * p;
            const double x = from[0] * (1 - to) + from[2] * to, y = from[1] * (1 - to) + from[3] * to;
            if (fabs(y) < view->half_width && x > 0 && !(x >= nearest)) nearest = x;
        }
    }
    return nearest > view->max_range ? view->max_range : nearest;
}

/* v of a border at column c after closing with three columns: far columns alone are clipped to their neighbours. */
static double closed(const float *border, Py_ssize_t c, Py_ssize_t count) {
    double lowest = INFINITY;
    for (Py_ssize_t middle = c ? c - 1 : 0; middle <= c + 1 && middle < count; middle++) {
        double highest = -INFINITY;
        for (Py_ssize_t n = middle ? middle - 1 : 0; n <= middle + 1 && n < count; n++)
            highest = most(highest, border[2 * n + 1]);
        lowest = least(lowest, highest);
    }
    return lowest;
}

/* Border (C, 2) u v, the view; the polygon is written (C + 10, 2). Returns the number of its points, 0 when too few are
 * on the road, and the free distance ahead, nan where nothing is. As `locate_road`, without distortion. */
KERNEL(free_road) {
    TAKE(a, "fC2 dX24 wfP2");
    const float *border = a.at[0];
    const View *view = a.at[1];
    float *polygon = a.at[2];
    const Py_ssize_t columns = a.count['C'];
    Py_ssize_t near = 0, far = 0;
    double *ends = columns && a.count['P'] >= columns + BOTTOM_POINTS + 1
                       ? PyMem_Malloc(sizeof *ends * 2 * (columns + BOTTOM_POINTS + 1)) : NULL;
    if (!ends) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    const double left = border[0], right = border[2 * columns - 2];
    for (int p = 0; p < BOTTOM_POINTS; p++) {
        on_road(view, left + p / (BOTTOM_POINTS - 1.) * (right - left), view->bottom, ends + 2 * near);
        near += isfinite(ends[2 * near]);
    }
    double *edge = ends + 2 * near, before = 0;
    for (Py_ssize_t c = 0; c <= columns; c++) {
        const double v = c < columns ? closed(border, c, columns) : before;
        const double u = c == 0 ? left : c == columns ? right : (border[2 * c] + border[2 * c - 2]) / 2;
        on_road(view, u, least(c ? most(v, before) : v, view->bottom), edge + 2 * far);
        far += isfinite(edge[2 * far]);
        before = v;
    }
    const bool known = near >= 2 && far >= 2;
    for (Py_ssize_t p = 0; known && p < 2 * near; p++) polygon[p] = ends[p];
    for (Py_ssize_t p = 0; known && p < far; p++)
        for (int i = 0; i < 2; i++) polygon[2 * (near + p) + i] = edge[2 * (far - 1 - p) + i];
    const double ahead = known ? free_distance(edge, far, view) : NAN;
    PyMem_Free(ends);
    give_back(&a);
    return Py_BuildValue("nd", known ? near + far : 0, ahead);
}
