// One camera: its image with the overlay, its name, status and flags above, its times below. No text on the scene.

import { boxOf, drawIgnored, drawOverlay } from "./overlay.js";

const STATUS = [["good", "OK"], ["warn", "degraded"], ["bad", "invalid"]];
const HINTS = { // flags in words
  DROPPING: "images skipped", STALE_INPUT: "late images", UNCALIBRATED: "no metres", TF_MISSING: "mounting missing",
  CPU_FALLBACK: "on the CPU", IMAGE_DARK: "dark", IMAGE_OVEREXPOSED: "over-exposed", IMAGE_BLURRED: "blurred",
  IMAGE_FROZEN: "frozen", IMAGE_BLOCKED: "blocked", WRONG_ENCODING: "wrong encoding", CLOCK_JUMP: "clock jump",
  THERMAL: "throttled by heat", BAD_IMAGE: "broken image", CALIBRATION_DRIFT: "calibration drifts",
  ENGINE_ERROR: "engine error", RESOLUTION_CHANGED: "new resolution",
  RANGE_STRETCHED: "16 bits stretched", INTRINSICS_RESIZED: "calibrated at another size",
};
const STALE = 2000; // milliseconds without an image while playing

export class Tile {
  constructor(name, on) {
    this.name = name;
    this.element = document.createElement("article");
    this.element.className = "tile empty";
    this.element.dataset.camera = name;
    this.head = child(this.element, "div", "tile-head");
    child(this.head, "b").textContent = name;
    this.status = child(this.head, "span", "chip");
    this.status.textContent = "waiting";
    this.flags = child(this.head, "span", "flags");
    this.scene = child(this.head, "span", "quiet");
    this.enlarge = child(this.head, "button", "icon small large-button");
    this.enlarge.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 4h7v2H6v5H4zm16 16h-7v-2h5v-5h2z"/></svg>';
    this.enlarge.title = "One camera large, all cameras (F)";
    this.enlarge.setAttribute("aria-label", `Enlarge camera ${name}`);
    this.enlarge.onclick = () => on.enlarge(this);
    this.canvas = child(this.element, "canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Image of camera ${name} with what was perceived`);
    this.canvas.onclick = (event) => on.pick(this.objectAt(event.offsetX, event.offsetY));
    this.foot = child(this.element, "div", "tile-foot");
    this.arrivals = [];
  }

  // Decode and keep an image; drawn at the next repaint, acknowledged then.
  async take(frame, blob, done) {
    this.arrivals = [...this.arrivals.slice(-29), performance.now()];
    let bitmap = null;
    try {
      if (blob.size) bitmap = await createImageBitmap(blob, { imageOrientation: frame.turned ? "from-image" : "none" });
    } catch {
      bitmap = null; // a broken image: its flags say so
    }
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.frame = frame;
    requestAnimationFrame(() => {
      this.fresh?.();
      done();
    });
  }

  draw(view) {
    const { canvas, bitmap, frame } = this, context = canvas.getContext("2d");
    if (!frame) return;
    const width = bitmap?.width || frame.perception.image_width || 16, height = bitmap?.height || frame.perception.image_height || 9;
    canvas.style.setProperty("--aspect", `${width} / ${height}`);
    this.element.classList.toggle("empty", !bitmap);
    const dpr = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * dpr));
    canvas.height = Math.max(1, Math.round(canvas.width * height / width));
    this.scale = canvas.width / (frame.perception.image_width || width);
    context.imageSmoothingQuality = "high";
    if (bitmap) context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    if (bitmap && this.ignored) drawIgnored(context, this.ignored.outlines, canvas.width, canvas.height, dpr);
    if (bitmap && frame.perception.image_width) {
      drawOverlay(context, frame, { ...view, ignored: this.ignored?.outlines || [], scale: this.scale, dpr, width: canvas.width, height: canvas.height });
    }
    this.describe();
  }

  describe() {
    const { perception } = this.frame, [style, text] = STATUS[perception.status];
    this.status.className = `chip ${style}`;
    this.status.textContent = text;
    this.flags.replaceChildren(...perception.flags.map((flag) => {
      const chip = document.createElement("span");
      chip.className = "chip flag warn";
      chip.textContent = HINTS[flag] || flag;
      return chip;
    }));
    this.scene.textContent = (perception.scene || []).map((attribute) => attribute.label.replaceAll("_", " ")).join(" · ");
    this.scene.title = (perception.scene || []).map((attribute) => `${attribute.name}: ${attribute.label} ${attribute.score.toFixed(2)}`).join("\n");
    const total = ["decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms"].reduce((sum, key) => sum + (perception[key] || 0), 0);
    const span = this.arrivals.at(-1) - this.arrivals[0];
    const facts = {
      size: perception.image_width ? `${perception.image_width}×${perception.image_height}` : "",
      image: `${perception.frame_seq ?? this.frame.number}`,
      network: perception.inference_ms ? `${perception.inference_ms.toFixed(0)} ms` : "",
      "all steps": total ? `${total.toFixed(0)} ms` : "",
      age: perception.age_ms === null || perception.age_ms === undefined ? "" : duration(perception.age_ms),
      shown: span > 0 ? `${((this.arrivals.length - 1) * 1000 / span).toFixed(1)} /s` : "",
      ignored: this.ignored?.text || "",
      dropped: perception.frames_dropped ? `${perception.frames_dropped}` : "",
    };
    this.foot.replaceChildren(...Object.entries(facts).filter(([, value]) => value).map(([name, value]) => {
      const fact = document.createElement("span");
      fact.classList.toggle("sentence", name === "ignored");
      fact.append(`${name} `, Object.assign(document.createElement("b"), { textContent: value }));
      return fact;
    }));
  }

  // Grey an image that is old although something plays, and say how old.
  tick(playing) {
    const idle = this.arrivals.length ? performance.now() - this.arrivals.at(-1) : 0;
    const usual = this.arrivals.length > 1 ? (this.arrivals.at(-1) - this.arrivals[0]) / (this.arrivals.length - 1) : STALE;
    const stale = playing && this.arrivals.length > 0 && idle > Math.max(STALE, 5 * usual);
    this.element.classList.toggle("stale", stale);
    if (stale) {
      this.status.className = "chip bad";
      this.status.textContent = `no image for ${(idle / 1000).toFixed(0)} s`;
    }
  }

  objectAt(x, y) {
    if (!this.frame) return null;
    const scale = this.scale / (window.devicePixelRatio || 1), slack = 6;
    const hit = this.frame.perception.objects.filter((object) => {
      const [left, top, width, height] = boxOf(object, scale);
      return x >= left - slack && x <= left + width + slack && y >= top - slack && y <= top + height + slack;
    });
    const smallest = hit.sort((a, b) => a.width * a.height - b.width * b.height)[0];
    return smallest ? { ...smallest, camera: this.name } : null;
  }
}

const duration = (ms) => (ms < 10000 ? `${ms.toFixed(0)} ms` : ms < 6e5 ? `${(ms / 1000).toFixed(0)} s` : "over 10 minutes");

function child(parent, tag, name = "") {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}
