/* Twin of geometry/ground.py: from viewing rays to the road. */
#include "kernels.h"
#include "projection.h"

/* Rays (N, 3) and derivatives of their x y by u v (J, 2, 2), standard deviations of u v (S, 2), J and S one or N; pose
 * of the camera and noise; positions (N, 2) and covariances (N, 2, 2) are written. */
KERNEL(ground_with_covariance) {
    TAKE(a, "dN3 dJ4 dS2 dX19 wdN2 wdN4");
    const double *rays = a.at[0], *jacobians = a.at[1], *sigmas = a.at[2];
    const Ground *g = a.at[3];
    double *positions = a.at[4], *covs = a.at[5];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const double *jacobian = jacobians + (n < a.count['J'] ? 4 * n : 0);
        const double *std = sigmas + (n < a.count['S'] ? 2 * n : 0);
        project(g, rays + 3 * n, jacobian, std, positions + 2 * n, covs + 4 * n);
    }
    DONE(a);
}
