// The sandbox chat: messages come over the feed; what is written or pressed is posted.

// Events of the feed: `message` and `edit` (a message as it is now), `delete`, `notice` (a bot's answer to a press).
// As many as the feed keeps: it may say all of them again.
const MESSAGES_MAX = 500;
const NOTICE_MS = 4000;
const ANSWER_WAIT_MS = 8000;

async function post(url, body) {
  const signal = AbortSignal.timeout(ANSWER_WAIT_MS);
  const sent = fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
  const response = await sent.catch((failure) => {
    throw new Error(failure.name === "TimeoutError"
      ? `No answer within ${ANSWER_WAIT_MS / 1000} s: it may have arrived or not. If it does not show above, send it again.`
      : "Not sent: eddy cannot be reached.");
  });
  if (response.ok) return;
  const problem = await response.json().catch(() => ({}));
  throw new Error(`Not sent: ${problem.detail ?? `the chat answered ${response.status}`}.`);
}

/** `el` makes an element (page.js). Gives `take`, for events of the feed, and `of`, which is told the run of eddy that is shown. */
export function startChat(root, el) {
  const talk = root.querySelector("#talk"), form = root.querySelector("#say"), error = root.querySelector("#chat-error");
  const state = root.querySelector("#chat-state"), input = form.elements.text;
  const held = new Map();
  let run;

  const attempt = async (busy, work) => {
    busy.disabled = true;
    error.textContent = "";
    try {
      await work();
      return true;
    } catch (failure) {
      error.textContent = failure.message;
      return false;
    } finally {
      busy.disabled = false;
    }
  };

  function keys(message) {
    const rows = (message.buttons ?? []).map((row) =>
      el("div", {}, ...row.map(({ text, data }) => {
        const button = el("button", { type: "button" }, text);
        button.addEventListener("click", async () => {
          await attempt(button, () => post("/chat/callback", { message_id: message.message_id, data }));
        });
        return button;
      })));
    return rows.length ? [el("div", { class: "keys" }, ...rows)] : [];
  }

  function fill(said, message, edited) {
    // keyboard users stay on the button they pressed when the bot edits its message
    const focused = said.contains(document.activeElement) ? [...said.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    const at = new Date((message.date ?? 0) * 1000);
    const when = message.date ? el("time", { datetime: at.toISOString() }, `${at.toISOString().slice(11, 16)} UTC`) : "";
    const bubble = el("div", { class: "bubble" });
    const quoted = message.reply_to == null ? null : held.get(message.reply_to);
    if (quoted) bubble.append(el("span", { class: "quote" }, quoted.message.text ?? ""));
    bubble.append(message.text ?? "");
    const by = el("p", { class: "by" }, el("span", {}, message.from?.name ?? "?", edited ? " · edited" : ""), when);
    said.replaceChildren(by, bubble, ...keys(message));
    if (focused >= 0) said.querySelectorAll("button")[focused]?.focus({ preventScroll: true });
  }

  function put(message, edited) {
    const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
    let entry = held.get(message.message_id);
    if (!entry) {
      entry = { said: el("article", { class: message.from?.is_bot ? "said bot" : "said" }) };
      held.set(message.message_id, entry);
      talk.append(entry.said);
    }
    entry.message = message;
    fill(entry.said, message, edited);
    for (const id of held.keys()) {
      if (held.size <= MESSAGES_MAX) break;
      forget(id);
    }
    if (atEnd) talk.scrollTop = talk.scrollHeight;
  }

  function forget(id) {
    held.get(id)?.said.remove();
    held.delete(id);
  }

  let fading;
  function notice(text) {
    state.textContent = text ?? "";
    clearTimeout(fading);
    fading = setTimeout(() => (state.textContent = ""), NOTICE_MS);
  }

  /** Another run numbers its messages anew: what was said in the one before is gone. */
  function of(now) {
    if (run !== undefined && run !== now) {
      held.clear();
      talk.replaceChildren(el("p", { class: "anew" }, "eddy was started anew: what was said before is gone."));
    }
    run = now;
  }

  function take(event) {
    of(event.run);
    const { kind, data } = event;
    if (kind === "delete") forget(data.message_id);
    else if (kind === "notice") notice(data.text);
    else put(data, kind === "edit");
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    if (await attempt(form.querySelector("button"), () => post("/chat/messages", { text }))) {
      input.value = "";
      talk.scrollTop = talk.scrollHeight;
    }
    input.focus();
  });

  return { take, of };
}
