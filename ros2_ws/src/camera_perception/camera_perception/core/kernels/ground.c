/* Twin of geometry/ground.py: from viewing rays to the road. */
#include "kernels.h"

typedef struct {
    double pose[16], pitch, roll, height;
} Ground;

static void turn(const double *pose, const double *v, double *found) {
    for (int i = 0; i < 3; i++) found[i] = pose[4 * i] * v[0] + pose[4 * i + 1] * v[1] + pose[4 * i + 2] * v[2];
}

/* Rays (N, 3) and derivatives of their x y by u v (J, 2, 2), standard deviations of u v (S, 2), J and S one or N; pose
 * of the camera and noise; positions (N, 2) and covariances (N, 2, 2) are written. */
KERNEL(ground_with_covariance) {
    TAKE(a, "dN3 dJ4 dS2 dX19 wdN2 wdN4");
    const double *rays = a.at[0], *jacobians = a.at[1], *sigmas = a.at[2];
    const Ground *g = a.at[3];
    double *positions = a.at[4], *covs = a.at[5];
    const double height = g->pose[11];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const double *ray = rays + 3 * n, x = ray[0], y = ray[1];
        const double *d = jacobians + (n < a.count['J'] ? 4 * n : 0), *std = sigmas + (n < a.count['S'] ? 2 * n : 0);
        /* the change of the ray by one sigma of u, v, pitch, roll */
        const double changes[4][3] = {{d[0] * std[0], d[2] * std[0], 0},
                                      {d[1] * std[1], d[3] * std[1], 0},
                                      {0, -g->pitch, g->pitch * y},
                                      {-g->roll * y, g->roll * x, 0}};
        double turned[3], moved[5][2];
        turn(g->pose, ray, turned);
        const double down = turned[2] > -1e-6 ? NAN : turned[2];
        const double slant[2] = {turned[0] / down, turned[1] / down}; /* metres along the road per metre of height */
        for (int k = 0; k < 4; k++) {
            double change[3];
            turn(g->pose, changes[k], change);
            for (int i = 0; i < 2; i++) moved[k][i] = (change[i] - slant[i] * change[2]) * (-height / down);
        }
        for (int i = 0; i < 2; i++) moved[4][i] = slant[i] * -g->height;
        for (int i = 0; i < 2; i++) {
            positions[2 * n + i] = g->pose[4 * i + 3] - height * slant[i];
            for (int j = 0; j < 2; j++) {
                double sum = 0;
                for (int k = 0; k < 5; k++) sum += moved[k][i] * moved[k][j];
                covs[4 * n + 2 * i + j] = sum;
            }
        }
    }
    DONE(a);
}
