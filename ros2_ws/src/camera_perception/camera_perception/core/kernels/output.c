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

/* Rows of tracks (N,); last_position_ns, states, covariances, biases, methods, hits, speed priors (T, ...); columns of
 * objects that are written: positions, their covariances, methods, velocities, their covariances; stamp, settings,
 * whether velocities are over the ground. */
KERNEL(track_state) {
    TAKE(a, "lN lT dT5 dT25 dT4 BT lT dT wfN3 wfN4 wBN wfN2 wfN4 l1 dX5 s");
    const int64_t *rows = a.at[0], *last_position_ns = a.at[1], *hits = a.at[6], stamp = *(int64_t *)a.at[13];
    const double *states = a.at[2], *covs = a.at[3], *biases = a.at[4], *speed_prior_std = a.at[7];
    const uint8_t *track_methods = a.at[5];
    float *positions = a.at[8], *position_covs = a.at[9], *velocities = a.at[11], *velocity_covs = a.at[12];
    uint8_t *methods = a.at[10];
    const Config *config = a.at[14];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const int64_t row = rows[n];
        const double *state = states + 5 * row, *cov = covs + 25 * row, *bias = biases + 4 * row;
        if (row < 0 || row >= a.count['T']) continue;
        if (!isfinite(state[0]) || !(stamp - last_position_ns[row] <= 1e9 * config->max_coast)) continue;
        positions[3 * n] = state[0], positions[3 * n + 1] = state[1], positions[3 * n + 2] = 0;
        double v[2] = {state[2], state[3]}, v_cov[4];
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                const double square = config->bias_time_constant * config->bias_time_constant;
                position_covs[4 * n + 2 * i + j] = cov[5 * i + j] + bias[2 * i + j];
                v_cov[2 * i + j] = cov[5 * i + j + 12] + bias[2 * i + j] / square;
            }
        methods[n] = track_methods[row];
        const double limit = config->max_velocity_std * config->max_velocity_std;
        if (hits[row] < config->min_velocity_hits || !(v_cov[0] + v_cov[3] < 2 * limit)) continue;
        if (a.number[15] != 0) shrink(v, v_cov, speed_prior_std[row], config->stationary_prior);
        for (int i = 0; i < 2; i++) velocities[2 * n + i] = v[i];
        for (int i = 0; i < 4; i++) velocity_covs[4 * n + i] = v_cov[i];
    }
    DONE(a);
}
