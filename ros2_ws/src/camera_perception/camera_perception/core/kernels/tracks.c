/* Twin of objects/tracker/tracker.py: which tracks are kept and published. */
#include "kernels.h"

typedef struct {
    double max_age, max_age_3d, tentative_lifetime, min_hits, max_coast;
    double full_accel_speed, max_position_std, max_position_std_stationary;
} Lifetimes;

/* Columns of Tracks (T, ...), rows of tracks by object (N,), settings, stamp, whether the motion of the car is known, height
 * and width of the image or negative numbers; written (T,): tracks that are kept, and confirmed ones that are published
 * although this frame does not show them. Returns how many are not kept, and how many objects are published. */
KERNEL(kept_tracks) {
    TAKE(a, "(lT lT dT5 dT25 dT8) lN d8 n s s s w?T w?T");
    const int64_t *last_update_ns = a.at[0], *hits = a.at[1], *row_of = a.at[5], stamp = a.integer[7];
    const double *state = a.at[2], *cov = a.at[3], *box = a.at[4], height = a.number[9], width = a.number[10];
    const Lifetimes *config = a.at[6];
    bool *alive = a.at[11], *coasting = a.at[12];
    Py_ssize_t ended = 0, published = 0;
    for (Py_ssize_t n = 0; n < a.count['N']; n++) published += row_of[n] >= 0;
    for (Py_ssize_t t = 0; t < a.count['T']; t++, state += 5, cov += 25, box += 8) {
        const double age = (stamp - last_update_ns[t]) / 1e9, u = box[0], v = box[2];
        const bool slow = hypot(state[2], state[3]) < config->full_accel_speed, confirmed = hits[t] >= config->min_hits;
        const double std = slow ? config->max_position_std_stationary : config->max_position_std;
        const bool located = a.number[8] != 0 && cov[0] + cov[6] < std * std;
        const double lifetime = located ? config->max_age_3d : config->max_age;
        alive[t] = age <= (confirmed ? lifetime : config->tentative_lifetime);
        coasting[t] = age > 0 && age <= config->max_coast && confirmed;
        if (width >= 0) coasting[t] &= u >= 0 && v >= 0 && u < width && v < height;
        ended += !alive[t], published += coasting[t];
    }
    give_back(&a);
    return Py_BuildValue("nn", ended, published);
}
