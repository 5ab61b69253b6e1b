// The column beside the images: list of objects, inspector with history, own lane, layers, thresholds, legend.

import { classColor, isSelected } from "./overlay.js";

const METHODS = ["none", "ground plane", "size of its class", "depth camera", "lidar"];
const HISTORY = 20; // seconds
export const LAYERS = { // name: [text, on at first]
  boxes: ["objects", true], labels: ["labels", true], lanes: ["lane lines", true], road: ["free road", true],
  lights: ["traffic lights", true], velocity: ["velocities", true], uncertainty: ["uncertainty", true],
};
const $ = (id) => document.getElementById(id);

export class Histories {
  // Of every object: [seconds, range, speed, score], by camera and track.
  constructor() {
    this.tracks = new Map();
  }

  add(frame) {
    for (const object of frame.perception.objects) {
      if (!object.track_id) continue;
      const key = `${frame.camera} ${object.track_id}`, points = this.tracks.get(key) || [];
      if (points.length && frame.seconds <= points.at(-1)[0]) points.length = 0; // a jump back in time
      points.push([frame.seconds, object.range, speedOf(object), object.score]);
      while (points[0][0] < frame.seconds - HISTORY) points.shift();
      this.tracks.set(key, points);
    }
    for (const [key, points] of this.tracks) if (Math.abs(points.at(-1)[0] - frame.seconds) > HISTORY) this.tracks.delete(key);
  }

  of(camera, track) {
    return this.tracks.get(`${camera} ${track}`) || [];
  }
}

export function speedOf(object) {
  return object.has_velocity ? Math.hypot(object.velocity.x, object.velocity.y) : null;
}

const number = (value, digits, unit = "") => (value === null || value === undefined ? "–" : `${value.toFixed(digits)}${unit}`);

export function showList(objects, selected, palette, pick) {
  $("count").textContent = objects.length ? `${objects.length}` : "";
  const rows = [...objects].sort((a, b) => (a.range ?? 1e9) - (b.range ?? 1e9) || b.score - a.score).slice(0, 60);
  const list = $("list"), focused = document.activeElement?.dataset?.key;
  list.replaceChildren(...rows.map((object) => {
    const button = document.createElement("button"), speed = speedOf(object);
    button.dataset.key = `${object.camera} ${object.track_id}`;
    button.setAttribute("aria-current", isSelected(object, selected));
    button.append(swatch(classColor(object.class_name, palette)), cell(`${object.class_name}${object.track_id ? ` #${object.track_id}` : ""}`, "name"),
      cell(number(object.range, 1, " m")), cell(speed === null ? "–" : number(3.6 * speed, 0, " km/h")), cell(number(object.score, 2)));
    button.onclick = () => pick(object);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  if (focused) [...list.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus({ preventScroll: true });
}

function cell(text, name = "") {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

export function swatch(color) {
  const span = cell("", "swatch");
  span.style.background = color;
  return span;
}

export function showInspector(object, gone, points, palette, close) {
  const box = $("inspector");
  box.hidden = !object;
  if (!object) return;
  const head = document.createElement("header"), button = document.createElement("button");
  button.className = "icon small";
  button.textContent = "×";
  button.setAttribute("aria-label", "Close");
  button.onclick = close;
  head.append(swatch(classColor(object.class_name, palette)), `${object.class_name} #${object.track_id}`, button);
  const lines = [spark(points, 1, "range", "m", 1), spark(points, 2, "speed", "km/h", 3.6), spark(points, 3, "score", "", 1)];
  box.replaceChildren(head, definitions(factsOf(object, gone)), ...lines.filter(Boolean));
}

const side = (left) => (left >= 0 ? "left" : "right");

function factsOf(object, gone) {
  const sigma = (index) => (object.position_cov[index] === null ? "" : ` ± ${Math.sqrt(object.position_cov[index]).toFixed(1)}`);
  const speed = speedOf(object);
  return {
    state: gone ? "no longer seen" : object.coasted ? "predicted" : "detected",
    camera: object.camera,
    score: number(object.score, 2),
    "tracked for": `${object.track_age} image${object.track_age === 1 ? "" : "s"}`,
    ...(object.has_position ? {
      range: number(object.range, 1, " m"),
      bearing: Math.abs(object.bearing) < 0.009 ? "straight ahead" : `${Math.abs(object.bearing * 180 / Math.PI).toFixed(0)}° ${side(object.bearing)}`,
      ahead: `${number(object.position.x, 1)}${sigma(0)} m`,
      [side(object.position.y)]: `${number(Math.abs(object.position.y), 1)}${sigma(3)} m`,
      "located by": METHODS[object.position_method],
    } : { position: "none" }),
    ...(speed === null ? {} : {
      speed: number(3.6 * speed, 0, " km/h"),
      "relative to": object.velocity_over_ground ? "road" : "own car",
    }),
    box: `${object.width.toFixed(0)}×${object.height.toFixed(0)} px`,
    ...(object.truncation ? { "cut off": ["left", "top", "right", "bottom"].filter((_, bit) => object.truncation & (1 << bit)).join(", ") } : {}),
  };
}

export function definitions(facts) {
  const list = document.createElement("dl");
  list.className = "numbers";
  for (const [name, value] of Object.entries(facts)) {
    const group = document.createElement("div");
    group.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }));
    list.append(group);
  }
  return list;
}

// A line of one number over the last seconds, with its least and greatest value.
function spark(points, column, name, unit, factor) {
  const known = points.filter((point) => point[column] !== null).map((point) => [point[0], factor * point[column]]);
  if (known.length < 2) return null;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 300 46");
  const values = known.map((point) => point[1]), [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max((high - low) * 0.1, name === "score" ? 0.05 : 0.5);
  const [from, to] = [known[0][0], known.at(-1)[0]];
  const place = ([time, value]) => `${(300 * (time - from) / Math.max(to - from, 1e-6)).toFixed(1)},${(44 - 28 * (value - low + margin) / (high - low + 2 * margin)).toFixed(1)}`;
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  line.setAttribute("points", known.map(place).join(" "));
  for (const [key, value] of Object.entries({ fill: "none", stroke: "var(--accent)", "stroke-width": 1.8, "vector-effect": "non-scaling-stroke" })) line.setAttribute(key, value);
  const text = document.createElementNS(svg.namespaceURI, "text");
  const digits = name === "score" ? 2 : name === "range" ? 1 : 0;
  text.textContent = `${name} ${low.toFixed(digits)} … ${high.toFixed(digits)} ${unit} in ${(to - from).toFixed(0)} s`;
  text.setAttribute("y", 11);
  svg.append(line, text);
  svg.setAttribute("preserveAspectRatio", "xMinYMid meet");
  return svg;
}

export function showLane(frames) {
  const lane = frames.map((frame) => frame.perception.ego_lane).find((lane) => lane?.valid);
  $("lane-card").hidden = !lane;
  if (!lane) return;
  $("lane").replaceChildren(...definitions({
    "car is": `${Math.abs(lane.offset).toFixed(2)} m ${side(lane.offset)}`,
    heading: number(lane.heading * 180 / Math.PI, 1, "°"),
    width: number(lane.width, 2, " m"),
    curve: Math.abs(lane.curvature) < 5e-4 ? "straight" : `${(1 / Math.abs(lane.curvature)).toFixed(0)} m ${side(lane.curvature)}`,
    "to left line": number(lane.margin_left, 2, " m"),
    "to right line": number(lane.margin_right, 2, " m"),
  }).children);
}

export function showFree(frames) {
  const free = frames.map((frame) => frame.perception.road?.free_distance_ahead).filter((value) => value !== null && value !== undefined);
  $("free").textContent = free.length ? `free for ${Math.min(...free).toFixed(0)} m` : "";
}

export function buildLayers(layers, changed) {
  $("layers").replaceChildren(...Object.entries(LAYERS).map(([name, [text]], index) => {
    const label = document.createElement("label"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", checked: layers[name], id: `layer-${name}` });
    box.onchange = () => changed(name, box.checked);
    label.append(box, text);
    label.title = `Key ${index + 1}`;
    return label;
  }));
}

// A score; a factor where each class has a minimum of its own.
const minimum = (input, value) => (input.own ? `×${(value / input.own).toFixed(2)}` : value.toFixed(2));

export function buildSliders(heads, tune) {
  $("tuning").hidden = !heads.length;
  $("sliders").replaceChildren(...heads.map((head) => {
    const label = document.createElement("label"), input = document.createElement("input"), output = document.createElement("output");
    const own = Object.entries(head.least || {});
    if (own.length) label.title = `Times the model’s own minimum: ${own.map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", ")}`;
    input.own = own.length ? head.threshold : 0;
    Object.assign(input, { type: "range", min: 0.01, max: 0.99, step: 0.01, value: head.threshold, id: `threshold-${head.name}` });
    output.textContent = minimum(input, head.threshold);
    let waiting = 0;
    input.oninput = () => {
      const value = Number(input.value);
      input.moved = performance.now();
      output.textContent = minimum(input, value);
      clearTimeout(waiting);
      waiting = setTimeout(() => tune(head.name, value), 80);
    };
    label.append(head.name, input, output);
    return label;
  }));
  $("defaults").onclick = () => heads.forEach((head) => tune(head.name, head.threshold));
}

// Another viewer may have moved a slider.
export function followSliders(thresholds) {
  for (const [head, value] of Object.entries(thresholds || {})) {
    const input = $(`threshold-${head}`);
    if (!input || performance.now() - (input.moved || -1e9) < 1000) continue;
    input.value = value;
    input.nextElementSibling.textContent = minimum(input, value);
  }
}

const drawn = (shape, color, dash, width) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("viewBox", "0 0 15 11");
  for (const [key, value] of Object.entries({ d: shape, fill: "none", stroke: color, "stroke-width": width, "stroke-dasharray": dash })) line.setAttribute(key, value);
  svg.append(line);
  return svg;
};
const dashes = (color, dash) => drawn("M0 5.5h15", color, dash, 2.6);

// What each colour is: the classes seen so far, and the kinds of lines.
export function showLegend(classes, palette) {
  const entry = (mark, text) => {
    const span = document.createElement("span");
    span.append(mark, text);
    return span;
  };
  const byColor = new Map();
  for (const name of classes) {
    const color = classColor(name, palette);
    byColor.set(color, [...(byColor.get(color) || []), name]);
  }
  $("legend").replaceChildren(
    ...[...byColor].map(([color, names]) => entry(swatch(color), names.join(", "))),
    entry(drawn("M1 1h13v9H1z", "currentColor", "2.5 2", 1.6), "predicted"),
    entry(swatch("#009e73"), "free road"),
    entry(dashes("#ffc828", "none"), "lane line in its paint"),
    entry(dashes("currentColor", "6 3"), "dashed line"),
    entry(dashes(palette.edge, "none"), "road edge, curb"),
    entry(dashes("var(--accent)", "none"), "arrow: in one second"),
  );
}
