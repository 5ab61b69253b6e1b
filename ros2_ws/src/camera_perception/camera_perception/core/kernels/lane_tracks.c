/* Twins of lanes/tracker.py and lanes/filter.py: lane lines over time. */
#include "cubic.h"
#include "kernels.h"

#define KINDS 10 /* of types; more than of colours */
#define FAR 1e3

/* As TRACK of lanes/filter.py: votes are in the order of the first vote for their labels, of which 0 is none yet. */
typedef struct {
    int64_t id, seen_ns;
    double mean[4], cov[16], votes[2][KINDS];
    int64_t labels[2][KINDS];
} Track;

typedef struct {
    double x, y, cosine, sine;
} Motion;

/* What the network says of a line: type, colour, their scores, the score of the line. */
typedef struct {
    double labels[2], label_scores[2], score;
} Line;

typedef struct {
    double points, bias, prior[4], gates[2], decay;
} Settings;

/* Lines on the road, as GroundLines of lanes/fit.py. */
typedef struct {
    const float *points, *sigmas, *cubics;
    const double *ends;
    const int64_t *counts;
} Grounds;

static bool on_road(const Track *track) { return track->mean[0] == track->mean[0]; }

/* A cubic in the frame of the moved car, fitted again at `count` distances ahead, of which the last is the range. */
static void move(double *poly, const Motion *motion, const double *ahead, Py_ssize_t count) {
    double sums[4][4] = {{0}}, right[4] = {0}, range = ahead[count - 1], c = motion->cosine, s = motion->sine;
    for (Py_ssize_t p = 0; p < count; p++) {
        double terms[4];
        const double along = ahead[p] - motion->x, left = value_at(poly, ahead[p]) - motion->y;
        powers((c * along + s * left) / range, terms);
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) sums[i][j] += terms[i] * terms[j];
            right[i] += terms[i] * (c * left - s * along);
        }
    }
    solve(sums, right, 1);
    for (int i = 0; i < 4; i++) poly[i] = right[i] / pow(range, i);
}

/* Mean distance of a track and a line at those of `count` distances ahead that the line reaches; nan where none. */
static double apart_on_road(const Track *track, const float *cubic, const double *ends, const double *ahead,
                            Py_ssize_t count) {
    double apart = 0, difference[4];
    Py_ssize_t points = 0;
    for (int i = 0; i < 4; i++) difference[i] = track->mean[i] - cubic[i];
    for (Py_ssize_t p = 0; p < count; p++)
        if (ends[0] - 4 <= ahead[p] && ahead[p] <= ends[1] + 4) apart += fabs(value_at(difference, ahead[p])), points++;
    return points ? apart / points : NAN;
}

/* u where a polyline from near to far crosses a row; `at`: the point of the row before, from the last one down. */
static double crossing(const float *points, Py_ssize_t *at, double row) {
    while (*at > 0 && points[2 * *at + 1] <= row) --*at;
    const float *to = points + 2 * *at, *from = to + 2;
    const double height = (double)to[1] - from[1], fraction = (row - from[1]) / (height != 0 ? height : 1);
    return from[0] + fraction * ((double)to[0] - from[0]);
}

/* Mean distance of two polylines in common rows, in units of the gate; FAR where they have none. */
static double apart_in_image(const float *a, Py_ssize_t a_count, const float *b, Py_ssize_t b_count, double gate) {
    if (a_count < 2 || b_count < 2) return FAR;
    const double a_top = a[2 * a_count - 1], b_top = b[2 * b_count - 1];
    const double top = b_top > a_top ? b_top : a_top, bottom = b[1] < a[1] ? b[1] : a[1];
    if (bottom <= top) return FAR;
    Py_ssize_t a_at = a_count - 2, b_at = b_count - 2;
    double apart = 0;
    for (int step = 0; step < 6; step++) {
        const double row = top + step * (bottom - top) / 5;
        apart += fabs(crossing(a, &a_at, row) - crossing(b, &b_at, row));
    }
    return apart / 6 / gate;
}

/* Polylines one after the other: points u v, and where each begins, with the end of the last. */
typedef struct {
    const float *points;
    const int64_t *begin;
} Polylines;

/* The first of `lines` polylines, of `total` points, begins at 0; false when their counts do not fit. */
static bool begins(const int64_t *counts, Py_ssize_t lines, Py_ssize_t total, int64_t *found) {
    found[0] = 0;
    for (Py_ssize_t line = 0; line < lines; line++) {
        if (counts[line] < 0 || counts[line] > total - found[line]) return false;
        found[line + 1] = found[line] + counts[line];
    }
    return true;
}

static double apart_of_rows(const Polylines *a, Py_ssize_t row, const Polylines *b, Py_ssize_t other, double gate) {
    return apart_in_image(a->points + 2 * a->begin[row], a->begin[row + 1] - a->begin[row],
                          b->points + 2 * b->begin[other], b->begin[other + 1] - b->begin[other], gate);
}

static void vote(Track *track, int kind, int64_t label, double score, double decay) {
    double *votes = track->votes[kind];
    int64_t *labels = track->labels[kind];
    int at = 0;
    for (int k = 0; k < KINDS; k++) votes[k] *= decay;
    if (!label) return;
    while (at < KINDS - 1 && labels[at] && labels[at] != label) at++;
    labels[at] = label, votes[at] += score;
}

/* The label with most votes, 0 for none; and its share of all votes, times the score of this frame. */
static int64_t winner(const Track *track, int kind, double score, double *agreement) {
    const double *votes = track->votes[kind];
    double total = 0;
    int best = 0;
    for (int k = 0; k < KINDS && track->labels[kind][k]; k++) {
        total += votes[k];
        if (votes[k] > votes[best]) best = k;
    }
    if (!track->labels[kind][best]) return *agreement = score, 0;
    *agreement = votes[best] / (total > 1e-9 ? total : 1e-9) * (score <= 0 || score > 1 ? 1 : score);
    return track->labels[kind][best];
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
        for (int j = 0; j < 4; j++)
            from_prior += prior[4 * i + j] * mean[j], from_fit += information[4 * i + j] * measured[j];
        vector[i] = from_prior + from_fit;
    }
    for (int i = 0; i < 4; i++) {
        mean[i] = 0;
        for (int j = 0; j < 4; j++) mean[i] += cov[4 * i + j] * vector[j];
    }
}

/* Update the cubic of a track with `count` points of a line. room: 3 numbers for each. */
static void update(Track *track, const float *points, const float *sigmas, Py_ssize_t count, const float *cubic,
                   const Settings *config, double *room) {
    const double factor = sqrt(most(count / config->points, 1)); /* errors of neighbouring points are correlated */
    double *x = room, *y = room + count, *std = y + count, information[16];
    for (Py_ssize_t p = 0; p < count; p++)
        x[p] = points[2 * p], y[p] = points[2 * p + 1], std[p] = sigmas[p] * factor;
    if (on_road(track)) {
        correct(x, std, count, cubic, track->mean, track->cov);
        return;
    }
    fit_cubic(x, y, std, count, config->prior, track->mean, information);
    invert(information, track->cov);
}

/* The track at the points of its line: (count, 2) and sigmas. */
static void smooth(const Track *track, const float *points, const float *sigmas, Py_ssize_t count,
                   const Settings *config, float *to, float *to_sigmas) {
    for (Py_ssize_t p = 0; p < count; p++) {
        double terms[4], variance = 0;
        const double sigma = sigmas[p];
        powers(points[2 * p], terms);
        for (int j = 0; j < 4; j++) {
            double row = 0;
            for (int i = 0; i < 4; i++) row += terms[i] * track->cov[4 * i + j];
            variance += row * terms[j];
        }
        to[2 * p] = points[2 * p], to[2 * p + 1] = value_at(track->mean, points[2 * p]);
        to_sigmas[p] = sqrt(variance + config->bias * (sigma * sigma));
    }
}

/* Tracks after a time whose noise is (4, 4), and a motion of the car, if it is known. */
static void predict(Track *tracks, Py_ssize_t count, const double *noise, const Motion *motion, const double *ahead,
                    Py_ssize_t steps) {
    for (Track *track = tracks; track < tracks + count; track++) {
        if (!on_road(track)) continue;
        if (motion) move(track->mean, motion, ahead, steps);
        for (int i = 0; i < 16; i++) track->cov[i] += noise[i];
    }
}

/* Votes of a line for the labels of its track; the winners and their scores are written. */
static void label(Track *track, const Line *line, double decay, int64_t *labels, double *scores) {
    for (int kind = 0; kind < 2; kind++) {
        const double score = line->label_scores[kind];
        vote(track, kind, line->labels[kind], score != 0 ? score : line->score, decay);
        labels[kind] = winner(track, kind, score, scores + kind);
    }
}

/* Keep the tracks that were seen since a time, and the number in `before` of each; returns how many. */
static Py_ssize_t seen_since(Track *tracks, int64_t *before, Py_ssize_t count, int64_t since_ns) {
    Py_ssize_t kept = 0;
    for (Py_ssize_t t = 0; t < count; t++)
        if (tracks[t].seen_ns >= since_ns) before[kept] = before[t], tracks[kept++] = tracks[t];
    return kept;
}

/* Tracks (T,), room for them and the lines (R,); noise of a prediction (4, 4), motion of the car or None, metres ahead
 * where moved cubics are fitted again (P,) and where lines are compared (Q,); stamp, that of the oldest tracks to keep
 * and next id; lines (L,) as Line, on the road as Grounds, and their points in the image (M, 2) with how many each has
 * (L,); those of the tracks (K, 2), (T,); settings. Written: the tracks of now; the id of the track of each line (L,);
 * where the points of each track are, its number among the tracks before or T and that of its line (R,); smooth points,
 * sigmas, cubics; labels and their scores (L, 2). Returns the number of tracks. */
KERNEL(follow_lines) {
    TAKE(a, "dT62 wdR62 d16 od4 dP dQ l3 dL5 (fN2 fN fL4 dL2 lL) fM2 lL fK2 lT d9 wlL wlR wfN2 wfN wfL4 wlL2 wdL2");
    const Py_ssize_t known = a.count['T'], lines = a.count['L'], points = a.count['N'];
    const double *probes = a.at[5];
    const int64_t *times = a.at[6];
    const Line *line = a.at[7];
    const Grounds ground = {a.at[8], a.at[9], a.at[10], a.at[11], a.at[12]};
    const Settings *config = a.at[17];
    Track *tracks = a.at[1];
    int64_t *ids = a.at[18], *before = a.at[19], *labels = a.at[23];
    float *to = a.at[20], *to_sigmas = a.at[21], *cubics = a.at[22];
    double *scores = a.at[24];
    int64_t *row_of = PyMem_Malloc(8 * (3 * (lines + 1) + known + 1 + lines * known + 3 * (points + 1)));
    if (!row_of) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    int64_t *begin = row_of + lines, *in_image = begin + lines + 1, *of_track = in_image + lines + 1;
    double *cost = (double *)(of_track + known + 1), *room = cost + lines * known;
    const Polylines image = {a.at[13], in_image}, track_image = {a.at[15], of_track};
    bool good = a.count['R'] >= known + lines && begins(ground.counts, lines, points, begin) &&
                begins(a.at[14], lines, a.count['M'], in_image) && begins(a.at[16], known, a.count['K'], of_track);
    if (good) {
        memcpy(tracks, a.at[0], known * sizeof *tracks);
        predict(tracks, known, a.at[2], a.at[3], a.at[4], a.count['P']);
        for (Py_ssize_t n = 0; n < lines * known; n++) {
            const Py_ssize_t row = n / known, t = n % known;
            cost[n] = apart_on_road(tracks + t, ground.cubics + 4 * row, ground.ends + 2 * row, probes, a.count['Q']);
            cost[n] /= config->gates[0];
            if (cost[n] != cost[n]) cost[n] = apart_of_rows(&track_image, t, &image, row, config->gates[1]);
        }
        good = cheapest_pairs(cost, lines, known, row_of);
    } else {
        PyErr_SetString(PyExc_ValueError, "lines have more points than there are");
    }
    Py_ssize_t tracked = known;
    for (Py_ssize_t t = 0; t < known && good; t++) before[t] = t;
    for (Py_ssize_t n = 0; n < lines && good; n++) {
        const bool matched = row_of[n] >= 0 && cost[n * known + row_of[n]] < 1;
        const Py_ssize_t row = matched ? row_of[n] : tracked++, first = begin[n];
        Track *track = tracks + row;
        if (!matched) *track = (Track){.id = times[2] + row - known, .mean = {NAN, NAN, NAN, NAN}};
        track->seen_ns = times[0], ids[n] = track->id, before[row] = known + n;
        label(track, line + n, config->decay, labels + 2 * n, scores + 2 * n);
        const float *own = ground.points + 2 * first, *sigmas = ground.sigmas + first;
        if (ground.counts[n]) {
            update(track, own, sigmas, ground.counts[n], ground.cubics + 4 * n, config, room);
            smooth(track, own, sigmas, ground.counts[n], config, to + 2 * first, to_sigmas + first);
        }
        for (int i = 0; i < 4; i++) cubics[4 * n + i] = ground.counts[n] ? track->mean[i] : NAN;
    }
    if (good) tracked = seen_since(tracks, before, tracked, times[1]);
    PyMem_Free(row_of);
    give_back(&a);
    return good ? PyLong_FromSsize_t(tracked) : NULL;
}
