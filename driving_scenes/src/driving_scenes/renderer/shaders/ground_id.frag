#version 330
flat in int vLabel; flat in int vSurface;
out vec4 color;
void main() { if (vSurface >= 7) discard; color = vec4(0.0, 0.0, float(vLabel) / 255.0, 1.0); }
