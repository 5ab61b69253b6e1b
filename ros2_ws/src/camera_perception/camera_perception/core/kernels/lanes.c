/* Twins of lanes/fit.py: lane lines as cubics on the road. */
#include "cubic.h"
#include "kernels.h"
#include "projection.h"

typedef struct {
    double max_range, max_relative_std, min_points, min_length, min_variance, camera_x, prior[4];
} Fit;

/* The usable points of a line, from near to far: their rows are written, their number is returned. */
static Py_ssize_t usable(const double *points, const double *covs, Py_ssize_t begin, Py_ssize_t end, const Fit *fit,
                         int64_t *rows) {
    Py_ssize_t found = 0;
    for (Py_ssize_t n = begin; n < end; n++) {
        const double x = points[2 * n], limit = fit->max_relative_std * (x - fit->camera_x);
        if (!(x < fit->max_range && covs[4 * n] < limit * limit)) continue;
        Py_ssize_t at = found++;
        for (; at > 0 && points[2 * rows[at - 1]] > x; at--) rows[at] = rows[at - 1];
        rows[at] = n;
    }
    return found;
}

/* dy/dx at point p of `count`, like np.gradient. */
static double slope_at(const double *x, const double *y, Py_ssize_t p, Py_ssize_t count) {
    const Py_ssize_t before = p > 0 ? p - 1 : 0, after = p + 1 < count ? p : count - 2;
    const double dx0 = (x[before + 1] - x[before]) + 1e-3, dx1 = (x[after + 1] - x[after]) + 1e-3;
    const double each0 = (y[before + 1] - y[before]) / dx0, each1 = (y[after + 1] - y[after]) / dx1;
    return p == 0 || p + 1 == count ? (p == 0 ? each0 : each1) : (each0 * dx1 + each1 * dx0) / (dx0 + dx1);
}

static double lateral_std(const double *cov, double slope, double min_variance) {
    slope = clip(slope, -1, 1);
    const double variance = cov[3] - 2 * slope * cov[1] + slope * slope * cov[0];
    return sqrt(most(variance, 0) + min_variance);
}

/* Where the fits of lines go: points and their sigmas (N,), cubics (L, 4), first and last x (L, 2), how many points each
 * line has (L,): 0 for lines that are too short, whose cubic and ends are nan. */
typedef struct {
    float *points, *std, *polys;
    double *ends;
    int64_t *used;
} Fitted;

/* Fit lines whose points, with covariances, come one after the other. room: 4 numbers for each of `total` points. Returns
 * how many points were used. */
static Py_ssize_t fit_all(const double *points, const double *covs, Py_ssize_t total, const int64_t *counts, Py_ssize_t lines,
                    const Fit *fit, double *room, Fitted *to) {
    int64_t *rows = (int64_t *)room;
    double *x = room + total, *y = x + total, *std = y + total;
    Py_ssize_t end = 0, written = 0;
    for (Py_ssize_t line = 0; line < lines; line++) {
        const Py_ssize_t begin = end;
        end = begin + counts[line] < total ? begin + counts[line] : total;
        const Py_ssize_t count = usable(points, covs, begin, end, fit, rows);
        to->used[line] = 0;
        for (int i = 0; i < 4; i++) to->polys[4 * line + i] = NAN;
        to->ends[2 * line] = to->ends[2 * line + 1] = NAN;
        for (Py_ssize_t p = 0; p < count; p++) x[p] = points[2 * rows[p]], y[p] = points[2 * rows[p] + 1];
        if (count < fit->min_points || !(x[count - 1] - x[0] >= fit->min_length)) continue;
        for (Py_ssize_t p = 0; p < count; p++) {
            std[p] = lateral_std(covs + 4 * rows[p], slope_at(x, y, p, count), fit->min_variance);
            to->points[2 * (written + p)] = x[p], to->points[2 * (written + p) + 1] = y[p];
            to->std[written + p] = std[p];
        }
        double poly[4], information[16];
        fit_cubic(x, y, std, count, fit->prior, poly, information);
        for (int i = 0; i < 4; i++) to->polys[4 * line + i] = poly[i];
        to->ends[2 * line] = x[0], to->ends[2 * line + 1] = x[count - 1];
        to->used[line] = count, written += count;
    }
    return written;
}

/* Points of L lines one after the other, with covariances (N, 2, 2), and how many each has (L,); settings. Written: see
 * Fitted. Returns how many points were used. */
KERNEL(fit_lines) {
    TAKE(a, "dN2 dN4 lL d10 (wfN2 wfN wfL4 wdL2 wlL)");
    double *room = PyMem_Malloc(4 * sizeof *room * (a.count['N'] + 1));
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    Fitted to = {a.at[4], a.at[5], a.at[6], a.at[7], a.at[8]};
    const Py_ssize_t used = fit_all(a.at[0], a.at[1], a.count['N'], a.at[2], a.count['L'], a.at[3], room, &to);
    PyMem_Free(room);
    give_back(&a);
    return PyLong_FromSsize_t(used);
}

/* A camera without distortion, with its ground noise, and the sigma of u v of a line. */
typedef struct {
    Ground ground;
    double focal[2], center[2], std[2];
} Lens;

/* The same of pixels (N, 2). */
KERNEL(locate_lines) {
    TAKE(a, "fN2 lL d25 d10 (wfN2 wfN wfL4 wdL2 wlL)");
    const Py_ssize_t total = a.count['N'];
    const float *pixels = a.at[0];
    const Lens *lens = a.at[2];
    double *room = PyMem_Malloc(10 * sizeof *room * (total + 1)), *points = room, *covs = room + 2 * total;
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    const double area = lens->focal[0] * lens->focal[1];
    const double straight[4] = {lens->focal[1] / area, 0, 0, lens->focal[0] / area};
    for (Py_ssize_t n = 0; n < total; n++) {
        const double ray[3] = {(pixels[2 * n] - lens->center[0]) / lens->focal[0],
                               (pixels[2 * n + 1] - lens->center[1]) / lens->focal[1], 1};
        project(&lens->ground, ray, straight, lens->std, points + 2 * n, covs + 4 * n);
    }
    Fitted to = {a.at[4], a.at[5], a.at[6], a.at[7], a.at[8]};
    const Py_ssize_t used = fit_all(points, covs, total, a.at[1], a.count['L'], a.at[3], covs + 4 * total, &to);
    PyMem_Free(room);
    give_back(&a);
    return PyLong_FromSsize_t(used);
}

typedef struct {
    double x, y, std;
    Py_ssize_t row;
} Point;

static int nearer(const void *one, const void *other) {
    const Point *a = one, *b = other;
    if (a->x != b->x) return a->x < b->x ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Sort the rows x y std (count, 3) of a line from near to far, and raise each std to at least min_std. */
static void sort_points(double *rows, Py_ssize_t count, double min_std, Point *room) {
    for (Py_ssize_t p = 0; p < count; p++) room[p] = (Point){rows[3 * p], rows[3 * p + 1], rows[3 * p + 2], p};
    qsort(room, count, sizeof *room, nearer);
    for (Py_ssize_t p = 0; p < count; p++)
        rows[3 * p] = room[p].x, rows[3 * p + 1] = room[p].y, rows[3 * p + 2] = most(room[p].std, min_std);
}

/* Rows x y std (N, 3) of L lines one after the other, how many each has (L,), least std, prior; rows are sorted from near
 * to far, and cubics (L, 4) written. As `_fit` of fusion/lanes.py. */
KERNEL(fit_merged) {
    TAKE(a, "wdN3 lL s d4 wfL4");
    const int64_t *counts = a.at[1];
    double *rows = a.at[0];
    float *polys = a.at[4];
    Point *room = PyMem_Malloc((sizeof *room + 3 * sizeof *rows) * (a.count['N'] + 1));
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    double *x = (double *)(room + a.count['N']), *y = x + a.count['N'], *std = y + a.count['N'];
    Py_ssize_t left = a.count['N'];
    for (Py_ssize_t line = 0; line < a.count['L'] && 0 <= counts[line] && counts[line] <= left; line++) {
        const Py_ssize_t count = counts[line];
        double poly[4], information[16];
        sort_points(rows, count, a.number[2], room);
        for (Py_ssize_t p = 0; p < count; p++) x[p] = rows[3 * p], y[p] = rows[3 * p + 1], std[p] = rows[3 * p + 2];
        fit_cubic(x, y, std, count, a.at[3], poly, information);
        for (int i = 0; i < 4; i++) polys[4 * line + i] = poly[i];
        rows += 3 * count, left -= count;
    }
    PyMem_Free(room);
    DONE(a);
}
