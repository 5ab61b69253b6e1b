#version 330
// Light, sky, fog and shadows for all surfaces.
// Software rasterisers execute both sides of an "if" and mask the result; a loop of zero iterations is really skipped.
#define WHEN(condition) for (int when_ = 0, once_ = int(condition); when_ < once_; when_++)
uniform vec3 uCameraPosition, uSun, uSunColor, uZenith, uHorizon, uGround, uCloudColor, uFogColor;
uniform float uFog, uCloud, uNight, uWet, uPuddles, uSnow, uShadowOn, uTunnel, uTunnelMiddle;
uniform vec2 uCloudOffset;
uniform sampler2D uNoise;
uniform sampler2DShadow uShadow;
uniform mat4 uShadowFromWorld;
uniform vec4 uLamps[12];      // street lamps: position, radiant power
uniform int uLampCount;
uniform vec3 uLampColor;
uniform vec3 uHeadPosition, uHeadForward;
uniform float uHead;          // power of the ego headlights

vec3 skyDome(vec3 d) {
    float h = max(d.z, 0.0);
    vec3 c = mix(uHorizon, uZenith, pow(h, 0.5));
    float toSun = max(dot(d, uSun), 0.0);
    c += uSunColor * (0.10 * pow(toSun, 6.0) + 0.5 * pow(toSun, 90.0));
    return d.z < 0.0 ? mix(c, uGround, smoothstep(0.0, -0.12, d.z)) : c;
}

vec3 sky(vec3 d) {
    vec3 c = skyDome(d);
    WHEN(uCloud > 0.0) {
        vec2 p = d.xy / (max(d.z, 0.0) + 0.09) * 0.055 + uCloudOffset;
        float n = texture(uNoise, p).a * 0.62 + texture(uNoise, p * 3.1).a * 0.25 + texture(uNoise, p * 9.7).g * 0.13;
        float k = smoothstep(0.78 - 0.62 * uCloud, 1.05 - 0.62 * uCloud, n) * smoothstep(0.0, 0.14, d.z);
        float lit = 0.72 + 0.5 * texture(uNoise, p * 1.7 + uSun.xy * 0.02).g;
        c = mix(c, uCloudColor * lit + uSunColor * 0.35 * lit, k * 0.92);
    }
    return c + uSunColor * 60.0 * smoothstep(0.99985, 0.99995, dot(d, uSun)) * step(0.02, dot(uSunColor, vec3(1.0)));
}

float sunlight(vec3 world, vec3 normal) {
    float facing = max(dot(normal, uSun), 0.0) * (1.0 - uTunnel), lit = 1.0;
    WHEN(uShadowOn > 0.5) {
        vec4 p = uShadowFromWorld * vec4(world + normal * 0.06, 1.0);
        vec3 q = p.xyz * 0.5 + 0.5;
        float texel = 0.6 / float(textureSize(uShadow, 0).x);
        float sum = texture(uShadow, vec3(q.xy + vec2(-texel, texel * 0.4), q.z - 0.0006))
                  + texture(uShadow, vec3(q.xy + vec2(texel, -texel * 0.4), q.z - 0.0006));
        vec3 inside = step(abs(p.xyz), vec3(1.0));
        lit = mix(1.0, 0.5 * sum, inside.x * inside.y * inside.z);
    }
    return facing * lit;
}

vec3 lamplight(vec3 world, vec3 normal) {
    vec3 sum = vec3(0.0);
    for (int i = 0; i < uLampCount; i++) {
        vec3 to = uLamps[i].xyz - world;
        float d2 = dot(to, to);
        vec3 l = to * inversesqrt(d2);
        sum += uLampColor * uLamps[i].w * max(dot(normal, l), 0.0) * smoothstep(0.05, 0.75, l.z) / (d2 + 4.0);
    }
    return sum;
}

// Dipped beam of the ego car: wide and flat, cut off a little above the horizon.
float beam(vec3 world) {
    float light = 0.0;
    WHEN(uHead > 0.0) {
    vec3 from = world - uHeadPosition;
    float d = length(from);
    vec3 l = from / d;
    float ahead = dot(l, uHeadForward), up = l.z - uHeadForward.z;
    float side = length(l - uHeadForward * ahead - vec3(0, 0, up));
    float shape = exp(-side * side * 9.0) * smoothstep(0.045, -0.015, up) * (0.25 + exp(up * 14.0)) * step(0.0, ahead);
    light = uHead * shape * 60.0 / (d * d + 18.0);
    }
    return light;
}

vec3 skylight(vec3 n) {
    vec3 up = mix(uHorizon, uZenith, 0.55) + uCloudColor * 0.12 * uCloud;
    return mix(uGround, up, n.z * 0.5 + 0.5);
}

vec3 fogged(vec3 c, vec3 world) {
    float d = distance(world, uCameraPosition);
    vec3 f = uFogColor;
    return mix(f, c, exp(-uFog * d));
}
