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

/* What is published: rows of objects (N,), -1 where this frame does not show the track, their tracks (N,), scores of the
 * predicted ones (N,). Columns of Objects (M, ...) and of Tracks (T, ...) in the order of output.py, scores of light
 * states (T, S), stamp, settings, whether velocities are over the ground. All columns of Objects (N, ...) are written. */
KERNEL(publish) {
    TAKE(a, "lN lN fN fM4 fM fM3 fM4 fM2 fM4 fM fM4 BM BM BM lT lT dTC lT dT5 dT25 dT4 BT lT dT dT8 BT fT dTS l1 dX5 s "
            "wfN4 wfN wiN wfNS wlN wiN w?N wBN wfN3 wfN4 wBN wfN2 wfN4 wfN wfN4 wBN");
    const int64_t *objects = a.at[0], *rows = a.at[1], *ids = a.at[14], *ages = a.at[15], *last_position_ns = a.at[17];
    const int64_t *hits = a.at[22], stamp = *(int64_t *)a.at[28];
    const float *faded = a.at[2], *boxes = a.at[3], *scores = a.at[4], *positions = a.at[5], *covs = a.at[6];
    const float *velocities = a.at[7], *velocity_covs = a.at[8], *widths = a.at[9], *cues = a.at[10];
    const uint8_t *edges = a.at[11], *methods = a.at[12], *relevances = a.at[13], *track_methods = a.at[21];
    const uint8_t *track_edges = a.at[25];
    const double *votes = a.at[16], *states = a.at[18], *state_covs = a.at[19], *biases = a.at[20], *speeds = a.at[23];
    const double *track_boxes = a.at[24], *lights = a.at[27];
    const float *track_widths = a.at[26];
    const Config *config = a.at[29];
    int32_t *out_classes = a.at[33], *out_ages = a.at[36];
    float *out_lights = a.at[34];
    int64_t *out_ids = a.at[35];
    bool *coasted = a.at[37];
    const Py_ssize_t kinds = a.count['C'], light_states = a.count['S'];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const int64_t m = objects[n], row = rows[n];
        if (m >= a.count['M'] || row < 0 || row >= a.count['T']) continue;
        const Published to = {
            (float *)a.at[31] + 4 * n, (float *)a.at[32] + n, (float *)a.at[39] + 3 * n, (float *)a.at[40] + 4 * n,
            (float *)a.at[42] + 2 * n, (float *)a.at[43] + 4 * n, (float *)a.at[44] + n, (float *)a.at[45] + 4 * n,
            (uint8_t *)a.at[38] + n, (uint8_t *)a.at[41] + n, (uint8_t *)a.at[46] + n,
        };
        coasted[n] = m < 0;
        if (m < 0) {
            coast(&to, track_boxes + 8 * row, faded[n], track_edges[row], track_widths[row]);
        } else {
            *to.score = scores[m], *to.width = widths[m];
            *to.edges = edges[m], *to.method = methods[m], *to.relevance = relevances[m];
            for (int i = 0; i < 3; i++) to.position[i] = positions[3 * m + i];
            for (int i = 0; i < 2; i++) to.velocity[i] = velocities[2 * m + i];
            for (int i = 0; i < 4; i++) {
                to.box[i] = boxes[4 * m + i], to.cues[i] = cues[4 * m + i];
                to.position_cov[i] = covs[4 * m + i], to.velocity_cov[i] = velocity_covs[4 * m + i];
            }
        }
        const double *own = votes + kinds * row;
        Py_ssize_t best = 0;
        for (Py_ssize_t kind = 1; kind < kinds; kind++)
            if (own[kind] > own[best]) best = kind;
        out_classes[n] = best, out_ids[n] = ids[row], out_ages[n] = ages[row];
        for (Py_ssize_t i = 0; i < light_states; i++) out_lights[light_states * n + i] = lights[light_states * row + i];
        const double *state = states + 5 * row;
        if (isfinite(state[0]) && stamp - last_position_ns[row] <= 1e9 * config->max_coast)
            put_state(&to, state, state_covs + 25 * row, biases + 4 * row, track_methods[row],
                      hits[row] >= config->min_velocity_hits, speeds[row], a.number[30] != 0, config);
    }
    DONE(a);
}
