// Everything that is drawn on an image: road, lane lines, boxes, lights, labels. Coordinates are pixels of the image
// as received, times `scale`; line widths and text are in CSS pixels, times `dpr`, so that they stay legible.

const SHADOW = "rgba(22,24,28,.9)";
const EDGE = [8, 9]; // line types: road edge, curb
const DASHES = { 2: [16, 12], 4: [16, 12], 5: [16, 12], 6: [16, 12], 7: [3, 8] }; // of dashed line types, and dots
export const LAMPS = ["", "red", "yellow", "green", "white"]; // TrafficLightElement.color
const EGO = 1; // TrafficLight.relevance
const VEHICLES = new Set(["car", "truck", "bus", "train", "van", "trailer", "motorcycle"]);

export function drawOverlay(context, frame, view) {
  // view: {scale, dpr, width, height, layers, palette, selected}
  const perception = frame.perception;
  if (view.layers.road) hiddenBehindVehicles(context, perception, view, (layer) => drawRoad(layer, perception.road, view));
  if (view.layers.lanes) hiddenBehindVehicles(context, perception, view, (layer) => drawLanes(layer, perception.lanes, view));
  const objects = view.layers.boxes ? perception.objects : [];
  const lights = view.layers.lights ? perception.traffic_lights : [];
  for (const object of [...objects].sort((a, b) => a.height - b.height)) drawObject(context, object, view);
  for (const light of lights) drawLight(context, light, view);
  if (!view.layers.labels) return;
  const place = placesBeside([...objects, ...lights].map((item) => boxOf(item, view.scale)), view);
  for (const light of lights) label(context, light, [lampName(light) + (light.relevance === EGO ? " · own lane" : ""), lampName(light)], lampColor(light, view), view, place);
  for (const object of [...objects].sort((a, b) => b.height - a.height)) {
    label(context, object, labelTexts(object), classColor(object.class_name, view.palette), view, place);
  }
}

export const isSelected = (object, selected) =>
  Boolean(selected && object.track_id === selected.track_id && object.camera === selected.camera);

export function classColor(name, palette) {
  return palette.classes[name] || "#56b4e9";
}

export function laneColor(lane, palette) {
  return EDGE.includes(lane.line_type) && !lane.color ? palette.edge : palette.paints[lane.color] || "#c8c8c8";
}

export function lampName(light) {
  return LAMPS[light.elements[0]?.color] || "off or unknown";
}

function lampColor(light, view) {
  return view.palette.lamps[lampName(light)] || "#969696";
}

// Draw on a layer of its own, without the areas of vehicles: what they stand on or in front of is behind them.
let spare;
function hiddenBehindVehicles(context, perception, view, draw) {
  spare ||= document.createElement("canvas");
  spare.width = view.width;
  spare.height = view.height;
  const layer = spare.getContext("2d");
  draw(layer);
  for (const object of perception.objects) {
    if (!VEHICLES.has(object.class_name) || object.coasted) continue;
    const [x, y, width, height] = boxOf(object, view.scale);
    layer.clearRect(x, y, width, height);
  }
  layer.globalCompositeOperation = "destination-out"; // nothing is reported in ignored regions
  for (const corners of view.ignored) layer.fill(outline(corners, view.width, view.height));
  context.drawImage(spare, 0, 0);
}

function drawRoad(context, road, view) {
  if (!road.u.length) return;
  const { scale } = view;
  const path = new Path2D();
  path.moveTo(road.u[0] * scale, view.height);
  road.u.forEach((u, i) => path.lineTo(u * scale, road.v[i] * scale));
  path.lineTo(road.u.at(-1) * scale, view.height);
  path.closePath();
  const fade = context.createLinearGradient(0, Math.min(...road.v) * scale, 0, view.height);
  fade.addColorStop(0, "rgba(0,158,115,.42)");
  fade.addColorStop(1, "rgba(0,158,115,.16)");
  context.fillStyle = fade;
  context.fill(path);
  context.beginPath(); // where the boundary jumps, one column is not free at all: no line
  road.u.forEach((u, i) => {
    const jump = i && Math.abs(road.v[i] - road.v[i - 1]) * scale > 0.12 * view.height;
    jump ? context.moveTo(u * scale, road.v[i] * scale) : context.lineTo(u * scale, road.v[i] * scale);
  });
  stroke(context, "#19d3a0", 1.6 * view.dpr);
}

function drawLanes(context, lanes, view) {
  for (const lane of lanes) {
    if (lane.u.length < 2) continue;
    context.beginPath();
    lane.u.forEach((u, i) => context.lineTo(u * view.scale, lane.v[i] * view.scale));
    context.lineJoin = context.lineCap = "round";
    const narrow = Math.max(0.55, Math.min(1, view.width / view.dpr / 700)); // on small pictures
    const width = (Math.abs(lane.position) === 1 ? 3.6 : 2.4) * narrow * view.dpr;
    const dash = (DASHES[lane.line_type] || []).map((part) => part * narrow * view.dpr);
    stroke(context, SHADOW, width + 2.4 * view.dpr, dash);
    stroke(context, laneColor(lane, view.palette), width, dash);
  }
}

function stroke(context, color, width, dash = []) {
  context.setLineDash(dash);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

export function boxOf(item, scale) {
  return [(item.cx - item.width / 2) * scale, (item.cy - item.height / 2) * scale, item.width * scale, item.height * scale];
}

// A box with thick corners; dashed when it is predicted, filled lightly when it is selected.
function drawObject(context, object, view) {
  const [x, y, width, height] = boxOf(object, view.scale);
  const color = classColor(object.class_name, view.palette), line = 1.5 * view.dpr;
  if (object.track_id && object.track_id === view.selected) {
    context.fillStyle = color + "40";
    context.fillRect(x, y, width, height);
  }
  context.beginPath();
  context.rect(x, y, width, height);
  const dash = object.coasted ? [6 * view.dpr, 4 * view.dpr] : [];
  stroke(context, SHADOW, line + 2 * view.dpr, dash);
  stroke(context, color, line, dash);
  if (object.coasted) return;
  const arm = Math.min(0.22 * Math.min(width, height), 14 * view.dpr);
  if (arm < 4 * view.dpr) return;
  context.beginPath();
  for (const [cornerX, cornerY, right, down] of [[x, y, arm, arm], [x + width, y, -arm, arm], [x + width, y + height, -arm, -arm], [x, y + height, arm, -arm]]) {
    context.moveTo(cornerX + right, cornerY);
    context.lineTo(cornerX, cornerY);
    context.lineTo(cornerX, cornerY + down);
  }
  context.lineCap = context.lineJoin = "round";
  stroke(context, color, 2 * line);
}

function drawLight(context, light, view) {
  const [x, y, width, height] = boxOf(light, view.scale);
  context.beginPath();
  context.rect(x, y, width, height);
  const line = (light.relevance === EGO ? 2.6 : 1.5) * view.dpr;
  stroke(context, SHADOW, line + 2 * view.dpr);
  stroke(context, lampColor(light, view), line);
}

// The full text, and a short one for when space is limited.
function labelTexts(object) {
  const track = object.track_id ? ` #${object.track_id}` : "", range = object.range === null ? "" : `${object.range.toFixed(0)} m`;
  return [`${object.class_name}${track}  ${range}`.trimEnd(), range || object.class_name];
}

const MOST_COVERED = 0.1; // of a box: a label in the corner of a near bus hides nothing of it

// A function that finds the first free corner for a label; labels cover neither each other nor the boxes.
function placesBeside(boxes, view) {
  const taken = [];
  const hides = (left, top, wide, high) => boxes.some(([x, y, width, height]) => {
    const covered = Math.max(0, Math.min(x + width, left + wide) - Math.max(x, left)) * Math.max(0, Math.min(y + height, top + high) - Math.max(y, top));
    return covered > MOST_COVERED * width * height;
  });
  return (left, tops, wide, high) => {
    left = Math.max(0, Math.min(left, view.width - wide));
    const top = tops.find((top) => top >= 0 && top + high <= view.height && !hides(left, top, wide, high)
      && !taken.some((t) => left < t[2] && t[0] < left + wide && top < t[3] && t[1] < top + high));
    if (top === undefined) return null;
    taken.push([left, top, left + wide, top + high]);
    return [left, top];
  };
}

// Above the box, below it or inside; small boxes far away get none.
function label(context, item, texts, color, view, place) {
  const [x, y, width, height] = boxOf(item, view.scale), size = Math.max(9.5, Math.min(13, view.width / view.dpr / 55)) * view.dpr;
  if (height < 1.1 * size && width < 2 * size) return;
  context.font = `500 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  const high = 1.5 * size, tops = [y - high - 2 * view.dpr, y + height + 3 * view.dpr, y + 3 * view.dpr];
  for (const text of texts) {
    const wide = context.measureText(text).width + 1.9 * size, corner = place(x, tops, wide, high);
    if (corner) return drawLabel(context, text, color, size, ...corner, wide, high);
  }
}

function drawLabel(context, text, color, size, left, top, wide, high) {
  context.fillStyle = "rgba(18,22,27,.82)";
  context.beginPath();
  context.roundRect(left, top, wide, high, 0.32 * size);
  context.fill();
  context.fillStyle = color;
  context.beginPath();
  context.arc(left + 0.75 * size, top + high / 2, 0.3 * size, 0, 7);
  context.fill();
  context.fillStyle = "#f3f6f9";
  context.textBaseline = "middle";
  context.fillText(text, left + 1.35 * size, top + high / 2 + 0.04 * size);
}

// The region in which nothing is reported, such as the own bonnet: darker, with a dashed outline.
export function drawIgnored(context, outlines, width, height, dpr) {
  context.save();
  context.fillStyle = "rgb(0 0 0 / 35%)";
  context.strokeStyle = "rgb(255 255 255 / 70%)";
  context.lineWidth = 1.5 * dpr;
  context.setLineDash([6 * dpr, 5 * dpr]);
  for (const path of outlines.map((corners) => outline(corners, width, height))) {
    context.fill(path);
    context.stroke(path);
  }
  context.restore();
}

function outline(corners, width, height) {
  const path = new Path2D();
  for (const [x, y] of corners) path.lineTo(x * width, y * height);
  path.closePath();
  return path;
}
