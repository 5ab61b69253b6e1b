uniform vec4 uTint;           // rgb, 1 when the paint is replaced
uniform vec3 uLights;         // head and tail lamps, brake, indicator: 0..1
uniform float uGroundZ, uSeed, uDirtiness;
uniform sampler2D uSigns;     // tiles of 96 pixels, 32 in a row
in vec3 vWorld, vNormal, vObject; in vec3 vTone; flat in int vMaterial;
out vec4 color;

float hash3(vec3 p) { return fract(sin(dot(p, vec3(127.1, 311.7, 74.7))) * 43758.5453); }

// A picture of the sign atlas as linear albedo: bleached, dirty and rusty in some places.
vec3 picture() {
    vec2 size = vec2(textureSize(uSigns, 0)) / 96.0, inside = clamp(vTone.xy, 0.02, 0.98);
    float tile = floor(vTone.z + 0.5);
    vec3 c = texture(uSigns, (vec2(mod(tile, 32.0), floor(tile / 32.0)) + inside) / size).rgb;
    float age = fract(uSeed * 0.6180), grime = texture(uNoise, vTone.xy * 0.21 + uSeed * 0.37).g;
    c = 0.02 + 0.72 * pow(c, vec3(2.2));
    float grey = dot(c, vec3(0.3, 0.5, 0.2));
    c = mix(c, vec3(0.25 + 0.6 * grey), smoothstep(0.55, 1.0, age) * 0.6);
    c = mix(c, vec3(0.16, 0.13, 0.09), smoothstep(0.45, 0.9, grime) * smoothstep(0.35, 0.9, fract(age * 7.0)) * 0.75);
    return c * (0.75 + 0.3 * fract(age * 13.0));
}

void main() {
    vec3 n = normalize(vNormal), v = normalize(uCameraPosition - vWorld);
    if (dot(n, v) < 0.0) n = -n;
    vec3 base = vTone, emit = vec3(0.0);
    float gloss = 0.0, f0 = 0.04, power = 20.0, through = 0.0;
    int m = vMaterial;
    if (m == 1) { if (uTint.a > 0.5) base = uTint.rgb; gloss = 0.85; power = 120.0; }
    else if (m == 2) { base = vec3(0.012, 0.014, 0.016); gloss = 1.0; f0 = 0.07; power = 300.0; }
    else if (m == 3) { gloss = 0.45; f0 = 0.35; power = 40.0; }
    else if (m == 4) through = 0.45;
    else if (m == 5) { gloss = 0.6; f0 = 0.12; emit = vec3(1.0, 0.94, 0.82) * uLights.x * (1.5 + 9.0 * uNight); }
    else if (m == 6) { gloss = 0.4; emit = vec3(1.0, 0.03, 0.02) * (uLights.x * (0.35 + 0.5 * uNight) + uLights.y * 2.6); }
    else if (m == 7) { gloss = 0.4; emit = vec3(1.0, 0.42, 0.02) * uLights.z * 2.4; }
    else if (m == 9) emit = base * (1.5 + 1.6 * step(0.5, uNight));
    else if (m == 10) base *= 0.5;
    WHEN(m == 12) base = picture();
    WHEN(m == 11) {
        gloss = 0.9; f0 = 0.06; power = 200.0;
        float on = step(0.62, hash3(floor(vObject * vec3(0.45, 0.45, 0.33)) + uSeed));
        emit = on * uNight * vec3(1.0, 0.72, 0.4) * (0.15 + 0.5 * hash3(floor(vObject * 0.5) + uSeed + 3.0));
        base *= 0.25;
    }
    float low = vWorld.z - uGroundZ;
    if (m < 2) base = mix(base, vec3(0.16, 0.13, 0.1), uDirtiness * (1.0 - smoothstep(0.1, 1.1, low)) * 0.6);
    if (uSnow > 0.5 && n.z > 0.55 && m != 9) base = mix(base, vec3(0.8), 0.75 * smoothstep(0.5, 0.8, uSnow) * smoothstep(0.55, 0.85, n.z));
    float ao = mix(0.45, 1.0, smoothstep(0.0, 0.9, low + 0.35 * (n.z + 1.0)));
    float sun = sunlight(vWorld, n);
    WHEN(through > 0.0) sun = mix(sun, 0.75 * sunlight(vWorld, uSun), through);
    vec3 c = base * (uSunColor * sun + skylight(n) * ao + lamplight(vWorld, n));
    float headlight = beam(vWorld);
    c += base * headlight * vec3(1.0, 0.95, 0.85) * (m == 8 || m == 12 ? 9.0 : 0.25 + max(dot(n, v), 0.0));
    if (m == 6) c += vec3(1.0, 0.05, 0.03) * headlight * 0.8;
    WHEN(gloss > 0.0) {
        vec3 r = reflect(-v, n);
        float fresnel = f0 + (1.0 - f0) * pow(1.0 - clamp(dot(n, v), 0.0, 1.0), 5.0);
        vec3 mirrored = skyDome(r);
        if (r.z < 0.35 && uTunnel < 0.5) mirrored = mix(mirrored, mirrored * (0.35 + 0.5 * texture(uNoise, r.xy * 0.13 + vWorld.xy * 0.002).g), 1.0 - smoothstep(0.0, 0.35, r.z));
        mirrored *= mix(1.0, 0.35, uTunnel) * ao;
        c = mix(c, mirrored * (m == 3 ? base + 0.25 : vec3(1.0)), fresnel * gloss);
        c += uSunColor * (sun > 0.0 ? 1.0 : 0.0) * pow(max(dot(r, uSun), 0.0), power) * gloss * (m == 2 || m == 1 ? 3.0 : 0.6) * min(sun * 4.0, 1.0);
    }
    color = vec4(fogged(c, vWorld) + emit * exp(-uFog * 0.6 * distance(vWorld, uCameraPosition)), 1.0);
}
