/* Twins of objects/tracker/association.py: costs of pairs of tracks and objects, and the cheapest assignment. */
#include "kernels.h"
#include "overlap.h"

#define INFEASIBLE 1e6
enum { LEFT = 1, RIGHT = 4 };

typedef struct {
    double height, width; /* of the image, negative when unknown */
    double image_motion_hits, border_overlap, unknown_distance, gate, max_gate, min_iou, class_change_cost;
} Costs;

/* Overlap of heights alone for boxes that enter or leave at the left or right border. */
static double border_overlap(const double *track, const double *object, int truncated, const Costs *config) {
    const double width = config->width, margin = track[2] - track[0];
    const bool left = track[0] < margin && track[2] > -margin;
    const bool right = track[2] > width - margin && track[0] < width + margin;
    if (!((left && truncated & LEFT) || (right && truncated & RIGHT))) return 0;
    const double shared = least(track[3], object[3]) - most(track[1], object[1]);
    const double height = least(track[3] - track[1], object[3] - object[1]);
    const double weight = track[2] > 0 && track[0] < width ? config->border_overlap : config->border_overlap / 2;
    return weight * clip(shared / most(height, 1e-6), 0, 1);
}

static double overlap_in_image(const double *track, const double *object, int truncated, const Costs *config) {
    if (config->height < 0) return overlap(track, object);
    const double w = config->width, h = config->height;
    const double inside[4] = {clip(track[0], 0, w), clip(track[1], 0, h), clip(track[2], 0, w), clip(track[3], 0, h)};
    const double found = overlap(inside, object);
    return truncated & (LEFT | RIGHT) ? most(found, border_overlap(track, object, truncated, config)) : found;
}

static double mahalanobis(const double *state, const double *cov, const double *bias, const double *at,
                          const double *at_cov) {
    const double x = state[0] - at[0], y = state[1] - at[1];
    const double xx = (cov[0] + bias[0]) + at_cov[0], xy = (cov[1] + bias[1]) + at_cov[1];
    const double yy = (cov[6] + bias[3]) + at_cov[3];
    return (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy);
}

/* Boxes of about one size whose centres are less than two sizes apart. */
static bool alike(const double *a, const double *b, double a_size, double b_size) {
    const double x = (a[0] + a[2]) / 2 - (b[0] + b[2]) / 2, y = (a[1] + a[3]) / 2 - (b[1] + b[3]) / 2;
    const double small = least(a_size, b_size), large = most(a_size, b_size);
    return x * x + y * y < 4 * large * large && large < 1.7 * small;
}

static double size_of(const double *box) { return sqrt(most((box[2] - box[0]) * (box[3] - box[1]), 1e-6)); }

static void widen(const float *from, double *to, int count) {
    for (int i = 0; i < count; i++) to[i] = from[i];
}

/* Tracks: filters of boxes (T, 4, 2), last boxes (T, 4), hits, classes, states (T, 5), covariances (T, 5, 5), biases
 * (T, 2, 2); objects: boxes (N, 4), positions (N, 3), covariances (N, 2, 2), truncated, classes; which of C classes may
 * be one object, settings; costs and overlaps (T, N) are written. */
KERNEL(matching_cost) {
    TAKE(a, "dT8 dT4 lT lT dT5 dT25 dT4 fN4 fN3 fN4 BN lN ?CC dX9 wdTN wdTN");
    const double *boxes = a.at[0], *last = a.at[1], *state = a.at[4], *cov = a.at[5], *bias = a.at[6];
    const int64_t *hits = a.at[2], *classes = a.at[3], *other_classes = a.at[11];
    const float *object_boxes = a.at[7], *positions = a.at[8], *position_covs = a.at[9];
    const uint8_t *truncated = a.at[10];
    const bool *compatible = a.at[12];
    const Costs *config = a.at[13];
    double *cost = a.at[14], *overlaps = a.at[15];
    const Py_ssize_t tracks = a.count['T'], objects = a.count['N'], kinds = a.count['C'];
    for (Py_ssize_t n = 0; n < objects; n++) {
        double object[4], at[3], at_cov[4];
        widen(object_boxes + 4 * n, object, 4);
        widen(positions + 3 * n, at, 3);
        widen(position_covs + 4 * n, at_cov, 4);
        const double size = size_of(object);
        for (Py_ssize_t t = 0; t < tracks; t++) {
            double box[4];
            corners(boxes + 8 * t, box);
            double iou = overlap_in_image(box, object, truncated[n], config);
            if (hits[t] <= config->image_motion_hits) /* it may move along with us, or be stationary */
                iou = most(iou, overlap_in_image(last + 4 * t, object, truncated[n], config));
            double distance = mahalanobis(state + 5 * t, cov + 25 * t, bias + 4 * t, at, at_cov);
            const bool known = isfinite(distance);
            if (!known) distance = config->unknown_distance;
            const bool close = known && distance < config->gate && alike(box, object, size_of(box), size);
            const int64_t from = classes[t], to = other_classes[n];
            const bool possible = (close || iou > config->min_iou) && compatible[from * kinds + to] &&
                                  (distance < config->max_gate || iou > 0.5);
            const double change = config->class_change_cost * (from != to);
            cost[t * objects + n] = possible ? 1 - iou + 0.05 * least(distance, 20) + change : INFEASIBLE;
            overlaps[t * objects + n] = iou;
        }
    }
    DONE(a);
}

/* A matrix of costs, read by rows or, transposed, by columns. */
typedef struct {
    const double *costs;
    Py_ssize_t rows, columns, row_step, column_step;
} Matrix;

static inline double at(const Matrix *m, Py_ssize_t row, Py_ssize_t column) {
    return m->costs[row * m->row_step + column * m->column_step];
}

/* The columns of rows that have their least cost to themselves, without ties, as unique_assignment of
 * core/assignment.py; only rows and columns with feasible pairs count. False when that is not the assignment. */
static bool unique(const Matrix *m, const bool *row_counts, const bool *column_counts, int64_t *column_of, bool *used) {
    memset(used, 0, m->columns);
    for (Py_ssize_t row = 0; row < m->rows; row++) {
        column_of[row] = -1;
        if (!row_counts[row]) continue;
        Py_ssize_t best = -1, equal = 0;
        for (Py_ssize_t column = 0; column < m->columns; column++) {
            if (!column_counts[column]) continue;
            const double cost = at(m, row, column);
            if (best < 0 || cost < at(m, row, best)) best = column, equal = 1;
            else if (cost == at(m, row, best)) equal++;
        }
        if (equal > 1 || used[best]) return false;
        used[best] = true;
        column_of[row] = best;
    }
    return true;
}

/* Shortest augmenting paths as in core/assignment.py, which names the source; rows <= columns. */
static void assign(const Matrix *m, int64_t *column_of, double *numbers, int64_t *integers) {
    const Py_ssize_t count = m->columns;
    double *u = numbers, *v = u + m->rows, *distance = v + count;
    int64_t *row_of = integers, *previous = row_of + count, *remaining = previous + count, *visited = remaining + count;
    memset(numbers, 0, sizeof(double) * (m->rows + 2 * count));
    for (Py_ssize_t i = 0; i < count; i++) row_of[i] = -1;
    for (Py_ssize_t i = 0; i < m->rows; i++) column_of[i] = -1;
    for (int64_t start = 0; start < m->rows; start++) {
        for (Py_ssize_t i = 0; i < count; i++) distance[i] = INFINITY, previous[i] = -1, remaining[i] = count - 1 - i;
        Py_ssize_t left = count, passed = 0;
        double reached = 0;
        int64_t row = start, column = -1;
        while (row >= 0) { /* extend the shortest path until it reaches a free column */
            double lowest = INFINITY;
            Py_ssize_t index = -1;
            for (Py_ssize_t i = 0; i < left; i++) {
                const int64_t to = remaining[i];
                double reduced = reached + at(m, row, to) - u[row] - v[to];
                if (reduced < distance[to]) distance[to] = reduced, previous[to] = row;
                else reduced = distance[to];
                if (reduced < lowest || (reduced == lowest && row_of[to] < 0)) index = i, lowest = reduced;
            }
            reached = lowest;
            column = remaining[index];
            remaining[index] = remaining[--left];
            visited[passed++] = column;
            row = row_of[column];
        }
        u[start] += reached;
        for (Py_ssize_t i = 0; i + 1 < passed; i++) {
            u[row_of[visited[i]]] += reached - distance[visited[i]];
            v[visited[i]] -= reached - distance[visited[i]];
        }
        for (bool more = true; more;) { /* each column of the path goes to the row before it */
            row = previous[column];
            row_of[column] = row;
            const int64_t before = column_of[row];
            column_of[row] = column;
            column = before;
            more = row != start;
        }
    }
}

/* What matching a matrix needs: its costs, the partner of each row and column, and room to compute. */
typedef struct {
    double *costs, *numbers;
    int64_t *column_of, *row_of, *integers;
    bool *rows, *columns, *used;
} Room;

static void *room_for(Room *room, Py_ssize_t rows, Py_ssize_t columns) {
    const Py_ssize_t both = rows + columns + 1;
    char *memory = PyMem_Malloc(8 * (rows * columns + 9 * both) + 2 * both);
    if (!memory) return PyErr_NoMemory();
    room->costs = (double *)memory;
    room->numbers = room->costs + rows * columns;
    room->integers = (int64_t *)(room->numbers + 3 * both);
    room->column_of = room->integers + 4 * both;
    room->row_of = room->column_of + both;
    room->rows = (bool *)(room->row_of + both);
    room->columns = room->rows + rows;
    room->used = room->rows + both;
    return memory;
}

/* Write column_of: the column that belongs to each row, -1 for none, as `match` of association.py. */
static void match(Room *room, Py_ssize_t rows, Py_ssize_t columns) {
    const double *costs = room->costs;
    Py_ssize_t feasible_rows = 0, feasible_columns = 0;
    memset(room->rows, 0, rows), memset(room->columns, 0, columns);
    for (Py_ssize_t t = 0; t < rows; t++)
        for (Py_ssize_t n = 0; n < columns; n++)
            if (costs[t * columns + n] < INFEASIBLE) room->rows[t] = room->columns[n] = true;
    for (Py_ssize_t t = 0; t < rows; t++) feasible_rows += room->rows[t];
    for (Py_ssize_t n = 0; n < columns; n++) feasible_columns += room->columns[n];
    const Matrix straight = {costs, rows, columns, columns, 1}, turned = {costs, columns, rows, 1, columns};
    bool by_columns = feasible_rows > feasible_columns;
    bool found = by_columns ? unique(&turned, room->columns, room->rows, room->row_of, room->used)
                            : unique(&straight, room->rows, room->columns, room->column_of, room->used);
    if (!found) { /* the whole matrix, since the order of all rows and columns breaks ties */
        by_columns = rows > columns;
        if (by_columns) assign(&turned, room->row_of, room->numbers, room->integers);
        else assign(&straight, room->column_of, room->numbers, room->integers);
    }
    if (by_columns) {
        for (Py_ssize_t t = 0; t < rows; t++) room->column_of[t] = -1;
        for (Py_ssize_t n = 0; n < columns; n++)
            if (room->row_of[n] >= 0) room->column_of[room->row_of[n]] = n;
    }
    for (Py_ssize_t t = 0; t < rows; t++)
        if (room->column_of[t] >= 0 && !(costs[t * columns + room->column_of[t]] < INFEASIBLE)) room->column_of[t] = -1;
}

bool cheapest_pairs(const double *costs, Py_ssize_t rows, Py_ssize_t columns, int64_t *column_of) {
    Room room = {0};
    void *memory = room_for(&room, rows, columns);
    if (!memory) return false;
    for (Py_ssize_t pair = 0; pair < rows * columns; pair++)
        room.costs[pair] = costs[pair] < INFEASIBLE ? costs[pair] : INFEASIBLE;
    match(&room, rows, columns);
    memcpy(column_of, room.column_of, rows * sizeof *column_of);
    PyMem_Free(memory);
    return true;
}

/* The object of each track (T,), -1 for none, is written: objects of high score first, then the others for the tracks
 * that are left and overlap enough. High (N,), costs (T, N), overlaps (T, N), overlap that the others need. */
KERNEL(associate) {
    TAKE(a, "wlT ?N dTN dTN s");
    int64_t *object_of = a.at[0];
    const bool *high = a.at[1];
    const double *costs = a.at[2], *overlaps = a.at[3];
    const Py_ssize_t tracks = a.count['T'], objects = a.count['N'];
    Room room = {0};
    int64_t *row_list = PyMem_Malloc(8 * (tracks + objects + 1)), *column_list = row_list + tracks;
    void *memory = row_list ? room_for(&room, tracks, objects) : PyErr_NoMemory();
    if (!memory) {
        PyMem_Free(row_list);
        give_back(&a);
        return NULL;
    }
    for (Py_ssize_t t = 0; t < tracks; t++) object_of[t] = -1;
    for (int stage = 0; stage < 2; stage++) {
        Py_ssize_t rows = 0, columns = 0;
        for (Py_ssize_t t = 0; t < tracks; t++)
            if (object_of[t] < 0) row_list[rows++] = t;
        for (Py_ssize_t n = 0; n < objects; n++)
            if (high[n] == (stage == 0)) column_list[columns++] = n;
        for (Py_ssize_t r = 0; r < rows; r++)
            for (Py_ssize_t c = 0; c < columns; c++) {
                const Py_ssize_t pair = row_list[r] * objects + column_list[c];
                const bool possible = stage == 0 || !(overlaps[pair] < a.number[4]);
                room.costs[r * columns + c] = possible ? least(costs[pair], INFEASIBLE) : INFEASIBLE;
            }
        match(&room, rows, columns);
        for (Py_ssize_t r = 0; r < rows; r++)
            if (room.column_of[r] >= 0) object_of[row_list[r]] = column_list[room.column_of[r]];
    }
    PyMem_Free(memory), PyMem_Free(row_list);
    DONE(a);
}
