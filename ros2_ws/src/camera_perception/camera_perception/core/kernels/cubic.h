/* Cubics y = c0 + c1 x + c2 x^2 + c3 x^3 on the road. */
#pragma once
#include "kernels.h"

/* Solve a x = b for 4x4 systems, as LAPACK's gesv: b has `columns` columns and becomes x. */
static inline void solve(double a[4][4], double *b, int columns) {
    for (int k = 0; k < 4; k++) {
        int pivot = k;
        for (int i = k + 1; i < 4; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k])) pivot = i;
        for (int j = 0; j < 4 && pivot != k; j++) {
            const double swapped = a[k][j];
            a[k][j] = a[pivot][j], a[pivot][j] = swapped;
        }
        for (int j = 0; j < columns && pivot != k; j++) {
            const double swapped = b[columns * k + j];
            b[columns * k + j] = b[columns * pivot + j], b[columns * pivot + j] = swapped;
        }
        const double scale = 1 / a[k][k];
        for (int i = k + 1; i < 4; i++) {
            const double factor = a[i][k] *= scale;
            for (int j = k + 1; j < 4; j++) a[i][j] -= factor * a[k][j];
            for (int j = 0; j < columns; j++) b[columns * i + j] -= factor * b[columns * k + j];
        }
    }
    for (int k = 3; k >= 0; k--)
        for (int j = 0; j < columns; j++) {
            for (int i = k + 1; i < 4; i++) b[columns * k + j] -= a[k][i] * b[columns * i + j];
            b[columns * k + j] /= a[k][k];
        }
}

static inline void invert(const double *matrix, double *inverse) {
    double a[4][4];
    memcpy(a, matrix, sizeof a);
    for (int i = 0; i < 16; i++) inverse[i] = i % 5 == 0;
    solve(a, inverse, 4);
}

static inline void powers(double x, double *terms) { terms[0] = 1, terms[1] = x, terms[2] = x * x, terms[3] = x * x * x; }

static inline double value_at(const double *poly, double x) {
    double terms[4];
    powers(x, terms);
    return terms[0] * poly[0] + terms[1] * poly[1] + terms[2] * poly[2] + terms[3] * poly[3];
}

/* Robust fit (Huber) of a cubic to points: c0..c3 and the inverse of their covariance. */
static inline void fit_cubic(const double *x, const double *y, const double *std, Py_ssize_t count, const double *prior,
                      double *poly, double *information) {
    for (int round = 0; round < 3; round++) {
        double sums[4][4] = {{0}}, right[4] = {0};
        for (Py_ssize_t p = 0; p < count; p++) {
            double terms[4], weight = 1 / (std[p] * std[p]);
            powers(x[p], terms);
            if (round) weight *= 1.5 / most(fabs(y[p] - value_at(poly, x[p])) / std[p], 1.5);
            for (int i = 0; i < 4; i++) {
                const double weighted = terms[i] * weight;
                for (int j = 0; j < 4; j++) sums[i][j] += weighted * terms[j];
                right[i] += weighted * y[p];
            }
        }
        for (int i = 0; i < 4; i++) sums[i][i] += prior[i];
        memcpy(information, sums, sizeof sums);
        solve(sums, right, 1);
        memcpy(poly, right, sizeof right);
    }
}
