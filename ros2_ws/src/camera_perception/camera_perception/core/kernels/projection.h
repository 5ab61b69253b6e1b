#pragma once
#include "kernels.h"

/* Pose of a camera (4, 4), and sigmas of its pitch, roll and height. */
typedef struct {
    double pose[16], pitch, roll, height;
} Ground;

/* A vector in the axes of base_link. */
static inline void turn(const double *pose, const double *v, double *found) {
    for (int i = 0; i < 3; i++) found[i] = pose[4 * i] * v[0] + pose[4 * i + 1] * v[1] + pose[4 * i + 2] * v[2];
}

/* Where a ray x y 1 meets the road, with its covariance: d (2, 2) are derivatives of x y by pixels u v, whose sigmas are
 * std (2,). As ground_with_covariance of geometry/ground.py. */
static inline void project(const Ground *g, const double *ray, const double *d, const double *std, double *at,
                           double *cov) {
    const double x = ray[0], y = ray[1], height = g->pose[11];
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
        at[i] = g->pose[4 * i + 3] - height * slant[i];
        for (int j = 0; j < 2; j++) {
            cov[2 * i + j] = 0;
            for (int k = 0; k < 5; k++) cov[2 * i + j] += moved[k][i] * moved[k][j];
        }
    }
}
