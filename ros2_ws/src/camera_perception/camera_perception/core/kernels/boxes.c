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

/* boxes (N, 4), classes (N,), whether two of C classes may be one object, rows by rank (N,), scores (N,), the same times
 * weak_score_ratio, score below which a box is weak (N,), settings (5,), duplicates (N,) written. */
KERNEL(find_duplicates) {
    TAKE(a, "dN4 lN ?CC lN dN dN dN dX5 w?N");
    const double *boxes = a.at[0], *scores = a.at[4], *limits = a.at[5], *distinct = a.at[6];
    const int64_t *classes = a.at[1], *order = a.at[3];
    const bool *same = a.at[2];
    const Duplicates *config = a.at[7];
    bool *gone = a.at[8];
    const Py_ssize_t number = a.count['N'], kinds = a.count['C'];
    memset(gone, 0, number);
    for (Py_ssize_t rank = 1; rank < number; rank++) {
        const int64_t row = order[rank];
        const double *box = boxes + 4 * row;
        for (Py_ssize_t better = 0; better < rank && !gone[row]; better++) {
            const int64_t other = order[better];
            if (gone[other] || !same[classes[row] * kinds + classes[other]] || !touch(box, boxes + 4 * other)) continue;
            const double iou = overlap(box, boxes + 4 * other);
            const bool weak = scores[row] < limits[other] || scores[row] < distinct[row];
            gone[row] = iou > config->duplicate_iou ||
                        (weak && (iou > config->weak_duplicate_iou || is_part(box, boxes + 4 * other, iou, config)));
        }
    }
    DONE(a);
}
