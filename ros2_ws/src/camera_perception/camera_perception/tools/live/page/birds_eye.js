// The bird's-eye view: x forward is up, y left is left; metres of base_link.

import { classColor, isSelected, laneColor } from "./overlay.js";

const BEHIND = 8; // metres shown behind the car
const LENGTHS = [25, 40, 60, 90, 130, 180]; // metres shown ahead
const MOVING = 1; // m/s, below which no arrow is drawn
const DASHED = [2, 4, 7];

export class BirdsEye {
  constructor(canvas, pick) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.ahead = 2;
    canvas.addEventListener("click", (event) => pick(this.objectAt(event.offsetX, event.offsetY)));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.sign(event.deltaY));
    }, { passive: false });
  }

  zoom(by) {
    this.ahead = Math.max(0, Math.min(LENGTHS.length - 1, this.ahead + by));
    this.draw();
  }

  show(frames, view) {
    this.frames = frames;
    this.view = view;
    this.draw();
  }

  draw() {
    if (!this.view) return;
    const { canvas, context } = this, dpr = window.devicePixelRatio || 1;
    canvas.parentElement.classList.toggle("low", Boolean(this.view.why)); // changes its height
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    canvas.width = Math.round(width * dpr);
    canvas.height = Math.round(height * dpr);
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    this.size = [width, height];
    this.meter = height / (LENGTHS[this.ahead] + BEHIND);
    this.targets = [];
    this.style = getComputedStyle(canvas);
    context.fillStyle = this.color("ground");
    context.fillRect(0, 0, width, height);
    if (this.view.why) return this.message(this.view.why);
    const metric = this.frames.filter((frame) => frame.perception.base_frame);
    if (this.view.layers.road) for (const frame of metric) this.road(frame.perception.road);
    this.rings();
    if (this.view.layers.lanes) for (const frame of metric) frame.perception.lanes.forEach((lane) => this.lane(lane));
    this.car();
    const objects = metric.flatMap((frame) => frame.perception.objects.filter((object) => object.footprint).map((object) => ({ ...object, camera: object.camera ?? frame.camera })));
    canvas.dataset.objects = objects.length; // for whoever watches the page itself
    for (const object of objects) this.object(object);
    this.ringLabels(this.labels(objects));
  }

  color(name) {
    return this.style.getPropertyValue(`--${name}`).trim();
  }

  at(x, y) {
    return [this.size[0] / 2 - y * this.meter, this.size[1] - (x + BEHIND) * this.meter];
  }

  path(points, closed = false) {
    this.context.beginPath();
    for (const point of points) this.context.lineTo(...this.at(point[0], point[1]));
    if (closed) this.context.closePath();
  }

  road(road) {
    if (!road.has_ground) return;
    this.path(road.ground.map((point) => [point.x, point.y]), true);
    this.context.fillStyle = this.color("road");
    this.context.globalAlpha = 0.75;
    this.context.fill();
    this.context.globalAlpha = 1;
    const end = road.free_distance_ahead;
    if (end === null) return;
    this.path([[end, 1.6], [end, -1.6]]);
    this.stroke(this.color("good"), 3);
  }

  // Circles of equal distance from the car, labelled; and the axis of the car.
  rings() {
    const { context } = this, step = LENGTHS[this.ahead] > 100 ? 20 : 10;
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let range = step; range < LENGTHS[this.ahead]; range += step) {
      context.beginPath();
      context.arc(...this.at(0, 0), range * this.meter, 0, 2 * Math.PI);
      this.stroke(this.color("grid"), 1);
    }
    this.path([[-BEHIND, 0], [LENGTHS[this.ahead], 0]]);
    this.stroke(this.color("grid"), 1, [4, 5]);
  }

  // Where no object is labelled.
  ringLabels(taken) {
    const { context } = this, step = LENGTHS[this.ahead] > 100 ? 20 : 10;
    context.textAlign = "center";
    for (let range = step; range < LENGTHS[this.ahead]; range += step) {
      const side = Math.min(0.86 * this.size[0] / 2 / this.meter, 0.75 * range); // where the circle is in the picture
      const [x, y] = this.at(Math.sqrt(range * range - side * side), -side);
      if (taken.some((t) => x - 18 < t[2] && t[0] < x + 18 && Math.abs(y - t[1]) < 15)) continue;
      context.fillStyle = this.color("ground");
      context.fillRect(x - 15, y - 7, 30, 14);
      context.fillStyle = this.color("quiet");
      context.fillText(`${range} m`, x, y);
    }
  }

  lane(lane) {
    if (!lane.has_ground) return;
    this.path(lane.x.map((x, i) => [x, lane.y[i]]));
    this.context.lineCap = "butt";
    const dash = DASHED.includes(lane.line_type) ? [9, 7] : [];
    const pale = document.documentElement.dataset.theme === "light" && lane.color < 2; // white paint on a white page
    this.stroke(pale ? this.color("car") : laneColor(lane, this.view.palette), Math.abs(lane.position) === 1 ? 3 : 2, dash);
  }

  // The own car; base_link is on the road below the middle of its rear axle.
  car() {
    const { context, meter } = this, [x, y] = this.at(3.65, 0);
    context.fillStyle = this.color("car");
    context.beginPath();
    context.roundRect(x - 0.93 * meter, y, 1.86 * meter, 4.5 * meter, Math.max(0.5 * meter, 2));
    context.fill();
    context.fillStyle = this.color("ground");
    context.globalAlpha = 0.6;
    context.beginPath();
    context.roundRect(x - 0.7 * meter, y + 1.3 * meter, 1.4 * meter, 0.8 * meter, 0.2 * meter);
    context.fill();
    context.globalAlpha = 1;
  }

  // Filled when detected, an outline when predicted; the dashed ellipse is two standard deviations.
  object(object) {
    const { context, view } = this, color = classColor(object.class_name, view.palette);
    const { x, y } = object.position;
    if (view.layers.uncertainty) this.ellipse(x, y, object.position_cov, color);
    this.path(object.footprint, true);
    if (!object.coasted) {
      context.fillStyle = color;
      context.fill();
    }
    const chosen = isSelected(object, view.selected);
    this.stroke(chosen ? this.color("text") : object.coasted ? color : "rgba(10,14,18,.65)", chosen ? 2.5 : 1, object.coasted ? [4, 3] : []);
    if (view.layers.velocity && object.has_velocity) this.arrow(object, color);
    const middle = object.footprint.reduce((sum, corner) => [sum[0] + corner[0] / 4, sum[1] + corner[1] / 4], [0, 0]);
    this.targets.push([...this.at(...middle), object]);
  }

  ellipse(x, y, cov, color) {
    if (cov.some((value) => value === null)) return;
    const [xx, xy, , yy] = cov, mean = (xx + yy) / 2, spread = Math.hypot((xx - yy) / 2, xy);
    const angle = Math.atan2(2 * xy, xx - yy) / 2; // from x (up) to y (left): anticlockwise on the canvas as well
    this.context.beginPath();
    const radii = [Math.sqrt(Math.max(mean + spread, 0)), Math.sqrt(Math.max(mean - spread, 0))].map((sigma) => 2 * sigma * this.meter);
    this.context.ellipse(...this.at(x, y), radii[0], radii[1], -Math.PI / 2 - angle, 0, 2 * Math.PI);
    this.stroke(color, 1, [3, 4]);
  }

  // To where it is in one second.
  arrow(object, color) {
    const { x, y } = object.velocity;
    if (Math.hypot(x, y) < MOVING) return;
    const [fromX, fromY] = this.at(object.position.x, object.position.y);
    const [toX, toY] = this.at(object.position.x + x, object.position.y + y);
    const angle = Math.atan2(toY - fromY, toX - fromX);
    const { context } = this;
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
    for (const side of [0.5, -0.5]) {
      context.moveTo(toX, toY);
      context.lineTo(toX - 7 * Math.cos(angle + side), toY - 7 * Math.sin(angle + side));
    }
    context.lineCap = "round";
    this.stroke(this.color("ground"), 4.5);
    this.stroke(color, 2.2);
  }

  labels(objects) {
    const { context } = this, taken = [];
    if (!this.view.layers.labels) return taken;
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = "left";
    for (const object of [...objects].sort((a, b) => a.range - b.range)) {
      const speed = object.has_velocity ? Math.hypot(object.velocity.x, object.velocity.y) : 0;
      const text = `${object.range.toFixed(0)} m${speed >= MOVING ? ` ${(3.6 * speed).toFixed(0)} km/h` : ""}`;
      const corners = object.footprint.map(([x, y]) => this.at(x, y)), wide = context.measureText(text).width;
      const x = Math.max(...corners.map((corner) => corner[0])) + 4, y = corners.reduce((sum, corner) => sum + corner[1] / 4, 0);
      const left = x + wide > this.size[0] ? Math.min(...corners.map((corner) => corner[0])) - wide - 4 : x;
      if (taken.some((t) => left < t[2] && t[0] < left + wide && Math.abs(y - t[1]) < 13)) continue;
      taken.push([left, y, left + wide]);
      context.lineWidth = 3;
      context.strokeStyle = this.color("ground");
      context.strokeText(text, left, y);
      context.fillStyle = this.color("text");
      context.fillText(text, left, y);
    }
    return taken;
  }

  message(text) {
    const { context } = this;
    context.font = '14px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = "center";
    context.fillStyle = this.color("quiet");
    context.fillText(text, this.size[0] / 2, this.size[1] / 2);
  }

  stroke(color, width, dash = []) {
    this.context.setLineDash(dash);
    this.context.strokeStyle = color;
    this.context.lineWidth = width;
    this.context.stroke();
    this.context.setLineDash([]);
  }

  objectAt(x, y) {
    const near = (this.targets || []).map(([u, v, object]) => [Math.hypot(u - x, v - y), object]).sort((a, b) => a[0] - b[0])[0];
    return near && near[0] < 28 ? near[1] : null;
  }
}
