/* Twins of lanes/fit.py and lanes/filter.py: lane lines as cubics on the road. */
#include "kernels.h"
#include "projection.h"

typedef struct {
    double max_range, max_relative_std, min_points, min_length, min_variance, camera_x, prior[4];
} Fit;

/* Solve a x = b for 4x4 systems, as LAPACK's gesv: b has `columns` columns and becomes x. */
static void solve(double a[4][4], double *b, int columns) {
    for (int k = 0; k < 4; k++) {
        int pivot = k;
        for (int i = k + 1; i < 4; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k])) pivot = i;
        for (int j = 0; j < 4 && pivot != k; j++) {
            const double swapped = a[k][j];
            a[k][j] = a[pivot][j], a[pivot][j] = swapped;
        }
        for (int j = 0; j < columns && pivot != k; j++) {
            const double swapped = b[columns * k + j];
            b[columns * k + j] = b[columns * pivot + j], b[columns * pivot + j] = swapped;
        }
        const double scale = 1 / a[k][k];
        for (int i = k + 1; i < 4; i++) {
            const double factor = a[i][k] *= scale;
            for (int j = k + 1; j < 4; j++) a[i][j] -= factor * a[k][j];
            for (int j = 0; j < columns; j++) b[columns * i + j] -= factor * b[columns * k + j];
        }
    }
    for (int k = 3; k >= 0; k--)
        for (int j = 0; j < columns; j++) {
            for (int i = k + 1; i < 4; i++) b[columns * k + j] -= a[k][i] * b[columns * i + j];
            b[columns * k + j] /= a[k][k];
        }
}

static void invert(const double *matrix, double *inverse) {
    double a[4][4];
    memcpy(a, matrix, sizeof a);
    for (int i = 0; i < 16; i++) inverse[i] = i % 5 == 0;
    solve(a, inverse, 4);
}

static void powers(double x, double *terms) { terms[0] = 1, terms[1] = x, terms[2] = x * x, terms[3] = x * x * x; }

static double value_at(const double *poly, double x) {
    double terms[4];
    powers(x, terms);
    return terms[0] * poly[0] + terms[1] * poly[1] + terms[2] * poly[2] + terms[3] * poly[3];
}

/* Robust fit (Huber) of a cubic to points: c0..c3 and the inverse of their covariance. */
static void fit_cubic(const double *x, const double *y, const double *std, Py_ssize_t count, const double *prior,
                      double *poly, double *information) {
    for (int round = 0; round < 3; round++) {
        double sums[4][4] = {{0}}, right[4] = {0};
        for (Py_ssize_t p = 0; p < count; p++) {
            double terms[4], weight = 1 / (std[p] * std[p]);
            powers(x[p], terms);
            if (round) weight *= 1.5 / most(fabs(y[p] - value_at(poly, x[p])) / std[p], 1.5);
            for (int i = 0; i < 4; i++) {
                const double weighted = terms[i] * weight;
                for (int j = 0; j < 4; j++) sums[i][j] += weighted * terms[j];
                right[i] += weighted * y[p];
            }
        }
        for (int i = 0; i < 4; i++) sums[i][i] += prior[i];
        memcpy(information, sums, sizeof sums);
        solve(sums, right, 1);
        memcpy(poly, right, sizeof right);
    }
}

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
 * line has (L,): 0 for lines that are too short. */
typedef struct {
    float *points, *std, *polys;
    double *ends;
    int64_t *used;
} Fitted;

/* Fit lines whose points, with covariances, come one after the other. room: 4 numbers for each of `total` points. */
static void fit_all(const double *points, const double *covs, Py_ssize_t total, const int64_t *counts, Py_ssize_t lines,
                    const Fit *fit, double *room, Fitted *to) {
    int64_t *rows = (int64_t *)room;
    double *x = room + total, *y = x + total, *std = y + total;
    Py_ssize_t end = 0, written = 0;
    for (Py_ssize_t line = 0; line < lines; line++) {
        const Py_ssize_t begin = end;
        end = begin + counts[line] < total ? begin + counts[line] : total;
        const Py_ssize_t count = usable(points, covs, begin, end, fit, rows);
        to->used[line] = 0;
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
}

/* Points of L lines one after the other, with covariances (N, 2, 2), and how many each has (L,); settings. Written: see
 * Fitted. */
KERNEL(fit_lines) {
    TAKE(a, "dN2 dN4 lL dX10 wfN2 wfN wfL4 wdL2 wlL");
    double *room = PyMem_Malloc(4 * sizeof *room * (a.count['N'] + 1));
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    Fitted to = {a.at[4], a.at[5], a.at[6], a.at[7], a.at[8]};
    fit_all(a.at[0], a.at[1], a.count['N'], a.at[2], a.count['L'], a.at[3], room, &to);
    PyMem_Free(room);
    DONE(a);
}

/* A camera without distortion, with its ground noise, and the sigma of u v of a line. */
typedef struct {
    Ground ground;
    double focal[2], center[2], std[2];
} Lens;

/* The same of pixels (N, 2). */
KERNEL(locate_lines) {
    TAKE(a, "fN2 lL dX25 dX10 wfN2 wfN wfL4 wdL2 wlL");
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
    fit_all(points, covs, total, a.at[1], a.count['L'], a.at[3], covs + 4 * total, &to);
    PyMem_Free(room);
    DONE(a);
}

/* Kalman update of a cubic with the fit of this frame. */
static void correct(const double *x, const double *std, Py_ssize_t count, const float *measured, double *mean,
                    double *cov) {
    double information[16] = {0}, prior[16], sum[16], vector[4];
    for (Py_ssize_t p = 0; p < count; p++) {
        double terms[4];
        powers(x[p], terms);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) information[4 * i + j] += terms[i] / (std[p] * std[p]) * terms[j];
    }
    invert(cov, prior);
    for (int i = 0; i < 16; i++) sum[i] = prior[i] + information[i];
    invert(sum, cov);
    for (int i = 0; i < 4; i++) {
        double from_prior = 0, from_fit = 0;
        for (int j = 0; j < 4; j++) from_prior += prior[4 * i + j] * mean[j], from_fit += information[4 * i + j] * measured[j];
        vector[i] = from_prior + from_fit;
    }
    for (int i = 0; i < 4; i++) {
        mean[i] = 0;
        for (int j = 0; j < 4; j++) mean[i] += cov[4 * i + j] * vector[j];
    }
}

/* Points of L lines one after the other and their sigmas (N,), how many each has, cubics (L, 4), whether a track is new
 * (L,), means (L, 4) and covariances (L, 4, 4) of tracks; independent points that a line is worth, fraction of the
 * variance that does not shrink, prior. Written: means, covariances, smoothed points and sigmas, and cubics. */
KERNEL(smooth_lines) {
    TAKE(a, "fN2 fN lL fL4 ?L wdL4 wdL16 dX6 wfN2 wfN wfL4");
    const float *points = a.at[0], *sigmas = a.at[1], *cubics = a.at[3];
    const int64_t *counts = a.at[2];
    const bool *new = a.at[4];
    double *means = a.at[5], *covs = a.at[6], *room = PyMem_Malloc(3 * sizeof(double) * (a.count['N'] + 1));
    const double *config = a.at[7];
    float *smooth = a.at[8], *smooth_std = a.at[9], *polys = a.at[10];
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    double *x = room, *y = x + a.count['N'], *std = y + a.count['N'];
    Py_ssize_t begin = 0;
    for (Py_ssize_t line = 0; line < a.count['L'] && begin + counts[line] <= a.count['N']; line++) {
        const Py_ssize_t count = counts[line];
        const double factor = sqrt(most(count / config[0], 1)); /* errors of neighbouring points are correlated */
        double *mean = means + 4 * line, *cov = covs + 16 * line;
        for (Py_ssize_t p = 0; p < count; p++) {
            x[p] = points[2 * (begin + p)], y[p] = points[2 * (begin + p) + 1];
            std[p] = sigmas[begin + p] * factor;
        }
        if (new[line]) {
            double information[16];
            fit_cubic(x, y, std, count, config + 2, mean, information);
            invert(information, cov);
        } else {
            correct(x, std, count, cubics + 4 * line, mean, cov);
        }
        for (Py_ssize_t p = begin; p < begin + count; p++) {
            double terms[4], variance = 0;
            powers(points[2 * p], terms);
            for (int j = 0; j < 4; j++) {
                double row = 0;
                for (int i = 0; i < 4; i++) row += terms[i] * cov[4 * i + j];
                variance += row * terms[j];
            }
            const double sigma = sigmas[p];
            smooth[2 * p] = points[2 * p], smooth[2 * p + 1] = value_at(mean, points[2 * p]);
            smooth_std[p] = sqrt(variance + config[1] * (sigma * sigma));
        }
        for (int i = 0; i < 4; i++) polys[4 * line + i] = mean[i];
        begin += count;
    }
    PyMem_Free(room);
    DONE(a);
}

/* Cubics (T, 4), written in the frame of the moved car: x, y, cosine and sine of its turn, metres ahead at which they
 * are fitted again (P,) of which the last is the range. */
KERNEL(moved_cubics) {
    TAKE(a, "wdT4 s s s s dP");
    double *poly = a.at[0];
    const double *ahead = a.at[5], range = ahead[a.count['P'] - 1], c = a.number[3], s = a.number[4];
    for (Py_ssize_t t = 0; t < a.count['T']; t++, poly += 4) {
        double sums[4][4] = {{0}}, right[4] = {0};
        for (Py_ssize_t p = 0; p < a.count['P']; p++) {
            double terms[4];
            const double along = ahead[p] - a.number[1], left = value_at(poly, ahead[p]) - a.number[2];
            powers((c * along + s * left) / range, terms);
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) sums[i][j] += terms[i] * terms[j];
                right[i] += terms[i] * (c * left - s * along);
            }
        }
        solve(sums, right, 1);
        for (int i = 0; i < 4; i++) poly[i] = right[i] / pow(range, i);
    }
    DONE(a);
}

/* Cubics of tracks (T, 4) and of lines (L, 4), first and last x at which each line is compared (L, 2), metres ahead where
 * (P,), unit of distances; mean distances (L, T) are written, nan where they cannot be compared. */
KERNEL(lane_distances) {
    TAKE(a, "dT4 dL4 dL2 dP s wdLT");
    const double *tracks = a.at[0], *lines = a.at[1], *ends = a.at[2], *ahead = a.at[3];
    double *found = a.at[5];
    for (Py_ssize_t line = 0; line < a.count['L']; line++, lines += 4, ends += 2)
        for (Py_ssize_t t = 0; t < a.count['T']; t++, found++) {
            double apart = 0, difference[4];
            Py_ssize_t points = 0;
            for (int i = 0; i < 4; i++) difference[i] = tracks[4 * t + i] - lines[i];
            for (Py_ssize_t p = 0; p < a.count['P']; p++)
                if (ends[0] <= ahead[p] && ahead[p] <= ends[1]) apart += fabs(value_at(difference, ahead[p])), points++;
            *found = points ? apart / points / a.number[4] : NAN;
        }
    DONE(a);
}
