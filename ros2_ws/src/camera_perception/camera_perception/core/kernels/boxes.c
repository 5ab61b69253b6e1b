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

/* Rows by falling numbers, equal ones in the order of rows; nan last. */
static void rank(const double *numbers, Py_ssize_t count, int64_t *order) {
    for (Py_ssize_t row = 0; row < count; row++) {
        Py_ssize_t at = row;
        for (; at > 0; at--) {
            const double before = numbers[order[at - 1]];
            if (!(before < numbers[row] || (isnan(before) && !isnan(numbers[row])))) break;
            order[at] = order[at - 1];
        }
        order[at] = row;
    }
}

/* Room for what is known of boxes. */
typedef struct {
    double *boxes, *scores, *limits, *distinct, *ranked;
    int64_t *classes, *order;
} Room;

static void *room_for(Room *room, Py_ssize_t number) {
    double *memory = PyMem_Malloc(sizeof *memory * 10 * (number + 1));
    if (!memory) return PyErr_NoMemory();
    room->boxes = memory, room->scores = memory + 4 * number, room->limits = memory + 5 * number;
    room->distinct = memory + 6 * number, room->ranked = memory + 7 * number;
    room->classes = (int64_t *)(memory + 8 * number), room->order = (int64_t *)(memory + 9 * number);
    return memory;
}

static Boxes boxes_of(const Room *r, const bool *same, Py_ssize_t number, Py_ssize_t kinds) {
    return (Boxes){r->boxes, r->scores, r->limits, r->distinct, r->classes, r->order, same, number, kinds};
}

/* Boxes (N, 4), classes and scores (N,) of objects; scores above which a box of each class is not weak (C,), whether two of
 * C classes may be one object, settings; duplicates (N,) are written. Returns whether there are any. */
KERNEL(duplicate_objects) {
    TAKE(a, "(fN4 iN fN) dC ?CC d5 w?N");
    const Py_ssize_t number = a.count['N'], kinds = a.count['C'];
    const float *boxes = a.at[0], *scores = a.at[2], ratio = ((double *)a.at[5])[2];
    const int32_t *classes = a.at[1];
    const double *distinct_scores = a.at[3];
    bool *gone = a.at[6], any = false;
    Room room;
    void *memory = room_for(&room, number);
    if (!memory) {
        give_back(&a);
        return NULL;
    }
    for (Py_ssize_t n = 0; n < number; n++) {
        for (int i = 0; i < 4; i++) room.boxes[4 * n + i] = boxes[4 * n + i];
        room.classes[n] = classes[n] < 0 ? 0 : classes[n] < kinds ? classes[n] : kinds - 1;
        room.scores[n] = scores[n], room.limits[n] = ratio * scores[n];
        room.distinct[n] = distinct_scores[room.classes[n]];
    }
    rank(room.scores, number, room.order);
    const Boxes each = boxes_of(&room, a.at[4], number, kinds);
    mark_duplicates(&each, a.at[5], gone);
    for (Py_ssize_t n = 0; n < number; n++) any |= gone[n];
    PyMem_Free(memory);
    give_back(&a);
    return PyBool_FromLong(any);
}

/* Filters of boxes (T, 4, 2), votes for classes (T, C), hits, stamps of the last detections and scores (T,) of tracks;
 * scores above which a box of each class is not weak (C,), whether two of C classes may be one object, settings, hits up to
 * which a track may be a duplicate; duplicates (T,) are written. Returns whether there are any. */
KERNEL(duplicate_tracks) {
    TAKE(a, "(dT8 dTC lT lT dT) dC ?CC d5 s w?T");
    const Py_ssize_t number = a.count['T'], kinds = a.count['C'];
    const double *filter = a.at[0], *votes = a.at[1], *scores = a.at[4], ratio = ((double *)a.at[7])[2];
    const int64_t *hits = a.at[2], *last_update_ns = a.at[3];
    const double *distinct_scores = a.at[5];
    bool *gone = a.at[9], any = false;
    Room room;
    void *memory = room_for(&room, number);
    if (!memory) {
        give_back(&a);
        return NULL;
    }
    int64_t latest = INT64_MIN;
    for (Py_ssize_t t = 0; t < number; t++)
        if (last_update_ns[t] > latest) latest = last_update_ns[t];
    for (Py_ssize_t t = 0; t < number; t++) {
        corners(filter + 8 * t, room.boxes + 4 * t);
        room.classes[t] = most_votes(votes + t * kinds, kinds);
        /* an object that scored high and is hidden now is no duplicate */
        const bool weak = last_update_ns[t] < latest && scores[t] < distinct_scores[room.classes[t]];
        room.scores[t] = weak ? 0 : scores[t], room.limits[t] = ratio * room.scores[t];
        room.distinct[t] = 0, room.ranked[t] = hits[t];
    }
    rank(room.ranked, number, room.order);
    const Boxes each = boxes_of(&room, a.at[6], number, kinds);
    mark_duplicates(&each, a.at[7], gone);
    for (Py_ssize_t t = 0; t < number; t++) any |= gone[t] &= hits[t] < a.number[8];
    PyMem_Free(memory);
    give_back(&a);
    return PyBool_FromLong(any);
}
