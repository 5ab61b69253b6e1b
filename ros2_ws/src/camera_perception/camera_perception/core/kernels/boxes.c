/* Twins of core/boxes.py and objects/tracker/duplicates.py: overlaps of boxes. */
#include "kernels.h"
#include "overlap.h"

/* boxes (N, 4) float64 best first, groups (N,) of classes, largest overlap, rows to keep (N,): returns their number. */
KERNEL(nms) {
    TAKE(a, "dN4 lN s wlN");
    const double *boxes = a.at[0];
    const int64_t *groups = a.at[1];
    int64_t *kept = a.at[3], found = 0;
    for (Py_ssize_t row = 0; row < a.count['N']; row++) {
        bool keep = true;
        for (int64_t k = 0; k < found && keep; k++)
            keep = groups[kept[k]] != groups[row] || !touch(boxes + 4 * kept[k], boxes + 4 * row) ||
                   !(overlap(boxes + 4 * kept[k], boxes + 4 * row) > a.number[2]);
        if (keep) kept[found++] = row;
    }
    give_back(&a);
    return PyLong_FromLongLong(found);
}

/* boxes (N, 4) float64 best first, scores (N,) float32, groups (N,) of classes, overlap from which scores fall, and the
 * scores after it (N,) float32. */
KERNEL(decay_scores) {
    TAKE(a, "dN4 fN lN s wfN");
    const double *boxes = a.at[0];
    const float *scores = a.at[1];
    const int64_t *groups = a.at[2];
    float *decayed = a.at[4];
    for (Py_ssize_t row = 0; row < a.count['N']; row++) {
        double share = 1;
        for (Py_ssize_t better = 0; better < row; better++) {
            if (groups[better] != groups[row] || !touch(boxes + 4 * better, boxes + 4 * row)) continue;
            const double iou = overlap(boxes + 4 * better, boxes + 4 * row);
            if (iou > a.number[3]) share *= 1 - iou;
        }
        decayed[row] = (float)(scores[row] * share);
    }
    give_back(&a);
    Py_RETURN_NONE;
}

typedef struct {
    double duplicate_iou, weak_duplicate_iou, weak_score_ratio, part_overlap, part_alignment;
} Duplicates;

/* The intersection over the smaller of two boxes, from their intersection over union. */
static double containment(const double *a, const double *b, double iou) {
    double area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    double inside = (area_a + area_b) * iou / (1 + iou);
    return inside / most(least(area_a, area_b), 1e-9);
}

static bool is_part(const double *a, const double *b, double iou, const Duplicates *config) {
    double height = least(a[3] - a[1], b[3] - b[1]);
    return fabs(a[3] - b[3]) < config->part_alignment * height && containment(a, b, iou) > config->part_overlap;
}

/* Boxes and what is known of them, and which are the duplicates of better ones. */
typedef struct {
    const double *boxes, *scores, *limits, *distinct;
    const int64_t *classes, *order;
    const bool *same;
    Py_ssize_t number, kinds;
} Boxes;

static bool is_duplicate(const Boxes *b, int64_t row, int64_t other, const Duplicates *config) {
    const double *box = b->boxes + 4 * row, *better = b->boxes + 4 * other;
    if (!b->same[b->classes[row] * b->kinds + b->classes[other]] || !touch(box, better)) return false;
    const double iou = overlap(box, better);
    const bool weak = b->scores[row] < b->limits[other] || b->scores[row] < b->distinct[row];
    return iou > config->duplicate_iou ||
           (weak && (iou > config->weak_duplicate_iou || is_part(box, better, iou, config)));
}

static void mark_duplicates(const Boxes *b, const Duplicates *config, bool *gone) {
    memset(gone, 0, b->number);
    for (Py_ssize_t rank = 1; rank < b->number; rank++) {
        const int64_t row = b->order[rank];
        for (Py_ssize_t better = 0; better < rank && !gone[row]; better++)
            gone[row] = !gone[b->order[better]] && is_duplicate(b, row, b->order[better], config);
    }
}

/* boxes (N, 4), classes (N,), whether two of C classes may be one object, rows by rank (N,), scores (N,), the same times
 * weak_score_ratio, score below which a box is weak (N,), settings (5,), duplicates (N,) written. */
KERNEL(find_duplicates) {
    TAKE(a, "dN4 lN ?CC lN dN dN dN dX5 w?N");
    const Boxes boxes = {a.at[0], a.at[4], a.at[5], a.at[6], a.at[1], a.at[3], a.at[2], a.count['N'], a.count['C']};
    mark_duplicates(&boxes, a.at[7], a.at[8]);
    DONE(a);
}

/* Filters of boxes (T, 4, 2), votes for classes (T, C), hits, stamps of the last detections, scores (T,), rows by rank
 * (T,), scores above which a box of each class is not weak (C,), whether two of C classes may be one object, settings,
 * hits up to which a track may be a duplicate; duplicates (T,) are written. As `_without_duplicate_tracks` of
 * objects/tracker/tracker.py. Returns whether there are any. */
KERNEL(duplicate_tracks) {
    TAKE(a, "dT8 dTC lT lT dT lT dC ?CC dX5 s w?T");
    const Py_ssize_t number = a.count['T'], kinds = a.count['C'];
    const double *filter = a.at[0], *votes = a.at[1], *scores = a.at[4], ratio = ((double *)a.at[8])[2];
    const int64_t *hits = a.at[2], *last_update_ns = a.at[3];
    const double *distinct_scores = a.at[6];
    bool *gone = a.at[10], any = false;
    double *room = PyMem_Malloc(sizeof *room * 8 * (number + 1)), *boxes = room, *likeness = boxes + 4 * number;
    double *limits = likeness + number, *distinct = limits + number;
    int64_t *classes = (int64_t *)(distinct + number), latest = INT64_MIN;
    if (!room) {
        give_back(&a);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t t = 0; t < number; t++)
        if (last_update_ns[t] > latest) latest = last_update_ns[t];
    for (Py_ssize_t t = 0; t < number; t++) {
        corners(filter + 8 * t, boxes + 4 * t);
        classes[t] = 0;
        for (Py_ssize_t c = 1; c < kinds; c++)
            if (votes[t * kinds + c] > votes[t * kinds + classes[t]]) classes[t] = c;
        /* an object that scored high and is hidden now is no duplicate */
        const bool weak = last_update_ns[t] < latest && scores[t] < distinct_scores[classes[t]];
        likeness[t] = weak ? 0 : scores[t], limits[t] = ratio * likeness[t], distinct[t] = 0;
    }
    const Boxes each = {boxes, likeness, limits, distinct, classes, a.at[5], a.at[7], number, kinds};
    mark_duplicates(&each, a.at[8], gone);
    for (Py_ssize_t t = 0; t < number; t++) any |= gone[t] &= hits[t] < a.number[9];
    PyMem_Free(room);
    give_back(&a);
    return PyBool_FromLong(any);
}
