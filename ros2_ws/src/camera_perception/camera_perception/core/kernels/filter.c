/* Twins of objects/tracker/filter.py and light_states.py with geometry/kalman.py: tracks, one at a time. */
#include "kernels.h"

enum { POSITION_METHOD_GROUND = 1, POSITION_METHOD_SIZE = 2 };

/* x y vx vy height: turned by the car's turn, moved by its motion, then by its own velocity. */
static void move_state(double *s, double seconds, double mx, double my, double c, double sn) {
    const double x = s[0] - mx, y = s[1] - my, vx = s[2], vy = s[3];
    s[2] = c * vx - sn * vy, s[3] = sn * vx + c * vy;
    s[0] = c * x - sn * y + seconds * s[2], s[1] = sn * x + c * y + seconds * s[3];
}

/* One row or column of a covariance: its five numbers, `step` apart, as a state without motion of the car. */
static void move_line(double *p, int step, double seconds, double c, double sn) {
    const double x = p[0], y = p[step], vx = p[2 * step], vy = p[3 * step];
    p[2 * step] = c * vx - sn * vy, p[3 * step] = sn * vx + c * vy;
    p[0] = c * x - sn * y + seconds * p[2 * step], p[step] = sn * x + c * y + seconds * p[3 * step];
}

typedef struct {
    double accel_std, pedestrian_accel_std, relative_accel_std, full_accel_speed, min_accel_factor;
    double min_depth, image_motion_hits;
} Motion;

/* Process noise. Stationary objects tend to stay stationary. */
static double acceleration(const double *state, bool pedestrian, bool over_ground, const Motion *config) {
    const double speed = hypot(state[2], state[3]);
    const double usual = pedestrian ? config->pedestrian_accel_std : config->accel_std;
    const double own = usual * clip(speed / config->full_accel_speed, config->min_accel_factor, 1);
    return over_ground ? own : hypot(own, config->relative_accel_std);
}

/* x y vx vy height and their covariance, moved by the car's motion and their own. */
static void predict_state(double *state, double *cov, double accel_std, double dt, const double *motion) {
    const double c = cos(motion[2]), s = -sin(motion[2]), q = accel_std * accel_std;
    const double near = dt * dt * dt / 3, cross = dt * dt / 2;
    move_state(state, dt, motion[0], motion[1], c, s);
    for (int column = 0; column < 5; column++) move_line(cov + column, 5, dt, c, s);
    for (int row = 0; row < 5; row++) move_line(cov + 5 * row, 1, dt, c, s);
    for (int axis = 0; axis < 2; axis++) {
        cov[6 * axis] += q * near, cov[6 * axis + 12] += q * dt;
        cov[6 * axis + 2] += q * cross, cov[6 * axis + 10] += q * cross;
    }
}

/* Filters of boxes (T, 4, 2) with covariances (T, 4, 2, 2), seconds, process noise in box sizes. */
KERNEL(predict_boxes) {
    TAKE(a, "wdT8 wdT16 s s");
    double *box = a.at[0], *cov = a.at[1];
    const double dt = a.number[2];
    for (Py_ssize_t t = 0; t < a.count['T']; t++) {
        const double accel = a.number[3] * (box[8 * t + 4] + box[8 * t + 6]) / 2, q = accel * accel;
        for (int i = 0; i < 4; i++) {
            double *mean = box + 8 * t + 2 * i, *p = cov + 16 * t + 4 * i;
            mean[0] += dt * mean[1];
            const double p00 = p[0] + dt * p[2], p01 = p[1] + dt * p[3];
            p[0] = p00 + dt * p01 + q * (dt * dt * dt / 3);
            p[1] = p01 + q * (dt * dt / 2);
            p[2] = p[2] + dt * p[3] + q * (dt * dt / 2);
            p[3] += q * dt;
        }
    }
    DONE(a);
}

/* The pixel of a point on the road, and its depth, in a camera without distortion; false behind it. */
static bool pixel_of(const double *point, const double *pose, const double *k, double *pixel) {
    const double x = point[0] - pose[3], y = point[1] - pose[7], z = -pose[11];
    double seen[3];
    for (int i = 0; i < 3; i++) seen[i] = x * pose[i] + y * pose[4 + i] + z * pose[8 + i];
    const double inverse = 1 / seen[2];
    pixel[0] = seen[0] * inverse * k[0] + k[2], pixel[1] = seen[1] * inverse * k[1] + k[3];
    return seen[2] > 1e-3;
}

/* Let a box move as its position on the road does: filter of the box (4, 2), position before and after. */
static void follow_ground(double *box, const double *before, const double *after, const double *pose, const double *k,
                          double seconds, double min_depth) {
    double old[2], new[2];
    const bool in_view = pixel_of(before, pose, k, old) & pixel_of(after, pose, k, new);
    const double was = (before[0] - pose[3]) * pose[2] + (before[1] - pose[7]) * pose[6];
    const double is = (after[0] - pose[3]) * pose[2] + (after[1] - pose[7]) * pose[6];
    if (!in_view || !(was > min_depth && is > min_depth)) return;
    const double growth = was / is - 1, width = growth * box[4], height = growth * box[6];
    const double motion[4] = {new[0] - old[0], new[1] - old[1] - height / 2, width, height};
    bool known = true; /* the lower edge stays on the road */
    for (int i = 0; i < 4; i++) known = known && isfinite(motion[i]);
    for (int i = 0; i < 4 && known; i++) box[2 * i + 1] = motion[i] / seconds;
}

/* Columns of Tracks (T, ...), which of C classes are pedestrians, settings, seconds, x, y and yaw of the car's motion,
 * whether it is known, stamp; pose (4, 4) and matrix (3, 3) of a camera without distortion in which the boxes of young and
 * lost tracks move as their positions do, or None. */
KERNEL(predict_ground) {
    TAKE(a, "(wdT8 wdT5 wdT25 wlT dTC lT lT) ?C d7 s s s s s n od16 od9");
    double *box = a.at[0], *state = a.at[1], *cov = a.at[2];
    int64_t *ages = a.at[3];
    const double *votes = a.at[4], seconds = a.number[9], *pose = a.at[15], *k = a.at[16];
    const int64_t *hits = a.at[5], *last_update_ns = a.at[6];
    const bool *pedestrian = a.at[7], over_ground = a.number[13] != 0;
    const Motion *config = a.at[8];
    const double lens[4] = {k ? k[0] : 0, k ? k[4] : 0, k ? k[2] : 0, k ? k[5] : 0};
    for (Py_ssize_t t = 0; t < a.count['T']; t++, box += 8, state += 5, cov += 25, votes += a.count['C']) {
        const double before[2] = {state[0], state[1]};
        const bool lost = a.integer[14] - last_update_ns[t] > 1.5e9 * seconds;
        const bool slow = pedestrian[most_votes(votes, a.count['C'])];
        predict_state(state, cov, acceleration(state, slow, over_ground, config), seconds, a.number + 10);
        if (pose && k && (hits[t] <= config->image_motion_hits || lost) && isfinite(state[0]))
            follow_ground(box, before, state, pose, lens, seconds, config->min_depth);
        ages[t] += seconds > 0;
    }
    DONE(a);
}

typedef struct {
    double box_std_pixels, box_std_ratio, noise_learning_rate, box_noise_min, box_noise_max, position_noise_min,
        position_noise_max, reacquire_gap, reacquire_velocity_std, bias_fraction, outlier_nis, outlier_velocity_std,
        truncated_variance_factor, height_variance_factor, height_gate, class_vote_decay, light_time_constant,
        light_switch_margin;
} Config;

/* An object, in float64. */
typedef struct {
    double box[4], at[2], cov[4], cues[4];
    int method, truncated;
} Object;

/* One track: pointers to its rows. */
typedef struct {
    double *box, *box_cov, *box_noise, *state, *cov, *position_noise, *bias;
    const double *speed_prior_std, *height_prior;
} Track;

static double learned(double noise, double nis, double rate, double low, double high) {
    return least(most(noise + rate * (nis - noise), low), high);
}

static void update_box(Track *t, const Object *o, const Config *config) {
    const double *b = o->box;
    const double value[4] = {(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]};
    double var[4], nis = 0;
    for (int i = 0; i < 4; i++) {
        const double std = config->box_std_pixels + config->box_std_ratio * value[2 + i % 2];
        const double innovation = value[i] - t->box[2 * i];
        var[i] = std * std;
        nis += (innovation * innovation - t->box_cov[4 * i]) / var[i];
    }
    double noise = learned(*t->box_noise, nis / 4, config->noise_learning_rate, config->box_noise_min,
                           config->box_noise_max);
    if (o->truncated) noise = config->box_noise_min; /* it grows out of the border: a large innovation, and right */
    *t->box_noise = noise;
    for (int i = 0; i < 4; i++) {
        double *mean = t->box + 2 * i, *p = t->box_cov + 4 * i;
        const double sigma = sqrt(var[i] * noise), scale = p[0] + sigma * sigma, innovation = value[i] - mean[0];
        const double gain[2] = {p[0] / scale, p[2] / scale}, first[2] = {p[0], p[1]};
        for (int row = 0; row < 2; row++) {
            mean[row] += gain[row] * innovation;
            for (int column = 0; column < 2; column++) p[2 * row + column] -= gain[row] * first[column];
        }
    }
}

/* A measurement by the ground plane alone: what the object size has contributed is taken out again. */
typedef struct {
    bool by_height;
    double direction[2], at[2], cov[4];
} Measurement;

static Measurement ground_measurement(const Object *o, const double *camera, double white) {
    Measurement m = {false, {0, 0}, {o->at[0], o->at[1]}, {o->cov[0], o->cov[1], o->cov[2], o->cov[3]}};
    const bool by_camera = o->method == POSITION_METHOD_GROUND || o->method == POSITION_METHOD_SIZE;
    m.by_height = camera && by_camera && !o->truncated && isfinite(o->cues[2]);
    if (m.by_height) {
        double *d = m.direction, x = o->at[0] - camera[0], y = o->at[1] - camera[1];
        const double distance = sqrt(x * x + y * y), range = o->cues[0], sigma = o->cues[1];
        d[0] = x / distance, d[1] = y / distance;
        const double along = isnan(sigma) ? 1e4 : sigma * sigma; /* square metres where the road gives no range */
        const double before = d[0] * o->cov[0] * d[0] + d[0] * o->cov[1] * d[1] + d[1] * o->cov[2] * d[0] +
                              d[1] * o->cov[3] * d[1];
        for (int i = 0; i < 2; i++) {
            m.at[i] += ((isnan(range) ? distance : range) - distance) * d[i];
            for (int j = 0; j < 2; j++) m.cov[2 * i + j] += (along - before) * d[i] * d[j];
        }
    }
    for (int i = 0; i < 4; i++) m.cov[i] *= white;
    return m;
}

static void invert(double xx, double xy, double yy, double *found) {
    const double scale = 1 / (xx * yy - xy * xy);
    found[0] = yy * scale, found[1] = found[2] = -xy * scale, found[3] = xx * scale;
}

static double outlier_scale(Track *t, const Object *o, const Config *config) {
    const double x = o->at[0] - t->state[0], y = o->at[1] - t->state[1], white = 1 - config->bias_fraction;
    double s[4];
    invert(t->cov[0] + white * o->cov[0], t->cov[1] + white * o->cov[1], t->cov[6] + white * o->cov[3], s);
    const double nis = (x * s[0] * x + x * s[1] * y + y * s[2] * x + y * s[3] * y) / 2;
    const double noise = learned(*t->position_noise, nis, config->noise_learning_rate, config->position_noise_min,
                                 config->position_noise_max);
    *t->position_noise = noise;
    if (nis > config->outlier_nis * noise) {
        const double more = config->outlier_velocity_std * config->outlier_velocity_std;
        t->cov[12] += more, t->cov[18] += more;
    }
    const double scale = most(noise, nis / config->outlier_nis);
    return o->truncated ? config->truncated_variance_factor * scale : scale;
}

static void update_ground(Track *t, const Measurement *m) {
    double s[4], gain[5][2], reduced[25], x = m->at[0] - t->state[0], y = m->at[1] - t->state[1];
    invert(t->cov[0] + m->cov[0], t->cov[1] + m->cov[1], t->cov[6] + m->cov[3], s);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 2; j++) gain[i][j] = t->cov[5 * i] * s[j] + t->cov[5 * i + 1] * s[2 + j];
    for (int i = 0; i < 5; i++) {
        t->state[i] += gain[i][0] * x + gain[i][1] * y;
        for (int j = 0; j < 5; j++)
            reduced[5 * i + j] = t->cov[5 * i + j] - (gain[i][0] * t->cov[j] + gain[i][1] * t->cov[5 + j]);
    }
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) t->cov[5 * i + j] = (reduced[5 * i + j] + reduced[5 * j + i]) / 2;
}

/* The apparent height ties range to the height of the object. */
static void update_range(Track *t, const Object *o, const Measurement *m, const double *camera, double factor,
                         double gate) {
    const double per_height = o->cues[2], *d = m->direction, std = o->cues[3] * per_height * t->state[4];
    const double along = d[0] * (t->state[0] - camera[0]) + d[1] * (t->state[1] - camera[1]);
    const double innovation = per_height * t->state[4] - along;
    double projected[5], gain[5];
    for (int i = 0; i < 5; i++)
        projected[i] = t->cov[5 * i] * d[0] + t->cov[5 * i + 1] * d[1] - t->cov[5 * i + 4] * per_height;
    const double var = projected[0] * d[0] + projected[1] * d[1] - projected[4] * per_height + factor * (std * std);
    if (!(innovation * innovation < gate * var)) return;
    for (int i = 0; i < 5; i++) gain[i] = 1 / var * projected[i];
    for (int i = 0; i < 5; i++) {
        t->state[i] += gain[i] * innovation;
        for (int j = 0; j < 5; j++) t->cov[5 * i + j] -= gain[i] * projected[j];
    }
}

static void start_position(Track *t, const Object *o, const double *camera, const Config *config) {
    const Measurement m = ground_measurement(o, camera, 1 - config->bias_fraction);
    const double speed = *t->speed_prior_std, height_std = t->height_prior[1];
    memset(t->cov, 0, 25 * sizeof(double));
    t->state[0] = m.at[0], t->state[1] = m.at[1], t->state[2] = t->state[3] = 0, t->state[4] = t->height_prior[0];
    t->cov[0] = m.cov[0], t->cov[1] = m.cov[1], t->cov[5] = m.cov[2], t->cov[6] = m.cov[3];
    t->cov[12] = t->cov[18] = speed * speed, t->cov[24] = height_std * height_std;
    if (m.by_height) update_range(t, o, &m, camera, config->height_variance_factor, config->height_gate);
}

static void update_position(Track *t, const Object *o, const double *camera, bool reacquired, const Config *config) {
    if (reacquired) {
        const double more = config->reacquire_velocity_std * config->reacquire_velocity_std;
        t->cov[12] += more, t->cov[18] += more;
    }
    const double scale = outlier_scale(t, o, config);
    Measurement m = ground_measurement(o, camera, 1 - config->bias_fraction);
    for (int i = 0; i < 4; i++) m.cov[i] *= scale;
    update_ground(t, &m);
    if (m.by_height) update_range(t, o, &m, camera, config->height_variance_factor * scale, config->height_gate);
}

static Py_ssize_t largest(const double *scores, Py_ssize_t count) {
    Py_ssize_t best = 0;
    for (Py_ssize_t i = 1; i < count && !isnan(scores[best]); i++)
        if (scores[i] > scores[best] || isnan(scores[i])) best = i;
    return best;
}

/* Smooth the scores of S states over time; the stable state changes only when another one leads clearly. */
static void update_lights(double *scores, int64_t *stable, const float *measured, Py_ssize_t states, double age_ns,
                          const Config *config) {
    const double weight = 1 - exp(-most(age_ns / 1e9, 1e-3) / config->light_time_constant);
    for (Py_ssize_t i = 0; i < states; i++) {
        const double fresh = isfinite(measured[i]) ? measured[i] : scores[i];
        scores[i] = (1 - weight) * scores[i] + weight * fresh;
    }
    const Py_ssize_t best = largest(scores, states);
    const double lead = scores[best] - (*stable >= 0 ? scores[*stable] : -1.0);
    if (lead > config->light_switch_margin && scores[best] > 0) *stable = best;
}

static bool all_finite(const float *values, int count) {
    for (int i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* Columns of Tracks (T, ...) that are updated, in the order of filter.py. */
#define UPDATED "(wlT wlT wlT wdTC wdT wdTS wlT wdT4 wdT8 wdT16 wdT5 wdT25 dT dT2 wdT4 wdT) (wdT wBT wBT wfT)"
typedef struct {
    int64_t *last_update_ns, *last_position_ns, *hits;
    double *votes, *scores, *light_scores;
    int64_t *stable_state;
    double *last_box, *box, *box_cov, *state, *cov, *speed_prior_std, *height_prior, *bias, *box_noise, *position_noise;
    uint8_t *position_methods, *truncated;
    float *ground_widths;
} Columns;

/* Columns of Objects (N, ...) that update them. */
#define MEASURED "(fN4 fN iN fNS fN3 fN4 BN BN fN4 fN)"
typedef struct {
    const float *boxes, *scores;
    const int32_t *classes;
    const float *light_states, *positions, *covs;
    const uint8_t *methods, *truncated;
    const float *cues, *ground_widths;
} Measured;

static Track filters_of(const Columns *c, Py_ssize_t row) {
    return (Track){c->box + 8 * row, c->box_cov + 16 * row, c->box_noise + row, c->state + 5 * row, c->cov + 25 * row,
                   c->position_noise + row, c->bias + 4 * row, c->speed_prior_std + row, c->height_prior + 2 * row};
}

static Object object_of(const Measured *m, Py_ssize_t n) {
    Object o = {.method = m->methods[n], .truncated = m->truncated[n]};
    for (int i = 0; i < 4; i++)
        o.box[i] = m->boxes[4 * n + i], o.cov[i] = m->covs[4 * n + i], o.cues[i] = m->cues[4 * n + i];
    o.at[0] = m->positions[3 * n], o.at[1] = m->positions[3 * n + 1];
    return o;
}

/* The row of the track that each object updates (N,), of none where there is no such row; columns of the tracks and of the
 * objects, pose of the camera (4, 4) or None, settings, stamp. With only_positions nothing else is updated. */
KERNEL(update_tracks) {
    TAKE(a, "lN " UPDATED " " MEASURED " od16 d18 n s");
    Columns tracks;
    Measured seen;
    memcpy(&tracks, a.at + 1, sizeof tracks), memcpy(&seen, a.at + 21, sizeof seen);
    const int64_t *rows = a.at[0], stamp = a.integer[33];
    const double *pose = a.at[31], at[2] = {pose ? pose[3] : 0, pose ? pose[7] : 0}, *camera = pose ? at : NULL;
    const Config *config = a.at[32];
    const bool only_positions = a.number[34] != 0;
    const Py_ssize_t kinds = a.count['C'], states = a.count['S'];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const int64_t row = rows[n];
        if (row < 0 || row >= a.count['T']) continue;
        Track t = filters_of(&tracks, row);
        const Object o = object_of(&seen, n);
        if (!only_positions) {
            update_box(&t, &o, config);
            for (int i = 0; i < 4; i++) tracks.last_box[4 * row + i] = o.box[i];
        }
        if (isfinite(o.at[0]) && all_finite(seen.covs + 4 * n, 4)) {
            const bool reacquired = stamp - tracks.last_position_ns[row] > 1e9 * config->reacquire_gap;
            if (isfinite(t.state[0])) update_position(&t, &o, camera, reacquired, config);
            else start_position(&t, &o, camera, config);
            for (int i = 0; i < 4; i++) t.bias[i] = (float)config->bias_fraction * seen.covs[4 * n + i];
            tracks.last_position_ns[row] = stamp, tracks.position_methods[row] = o.method;
        }
        if (only_positions) continue;
        if (states)
            update_lights(tracks.light_scores + states * row, tracks.stable_state + row, seen.light_states + states * n,
                          states, stamp - tracks.last_update_ns[row], config);
        const int32_t kind = seen.classes[n];
        double *votes = tracks.votes + kinds * row;
        for (Py_ssize_t k = 0; k < kinds; k++) votes[k] *= config->class_vote_decay;
        votes[kind < 0 ? 0 : kind < kinds ? kind : kinds - 1] += seen.scores[n];
        tracks.last_update_ns[row] = stamp, tracks.scores[row] = seen.scores[n], tracks.hits[row]++;
        tracks.truncated[row] = o.truncated, tracks.ground_widths[row] = seen.ground_widths[n];
    }
    DONE(a);
}
