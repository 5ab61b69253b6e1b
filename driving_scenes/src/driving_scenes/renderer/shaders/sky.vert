#version 330
in vec2 corner;
uniform mat4 uWorldFromClip; uniform vec3 uCameraPosition;
out vec3 vRay;
void main() {
    vec4 p = uWorldFromClip * vec4(corner, 1.0, 1.0);
    vRay = p.xyz / p.w - uCameraPosition;
    gl_Position = vec4(corner, 1.0, 1.0);
}
