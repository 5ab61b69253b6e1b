/* Twins of objects/localize.py, contact.py, visibility.py and footprint.py: objects on the road. */
#include "kernels.h"
#include "projection.h"

enum { LEFT = 1, TOP = 2, RIGHT = 4, BOTTOM = 8 };
enum { METHOD_NONE, METHOD_GROUND, METHOD_SIZE };

typedef struct {
    Ground ground;
    double focal[2], centre[2], pixel, box, occluded_range_std_ratio, consistency_gate, truncated_position_std, max_range,
        max_range_std_ratio, min_width;
} Locate;

/* A position on the road, its covariance. */
typedef struct {
    double at[2], cov[4];
} Estimate;

/* Rays of a pixel in camera axes: those given (for lenses with distortion), or of a camera without. */
typedef struct {
    const Locate *config;
    const double *rays, *jacobians;
    Py_ssize_t count; /* of objects */
} Lens;

enum { CONTACT, UPPER, LOWER, LOWER_LEFT, LOWER_RIGHT }; /* what rays are given of, for all objects in turn */

static void ray_of(const Lens *lens, int which, Py_ssize_t n, double u, double v, double *ray) {
    if (lens->rays) {
        memcpy(ray, lens->rays + 3 * (which * lens->count + n), 3 * sizeof(double));
        return;
    }
    const Locate *c = lens->config;
    ray[0] = (u - c->centre[0]) / c->focal[0], ray[1] = (v - c->centre[1]) / c->focal[1], ray[2] = 1;
}

static Estimate by_ground(const Lens *lens, Py_ssize_t n, const float *box, int truncated) {
    const Locate *c = lens->config;
    double ray[3], b[4] = {box[0], box[1], box[2], box[3]};
    const double straight[4] = {1 / c->focal[0], 0, 0, 1 / c->focal[1]};
    const double std[2] = {c->pixel + c->box * (b[2] - b[0]), c->pixel + c->box * (b[3] - b[1])};
    Estimate found;
    ray_of(lens, CONTACT, n, (b[0] + b[2]) / 2, b[3], ray);
    if (truncated & BOTTOM) ray[0] = ray[1] = NAN;
    project(&c->ground, ray, lens->rays ? lens->jacobians + 4 * n : straight, std, found.at, found.cov);
    return found;
}

/* The position of an upright object of known height and sigma; cues: range per metre of height, relative sigma. */
static Estimate by_size(const Lens *lens, Py_ssize_t n, const float *box, const double *height, double *cues) {
    const Locate *c = lens->config;
    const double *pose = c->ground.pose, b[4] = {box[0], box[1], box[2], box[3]}, u = (b[0] + b[2]) / 2;
    const double std_u = sqrt(2.0) * (c->pixel + c->box * (b[2] - b[0]));
    const double std_v = sqrt(2.0) * (c->pixel + c->box * (b[3] - b[1]));
    double ray[3], upper[3], lower[3];
    ray_of(lens, UPPER, n, u, b[1], ray), turn(pose, ray, upper);
    ray_of(lens, LOWER, n, u, b[3], ray), turn(pose, ray, lower);
    const double flat = hypot(lower[0], lower[1]), rise = upper[2] / hypot(upper[0], upper[1]) - lower[2] / flat;
    const double per_height = 1 / (rise > 1e-6 ? rise : NAN), direction[2] = {lower[0] / flat, lower[1] / flat};
    const double box_std = std_v / most(b[3] - b[1], 1e-6), distance = height[0] * per_height;
    const double along = distance * hypot(height[1] / height[0], box_std), across = distance * std_u;
    const double spread[2][2] = {{direction[0] * along, direction[1] * along},
                                 {direction[1] * -1.0 * across / c->focal[0], direction[0] * across / c->focal[0]}};
    Estimate found;
    for (int i = 0; i < 2; i++) {
        found.at[i] = pose[4 * i + 3] + direction[i] * distance;
        for (int j = 0; j < 2; j++)
            found.cov[2 * i + j] = spread[0][i] * spread[0][j] + spread[1][i] * spread[1][j];
    }
    cues[0] = per_height, cues[1] = box_std;
    return found;
}

/* At least half of the lower edge lies in a box that reaches lower, which is therefore nearer. */
static bool is_occluded(const float *boxes, Py_ssize_t n, Py_ssize_t count) {
    const float *a = boxes + 4 * n;
    for (const float *b = boxes; b < boxes + 4 * count; b += 4) {
        const float shared = fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
        if (b[3] > a[3] + 2 && b[1] < a[3] && shared > 0.5f * (a[2] - a[0])) return true;
    }
    return false;
}

static bool usable(const Estimate *e, const Locate *c) {
    const double x = e->at[0] - c->ground.pose[3], y = e->at[1] - c->ground.pose[7], distance = sqrt(x * x + y * y);
    const double limit = c->max_range_std_ratio * distance;
    return distance < c->max_range && e->cov[0] + e->cov[3] < limit * limit;
}

/* Both estimates as one where they are consistent, else the first. */
static void combine(Estimate *a, const Estimate *b, double gate) {
    const double x = a->at[0] - b->at[0], y = a->at[1] - b->at[1];
    const double xx = a->cov[0] + b->cov[0], xy = a->cov[1] + b->cov[1], yy = a->cov[3] + b->cov[3];
    const double determinant = xx * yy - xy * xy;
    if (!((yy * x * x - 2 * xy * x * y + xx * y * y) / determinant < gate)) return;
    const double inverse[4] = {yy / determinant, -xy / determinant, -xy / determinant, xx / determinant};
    double gain[4], reduced[4];
    for (int i = 0; i < 4; i++) gain[i] = a->cov[i & 2] * inverse[i & 1] + a->cov[(i & 2) + 1] * inverse[2 + (i & 1)];
    for (int i = 0; i < 4; i++)
        reduced[i] = a->cov[i] - (gain[i & 2] * a->cov[i & 1] + gain[(i & 2) + 1] * a->cov[2 + (i & 1)]);
    a->at[0] += gain[0] * -x + gain[1] * -y, a->at[1] += gain[2] * -x + gain[3] * -y;
    a->cov[0] = reduced[0], a->cov[3] = reduced[3], a->cov[1] = a->cov[2] = (reduced[1] + reduced[2]) / 2;
}

static float visible_width(const Lens *lens, Py_ssize_t n, const float *box, int truncated, const double *at) {
    const double *pose = lens->config->ground.pose;
    double ray[3], left[3], right[3];
    ray_of(lens, LOWER_LEFT, n, box[0], box[3], ray), turn(pose, ray, left);
    ray_of(lens, LOWER_RIGHT, n, box[2], box[3], ray), turn(pose, ray, right);
    double angle = fmod(atan2(left[1], left[0]) - atan2(right[1], right[0]), 2 * M_PI);
    if (angle < 0) angle += 2 * M_PI;
    if (truncated & (LEFT | RIGHT) || angle > M_PI / 2) return NAN;
    return 2 * tan(angle / 2) * hypot(at[0] - pose[3], at[1] - pose[7]);
}

/* Boxes (N, 4) in an image of a width and height, margin of its borders in pixels; the Edge bits of each are written
 * (N,). Returns whether all boxes are finite and have an area. As valid_boxes and edges_touched. */
KERNEL(box_edges) {
    TAKE(a, "fN4 s s s wBN");
    const double right = a.number[1] - a.number[3], bottom = a.number[2] - a.number[3];
    const float *box = a.at[0], margin = a.number[3];
    uint8_t *edges = a.at[4];
    bool valid = true;
    for (Py_ssize_t n = 0; n < a.count['N']; n++, box += 4) {
        edges[n] = LEFT * (box[0] <= margin) | TOP * (box[1] <= margin) | RIGHT * (box[2] >= right) |
                   BOTTOM * (box[3] >= bottom);
        valid &= box[2] > box[0] && box[3] > box[1] && isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) &&
                 isfinite(box[3]);
    }
    give_back(&a);
    return PyBool_FromLong(valid);
}

/* Boxes (N, 4), those of what stands on the road, edges that they touch, sigma of the contact, height and its sigma
 * (N, 2), whether they hang above the road, rays (M, 3) and Jacobians (M, 4) or None, settings. Written: positions (N, 3),
 * covariances (N, 4), methods, visible widths, cues (N, 4). */
KERNEL(locate_objects) {
    TAKE(a, "fN4 fN4 BN dN dN2 ?N odM3 odM4 dX31 wfN3 wfN4 wBN wfN wfN4");
    const float *boxes = a.at[0], *standing = a.at[1];
    const uint8_t *truncated = a.at[2];
    const double *contact_std = a.at[3], *heights = a.at[4];
    const bool *overhead = a.at[5];
    const Locate *c = a.at[8];
    float *positions = a.at[9], *covs = a.at[10], *widths = a.at[12], *all_cues = a.at[13];
    uint8_t *methods = a.at[11];
    const Py_ssize_t number = a.count['N'];
    if (a.at[6] && (a.count['M'] != 5 * number || !a.at[7])) {
        give_back(&a);
        PyErr_SetString(PyExc_ValueError, "expected five rays and Jacobians of each object");
        return NULL;
    }
    const Lens lens = {c, a.at[6], a.at[7], number};
    for (Py_ssize_t n = 0; n < number; n++) {
        const int cut = truncated[n];
        const bool cut_at_ends = cut & (TOP | BOTTOM);
        const double none[2] = {NAN, NAN}, square = contact_std[n] * contact_std[n];
        double height_cues[2];
        Estimate ground = by_ground(&lens, n, standing + 4 * n, cut);
        Estimate size = by_size(&lens, n, boxes + 4 * n, cut_at_ends ? none : heights + 2 * n, height_cues);
        ground.cov[0] += square, ground.cov[3] += square;
        const double from[2] = {ground.at[0] - c->ground.pose[3], ground.at[1] - c->ground.pose[7]};
        const bool occluded = is_occluded(standing, n, number);
        if (occluded)
            for (int i = 0; i < 4; i++)
                ground.cov[i] += c->occluded_range_std_ratio * from[i >> 1] * (c->occluded_range_std_ratio * from[i & 1]);
        if (occluded || cut_at_ends) height_cues[0] = height_cues[1] = NAN;
        const bool planar = usable(&ground, c), sized = !occluded && isfinite(size.cov[0]) && isfinite(size.cov[1]) &&
                                                        isfinite(size.cov[2]) && isfinite(size.cov[3]);
        Estimate best = planar ? ground : size;
        if (planar && sized) combine(&best, &size, c->consistency_gate);
        if (cut & (LEFT | RIGHT)) {
            const double more = c->truncated_position_std * c->truncated_position_std;
            best.cov[0] += more, best.cov[3] += more;
        }
        const bool sliver = cut & (LEFT | RIGHT) && boxes[4 * n + 2] - boxes[4 * n] < (float)c->min_width;
        const bool rejected = overhead[n] || !usable(&best, c) || sliver || (!planar && occluded);
        methods[n] = rejected ? METHOD_NONE : planar ? METHOD_GROUND : METHOD_SIZE;
        if (rejected) best = (Estimate){{NAN, NAN}, {NAN, NAN, NAN, NAN}};
        positions[3 * n] = best.at[0], positions[3 * n + 1] = best.at[1], positions[3 * n + 2] = rejected ? NAN : 0;
        for (int i = 0; i < 4; i++) covs[4 * n + i] = best.cov[i];
        widths[n] = visible_width(&lens, n, boxes + 4 * n, cut, best.at);
        float *cues = all_cues + 4 * n;
        cues[0] = cues[1] = NAN, cues[2] = height_cues[0], cues[3] = height_cues[1];
        if (!planar) continue;
        const double *g = ground.cov;
        cues[0] = sqrt(from[0] * from[0] + from[1] * from[1]);
        cues[1] = sqrt(from[0] * g[0] * from[0] + from[0] * g[1] * from[1] + from[1] * g[2] * from[0] +
                       from[1] * g[3] * from[1]) /
                  cues[0];
    }
    DONE(a);
}

/* Boxes (N, 4), methods, length, clearance and side of overhangs (N, 3); x y and height of the camera, its focal length,
 * pixels up to which overhangs do not count and above which they count in full; positions (N, 3) are moved. */
KERNEL(near_sides) {
    TAKE(a, "fN4 BN dN3 dX6 wfN3");
    const float *boxes = a.at[0];
    const uint8_t *methods = a.at[1];
    const double *overhangs = a.at[2], *c = a.at[3];
    float *positions = a.at[4];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        if (methods[n] != METHOD_GROUND && methods[n] != METHOD_SIZE) continue;
        const float *box = boxes + 4 * n;
        const double *o = overhangs + 3 * n, x = positions[3 * n] - c[0], y = positions[3 * n + 1] - c[1];
        const double distance = hypot(x, y), ends = clip(2 - 2 * (box[2] - box[0]) / ((box[3] - box[1]) * o[2]), 0, 1);
        const double overhang = least(o[0], distance * o[1] / c[2]) * ends;
        const double pixels = overhang * c[3] * c[2] / (distance * distance);
        const double shift = overhang * clip((pixels - c[4]) / (c[5] - c[4]), 0, 1);
        if (!(shift > 0)) continue;
        positions[3 * n] = positions[3 * n] - x * (shift / distance);
        positions[3 * n + 1] = positions[3 * n + 1] - y * (shift / distance);
    }
    DONE(a);
}
