/* Twins of fusion/objects.py: distances of fused objects, and merged ones; and their bytes, as fusion/packed.py. */
#include "writer.h"

/* Columns of the numbers and of the counts of an object, as fusion/types.py. */
enum { SCORE, WIDTH, POSITION, COV = 4, VELOCITY = 8, VELOCITY_COV = 10, COLUMNS = 14 };
enum { CLASS, ID, AGE, STAMP, METHOD, OVER_GROUND, COASTED, CAMERAS };

/* Squared Mahalanobis distance of two objects with the covariances of their contact points. */
static double squared_distance(const double *one, const double *body, const double *other, const double *other_body) {
    const double x = one[POSITION] - other[POSITION], y = one[POSITION + 1] - other[POSITION + 1];
    const double xx = (one[COV] + body[0]) + (other[COV] + other_body[0]);
    const double xy = (one[COV + 1] + body[1]) + (other[COV + 1] + other_body[1]);
    const double yy = (one[COV + 3] + body[3]) + (other[COV + 3] + other_body[3]);
    return (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy);
}

/* Numbers (N, 14) and classes (N,) of objects, those of others (M, ...), covariance of a contact point by class (K, 4);
 * squared Mahalanobis distances (N, M) are written. As `squared_distances`. */
KERNEL(squared_distances) {
    TAKE(a, "dN14 lN dM14 lM dK4 wdNM");
    const double *one = a.at[0], *bodies = a.at[4];
    const int64_t *classes = a.at[1], *other_classes = a.at[3];
    double *found = a.at[5];
    for (Py_ssize_t n = 0; n < a.count['N']; n++, one += COLUMNS) {
        const double *other = a.at[2];
        for (Py_ssize_t m = 0; m < a.count['M']; m++, other += COLUMNS)
            *found++ = squared_distance(one, bodies + 4 * classes[n], other, bodies + 4 * other_classes[m]);
    }
    DONE(a);
}

static bool known_classes(const int64_t *counts, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t kinds) {
    for (Py_ssize_t n = 0; n < rows; n++)
        if (counts[n * columns + CLASS] < 0 || counts[n * columns + CLASS] >= kinds) return false;
    return true;
}

/* Numbers (N, 14) and counts (N, C) of objects, those of others (M, ...), covariance of a contact point by class (K, 4),
 * which classes may be one object (K, K), largest squared distance; the other that belongs to each object (N,), -1 for
 * none, is written. As `_close_pairs`. */
KERNEL(close_pairs) {
    TAKE(a, "dN14 lNC dM14 lMC dK4 ?KK s wlN");
    const Py_ssize_t rows = a.count['N'], others = a.count['M'], columns = a.count['C'], kinds = a.count['K'];
    const double *one = a.at[0], *bodies = a.at[4];
    const int64_t *counts = a.at[1], *other_counts = a.at[3];
    const bool *compatible = a.at[5];
    const bool fit = columns >= CAMERAS && known_classes(counts, rows, columns, kinds) &&
                     known_classes(other_counts, others, columns, kinds);
    double *costs = fit ? PyMem_Malloc(sizeof *costs * (rows * others + 1)) : NULL;
    bool done = costs != NULL;
    for (Py_ssize_t n = 0; done && n < rows; n++)
        for (Py_ssize_t m = 0; m < others; m++) {
            const int64_t from = counts[n * columns + CLASS], to = other_counts[m * columns + CLASS];
            const double distance =
                squared_distance(one + n * COLUMNS, bodies + 4 * from, (double *)a.at[2] + m * COLUMNS, bodies + 4 * to);
            const bool possible = distance < a.number[6] && compatible[from * kinds + to];
            costs[n * others + m] = possible ? distance + (from != to) : INFEASIBLE;
        }
    if (!fit) PyErr_SetString(PyExc_ValueError, "expected classes among those with a contact point");
    else if (!costs) PyErr_NoMemory();
    else done = cheapest_pairs(costs, rows, others, a.at[7]);
    PyMem_Free(costs);
    give_back(&a);
    if (!done) return NULL;
    Py_RETURN_NONE;
}

static void invert(const double *m, double *inverse) {
    const double scale = 1 / (m[0] * m[3] - m[1] * m[2]);
    inverse[0] = m[3] * scale, inverse[1] = -m[1] * scale, inverse[2] = -m[2] * scale, inverse[3] = m[0] * scale;
}

/* An estimate (2,), (2, 2) from two of unknown correlation, as `intersection`: variance is added to both covariances,
 * weights (count,) are tried, with factors on their traces. */
typedef struct {
    double variance;
    const double *weights, *factors;
    Py_ssize_t count;
} Search;

static void intersect(const double *means[2], const double *covs[2], const Search *search, double *mean, double *cov) {
    double infos[2][4], best[4] = {0}, least_trace = INFINITY, weight = 0, sums[2];
    for (int i = 0; i < 2; i++) {
        double wide[4];
        memcpy(wide, covs[i], sizeof wide);
        wide[0] += search->variance, wide[3] += search->variance;
        invert(wide, infos[i]);
    }
    for (Py_ssize_t w = 0; w < search->count; w++) {
        const double of_a = search->weights[w];
        double mixed[4];
        for (int i = 0; i < 4; i++) mixed[i] = of_a * infos[0][i] + (1 - of_a) * infos[1][i];
        const double trace = (mixed[0] + mixed[3]) / (mixed[0] * mixed[3] - mixed[1] * mixed[1]) * search->factors[w];
        if (w && !(trace < least_trace) && !(trace != trace && least_trace == least_trace)) continue;
        least_trace = trace, weight = of_a;
        memcpy(best, mixed, sizeof best);
    }
    for (int i = 0; i < 2; i++) {
        const double of_a = weight * infos[0][2 * i] * means[0][0] + weight * infos[0][2 * i + 1] * means[0][1];
        const double rest = 1 - weight;
        sums[i] = of_a + (rest * infos[1][2 * i] * means[1][0] + rest * infos[1][2 * i + 1] * means[1][1]);
    }
    invert(best, cov);
    for (int i = 0; i < 2; i++) mean[i] = cov[2 * i] * sums[0] + cov[2 * i + 1] * sums[1];
}

static bool moves(const double *numbers) {
    for (int i = VELOCITY; i < COLUMNS; i++)
        if (!isfinite(numbers[i])) return false;
    return true;
}

static int64_t rank_of(const int64_t *ranks, Py_ssize_t count, int64_t method) {
    return method >= 0 && method < count ? ranks[method] : -1;
}

/* One object from two, as `_merge_pairs`: numbers (2 of 14) and counts (2 of columns). */
static void merge_pair(const double *numbers[2], const int64_t *counts[2], Py_ssize_t columns, const Search *search,
                       const int64_t *ranks, Py_ssize_t methods, double *merged, int64_t *merged_counts) {
    const double *a = numbers[0], *b = numbers[1];
    const int64_t *of_a = counts[0], *of_b = counts[1];
    const bool better = b[SCORE] - 2 * (of_b[COASTED] > 0) > a[SCORE] - 2 * (of_a[COASTED] > 0);
    memcpy(merged, better ? b : a, COLUMNS * sizeof *merged);
    for (Py_ssize_t i = 0; i < columns; i++) merged_counts[i] = of_a[i] > of_b[i] ? of_a[i] : of_b[i];
    merged[WIDTH] = fmax(a[WIDTH], b[WIDTH]);
    merged_counts[CLASS] = (better ? of_b : of_a)[CLASS];
    const bool higher = rank_of(ranks, methods, of_b[METHOD]) > rank_of(ranks, methods, of_a[METHOD]);
    merged_counts[METHOD] = (higher ? of_b : of_a)[METHOD];
    merged_counts[COASTED] = of_a[COASTED] < of_b[COASTED] ? of_a[COASTED] : of_b[COASTED];
    const bool a_moves = moves(a), b_moves = moves(b);
    const bool first = a_moves && (!b_moves || of_a[OVER_GROUND] >= of_b[OVER_GROUND]);
    merged_counts[OVER_GROUND] = (first ? of_a : of_b)[OVER_GROUND];
    memcpy(merged + VELOCITY, (first ? a : b) + VELOCITY, (COLUMNS - VELOCITY) * sizeof *merged);
    const double *positions[2] = {a + POSITION, b + POSITION}, *covs[2] = {a + COV, b + COV};
    intersect(positions, covs, search, merged + POSITION, merged + COV);
    if (!a_moves || !b_moves || of_a[OVER_GROUND] != of_b[OVER_GROUND]) return;
    const double *velocities[2] = {a + VELOCITY, b + VELOCITY}, *velocity_covs[2] = {a + VELOCITY_COV, b + VELOCITY_COV};
    intersect(velocities, velocity_covs, search, merged + VELOCITY, merged + VELOCITY_COV);
}

typedef struct {
    double *numbers;
    int64_t *counts;
    Py_ssize_t columns;
} Table;

/* Append the rows of a table that are not among those named (R,). */
static void append_others(Table *to, const Table *from, Py_ssize_t size, const int64_t *rows, Py_ssize_t named) {
    for (Py_ssize_t n = 0; n < size; n++) {
        bool other = true;
        for (Py_ssize_t r = 0; r < named && other; r++) other = rows[r] != n;
        if (!other) continue;
        memcpy(to->numbers, from->numbers + n * COLUMNS, COLUMNS * sizeof(double));
        memcpy(to->counts, from->counts + n * to->columns, to->columns * sizeof(int64_t));
        to->numbers += COLUMNS, to->counts += to->columns;
    }
}

/* Numbers (N, 14) and counts (N, C) of the known objects, (M, ...) of one more camera, rows of both that are pairs (R,),
 * which differ, rank of each method (K,), variance, weights and factors of `intersect`. Written (T, ...): the others that
 * were known, the pairs, the other new ones. As `merge`. */
KERNEL(merge_objects) {
    TAKE(a, "dN14 lNC dM14 lMC lR lR lK s dW dW wdT14 wlTC");
    const Py_ssize_t columns = a.count['C'], pairs = a.count['R'];
    const Search search = {a.number[7], a.at[8], a.at[9], a.count['W']};
    Table known = {a.at[0], a.at[1], columns}, seen = {a.at[2], a.at[3], columns}, to = {a.at[10], a.at[11], columns};
    const int64_t *rows = a.at[4], *others = a.at[5];
    bool fit = columns >= CAMERAS && a.count['T'] == a.count['N'] + a.count['M'] - pairs;
    for (Py_ssize_t r = 0; r < pairs; r++)
        fit = fit && rows[r] >= 0 && rows[r] < a.count['N'] && others[r] >= 0 && others[r] < a.count['M'];
    if (!fit) {
        give_back(&a);
        PyErr_SetString(PyExc_ValueError, "pairs must be rows of both tables, and the merged one as long as their union");
        return NULL;
    }
    append_others(&to, &known, a.count['N'], rows, pairs);
    for (Py_ssize_t r = 0; r < pairs; r++, to.numbers += COLUMNS, to.counts += columns) {
        const double *numbers[2] = {known.numbers + rows[r] * COLUMNS, seen.numbers + others[r] * COLUMNS};
        const int64_t *counts[2] = {known.counts + rows[r] * columns, seen.counts + others[r] * columns};
        merge_pair(numbers, counts, columns, &search, a.at[6], a.count['K'], to.numbers, to.counts);
    }
    append_others(&to, &seen, a.count['M'], others, pairs);
    DONE(a);
}

/* The cameras that see an object, of its counts, and its track ids in them. */
static void put_cameras(Writer *w, const int64_t *rows, Py_ssize_t cameras) {
    uint32_t seen = 0;
    for (Py_ssize_t i = 0; i < cameras; i++) seen += rows[i] >= 0;
    put_u32(w, seen);
    for (Py_ssize_t i = 0; i < cameras; i++)
        if (rows[i] >= 0) put_u8(w, i);
    put_u32(w, seen);
    for (Py_ssize_t i = 0; i < cameras; i++)
        if (rows[i] >= 0) put_u32(w, rows[cameras + i]);
}

static void put_fused(Writer *w, const double *numbers, const int64_t *counts, Py_ssize_t cameras) {
    const bool moving = moves(numbers);
    put_f32(w, numbers[SCORE]);
    put_u32(w, counts[ID] & 0xFFFFFFFF);
    put_u16(w, counts[AGE] < 0xFFFF ? counts[AGE] : 0xFFFF);
    put_u8(w, counts[COASTED] > 0), put_u8(w, counts[METHOD]);
    put_f64(w, numbers[POSITION]), put_f64(w, numbers[POSITION + 1]), put_f64(w, 0);
    for (int i = 0; i < 4; i++) put_f32(w, numbers[COV + i]);
    put_f32(w, numbers[WIDTH]);
    put_u8(w, moving);
    put_f64(w, numbers[VELOCITY]), put_f64(w, numbers[VELOCITY + 1]), put_f64(w, moving ? 0.0 : NAN);
    put_u8(w, moving && counts[OVER_GROUND] > 0);
    for (int i = 0; i < 4; i++) put_f32(w, numbers[VELOCITY_COV + i]);
    put_cameras(w, counts + CAMERAS, cameras);
}

/* Numbers (N, 14) and counts (N, C), index of each class in the model (K,), a buffer (B,), bytes of the message before,
 * names of classes as bytes; returns the number of bytes written. */
KERNEL(pack_fused) {
    TAKE(a, "dN14 lNC lK wBB s");
    PyObject *names = count == 6 ? arguments[5] : NULL;
    const Py_ssize_t columns = a.count['C'], cameras = (columns - CAMERAS) / 2;
    if (!names || !PyTuple_Check(names) || PyTuple_GET_SIZE(names) != a.count['K'] || columns < CAMERAS) {
        give_back(&a);
        PyErr_SetString(PyExc_TypeError, "expected the columns of fused objects and a tuple of bytes");
        return NULL;
    }
    Writer w = {a.at[3], (Py_ssize_t)a.number[4], 0};
    for (Py_ssize_t n = 0; n < a.count['N']; n++) {
        const int64_t *counts = (int64_t *)a.at[1] + n * columns;
        if (counts[CLASS] < 0 || counts[CLASS] >= a.count['K']) continue;
        PyObject *name = PyTuple_GET_ITEM(names, counts[CLASS]);
        if (!PyBytes_Check(name) || w.end + PyBytes_GET_SIZE(name) + 5 * cameras + 192 > a.count['B']) break;
        put_u16(&w, ((int64_t *)a.at[2])[counts[CLASS]]);
        put_u32(&w, PyBytes_GET_SIZE(name) + 1);
        memcpy(w.at + w.end, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name) + 1);
        w.end += PyBytes_GET_SIZE(name) + 1;
        put_fused(&w, (double *)a.at[0] + n * COLUMNS, counts, cameras);
    }
    give_back(&a);
    return PyLong_FromSsize_t(w.end);
}
