"""Offline side of the camera-perception stack: render, train, distil, evaluate, export.

Nothing here runs on the vehicle; a model folder (model.onnx, model.json, reference.npz) is all that goes there.
"""
