/* Twins of objects/tracker/association.py: costs of pairs of tracks and objects, and the cheapest assignment. */
#include "kernels.h"
#include "overlap.h"

enum { LEFT = 1, RIGHT = 4 };

typedef struct {
    double image_motion_hits, border_overlap, unknown_distance, gate, max_gate, min_iou, class_change_cost;
    double low_score_min_iou, init_score_factor;
    double height, width; /* of the image, negative when unknown */
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

/* Columns of Tracks (T, ...) and of Objects (N, ...), in the order of association.py. */
#define MATCHED "(dT8 dT4 lT dTC dT5 dT25 dT4) (fN4 fN3 fN4 BN iN fN)"
typedef struct {
    const double *boxes, *last;
    const int64_t *hits;
    const double *votes, *states, *covs, *biases;
    const float *object_boxes, *positions, *position_covs;
    const uint8_t *truncated;
    const int32_t *classes;
    const float *scores;
    Py_ssize_t tracks, objects, kinds;
} Matched;

static Py_ssize_t class_of(const Matched *m, Py_ssize_t n) {
    return m->classes[n] < 0 ? 0 : m->classes[n] < m->kinds ? m->classes[n] : m->kinds - 1;
}

/* Costs and overlaps (T, N). */
static void put_costs(const Matched *m, const bool *compatible, const Costs *config, double *cost, double *overlaps) {
    for (Py_ssize_t t = 0; t < m->tracks; t++) {
        double box[4];
        corners(m->boxes + 8 * t, box);
        const Py_ssize_t from = most_votes(m->votes + m->kinds * t, m->kinds);
        const double size = size_of(box);
        for (Py_ssize_t n = 0; n < m->objects; n++, cost++, overlaps++) {
            double object[4], at[3], at_cov[4];
            widen(m->object_boxes + 4 * n, object, 4);
            widen(m->positions + 3 * n, at, 3);
            widen(m->position_covs + 4 * n, at_cov, 4);
            double iou = overlap_in_image(box, object, m->truncated[n], config);
            if (m->hits[t] <= config->image_motion_hits) /* it may move along with us, or be stationary */
                iou = most(iou, overlap_in_image(m->last + 4 * t, object, m->truncated[n], config));
            double distance = mahalanobis(m->states + 5 * t, m->covs + 25 * t, m->biases + 4 * t, at, at_cov);
            const bool known = isfinite(distance);
            if (!known) distance = config->unknown_distance;
            const bool close = known && distance < config->gate && alike(box, object, size, size_of(object));
            const Py_ssize_t to = class_of(m, n);
            const bool possible = (close || iou > config->min_iou) && compatible[from * m->kinds + to] &&
                                  (distance < config->max_gate || iou > 0.5);
            const double change = config->class_change_cost * (from != to);
            *cost = possible ? 1 - iou + 0.05 * least(distance, 20) + change : INFEASIBLE;
            *overlaps = iou;
        }
    }
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

/* Write the object of each track (T,), -1 for none: objects of high score (N,) first, then the others for the tracks that
 * are left and overlap enough. Raises MemoryError and returns false when there is no room. */
static bool associate_in_stages(const double *costs, const double *overlaps, const bool *high, Py_ssize_t tracks,
                                Py_ssize_t objects, double min_overlap, int64_t *object_of) {
    Room room = {0};
    int64_t *row_list = PyMem_Malloc(8 * (tracks + objects + 1)), *column_list = row_list + tracks;
    void *memory = row_list ? room_for(&room, tracks, objects) : PyErr_NoMemory();
    if (!memory) {
        PyMem_Free(row_list);
        return false;
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
                const bool possible = stage == 0 || !(overlaps[pair] < min_overlap);
                room.costs[r * columns + c] = possible ? least(costs[pair], INFEASIBLE) : INFEASIBLE;
            }
        match(&room, rows, columns);
        for (Py_ssize_t r = 0; r < rows; r++)
            if (room.column_of[r] >= 0) object_of[row_list[r]] = column_list[room.column_of[r]];
    }
    PyMem_Free(memory), PyMem_Free(row_list);
    return true;
}

/* The object of each track (T,), -1 for none, is written. High (N,), costs (T, N), overlaps (T, N), overlap that objects
 * need which are not high. */
KERNEL(associate) {
    TAKE(a, "wlT ?N dTN dTN s");
    const bool done =
        associate_in_stages(a.at[2], a.at[3], a.at[1], a.count['T'], a.count['N'], a.number[4], a.at[0]);
    give_back(&a);
    if (!done) return NULL;
    Py_RETURN_NONE;
}

/* The rows of the tracks that objects belong to, or -1, and of those that they start, behind all others (N,). Returns the
 * number of new tracks, -1 without memory. */
static Py_ssize_t match_objects(const Matched *m, const bool *compatible, const float *high_scores, const Costs *config,
                                int64_t *row_of) {
    const Py_ssize_t pairs = m->tracks * m->objects;
    double *cost = PyMem_Malloc(sizeof *cost * (2 * pairs + m->tracks + m->objects + 1)), *overlaps = cost + pairs;
    if (!cost) return PyErr_NoMemory(), -1;
    int64_t *object_of = (int64_t *)(overlaps + pairs);
    bool *high = (bool *)(object_of + m->tracks);
    put_costs(m, compatible, config, cost, overlaps);
    for (Py_ssize_t n = 0; n < m->objects; n++) high[n] = m->scores[n] >= high_scores[class_of(m, n)], row_of[n] = -1;
    const bool done =
        associate_in_stages(cost, overlaps, high, m->tracks, m->objects, config->low_score_min_iou, object_of);
    Py_ssize_t found = done ? 0 : -1;
    for (Py_ssize_t t = 0; done && t < m->tracks; t++)
        if (object_of[t] >= 0) row_of[object_of[t]] = t;
    for (Py_ssize_t n = 0; done && n < m->objects; n++) /* in float32, as scores are */
        if (row_of[n] < 0 && m->scores[n] >= (float)config->init_score_factor * high_scores[class_of(m, n)])
            row_of[n] = m->tracks + found++;
    PyMem_Free(cost);
    return found;
}

/* Which of C classes may be one object, scores (C,) from which objects are matched first, columns of tracks and of objects,
 * settings, height and width of the image or negative numbers; rows of tracks (N,) are written. Returns the number of new
 * ones. */
KERNEL(match_tracks) {
    TAKE(a, "?CC fC " MATCHED " d9 s s wlN");
    Matched m;
    memcpy(&m, a.at + 2, 13 * sizeof(void *));
    m.tracks = a.count['T'], m.objects = a.count['N'], m.kinds = a.count['C'];
    Costs config = {.height = a.number[16], .width = a.number[17]};
    memcpy(&config, a.at[15], 9 * sizeof(double));
    const Py_ssize_t found = match_objects(&m, a.at[0], a.at[1], &config, a.at[18]);
    give_back(&a);
    return found < 0 ? NULL : PyLong_FromSsize_t(found);
}
