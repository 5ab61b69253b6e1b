/* Twins of decode/: boxes and lane lines of a network in pixels of the source image. */
#include "kernels.h"
#include "overlap.h"

/* Where the source image lies in the input of the network, as image/letterbox.py. */
typedef struct {
    double left, top, scale_x, scale_y, width, height; /* padding, network pixels per source pixel, source pixels */
} Letterbox;

#define MOST_BOXES 1000 /* that suppression looks at */

typedef struct {
    float score;
    int64_t row;
} Candidate;

static int better(const void *one, const void *other) {
    const Candidate *a = one, *b = other;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* As `calibrated` of decode/scores.py. */
static float published(float score, const double *line) {
    const float low = (float)1e-6, high = (float)(1 - 1e-6);
    const float inside = score < low ? low : score > high ? high : score;
    const double x = inside;
    return (float)(1 / (1 + exp(-line[0] * log(x / (1 - x)) - line[1])));
}

/* A network score below which the published one is surely less than a minimum; most boxes are ruled out by it. */
static float surely_less(double minimum, const double *line) {
    if (!(minimum > 0 && minimum < 0.99 && line[0] > 0.01)) return -INFINITY;
    const double score = 1 / (1 + exp((line[1] - log(minimum / (1 - minimum))) / line[0]));
    return score * 0.999 - 2e-6;
}

/* A box that is kept, and the group of its class. */
typedef struct {
    double box[4];
    int64_t group;
} Kept;

static bool is_duplicate(const Kept *own, const Kept *kept, Py_ssize_t count, double max_iou) {
    for (const Kept *other = kept; other < kept + count; other++)
        if (other->group == own->group && touch(other->box, own->box) && overlap(other->box, own->box) > max_iou)
            return true;
    return false;
}

/* Greedy suppression among candidates, which become those that are kept; returns their number. room: for MOST_BOXES */
static Py_ssize_t suppress(Candidate *found, Py_ssize_t count, const float *boxes, const int32_t *classes,
                           const int64_t *groups, double max_iou, Kept *room) {
    qsort(found, count, sizeof *found, better);
    Py_ssize_t kept = 0;
    for (Py_ssize_t n = 0; n < count && n < MOST_BOXES; n++) {
        Kept *own = room + kept;
        own->group = groups[classes[found[n].row]];
        for (int i = 0; i < 4; i++) own->box[i] = boxes[4 * found[n].row + i];
        if (!is_duplicate(own, room, kept, max_iou)) found[kept++] = found[n];
    }
    return kept;
}

/* Boxes (N, 4) of the network, scores and classes (N,), slope and offset of each of C classes or None, their minimum
 * scores and groups (C,), the letterbox, largest overlap or a negative number for no suppression. Written: boxes in the
 * source image, scores and rows (N,) of those that are reported; returns their number. As `decode` of
 * decode/topk_boxes.py. */
KERNEL(decode_boxes) {
    TAKE(a, "fN4 fN iN fC lC odC2 d6 s wfN4 wfN wlN");
    const float *boxes = a.at[0], *scores = a.at[1], *minimums = a.at[3];
    const int32_t *classes = a.at[2];
    const int64_t *groups = a.at[4];
    const double *calibration = a.at[5], max_iou = a.number[7];
    const Letterbox *box = a.at[6];
    float *in_image = a.at[8], *found_scores = a.at[9];
    int64_t *rows = a.at[10];
    const Py_ssize_t most_kept = a.count['N'] < MOST_BOXES ? a.count['N'] : MOST_BOXES;
    Kept *room = PyMem_Malloc(sizeof *room * (most_kept + 1) + sizeof(Candidate) * (a.count['N'] + 1) +
                              sizeof(float) * (a.count['C'] + 1));
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    Candidate *found = (Candidate *)(room + most_kept + 1);
    float *lowest = (float *)(found + a.count['N'] + 1); /* of each class */
    for (Py_ssize_t k = 0; k < a.count['C'] && calibration; k++)
        lowest[k] = surely_less(minimums[k], calibration + 2 * k);
    Py_ssize_t kept = 0;
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        if (classes[n] < 0 || classes[n] >= a.count['C']) continue;
        if (calibration && scores[n] < lowest[classes[n]]) continue;
        const float *from = boxes + 4 * n;
        const float score = calibration ? published(scores[n], calibration + 2 * classes[n]) : scores[n];
        if (!(score >= minimums[classes[n]]) || !isfinite(score)) continue;
        if (!isfinite(from[0]) || !isfinite(from[1]) || !isfinite(from[2]) || !isfinite(from[3])) continue;
        float *to = in_image + 4 * n; /* of this row for now */
        for (int i = 0; i < 4; i += 2) {
            to[i] = clip((from[i] - box->left) / box->scale_x, 0, box->width);
            to[i + 1] = clip((from[i + 1] - box->top) / box->scale_y, 0, box->height);
        }
        if (to[2] > to[0] && to[3] > to[1]) found[kept++] = (Candidate){score, n};
    }
    if (max_iou >= 0) kept = suppress(found, kept, boxes, classes, groups, max_iou, room);
    float *moved = PyMem_Malloc(sizeof *moved * 4 * (kept + 1));
    for (Py_ssize_t n = 0; moved && n < kept; n++) {
        memcpy(moved + 4 * n, in_image + 4 * found[n].row, 4 * sizeof *moved);
        rows[n] = found[n].row;
        found_scores[n] = found[n].score < 0 ? 0 : found[n].score > 1 ? 1 : found[n].score;
    }
    if (moved) memcpy(in_image, moved, 4 * sizeof *moved * kept);
    const bool failed = !moved;
    PyMem_Free(moved);
    PyMem_Free(room);
    give_back(&a);
    return failed ? PyErr_NoMemory() : PyLong_FromSsize_t(kept);
}

#define HORIZONS 6
#define LEAST_ROWS 6 /* of a curve; shorter lines must be straight */
static const double above[HORIZONS] = {4 / 640., 8 / 640., 16 / 640., 32 / 640., 64 / 640., 128 / 640.};

/* Least-squares fit of u by `columns` columns (columns, count), which become orthonormal; the fit is written. */
static void fit(double *column, int columns, Py_ssize_t count, const double *u, double *fitted) {
    for (Py_ssize_t p = 0; p < count; p++) fitted[p] = 0;
    for (int c = 0; c < columns; c++) {
        double *own = column + c * count, length = 0, share = 0;
        for (int again = 0; again < 2; again++) /* Gram-Schmidt loses digits, which a second round gives back */
            for (int other = 0; other < c; other++) {
                const double *before = column + other * count;
                double product = 0;
                for (Py_ssize_t p = 0; p < count; p++) product += before[p] * own[p];
                for (Py_ssize_t p = 0; p < count; p++) own[p] -= product * before[p];
            }
        for (Py_ssize_t p = 0; p < count; p++) length += own[p] * own[p];
        length = length > 0 ? sqrt(length) : 1;
        for (Py_ssize_t p = 0; p < count; p++) own[p] /= length, share += own[p] * u[p];
        for (Py_ssize_t p = 0; p < count; p++) fitted[p] += share * own[p];
    }
}

/* Largest distance of points from a curve with u `fitted`, across it. */
static double farthest(const double *u, const double *v, const double *fitted, Py_ssize_t count) {
    double largest = 0;
    for (Py_ssize_t p = 0; p < count; p++) {
        const Py_ssize_t to = p ? p : 1;
        const double slope = (fitted[to] - fitted[to - 1]) / (v[to] - v[to - 1]);
        largest = most(largest, fabs(u[p] - fitted[p]) / sqrt(1 + slope * slope));
    }
    return largest;
}

/* Whether all points u v, in units of the image width, are near the least-squares curve of some horizon: as _is_smooth of
 * lanes/smooth.py. room: (4, count) */
static bool is_smooth(const double *u, const double *v, Py_ssize_t count, double max_offset, double *room) {
    double *fitted = room + 3 * count, top = v[0];
    for (Py_ssize_t p = 1; p < count; p++) top = least(top, v[p]);
    const int curves = count >= LEAST_ROWS ? HORIZONS : 1;
    for (int curve = 0; curve < curves; curve++) {
        double nearest = 0, farthest_row = INFINITY;
        for (Py_ssize_t p = 0; p < count; p++) {
            const double near = curves > 1 ? v[p] - (top - above[curve]) : v[p];
            room[p] = 1, room[count + p] = near;
            nearest = most(nearest, near), farthest_row = least(farthest_row, near);
        }
        for (Py_ssize_t p = 0; curves > 1 && p < count; p++) {
            room[2 * count + p] = farthest_row / room[count + p];
            room[count + p] /= nearest;
        }
        fit(room, curves > 1 ? 3 : 2, count, u, fitted);
        if (farthest(u, v, fitted, count) <= max_offset) return true;
    }
    return false;
}

typedef struct {
    double points, smooth, labels[2][2]; /* number of points, whether they are smooth, type and colour with their scores */
} FoundLine;

/* The largest of probabilities and itself, -1 and 0 where that is nan, negative or infinite. */
static void most_probable(const float *probabilities, Py_ssize_t count, double *found) {
    Py_ssize_t best = 0;
    for (Py_ssize_t k = 1; k < count && probabilities[best] == probabilities[best]; k++)
        if (!(probabilities[k] <= probabilities[best])) best = k;
    const double score = count ? probabilities[best] : NAN;
    const bool good = score >= 0 && score < INFINITY;
    found[0] = good ? best : -1, found[1] = good ? score : 0;
}

/* v of each row of the network's input from the bottom up (R,), x and row scores (A, R) of its lines from the top down,
 * probabilities of their types (A, T) and colours (A, C), rows (L,) of the lines to decode; letterbox, least row score,
 * largest distance from a smooth line as a fraction of the image width or a negative number for any. Written: the points
 * (L * R, 2) of the lines one after the other from the bottom up, their scores, and what is found of each line (L,). As
 * `decode` of decode/lane_rows.py. */
KERNEL(decode_lines) {
    TAKE(a, "dR fAR fAR fAT fAC lL d6 s s wfLR2 wfLR wdL6");
    const double *v_up = a.at[0], max_offset = a.number[8];
    const float *all_x = a.at[1], *all_scores = a.at[2], least_score = a.number[7];
    const float *kinds[2] = {a.at[3], a.at[4]};
    const Py_ssize_t rows = a.count['R'], counts_of[2] = {a.count['T'], a.count['C']};
    const Letterbox *box = a.at[6];
    const int64_t *lines = a.at[5];
    float *points = a.at[9], *weights = a.at[10];
    FoundLine *found = a.at[11];
    double *room = PyMem_Malloc(sizeof *room * 6 * (rows + 1)), *u = room, *v = room + rows;
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    Py_ssize_t end = 0;
    for (Py_ssize_t line = 0; line < a.count['L']; line++) {
        const bool known = lines[line] >= 0 && lines[line] < a.count['A'];
        const float *x = all_x + lines[line] * rows, *scores = all_scores + lines[line] * rows;
        Py_ssize_t taken = 0;
        for (Py_ssize_t up = 0; up < rows && known; up++) {
            const float score = scores[rows - 1 - up];
            const double at_u = (x[rows - 1 - up] - box->left) / box->scale_x;
            const double at_v = (v_up[up] - box->top) / box->scale_y;
            if (!(score >= least_score && at_u >= 0 && at_u <= box->width && at_v >= 0 && at_v <= box->height)) continue;
            float *point = points + 2 * (end + taken);
            point[0] = at_u, point[1] = at_v;
            u[taken] = point[0] / box->width, v[taken] = point[1] / box->width;
            weights[end + taken++] = score > 1 ? 1 : score < 0 ? 0 : score;
        }
        found[line].smooth = max_offset < 0 || taken < 3 || is_smooth(u, v, taken, max_offset, room + 2 * rows);
        found[line].points = taken, end += taken;
        for (int k = 0; k < 2; k++)
            most_probable(kinds[k] + lines[line] * counts_of[k], known ? counts_of[k] : 0, found[line].labels[k]);
    }
    PyMem_Free(room);
    DONE(a);
}

/* The lowest points of a line, from top to bottom; of equally low ones the later lie lower. */
#define LOWEST 8
static int lowest_points(const float *points, Py_ssize_t count, double (*found)[2]) {
    int kept = 0;
    for (Py_ssize_t p = 0; p < count; p++) {
        const double u = points[2 * p], v = points[2 * p + 1];
        if (kept == LOWEST && !(v >= found[0][1])) continue;
        if (kept == LOWEST) memmove(found[0], found[1], (LOWEST - 1) * sizeof *found), kept--;
        int at = kept++;
        for (; at > 0 && found[at - 1][1] > v; at--) found[at][0] = found[at - 1][0], found[at][1] = found[at - 1][1];
        found[at][0] = u, found[at][1] = v;
    }
    return kept;
}

/* u where the least-squares line through points crosses row v. */
static double extrapolate(double (*points)[2], int count, double v) {
    double mean_u = 0, mean_v = 0, variance = 0, slope = 0;
    for (int p = 0; p < count; p++) mean_u += points[p][0], mean_v += points[p][1];
    mean_u /= count, mean_v /= count;
    for (int p = 0; p < count; p++) {
        const double off = points[p][1] - mean_v;
        variance += off * off, slope += off * (points[p][0] - mean_u);
    }
    return mean_u + slope / most(variance, 1e-9) * (v - mean_v);
}

/* Points (N, 2) of L lines one after the other, how many each has (L,), at least one; where each crosses the lowest row
 * that any of them reaches is written (L,). As left_to_right of lanes/image_lines.py. */
KERNEL(lowest_crossings) {
    TAKE(a, "fN2 lL wdL");
    const float *points = a.at[0];
    const int64_t *counts = a.at[1];
    double *crossings = a.at[2], bottom = -INFINITY;
    for (Py_ssize_t n = 0; n < a.count['N']; n++) bottom = most(bottom, points[2 * n + 1]);
    for (Py_ssize_t line = 0, start = 0; line < a.count['L'] && start + counts[line] <= a.count['N']; line++) {
        double ends[LOWEST][2];
        const int found = lowest_points(points + 2 * start, counts[line], ends);
        const bool reached = found && ends[found - 1][1] >= bottom;
        crossings[line] = reached ? ends[found - 1][0] : extrapolate(ends, found, bottom);
        start += counts[line];
    }
    DONE(a);
}
