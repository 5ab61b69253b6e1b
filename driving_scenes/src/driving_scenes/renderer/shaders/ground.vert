#version 330
uniform mat4 uClipFromWorld;
uniform float uLift;
in vec3 position; in vec3 normal; in vec2 st; in float surface; in float label;
out vec3 vWorld; out vec3 vNormal; out vec2 vSt; flat out int vSurface; flat out int vLabel;
void main() {
    vWorld = position; vNormal = normal; vSt = st;
    vSurface = int(surface + 0.5); vLabel = int(label + 0.5);
    gl_Position = uClipFromWorld * vec4(position, 1.0);
    if (vSurface >= 7) gl_Position.z -= 0.0004 * gl_Position.w;
}
