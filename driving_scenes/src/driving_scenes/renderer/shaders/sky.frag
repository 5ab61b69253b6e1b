in vec3 vRay;
out vec4 color;
void main() {
    vec3 d = normalize(vRay);
    float thick = 1.0 - exp(-uFog * 700.0 / (abs(d.z) * 6.0 + 0.25));
    color = vec4(mix(sky(d), uFogColor, clamp(thick, 0.0, 1.0)), 1.0);
}
