// The connection to the server: opens it again when it breaks, unpacks messages, acknowledges images that were drawn.

const WRONG_TOKEN = 4401, FULL = 4429;
const RETRY = [400, 5000]; // milliseconds until the next attempt: the first, and the longest

export class Connection {
  // on: {open, closed(text), refused, text(message), frame(head, blob, done)}
  constructor(on, token) {
    this.on = on;
    this.token = token;
    this.pause = RETRY[0];
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      if (this.token) this.send({ token: this.token });
    };
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => this.closed(event);
  }

  receive(data) {
    this.pause = RETRY[0];
    if (typeof data === "string") {
      this.on.text(JSON.parse(data));
      return;
    }
    const length = new DataView(data).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const image = new Blob([new Uint8Array(data, 4 + length)], { type: head.mime });
    this.on.frame(head, image, () => this.send({ ack: head.camera }));
  }

  closed(event) {
    if (event.code === WRONG_TOKEN) {
      this.on.refused();
      return;
    }
    this.on.closed(event.code === FULL ? "too many viewers" : "no connection");
    setTimeout(() => this.open(), this.pause);
    this.pause = Math.min(2 * this.pause, RETRY[1]);
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
