// Puts the page together: messages come in, tiles and panels are drawn, keys and clicks go out.

import { BirdsEye } from "./birds_eye.js";
import { Connection } from "./connection.js";
import { Histories, LAYERS, buildLayers, buildSliders, followSliders, showFree, showInspector, showLane, showLegend, showList } from "./panel.js";
import { isSelected } from "./overlay.js";
import { Tile } from "./tile.js";
import { Timeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const kept = (key, otherwise) => {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
};
const keep = (key, value) => {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch { /* private window */ }
};

const layers = { ...Object.fromEntries(Object.entries(LAYERS).map(([name, [, on]]) => [name, on])), ...kept("layers", {}) };
const tiles = new Map();
const classes = new Set();
let hello = null, state = {}, selected = null, last = null, waiting = 0, painted = 0;
let fused = null, fuse = kept("fuse", true);
const histories = new Histories();
const send = (message) => connection.send(message);
const timeline = new Timeline(send);
const birdsEye = new BirdsEye($("birds-eye"), pick);

// Messages

const connection = new Connection({
  text: (message) => ({ hello: greet, fused: takeFused })[message.type]?.(message) ?? (message.type === "state" && follow(message)),
  frame: take,
  closed: (text) => {
    $("connection").className = "chip bad";
    $("connection").textContent = `${text}, trying again`;
  },
  refused: () => $("login").showModal(),
}, new URLSearchParams(location.hash.slice(1)).get("token") || "");

function greet(message) {
  hello = message;
  showFuseButton(null);
  $("source").textContent = hello.source.split("/").filter(Boolean).at(-1) || hello.source;
  $("source").title = hello.source;
  document.title = `${$("source").textContent} – camera perception`;
  $("model").textContent = [hello.model, hello.engine, hello.anonymized ? "anonymised" : ""].filter(Boolean).join(" · ");
  $("connection").className = "chip good";
  $("connection").textContent = hello.seconds === null ? "live" : "connected";
  const names = hello.cameras.map((camera) => camera.name);
  for (const [name, tile] of tiles) if (!names.includes(name)) tile.element.remove(), tiles.delete(name);
  names.forEach(tileOf);
  arrange();
  timeline.begin(hello.seconds);
  buildSliders(hello.heads, (head, to) => send({ do: "tune", head, to }));
  showLegend(classes, hello.palette);
  repaint();
}

function follow(message) {
  state = message;
  timeline.follow(state);
  followSliders(state.thresholds);
  for (const tile of tiles.values()) tile.ignored = state.ignored?.[tile.name];
  $("notice").hidden = !state.error;
  $("notice").textContent = state.error || "";
}

function take(head, blob, done) {
  if (!hello) return done();
  const tile = tileOf(head.camera);
  histories.add(head);
  const before = classes.size;
  head.perception.objects.forEach((object) => classes.add(object.class_name));
  if (classes.size > before) showLegend(classes, hello.palette);
  timeline.at(head.seconds);
  tile.take(head, blob, done);
}

// The cameras as one, from a fusion node or the server; drawn with the next image.
function takeFused(message) {
  showFuseButton(message);
}

function showFuseButton(message) {
  fused = message;
  $("fused").hidden = !fused;
  $("fused").setAttribute("aria-pressed", fuse);
  $("fused").textContent = fuse ? "Fused" : "Each camera";
}

// As a frame of the bird's-eye view. An object is picked as that of a camera which sees it, the selected one first.
function fusedFrame() {
  const objects = fused.perception.objects.map((object) => {
    const seen = object.cameras.map((index, row) => ({ camera: fused.names[index], track_id: object.camera_track_ids[row] }));
    const one = seen.find((each) => isSelected(each, selected)) || seen[0] || { camera: "", track_id: 0 };
    return { ...object, ...one, range: Math.hypot(object.position.x, object.position.y) };
  });
  return { camera: "", perception: { ...fused.perception, objects, base_frame: "fused" } };
}

function tileOf(name) {
  if (!tiles.has(name)) {
    const tile = new Tile(name, { pick, enlarge });
    tile.fresh = () => repaint(tile);
    tiles.set(name, tile);
    $("tiles").append(tile.element);
    arrange();
  }
  return tiles.get(name);
}

// Drawing

// The tile of a new image at once; the rest at most ten times a second.
function repaint(only = null) {
  if (!hello) return;
  for (const tile of only ? [only] : tiles.values()) tile.draw({ layers, palette: hello.palette, selected: selected?.camera === tile.name ? selected.track_id : 0 });
  document.body.dataset.frames = Number(document.body.dataset.frames || 0) + 1; // for whoever watches the page itself
  if (!only) return repaintPanels();
  waiting ||= setTimeout(repaintPanels, Math.max(0, painted + 100 - performance.now()));
}

function repaintPanels() {
  clearTimeout(waiting);
  [waiting, painted] = [0, performance.now()];
  const view = { layers, palette: hello.palette, selected };
  const frames = [...tiles.values()].map((tile) => tile.frame).filter(Boolean);
  const objects = frames.flatMap((frame) => frame.perception.objects.map((object) => ({ ...object, camera: frame.camera })));
  const found = objects.find((object) => isSelected(object, selected));
  last = found || last;
  const above = fused && fuse ? [fusedFrame()] : frames;
  birdsEye.show(above, { ...view, why: whyEmpty(above) });
  showList(objects, selected, hello.palette, pick);
  showInspector(selected ? last : null, !found, selected ? histories.of(selected.camera, selected.track_id) : [], hello.palette, () => pick(null));
  showLane(above);
  showFree(above);
}

function whyEmpty(frames) {
  if (frames.some((frame) => frame.perception.base_frame)) return "";
  const known = hello.cameras.map((camera) => camera.no_metres).find(Boolean);
  if (known || !frames.length) return known || "Waiting for the first image";
  const flags = new Set(frames.flatMap((frame) => frame.perception.flags));
  if (flags.has("TF_MISSING")) return "Mounting unknown: give TF or camera_pose";
  return flags.has("UNCALIBRATED") ? "Not calibrated: no metres" : "No metres in this image";
}

function arrange() {
  const count = tiles.size;
  document.querySelector("main").classList.toggle("single", count < 2);
  $("tiles").style.setProperty("--columns", count < 2 ? 1 : count < 5 ? 2 : 3);
  for (const tile of tiles.values()) tile.enlarge.hidden = count < 2;
}

function enlarge(tile) {
  const large = !tile.element.classList.contains("large");
  for (const other of tiles.values()) other.element.classList.toggle("large", large && other === tile);
  $("tiles").classList.toggle("one", large);
  repaint();
}

function pick(object) {
  selected = object?.track_id ? { camera: object.camera, track_id: object.track_id } : null;
  last = object;
  repaint();
}

function pickNext(by) {
  const rows = [...document.querySelectorAll("#list button")];
  const now = rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  rows[(now + by + rows.length + (now < 0 && by < 0 ? 1 : 0)) % rows.length]?.click();
}

function setLayer(name, on) {
  layers[name] = on;
  $(`layer-${name}`).checked = on;
  keep("layers", layers);
  repaint();
}

function setFused(on) {
  fuse = on;
  keep("fuse", fuse);
  showFuseButton(fused);
  repaintPanels();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  keep("theme", theme);
  birdsEye.draw();
}

// Keys and buttons

const KEYS = {
  " ": () => timeline.toggle(),
  ArrowLeft: () => timeline.jump(-2),
  ArrowRight: () => timeline.jump(2),
  ",": () => send({ do: "step", by: -1 }),
  ".": () => send({ do: "step", by: 1 }),
  Home: () => timeline.jump(-1e9),
  "[": () => timeline.faster(-1),
  "]": () => timeline.faster(1),
  "+": () => birdsEye.zoom(-1),
  "=": () => birdsEye.zoom(-1),
  "-": () => birdsEye.zoom(1),
  c: () => setFused(!fuse),
  n: () => pickNext(1),
  p: () => pickNext(-1),
  f: () => enlarge([...tiles.values()].find((tile) => tile.element.classList.contains("large")) || [...tiles.values()][0]),
  t: () => setTheme(document.documentElement.dataset.theme === "light" ? "dark" : "light"),
  "?": () => $("keys").showModal(),
  Escape: () => pick(null),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input[type=range], select") && event.key.startsWith("Arrow")) return;
  if (event.target.matches("button, input[type=checkbox]") && event.key === " ") return;
  const name = Object.keys(LAYERS)[Number(event.key) - 1];
  const act = name ? () => setLayer(name, !layers[name]) : KEYS[event.key] || KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

$("theme").onclick = KEYS.t;
$("fused").onclick = KEYS.c;
$("help").onclick = KEYS["?"];
$("closer").onclick = KEYS["+"];
$("farther").onclick = KEYS["-"];
$("enter").onclick = () => {
  location.hash = `token=${encodeURIComponent($("token").value)}`;
  location.reload();
};
buildLayers(layers, setLayer);
setTheme(kept("theme", matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
setInterval(() => tiles.forEach((tile) => tile.tick(hello && (hello.seconds === null || state.playing))), 500);
new ResizeObserver(() => repaint()).observe($("tiles"));
