/* Twin of lanes/online_calibration.py: the planes that lane lines span with the camera. */
#include "kernels.h"

/* Eigenvector of the smallest eigenvalue of a symmetric 3x3 matrix, which is destroyed, by Jacobi's rotations; returns
 * the eigenvalue. */
static double smallest_axis(double m[3][3], double *axis) {
    double turned[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (int sweep = 0; sweep < 30; sweep++) {
        const double off = fabs(m[0][1]) + fabs(m[0][2]) + fabs(m[1][2]);
        if (!(off > 1e-300)) break;
        for (int p = 0; p < 2; p++)
            for (int q = p + 1; q < 3; q++) {
                if (m[p][q] == 0) continue;
                const double theta = (m[q][q] - m[p][p]) / (2 * m[p][q]);
                const double t = copysign(1 / (fabs(theta) + sqrt(theta * theta + 1)), theta);
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 3; k++) {
                    const double a = m[k][p], b = m[k][q];
                    m[k][p] = c * a - s * b, m[k][q] = s * a + c * b;
                }
                for (int k = 0; k < 3; k++) {
                    const double a = m[p][k], b = m[q][k], v = turned[k][p], w = turned[k][q];
                    m[p][k] = c * a - s * b, m[q][k] = s * a + c * b;
                    turned[k][p] = c * v - s * w, turned[k][q] = s * v + c * w;
                }
                m[p][q] = m[q][p] = 0;
            }
    }
    int least_of = 0;
    for (int i = 1; i < 3; i++)
        if (m[i][i] < m[least_of][least_of]) least_of = i;
    for (int i = 0; i < 3; i++) axis[i] = turned[i][least_of];
    return m[least_of][least_of];
}

/* Points u v of two lines (L, 2) and (R, 2), focal lengths and principal point; rays (N, 3) of both lines instead where
 * the lens distorts, or None; normals (2, 3) are written. Returns the larger mean squared distance of a line's rays from
 * its plane, nan where a ray is unknown. As `_line_planes`. */
KERNEL(line_planes) {
    TAKE(a, "fL2 fR2 odN3 dX4 wdX6");
    const double *rays = a.at[2], *lens = a.at[3];
    double *normals = a.at[4], largest = 0;
    if (rays && a.count['N'] != a.count['L'] + a.count['R']) rays = NULL;
    for (int line = 0; line < 2; line++) {
        const float *points = a.at[line];
        const Py_ssize_t length = a.count[line ? 'R' : 'L'];
        double scatter[3][3] = {{0}};
        for (Py_ssize_t p = 0; p < length; p++) {
            double ray[3] = {0, 0, 1};
            if (rays) memcpy(ray, rays + 3 * (p + line * a.count['L']), sizeof ray);
            else ray[0] = (points[2 * p] - lens[2]) / lens[0], ray[1] = (points[2 * p + 1] - lens[3]) / lens[1];
            const double norm = sqrt(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]);
            for (int i = 0; i < 3; i++) ray[i] /= norm;
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) scatter[i][j] += ray[i] * ray[j];
        }
        bool known = length > 0;
        for (int i = 0; i < 9; i++) scatter[i / 3][i % 3] /= length, known &= isfinite(scatter[i / 3][i % 3]);
        largest = known ? most(largest, smallest_axis(scatter, normals + 3 * line)) : NAN;
        if (!known) break;
    }
    give_back(&a);
    return PyFloat_FromDouble(largest);
}
