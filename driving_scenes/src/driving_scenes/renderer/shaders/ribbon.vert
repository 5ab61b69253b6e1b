#version 330
// Ribbons grow with distance so that at least a pixel is always covered; the fragment shader weighs the true width.
uniform mat4 uClipFromWorld; uniform vec3 uCameraPosition; uniform float uPixel;
in vec3 middle; in vec3 left; in float side; in float along; in vec4 shape; in vec2 modes; in vec3 tone;
out vec3 vWorld; out vec2 vAt; flat out vec4 vShape; flat out float vPeriod; flat out vec2 vModes; flat out vec3 vTone;
void main() {
    float half_ = (modes.y > 0.0 ? shape.x + 0.5 * shape.y : 0.5 * shape.x) + uPixel * distance(middle, uCameraPosition);
    vAt = vec2(along, side * half_); vShape = shape;
    vPeriod = shape.w; vModes = modes; vTone = tone;
    vWorld = middle + left * side * half_;
    gl_Position = uClipFromWorld * vec4(vWorld, 1.0);
    gl_Position.z -= 0.0003 * gl_Position.w;
}
