#version 330
uniform mat4 uClipFromWorld, uWorldFromObject;
in vec3 position; in vec4 normal; in vec4 tone;
out vec3 vWorld, vNormal, vObject; out vec3 vTone; flat out int vMaterial;
void main() {
    vec4 world = uWorldFromObject * vec4(position, 1.0);
    vWorld = world.xyz; vObject = position;
    vNormal = mat3(uWorldFromObject) * (normal.xyz * 2.0 - 1.0);
    vMaterial = int(tone.a * 255.0 + 0.5);
    vTone = vMaterial == 12 ? vec3(tone.rg, tone.b * 255.0 + normal.w * 65280.0) : tone.rgb * tone.rgb;
    gl_Position = uClipFromWorld * world;
}
