#version 330
uniform vec2 uSize; uniform float uStrength;
in vec2 vAt;
out vec4 color;
void main() {
    vec2 d = max(abs(vAt) - uSize * 0.5 + 0.35, 0.0);
    color = vec4(0.0, 0.0, 0.0, uStrength * (1.0 - smoothstep(0.0, 0.85, length(d))));
}
