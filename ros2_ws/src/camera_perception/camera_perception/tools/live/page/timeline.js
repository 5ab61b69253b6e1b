// Play, pause, seek, step and speed of a recording. All viewers of a server see the same time.

const $ = (id) => document.getElementById(id);
const PLAY = "M8 5v14l11-7z", PAUSE = "M7 5h4v14H7zm6 0h4v14h-4z";
const AGAIN = "M12 5V1L7 6l5 5V7a5 5 0 1 1-5 5H5a7 7 0 1 0 7-7z";
export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export class Timeline {
  constructor(send) {
    this.send = send;
    this.state = { playing: false, seconds: 0, speed: 1 };
    $("play").onclick = () => this.toggle();
    $("back").onclick = () => send({ do: "step", by: -1 });
    $("forward").onclick = () => send({ do: "step", by: 1 });
    $("speed").onchange = () => send({ do: "speed", to: Number($("speed").value) });
    $("seek").oninput = () => this.seek(Number($("seek").value));
  }

  begin(seconds) {
    this.end = seconds;
    $("timeline").hidden = seconds === null;
    if (seconds === null) return;
    $("seek").max = seconds;
    $("end").textContent = clock(seconds);
  }

  // While the slider is dragged, at most ten jumps a second.
  seek(seconds) {
    this.held = performance.now();
    this.wanted = Math.max(0, Math.min(seconds, this.end));
    this.place(this.wanted);
    this.waiting ||= setTimeout(() => {
      this.waiting = 0;
      this.send({ do: "seek", to: this.wanted });
    }, 100);
  }

  follow(state) {
    this.state = { ...this.state, ...state };
    $("play").querySelector("path").setAttribute("d", state.playing ? PAUSE : state.ended ? AGAIN : PLAY);
    $("play").setAttribute("aria-label", state.playing ? "Pause" : state.ended ? "Play again" : "Play");
    if (SPEEDS.includes(state.speed)) $("speed").value = state.speed;
    $("speed").title = state.rate ? `${state.rate.toFixed(1)} images per second; [ and ]` : "[ and ]";
  }

  at(seconds) {
    this.measure(seconds);
    if (performance.now() - (this.held || -1e9) > 600) this.place(seconds);
  }

  // The speed that the engine reaches, when it is less than the one chosen.
  measure(seconds) {
    const now = performance.now() / 1000, seen = (this.seen ||= []);
    if (seen.length && (seconds < seen.at(-1)[1] || seconds > seen.at(-1)[1] + 2)) seen.length = 0;
    seen.push([now, seconds]);
    if (seen.length > 24) seen.shift();
    const [first, firstSeconds] = seen[0], speed = (seconds - firstSeconds) / (now - first);
    const slow = this.state.playing && seen.length > 6 && speed < 0.85 * this.state.speed;
    $("actual").textContent = slow ? `engine: ${speed.toFixed(speed < 0.1 ? 2 : 1)}×` : "";
  }

  place(seconds) {
    this.state.seconds = seconds;
    $("seek").value = seconds;
    $("seek").setAttribute("aria-valuetext", clock(seconds));
    $("now").textContent = clock(seconds);
  }

  toggle() {
    this.send({ do: this.state.playing ? "pause" : "play" });
  }

  jump(by) {
    this.seek(this.state.seconds + by);
  }

  faster(by) {
    const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(Number($("speed").value)) + by))];
    this.send({ do: "speed", to: next });
  }
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}
