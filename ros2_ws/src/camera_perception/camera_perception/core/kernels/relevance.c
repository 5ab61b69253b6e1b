/* Twin of objects/relevance.py: which traffic lights govern the ego lane. */
#include "kernels.h"

enum { UNKNOWN, EGO, OTHER }; /* as Relevance of core/types.py */

/* A line of the ego lane on the road; known is 0 where there is none. */
typedef struct {
    double known, poly[4], x_min, x_max;
} Course;

typedef struct {
    double pose[16], focal_x, focal_y, center_x, center_y;
    double light_size, min_light_height, max_light_height, lane_range, ego_light_margin, other_light_margin;
    double lane_width, max_start_x;
} Lights;

/* y of a line at x; extrapolated straight before its start. */
static double y_on(const Course *line, double x, const Lights *config) {
    const double *c = line->poly, start = most(x, least(line->x_min, config->max_start_x));
    const double value = c[0] + start * (c[1] + start * (c[2] + start * c[3]));
    const double slope = c[1] + start * (2 * c[2] + start * 3 * c[3]);
    return value + slope * (x - start);
}

static double edge(const Course *line, double x, const Lights *config) {
    const double end = least(line->x_max, config->lane_range);
    if (x <= end) return y_on(line, x, config);
    const double last = y_on(line, end, config);
    return last + (last - y_on(line, end - 5, config)) / 5 * (x - end);
}

static int relevance(const double *at, const Course *own, const Lights *config) {
    const double x = at[0], y = at[1], z = at[2];
    if (!isfinite(x) || !(config->min_light_height < z && z < config->max_light_height + 0.05 * x)) return UNKNOWN;
    double left = config->lane_width / 2, right = -left;
    if (own[0].known) left = edge(own, x, config);
    if (own[1].known) right = edge(own + 1, x, config);
    if (own[1].known && !own[0].known) left = right + config->lane_width;
    if (own[0].known && !own[1].known) right = left - config->lane_width;
    const double outside = most(y - left, right - y);
    if (outside < config->ego_light_margin) return EGO;
    return outside > config->other_light_margin ? OTHER : UNKNOWN;
}

/* Boxes (N, 4) and classes (N,) of objects, class of lights, left and right line of the ego lane, the camera without
 * distortion and settings; relevances (N,) are written. */
KERNEL(light_relevances) {
    TAKE(a, "fN4 iN s dX14 dY28 wBN");
    const int32_t *classes = a.at[1];
    const Course *own = a.at[3];
    const Lights *config = a.at[4];
    uint8_t *found = a.at[5];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        found[n] = UNKNOWN;
        if (classes[n] != a.number[2]) continue;
        double box[4], at[3];
        for (int i = 0; i < 4; i++) box[i] = ((float *)a.at[0])[4 * n + i];
        const double longer = most(box[2] - box[0], box[3] - box[1]);
        const double depth = config->focal_y * config->light_size / most(longer, 1e-3);
        const double x = ((box[0] + box[2]) / 2 - config->center_x) / config->focal_x * depth;
        const double y = ((box[1] + box[3]) / 2 - config->center_y) / config->focal_y * depth;
        for (int i = 0; i < 3; i++) {
            const double *row = config->pose + 4 * i;
            at[i] = x * row[0] + y * row[1] + depth * row[2] + row[3];
        }
        if (at[0] > 0) found[n] = relevance(at, own, config);
    }
    DONE(a);
}
