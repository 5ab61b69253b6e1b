#version 330
uniform vec3 uIds;            // instance low byte, high byte, label
out vec4 color;
void main() { color = vec4(uIds / 255.0, 1.0); }
