#version 330
uniform mat4 uClipFromWorld, uWorldFromObject; uniform vec2 uSize;
in vec2 corner;
out vec2 vAt;
void main() {
    vAt = corner * (uSize * 0.5 + 0.55);
    gl_Position = uClipFromWorld * uWorldFromObject * vec4(vAt, 0.015, 1.0);
    gl_Position.z -= 0.0005 * gl_Position.w;
}
