/* Twins of objects/tracker/tracker.py: which tracks are kept and published, and how they may accelerate. */
#include "kernels.h"

typedef struct {
    double accel_std, pedestrian_accel_std, relative_accel_std, full_accel_speed, min_accel_factor;
} Motion;

/* States (T, 5), votes for classes (T, C), which classes are pedestrians (C,), settings, whether the motion of the car is
 * known; process noise (T,) is written. */
KERNEL(accel_std) {
    TAKE(a, "dT5 dTC ?C dX5 s wdT");
    const double *state = a.at[0], *votes = a.at[1];
    const bool *pedestrian = a.at[2];
    const Motion *config = a.at[3];
    double *found = a.at[5];
    for (Py_ssize_t t = 0; t < a.count['T']; t++, state += 5, votes += a.count['C']) {
        Py_ssize_t best = 0;
        for (Py_ssize_t c = 1; c < a.count['C']; c++)
            if (votes[c] > votes[best]) best = c;
        const double speed = hypot(state[2], state[3]);
        const double usual = pedestrian[best] ? config->pedestrian_accel_std : config->accel_std;
        const double own = usual * clip(speed / config->full_accel_speed, config->min_accel_factor, 1);
        found[t] = a.number[4] != 0 ? own : hypot(own, config->relative_accel_std);
    }
    DONE(a);
}

typedef struct {
    double max_age, max_age_3d, tentative_lifetime, min_hits, max_coast;
    double full_accel_speed, max_position_std, max_position_std_stationary;
    double height, width; /* of the image, negative when unknown */
} Lifetimes;

/* Stamps of the last detections and hits (T,), states (T, 5), their covariances (T, 5, 5), filters of boxes (T, 4, 2),
 * stamp, settings, whether the motion of the car is known; written (T,): tracks that are kept, and confirmed ones that
 * are published although this frame does not show them. */
KERNEL(kept_tracks) {
    TAKE(a, "lT lT dT5 dT25 dT8 l1 dX10 s w?T w?T");
    const int64_t *last_update_ns = a.at[0], *hits = a.at[1], stamp = *(int64_t *)a.at[5];
    const double *state = a.at[2], *cov = a.at[3], *box = a.at[4];
    const Lifetimes *config = a.at[6];
    bool *alive = a.at[8], *coasting = a.at[9];
    for (Py_ssize_t t = 0; t < a.count['T']; t++, state += 5, cov += 25, box += 8) {
        const double age = (stamp - last_update_ns[t]) / 1e9, u = box[0], v = box[2];
        const bool slow = hypot(state[2], state[3]) < config->full_accel_speed, confirmed = hits[t] >= config->min_hits;
        const double std = slow ? config->max_position_std_stationary : config->max_position_std;
        const bool located = a.number[7] != 0 && cov[0] + cov[6] < std * std;
        const double lifetime = located ? config->max_age_3d : config->max_age;
        alive[t] = age <= (confirmed ? lifetime : config->tentative_lifetime);
        coasting[t] = age > 0 && age <= config->max_coast && confirmed;
        if (config->width >= 0) coasting[t] &= u >= 0 && v >= 0 && u < config->width && v < config->height;
    }
    DONE(a);
}
