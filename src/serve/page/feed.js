// The feed: what /v1/stream says, kept for those who come later.
//
//   /v1/stream?chat --EventSource--> Feed --words--> the page, or every tab of this browser (worker.js)
//
// Words: { link, says }  how the connection is: "wait", "live" or "lost"
//        { status }      a status
//        { run, kind, data }  an event of the chat: `message`, `edit`, `delete`, `notice`

/** As many as the server keeps. */
const CHAT_MAX = 500;
/** A status comes every two seconds at least: without one for so long the server is silent. */
const SILENT_MS = 5000;
const AGAIN_MS = 2000;
const CHAT = ["message", "edit", "delete", "notice"];

export class Feed {
  /** `tell` gets each word. */
  constructor(tell) {
    this.tell = tell;
    this.link = { link: "wait", says: "connecting" };
    this.status = undefined;
    this.run = undefined;
    this.chat = [];
    this.last = "";
  }

  /** Tells someone who comes now what has been told. */
  repeat(tell) {
    for (const word of [this.link, ...(this.status ? [{ status: this.status }] : []), ...this.chat]) tell(word);
  }

  open() {
    if (this.source || this.again) return;
    this.heard = Date.now();
    this.watch ??= setInterval(() => Date.now() - this.heard > SILENT_MS && this.lose("no answer, reconnecting", 0), 1000);
    this.source = new EventSource(`/v1/stream?chat=${this.last}`);
    this.source.addEventListener("status", (event) => {
      const status = JSON.parse(event.data);
      this.hear(status.run);
      this.say(status.ready ? "live" : "wait", status.ready ? "live" : "starting");
      this.status = status;
      this.tell({ status });
    });
    for (const kind of CHAT) {
      this.source.addEventListener(kind, (event) => {
        const word = { run: Number(event.lastEventId.split(".")[0]), kind, data: JSON.parse(event.data) };
        this.hear(word.run);
        this.last = event.lastEventId;
        // A notice is of the moment.
        if (kind !== "notice") this.chat = [...this.chat, word].slice(-CHAT_MAX);
        this.tell(word);
      });
    }
    this.source.onerror = () => this.lose("reconnecting", AGAIN_MS);
  }

  /** Until `open`. */
  close() {
    this.source?.close();
    clearTimeout(this.again);
    clearInterval(this.watch);
    this.source = this.again = this.watch = undefined;
  }

  hear(run) {
    this.heard = Date.now();
    if (this.run !== run) [this.run, this.chat, this.status] = [run, [], undefined];
  }

  lose(says, pause_ms) {
    this.close();
    this.say("lost", says);
    this.again = setTimeout(() => {
      this.again = undefined;
      this.open();
    }, pause_ms);
  }

  say(link, says) {
    if (this.link.link === link && this.link.says === says) return;
    this.link = { link, says };
    this.tell(this.link);
  }
}
