/* The Python module of the compiled twins. */
#include "kernels.h"

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}

static PyMethodDef functions[] = {
    ENTRY(nms), ENTRY(decay_scores), ENTRY(drop_islands), ENTRY(duplicate_objects), ENTRY(match_tracks),
    ENTRY(associate), ENTRY(predict_ground), ENTRY(predict_boxes), ENTRY(update_tracks), ENTRY(publish),
    ENTRY(ground_with_covariance), ENTRY(pack_objects), ENTRY(serialize), ENTRY(fit_lines), ENTRY(locate_objects), ENTRY(near_sides),
    ENTRY(follow_lines), ENTRY(lane_roles), ENTRY(ego_lane), ENTRY(decode_boxes), ENTRY(decode_lines),
    ENTRY(lowest_crossings), ENTRY(road_boundary), ENTRY(free_road), ENTRY(line_planes),
    ENTRY(kept_tracks), ENTRY(duplicate_tracks), ENTRY(fit_merged), ENTRY(convert_pixels), ENTRY(halve), ENTRY(light_relevances), ENTRY(locate_lines),
    ENTRY(box_edges), ENTRY(squared_distances), ENTRY(close_pairs), ENTRY(merge_objects), ENTRY(pack_fused), ENTRY(read_numbers),
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernels", "Compiled twins of NumPy functions.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernels(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "VERSION", KERNELS_VERSION) < 0) Py_CLEAR(module);
    return module;
}
