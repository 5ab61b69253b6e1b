uniform float uWear, uPaintGain, uStuds;
in vec3 vWorld; in vec2 vAt; flat in vec4 vShape; flat in float vPeriod; flat in vec2 vModes; flat in vec3 vTone;
out vec4 color;

float covered(float x, float w, float pixel) {
    return max(min(x + pixel * 0.5, w * 0.5) - max(x - pixel * 0.5, -w * 0.5), 0.0) / pixel;
}
float dashes(float a, float dash, float period, float pixel) {
    float lo = a - pixel * 0.5, hi = a + pixel * 0.5;
    float sum = (floor(hi / period) - floor(lo / period)) * dash + min(mod(hi, period), dash) - min(mod(lo, period), dash);
    return clamp(sum / pixel, 0.0, 1.0);
}
float stripe(float mode, float x, float a, vec2 pixel) {
    if (mode < 0.5) return 0.0;
    if (mode < 1.5) return covered(x, vShape.x, pixel.y);
    if (mode < 2.5) return covered(x, vShape.x, pixel.y) * dashes(a, vShape.z, vPeriod, pixel.x);
    // Raised dots, drawn longer than they are because they stand up: groups of four, 1 m apart, one group every 12 m.
    float group = mod(a, 12.0);
    return covered(x, 0.13, pixel.y) * dashes(a, 0.22, 1.0, pixel.x) * step(group, 4.0);
}
void main() {
    vec2 pixel = max(fwidth(vAt), 1e-4);
    float offset = vModes.y > 0.5 ? 0.5 * (vShape.x + vShape.y) : 0.0;
    float alpha = stripe(vModes.x, vAt.y - offset, vAt.x, pixel);
    if (vModes.y > 0.5) alpha += stripe(vModes.y, vAt.y + offset, vAt.x, pixel);
    WHEN(uStuds > 0.0) {
        float gap = 0.5 * (vShape.z + vPeriod);  // small reflectors in the middle of the gaps of a dashed line
        float stud = covered(vAt.y, 0.1, pixel.y) * dashes(vAt.x - gap + 0.1, 0.2, vPeriod, pixel.x);
        alpha = max(alpha, stud * step(1.5, vModes.x) * step(vModes.x, 2.5) * step(vModes.y, 0.5));
    }
    float worn = texture(uNoise, vWorld.xy * 0.19).g * 0.55 + texture(uNoise, vWorld.xy * 1.1).r * 0.25 + texture(uNoise, vWorld.xy * 0.023).a * 0.2;
    alpha *= mix(1.0, smoothstep(uWear - 0.3, uWear + 0.05, worn), step(0.01, uWear) * step(max(vModes.x, vModes.y), 2.5));
    WHEN(uSnow > 0.0) {
        float patchy = texture(uNoise, vWorld.xy * 0.017).a * 0.7 + texture(uNoise, vWorld.xy * 0.11).g * 0.3;
        alpha *= 1.0 - 0.85 * smoothstep(0.0, 0.25, uSnow - 0.55 * patchy - 0.45);
    }
    vec3 n = vec3(0.0, 0.0, 1.0);
    vec3 base = vTone * uPaintGain * (0.85 + 0.2 * worn);
    vec3 c = base * (uSunColor * sunlight(vWorld, n) + skylight(n) + lamplight(vWorld, n));
    c += base * beam(vWorld) * vec3(1.0, 0.95, 0.85) * 0.85;
    color = vec4(fogged(c, vWorld), clamp(alpha, 0.0, 1.0));
}
