/* Twins of fusion/objects.py: distances of fused objects, and merged estimates. */
#include "kernels.h"

enum { POSITION = 2, COV = 4, COLUMNS = 14 }; /* of the numbers of an object, as fusion/types.py */

/* Numbers (N, 14) and classes (N,) of objects, those of others (M, ...), covariance of a contact point by class (K, 4);
 * squared Mahalanobis distances (N, M) are written. As `squared_distances`. */
KERNEL(squared_distances) {
    TAKE(a, "dN14 lN dM14 lM dK4 wdNM");
    const double *one = a.at[0], *bodies = a.at[4];
    const int64_t *classes = a.at[1], *other_classes = a.at[3];
    double *found = a.at[5];
    for (Py_ssize_t n = 0; n < a.count['N']; n++, one += COLUMNS) {
        const double *other = a.at[2], *body = bodies + 4 * classes[n];
        for (Py_ssize_t m = 0; m < a.count['M']; m++, other += COLUMNS) {
            const double *b = bodies + 4 * other_classes[m];
            const double x = one[POSITION] - other[POSITION], y = one[POSITION + 1] - other[POSITION + 1];
            const double xx = (one[COV] + body[0]) + (other[COV] + b[0]);
            const double xy = (one[COV + 1] + body[1]) + (other[COV + 1] + b[1]);
            const double yy = (one[COV + 3] + body[3]) + (other[COV + 3] + b[3]);
            *found++ = (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy);
        }
    }
    DONE(a);
}

static void invert(const double *m, double *inverse) {
    const double scale = 1 / (m[0] * m[3] - m[1] * m[2]);
    inverse[0] = m[3] * scale, inverse[1] = -m[1] * scale, inverse[2] = -m[2] * scale, inverse[3] = m[0] * scale;
}

/* Estimates (N, 2) and (N, 2, 2), twice; variance added to both, weights (W,) and factors on their traces (W,). Written:
 * the merged estimates. As `intersection`. */
KERNEL(intersection) {
    TAKE(a, "dN2 dN4 dN2 dN4 s dW dW wdN2 wdN4");
    const double *weights = a.at[5], *factors = a.at[6];
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const double *means[2] = {(double *)a.at[0] + 2 * n, (double *)a.at[2] + 2 * n};
        double infos[2][4], best[4] = {0}, least_trace = INFINITY, weight = 0, sums[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            double wide[4];
            memcpy(wide, (double *)a.at[i ? 3 : 1] + 4 * n, sizeof wide);
            wide[0] += a.number[4], wide[3] += a.number[4];
            invert(wide, infos[i]);
        }
        for (Py_ssize_t w = 0; w < a.count['W']; w++) {
            double mixed[4];
            for (int i = 0; i < 4; i++) mixed[i] = weights[w] * infos[0][i] + (1 - weights[w]) * infos[1][i];
            const double trace = (mixed[0] + mixed[3]) / (mixed[0] * mixed[3] - mixed[1] * mixed[1]) * factors[w];
            if (w && !(trace < least_trace) && !(trace != trace && least_trace == least_trace)) continue;
            least_trace = trace, weight = weights[w];
            memcpy(best, mixed, sizeof best);
        }
        double *mean = (double *)a.at[7] + 2 * n, *cov = (double *)a.at[8] + 4 * n;
        invert(best, cov);
        for (int i = 0; i < 2; i++) {
            const double of_a = weight * infos[0][2 * i] * means[0][0] + weight * infos[0][2 * i + 1] * means[0][1];
            const double rest = 1 - weight;
            sums[i] = of_a + (rest * infos[1][2 * i] * means[1][0] + rest * infos[1][2 * i + 1] * means[1][1]);
        }
        for (int i = 0; i < 2; i++) mean[i] = cov[2 * i] * sums[0] + cov[2 * i + 1] * sums[1];
    }
    DONE(a);
}
