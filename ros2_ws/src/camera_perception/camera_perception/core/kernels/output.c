/* Twin of objects/tracker/output.py: what is published of tracks. */
#include "kernels.h"

typedef struct {
    double max_coast, bias_time_constant, max_velocity_std, min_velocity_hits, stationary_prior;
} Config;

static double zero_mean_density(const double *v, const double *cov) {
    const double scale = 1 / (cov[0] * cov[3] - cov[1] * cov[1]);
    const double s[4] = {cov[3] * scale, -cov[1] * scale, -cov[1] * scale, cov[0] * scale};
    const double distance = v[0] * s[0] * v[0] + v[0] * s[1] * v[1] + v[1] * s[2] * v[0] + v[1] * s[3] * v[1];
    return exp(-distance / 2) / sqrt(cov[0] * cov[3] - cov[1] * cov[1]);
}

/* Shrink a velocity over the ground towards zero where the object is probably stationary. */
static void shrink(double *v, double *cov, double speed_prior_std, double stationary_prior) {
    const double prior = speed_prior_std * speed_prior_std;
    const double wide[4] = {cov[0] + prior, cov[1], cov[2], cov[3] + prior};
    const double stationary = stationary_prior * zero_mean_density(v, cov);
    const double moving = (1 - stationary_prior) * zero_mean_density(v, wide);
    const double weight = moving / (stationary + moving);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) cov[2 * i + j] = weight * cov[2 * i + j] + weight * (1 - weight) * (v[i] * v[j]);
    v[0] *= weight, v[1] *= weight;
}

/* Of an object where it is published. */
typedef struct {
    float *box, *score, *position, *position_cov, *velocity, *velocity_cov, *width, *cues;
    uint8_t *edges, *method, *relevance;
} Published;

/* The predicted box of a track that this frame does not show, and nothing else known. */
static void coast(const Published *to, const double *box, float score, uint8_t edges, float width) {
    for (int i = 0; i < 2; i++) {
        const double half = most(box[4 + 2 * i], 1) / 2;
        to->box[i] = box[2 * i] - half, to->box[2 + i] = box[2 * i] + half;
    }
    *to->score = score, *to->edges = edges, *to->width = width, *to->method = 0, *to->relevance = 0;
    for (int i = 0; i < 3; i++) to->position[i] = NAN;
    for (int i = 0; i < 2; i++) to->velocity[i] = NAN;
    for (int i = 0; i < 4; i++) to->position_cov[i] = to->velocity_cov[i] = to->cues[i] = NAN;
}

/* Position and velocity of a track whose filter is recent enough. */
static void put_state(const Published *to, const double *state, const double *cov, const double *bias, uint8_t method,
                      bool has_velocity, double speed_prior_std, bool over_ground, const Config *config) {
    to->position[0] = state[0], to->position[1] = state[1], to->position[2] = 0;
    double v[2] = {state[2], state[3]}, v_cov[4];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            const double square = config->bias_time_constant * config->bias_time_constant;
            to->position_cov[2 * i + j] = cov[5 * i + j] + bias[2 * i + j];
            v_cov[2 * i + j] = cov[5 * i + j + 12] + bias[2 * i + j] / square;
        }
    *to->method = method;
    const double limit = config->max_velocity_std * config->max_velocity_std;
    if (!has_velocity || !(v_cov[0] + v_cov[3] < 2 * limit)) return;
    if (over_ground) shrink(v, v_cov, speed_prior_std, config->stationary_prior);
    for (int i = 0; i < 2; i++) to->velocity[i] = v[i];
    for (int i = 0; i < 4; i++) to->velocity_cov[i] = v_cov[i];
}

/* Columns of Objects (M, ...) that this frame shows, in the order of output.py. */
#define DETECTED "(fM4 fM fM3 fM4 fM2 fM4 fM fM4 BM BM BM)"
typedef struct {
    const float *boxes, *scores, *positions, *covs, *velocities, *velocity_covs, *widths, *cues;
    const uint8_t *edges, *methods, *relevances;
} Detected;

/* Columns of Tracks (T, ...), in the order of output.py. */
#define TRACKED "(lT lT dTC lT dT5 dT25 dT4 BT lT dT dT8 BT fT lT dT dTS lT)"
typedef struct {
    const int64_t *ids, *ages;
    const double *votes;
    const int64_t *last_position_ns;
    const double *states, *covs, *biases;
    const uint8_t *methods;
    const int64_t *hits;
    const double *speeds, *boxes;
    const uint8_t *edges;
    const float *widths;
    const int64_t *last_update_ns;
    const double *scores, *light_scores;
    const int64_t *stable_state;
} Tracked;

/* All columns of Objects (N, ...), which are written. */
#define FOUND "(wfN4 wfN wiN wfNS wlN wiN w?N wBN wfN3 wfN4 wBN wfN2 wfN4 wfN wfN4 wBN)"
typedef struct {
    float *boxes, *scores;
    int32_t *classes;
    float *light_states;
    int64_t *track_ids;
    int32_t *ages;
    bool *coasted;
    uint8_t *edges;
    float *positions, *covs;
    uint8_t *methods;
    float *velocities, *velocity_covs, *widths, *cues;
    uint8_t *relevances;
} Found;

static Published row_of(const Found *f, Py_ssize_t n) {
    return (Published){f->boxes + 4 * n, f->scores + n, f->positions + 3 * n, f->covs + 4 * n, f->velocities + 2 * n,
                       f->velocity_covs + 4 * n, f->widths + n, f->cues + 4 * n, f->edges + n, f->methods + n,
                       f->relevances + n};
}

static void copy(const Published *to, const Detected *from, Py_ssize_t m) {
    *to->score = from->scores[m], *to->width = from->widths[m];
    *to->edges = from->edges[m], *to->method = from->methods[m], *to->relevance = from->relevances[m];
    for (int i = 0; i < 3; i++) to->position[i] = from->positions[3 * m + i];
    for (int i = 0; i < 2; i++) to->velocity[i] = from->velocities[2 * m + i];
    for (int i = 0; i < 4; i++) {
        to->box[i] = from->boxes[4 * m + i], to->cues[i] = from->cues[4 * m + i];
        to->position_cov[i] = from->covs[4 * m + i], to->velocity_cov[i] = from->velocity_covs[4 * m + i];
    }
}

/* Scores of light states in which the stable one has the largest; -1: none yet. */
static void put_lights(float *to, const double *scores, Py_ssize_t states, int64_t stable) {
    double lead = states ? scores[0] : 0;
    for (Py_ssize_t i = 0; i < states; i++) lead = most(lead, scores[i]);
    for (Py_ssize_t i = 0; i < states; i++) to[i] = least(i == stable ? lead + 1e-3 : scores[i], 1);
}

/* Object n of what is found: the track at `row`, which object m shows, or none if m is negative. */
static void put_object(const Found *found, Py_ssize_t n, const Detected *seen, Py_ssize_t m, const Tracked *tracks,
                       Py_ssize_t row, Py_ssize_t kinds, Py_ssize_t states, int64_t stamp, bool over_ground,
                       const Config *config) {
    const Published to = row_of(found, n);
    const double age = (stamp - tracks->last_update_ns[row]) / 1e9, *state = tracks->states + 5 * row;
    found->coasted[n] = m < 0;
    if (m >= 0) copy(&to, seen, m);
    else
        coast(&to, tracks->boxes + 8 * row, tracks->scores[row] * exp(-age / config->max_coast), tracks->edges[row],
              tracks->widths[row]);
    found->classes[n] = most_votes(tracks->votes + kinds * row, kinds);
    found->track_ids[n] = tracks->ids[row], found->ages[n] = tracks->ages[row];
    put_lights(found->light_states + states * n, tracks->light_scores + states * row, states, tracks->stable_state[row]);
    if (isfinite(state[0]) && stamp - tracks->last_position_ns[row] <= 1e9 * config->max_coast)
        put_state(&to, state, tracks->covs + 25 * row, tracks->biases + 4 * row, tracks->methods[row],
                  tracks->hits[row] >= config->min_velocity_hits, tracks->speeds[row], over_ground, config);
}

/* What is published: the row of the track of each object (M,), -1 without; which tracks (T,) are published although no
 * object shows them; columns of objects and of tracks, stamp, settings, whether velocities are over the ground. The columns
 * of what is found are written, first those that objects show. */
KERNEL(publish) {
    TAKE(a, "lM ?T " DETECTED " " TRACKED " n d5 s " FOUND);
    Detected seen;
    Tracked tracks;
    Found found;
    memcpy(&seen, a.at + 2, sizeof seen), memcpy(&tracks, a.at + 13, sizeof tracks);
    memcpy(&found, a.at + 33, sizeof found);
    const int64_t *rows = a.at[0], stamp = a.integer[30];
    const bool *coasting = a.at[1], over_ground = a.number[32] != 0;
    const Config *config = a.at[31];
    const Py_ssize_t kinds = a.count['C'], states = a.count['S'];
    Py_ssize_t n = 0;
    for (Py_ssize_t m = 0; m < a.count['M'] && n < a.count['N']; m++)
        if (rows[m] >= 0 && rows[m] < a.count['T'])
            put_object(&found, n++, &seen, m, &tracks, rows[m], kinds, states, stamp, over_ground, config);
    for (Py_ssize_t t = 0; t < a.count['T'] && n < a.count['N']; t++)
        if (coasting[t]) put_object(&found, n++, &seen, -1, &tracks, t, kinds, states, stamp, over_ground, config);
    give_back(&a);
    if (n == a.count['N']) Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "there is room for more objects than there are");
    return NULL;
}
