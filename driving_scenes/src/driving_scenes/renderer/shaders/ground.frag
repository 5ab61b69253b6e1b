uniform vec3 uAsphalt, uShoulder, uConcrete, uPaving, uCurb, uGrass, uDirt, uWall, uPaint;
uniform float uGrain, uBlotch, uCracks, uTar, uPatches, uTracks, uWear, uLaneWidth, uLaneShift, uGrassScale, uWallPanels, uSlabs, uGloss, uTiled;
uniform vec2 uTile;
in vec3 vWorld; in vec3 vNormal; in vec2 vSt; flat in int vSurface; flat in int vLabel;
out vec4 color;

float hash(vec2 p) { return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453); }

#ifdef ROAD
vec3 asphalt(vec2 st, vec3 base, float joints) {
    float fine = texture(uNoise, st * 0.83).r, mid = texture(uNoise, st * 0.13).g, big = texture(uNoise, st * vec2(0.012, 0.034)).a;
    vec3 c = base * (1.0 + (fine - 0.5) * uGrain + (mid - 0.5) * uGrain * 0.4 + (big - 0.5) * uBlotch);
    float lane = abs(fract((st.y - uLaneShift) / uLaneWidth) - 0.5) * uLaneWidth;
    float track = max(1.0 - pow((lane - 0.85) / 0.5, 2.0), 0.0), drip = max(1.0 - lane * lane * 5.0, 0.0);
    c *= 1.0 + uTracks * (track * (0.6 + 0.4 * big) - 0.6 * drip) + (texture(uNoise, st * vec2(0.006, 0.9)).g - 0.5) * 0.12;
    WHEN(uPatches > 0.0) {
        vec2 cell = floor(st / vec2(9.0, 2.4)), at = fract(st / vec2(9.0, 2.4));
        vec2 margin = vec2(0.08 + 0.3 * hash(cell + 7.0), 0.08 + 0.2 * hash(cell + 3.0));
        vec2 inside = smoothstep(margin, margin + 0.01, at) * smoothstep(margin, margin + 0.01, 1.0 - at);
        c *= 1.0 + step(hash(cell), uPatches) * inside.x * inside.y * (hash(cell + 1.0) - 0.62) * 0.7;
    }
    WHEN(uCracks > 0.0) {
        float crack = texture(uNoise, st * 0.055).b, cut = texture(uNoise, st * 0.021 + 0.37).a;
        c *= 1.0 - uCracks * 0.65 * (1.0 - smoothstep(0.01, 0.05, crack)) * smoothstep(0.35, 0.6, cut);
    }
    WHEN(uTar > 0.0) {
        float sealed = texture(uNoise, st.yx * vec2(0.031, 0.016) + 0.5).b;
        c = mix(c, vec3(0.018), uTar * (1.0 - smoothstep(0.03, 0.045, sealed)) * smoothstep(0.45, 0.55, texture(uNoise, st * 0.008).a));
        float side = abs(fract((st.y - uLaneShift) / uLaneWidth + 0.5) - 0.5) * uLaneWidth;
        c *= 1.0 - uTar * 0.2 * (1.0 - smoothstep(0.02, 0.06 + fwidth(st.y), side));
    }
    WHEN(uSlabs * joints > 0.5) {
        vec2 width = fwidth(st) + 0.02, apart = abs(fract(vec2(st.x / 5.0, (st.y - uLaneShift) / uLaneWidth) - vec2(0.0, 0.5)) - 0.5);
        vec2 cut = clamp(0.03 / width, 0.0, 1.0) * (1.0 - smoothstep(vec2(0.02), 0.02 + width, apart * vec2(5.0, uLaneWidth)));
        c *= 1.0 - 0.5 * max(cut.x, cut.y);
    }
    return c;
}
#endif

vec3 paving(vec2 st) {
    vec2 at = fract(st / uTile), w = fwidth(st / uTile) + 0.02;
    float line = max(1.0 - smoothstep(0.0, w.x, min(at.x, 1.0 - at.x)), 1.0 - smoothstep(0.0, w.y, min(at.y, 1.0 - at.y)));
    line *= clamp(0.06 / max(w.x, w.y), 0.0, 1.0) * uTiled;
    float tone = texture(uNoise, st * 0.2).g * 0.5 + texture(uNoise, st * 0.02).a * 0.5, fine = texture(uNoise, st * 0.83).r;
    float each = (hash(floor(st / uTile)) - 0.5) * 0.25 * uTiled * clamp(0.2 / max(w.x, w.y), 0.0, 1.0);
    return uPaving * (0.75 + 0.5 * tone + each + (fine - 0.5) * uGrain) * (1.0 - 0.35 * line);
}

vec3 grass(vec2 xy, vec3 base) {
    float fine = texture(uNoise, xy * 0.31 * uGrassScale).r, mid = texture(uNoise, xy * 0.057).g, big = texture(uNoise, xy * 0.0043).a;
    float tuft = texture(uNoise, xy.yx * 0.13).g;
    vec3 c = base * (0.35 + 0.55 * fine + 0.55 * mid * tuft + 0.25 * tuft);
    c = mix(c, mix(uDirt, uGrass, big) * (0.6 + 0.6 * fine), 0.55 * smoothstep(0.45, 0.75, mid * 0.5 + tuft * 0.5 * big + 0.1));
    return c * (0.7 + 0.6 * big);
}

void main() {
    vec3 n = normalize(vNormal);
    if (!gl_FrontFacing && vSurface == 6) n = -n;
    vec3 toCamera = normalize(uCameraPosition - vWorld);
    vec3 base; float road = 1.0, lamp = 0.0;
#if defined(ROAD)
    base = asphalt(vSt, vSurface == 1 ? uConcrete : (vLabel >> 4) == 1 ? uAsphalt : uShoulder, float(vSurface));
#elif defined(SOIL)
    base = grass(vWorld.xy, vSurface == 3 ? uGrass : uDirt); road = 0.0;
#else
    road = vSurface == 2 ? 0.6 : 0.0;
    WHEN(vSurface == 2) base = paving(vSt);
    WHEN(vSurface == 5) base = uCurb * (0.7 + 0.5 * texture(uNoise, vSt * 0.4).g) * (1.0 - 0.4 * step(fract(vSt.x), 0.02));
    WHEN(vSurface == 6) {
        // Panels 2 m long in rows of 1.2 m, grime that runs down, a lighter band up to 3 m.
        vec2 at = vec2(vSt.x, vWorld.z), cell = floor(at / vec2(2.0, 1.2)), w = fwidth(at) + 0.015;
        vec2 edge = min(fract(at / vec2(2.0, 1.2)), 1.0 - fract(at / vec2(2.0, 1.2))) * vec2(2.0, 1.2);
        float joint = max(1.0 - smoothstep(0.0, w.x, edge.x), 1.0 - smoothstep(0.0, w.y, edge.y)) * clamp(0.03 / max(w.x, w.y), 0.0, 1.0);
        float grime = texture(uNoise, vec2(vSt.x * 0.11, vWorld.z * 0.012)).g * 0.35 + texture(uNoise, at * 0.4).r * 0.12;
        base = uWall * (1.0 + 0.1 * (hash(cell) - 0.5) * uWallPanels) * (1.05 - grime) * (1.0 - 0.5 * joint * uWallPanels);
        base *= n.z < -0.3 ? 0.45 : 1.0;
        lamp = uTunnel * step(n.z, -0.05) * step(abs(vSt.y - uTunnelMiddle), 0.35) * step(fract(vSt.x / 12.0), 0.13) * 5.0;
    }
    WHEN(vSurface == 7) {
        float worn = texture(uNoise, vWorld.xy * 0.21).g * 0.6 + texture(uNoise, vWorld.xy * 0.9).r * 0.4;
        float cover = smoothstep(uWear - 0.25, uWear + 0.1, worn);
        base = mix(uAsphalt, uPaint, 0.15 + 0.85 * cover); road = 1.0;
    }
    WHEN(vSurface == 8) { base = uAsphalt * (0.45 + 0.4 * texture(uNoise, vWorld.xy * 0.7).g); road = 1.0; }
    WHEN(vSurface == 9) { base = mix(uAsphalt, vec3(0.6, 0.36, 0.04), 0.5 + 0.4 * texture(uNoise, vWorld.xy * 0.3).g); road = 1.0; }
#endif
    float patchy = 0.5, wet = 0.0;
    WHEN(uSnow + uWet > 0.0) patchy = texture(uNoise, vWorld.xy * 0.017).a * 0.7 + texture(uNoise, vWorld.xy * 0.11).g * 0.3;
    WHEN(uSnow > 0.0) {
        float rut = road * 0.5 * texture(uNoise, vSt * vec2(0.003, 0.19)).g + road * 0.36;
        base = mix(base, vec3(0.82, 0.85, 0.9), smoothstep(0.0, 0.25, uSnow - 0.55 * patchy - rut) * step(0.2, n.z));
    }
    WHEN(uWet > 0.0) {
        wet = uWet * (0.65 + 0.35 * patchy) * step(0.5, n.z);
        base *= 1.0 - 0.5 * wet * (0.4 + 0.6 * road);
    }
    float sun = sunlight(vWorld, n);
    vec3 c = base * (uSunColor * sun + skylight(n) + lamplight(vWorld, n));
    c += base * beam(vWorld) * vec3(1.0, 0.95, 0.85) * (0.35 + max(dot(n, normalize(uHeadPosition - vWorld)), 0.0));
#ifndef SOIL
    WHEN(uWet + uGloss > 0.0) {
        float pool = smoothstep(1.0 - uPuddles, 1.06 - uPuddles, patchy) * step(0.001, uPuddles);
        float shiny = (max(wet * 0.55, pool) + uGloss) * step(0.5, road);
        vec3 r = reflect(-toCamera, normalize(n + 0.03 * (1.0 - pool) * (texture(uNoise, vSt * 0.6).rgb - 0.5)));
        r.z = abs(r.z);
        float fresnel = 0.02 + 0.98 * pow(1.0 - clamp(dot(toCamera, n), 0.0, 1.0), 5.0);
        c = mix(c, skyDome(r) * (1.0 - 0.55 * uTunnel), clamp(fresnel * shiny, 0.0, 0.9));
        c += uSunColor * sun * pow(max(dot(r, uSun), 0.0), mix(12.0, 200.0, wet)) * (0.10 + 1.5 * wet) * fresnel;
    }
#endif
    color = vec4(fogged(c, vWorld) + lamp, 1.0);
}
