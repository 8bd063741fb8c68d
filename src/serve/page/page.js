// The page: shows what the feed says. Elements are made once and then only their text changes, so nothing jumps.

import { startChat } from "./chat.js";
import { Feed } from "./feed.js";

const $ = (id) => document.getElementById(id);
const SVG_W = 240, SVG_H = 40;

/** An element with attributes and children. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

const whole = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (n) => (n == null ? "–" : whole.format(n));

function duration(s) {
  if (s == null) return "–";
  if (s === 0) return "0 s";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${tenths.format(s * 1e3)} ms`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 60) return `${tenths.format(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400 * 2) return `${Math.floor(s / 3600)} h`;
  return `${count(Math.floor(s / 86_400))} days`;
}

function clock(ms) {
  return `${new Date(ms).toISOString().slice(11, 23)} UTC`;
}

const bare = (key) => key.slice(key.indexOf(":") + 1);
const path = (...parts) => "/v1/" + parts.map(encodeURIComponent).join("/");

/** Keeps a container's children equal in number to the items, and lets each show its item. */
function list(container, items, make, show) {
  while (container.children.length > items.length) container.lastElementChild.remove();
  while (container.children.length < items.length) container.append(make());
  items.forEach((item, i) => show(container.children[i], item, i));
}

// connection

function hear(word) {
  if (word.link) {
    $("link").dataset.state = word.link;
    document.body.classList.toggle("lost", word.link === "lost");
    text($("link-text"), word.says);
  } else if (word.status) {
    show(word.status);
  } else {
    chat.take(word);
  }
}

/** Hears the feed while the page is shown: all tabs share one where the browser can do that. */
function listen() {
  let port, feed;
  const tell = () => {
    const shown = document.visibilityState === "visible";
    if (port) port.postMessage(shown ? "shown" : "hidden");
    else if (shown) feed.open();
    else feed.close();
  };
  const alone = () => {
    port?.close();
    port = undefined;
    feed = new Feed(hear);
    tell();
  };
  document.addEventListener("visibilitychange", tell);
  if (!window.SharedWorker) return alone();
  const worker = new SharedWorker("/worker.js", { type: "module" });
  worker.onerror = alone;
  port = worker.port;
  port.onmessage = ({ data }) => hear(data);
  tell();
}

// figures

/** Draws records a second over the last minute, oldest first. */
function spark(rates) {
  const most = Math.max(1, ...rates) * 1.05;
  const at = (n, i) => `${((SVG_W * i) / (rates.length - 1)).toFixed(1)},${(SVG_H * (1 - n / most)).toFixed(1)}`;
  const line = "M" + rates.map(at).join("L");
  const [area, stroke] = $("spark").children;
  stroke.setAttribute("d", line);
  area.setAttribute("d", `${line}L${SVG_W},${SVG_H}L0,${SVG_H}Z`);
}

function figures(s) {
  text($("rate"), s.rate >= 100 ? whole.format(Math.round(s.rate)) : tenths.format(s.rate));
  text($("p50"), duration(s.freshness?.p50_s));
  text($("p99"), duration(s.freshness?.p99_s));
  text($("fresh-n"), s.freshness ? `${compact.format(s.freshness.records)} in 60 s` : "nothing in 60 s");
  text($("messages"), count(s.messages_live));
  text($("users"), count(s.users_live));
  if (s.tick) {
    text($("tick"), clock(s.tick));
    $("tick").dateTime = new Date(s.tick).toISOString();
  }
  spark(s.rates);
}

// truth

const LEAD = $("truth-lead").textContent;

function viewRow() {
  const term = el("span", { class: "term" }, el("a"), el("span", { class: "tip", role: "tooltip" }));
  const mark = el("span", {}, el("span", { class: "mark", "aria-hidden": "true" }), el("span", { class: "hidden" }));
  return el("li", {}, mark, el("span", { class: "what" }, term, el("span", { class: "says" })), el("span", { class: "num" }));
}

function truth(s) {
  const known = new Map((s.truth ?? []).map((row) => [row.view, row]));
  $("truth").classList.toggle("no-truth", !s.truth);
  text($("truth-h"), s.truth ? "Truth" : "Views");
  list($("views"), s.views, viewRow, (row, view) => {
    const found = known.get(view.name);
    const [mark, what, rows] = row.children;
    const state = !found || (found.ok && !found.checked) ? "" : found.ok ? "good" : "bad";
    row.className = state;
    text(mark.firstChild, { good: "✓", bad: "✗" }[state] ?? "·");
    text(mark.lastChild, { good: "agrees", bad: "differs" }[state] ?? "not checked");
    const [a, tip] = what.firstChild.children;
    if (a.textContent !== view.name) {
      text(a, view.name);
      a.href = `/docs#${view.name}`;
      tip.id = `tip-${view.name}`;
      a.setAttribute("aria-describedby", tip.id);
      text(tip, view.means.trim());
    }
    text(what.lastChild, !state ? "not checked yet" : found.ok ? `${count(found.checked)} checked` : (found.detail ?? "differs"));
    text(rows, count(view.rows));
    rows.title = `${count(view.rows)} rows`;
  });
  if (!s.truth) return;
  const wrong = s.truth.filter((row) => !row.ok);
  const [verdict, lead] = [$("verdict"), $("truth-lead")];
  const looked = s.truth.filter((row) => row.checked);
  verdict.className = "verdict " + (wrong.length ? "bad" : looked.length ? "good" : "");
  text(verdict, wrong.length ? `${wrong.length} of ${s.truth.length} views differ` : !looked.length ? "nothing checked yet" : agreement(s, looked));
  lead.classList.toggle("bad", wrong.length > 0);
  text(lead, wrong.length ? `${wrong[0].view}: ${wrong[0].detail ?? "differs from the source"}` : LEAD);
}

/** What may be said of views of which none differs. */
function agreement(s, looked) {
  const checked = new Set(looked.map((row) => row.view));
  const waiting = s.views.some((view) => view.rows && !checked.has(view.name));
  const all = looked.length === s.truth.length ? `all ${looked.length} views agree` : `all ${looked.length} views with rows agree`;
  const views = waiting ? `${looked.length} of ${s.truth.length} views agree so far` : all;
  const share = Math.min(...looked.map((row) => row.share));
  return share < 1 ? `${views}: ${Math.floor(share * 100)} % looked at` : views;
}

// panels

function age(id, panel, now) {
  if (!panel) return;
  const rows = `${compact.format(panel.rows_seen)} rows`;
  const old = panel.at_ms == null ? 0 : Math.max(0, now - panel.at_ms);
  text($(id), !panel.rows_seen ? "no rows yet" : !panel.whole ? `looking: ${rows} so far` : old < 2500 ? `over ${rows}` : `over ${rows}, ${duration(Math.round(old / 1000))} ago`);
}

function heatRow() {
  const row = el("tr", {}, el("th", { scope: "row" }));
  for (let i = 0; i < 24; i++) row.append(el("td", {}, el("i"), el("span", { class: "hidden" })));
  row.append(el("td", { class: "sum" }));
  return row;
}

function heat(panel, names) {
  $("heat").hidden = !panel;
  if (!panel) return;
  const head = $("heat-head");
  if (!head.children.length) {
    head.append(el("td"));
    for (let i = 0; i < 24; i++) head.append(el("th", { scope: "col" }));
    head.append(el("th", { scope: "col", class: "num" }, "sum"));
    head.firstChild.append(el("span", { class: "hidden" }, "Community"));
  }
  const hour = (i) => `${String((((panel.last_hour - 23 + i) % 24) + 24) % 24).padStart(2, "0")}`;
  for (let i = 0; i < 24; i++) {
    const label = i % 6 === 0 && panel.last_hour ? `${hour(i)}:00` : "";
    text(head.children[i + 1], label);
    head.children[i + 1].setAttribute("aria-label", `${hour(i)}:00 UTC`);
  }
  const all = { community: null, messages: panel.all.reduce((a, b) => a + b, 0), by_hour: panel.all };
  const rows = [all, ...panel.rows];
  while (rows.length < 9) rows.push({ community: "", messages: null, by_hour: Array(24).fill(0) });
  const most = Math.max(1, ...panel.rows.flatMap((row) => row.by_hour));
  const mostAll = Math.max(1, ...panel.all);
  list($("heat-rows"), rows, heatRow, (row, item, at) => {
    row.className = at === 0 ? "total" : "";
    const name = at === 0 ? "All" : item.community === "" ? "" : (names[item.community] ?? bare(item.community));
    text(row.firstChild, name);
    row.firstChild.title = item.community ?? "";
    item.by_hour.forEach((n, i) => {
      const cell = row.children[i + 1], v = Math.sqrt(n / (at === 0 ? mostAll : most)).toFixed(3);
      if (cell.dataset.n === String(n) && cell.dataset.v === v) return;
      cell.dataset.n = n;
      cell.dataset.v = v;
      cell.title = `${hour(i)}:00 UTC, ${name}: ${count(n)}`;
      cell.firstChild.style.setProperty("--v", v);
      text(cell.lastChild, String(n));
    });
    text(row.lastChild, item.messages == null ? "" : item.messages < 100_000 ? count(item.messages) : compact.format(item.messages));
  });
}

function topRow() {
  const who = el("span", { class: "who" }, el("a"), el("small"));
  return el("li", {}, el("span", { class: "rank", "aria-hidden": "true" }), who, el("span", { class: "n" }));
}

function topUsers(panel, names) {
  $("top").hidden = !panel;
  if (!panel) return;
  const most = Math.max(1, panel.rows[0]?.messages ?? 1);
  list($("top-rows"), panel.rows, topRow, (row, item, i) => {
    const [rank, who, n] = row.children;
    text(rank, String(i + 1));
    const [a, small] = who.children;
    text(a, names[item.user] ?? bare(item.user));
    a.href = path("users", item.user);
    a.title = item.user;
    text(small, names[item.community] ?? bare(item.community));
    who.style.setProperty("--v", (item.messages / most).toFixed(4));
    text(n, count(item.messages));
  });
}

function deepest(panel, names, now) {
  $("deepest").hidden = !panel;
  const row = panel?.row;
  if (!row) return;
  text($("depth"), count(row.depth));
  $("chain").style.setProperty("--n", Math.max(1, row.depth ?? 0));
  text($("deepest-key"), bare(row.conversation));
  $("deepest-key").href = path("conversations", row.conversation);
  text($("deepest-community"), row.community ? `in ${names[row.community] ?? bare(row.community)}` : "");
  text($("deepest-messages"), count(row.messages));
  text($("deepest-people"), count(row.participants));
  text($("deepest-answer"), row.first_response_s == null ? "–" : `after ${duration(row.first_response_s)}`);
  text($("deepest-last"), row.last_at == null ? "–" : ago(now / 1000 - row.last_at));
}

const ago = (s) => (s < 1 ? "just now" : `${duration(Math.floor(s)).replace(/\.0 s/, " s")} ago`);

// records

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
function records(s) {
  const parts = [
    ["applied", "applied", s.applied],
    ...byCount(s.ignored).map(([reason, n]) => ["ignored", reason, n]),
    ...byCount(s.dead_letters).map(([reason, n]) => ["dead", `dead: ${reason}`, n]),
  ];
  const open = s.read - s.applied - sum(s.ignored) - sum(s.dead_letters);
  text($("sum"), open > 0 ? `${count(s.read)} read, ${count(open)} under way` : `${count(s.read)} read`);
  list($("stack"), parts, () => el("i"), (part, [of, , n]) => {
    part.dataset.of = of;
    part.className = n ? "some" : "";
    part.style.setProperty("--n", n);
  });
  list($("legend"), parts, () => el("li", {}, el("b"), el("span")), (item, [of, name, n]) => {
    item.dataset.of = of;
    text(item.firstChild, count(n));
    text(item.lastChild, name);
  });
}

const byCount = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));

function letterRow() {
  return el("tr", {}, el("td", { class: "reason" }), el("td"), el("td", {}, el("code")));
}

let lettersShown = "";
function letters(s) {
  const all = sum(s.dead_letters);
  text($("letters-n"), all > s.letters.length ? `the last ${s.letters.length} of ${count(all)}` : all ? `all ${count(all)}` : "");
  const now = JSON.stringify(s.letters);
  if (now === lettersShown) return;
  lettersShown = now;
  const body = $("letter-rows");
  if (!s.letters.length) {
    body.replaceChildren(el("tr", {}, el("td", { class: "none", colspan: "3" }, "None: every record could be read.")));
    return;
  }
  if (body.querySelector(".none")) body.replaceChildren();
  list(body, s.letters, letterRow, (row, letter) => {
    text(row.children[0], letter.reason);
    const place = letter.line ? `${letter.file}, line ${count(letter.line)}` : `${letter.file} at ${count(letter.offset)}`;
    text(row.children[1], place);
    row.children[1].title = place;
    text(row.children[2].firstChild, letter.raw);
    row.children[2].title = `${count(letter.raw_bytes)} bytes: ${letter.raw}`;
  });
}

const chat = startChat($("chat"), el);
function show(s) {
  const names = s.panels.names ?? {};
  figures(s);
  truth(s);
  heat(s.panels.heat, names);
  topUsers(s.panels.top, names);
  deepest(s.panels.deepest, names, s.now_ms);
  age("heat-age", s.panels.heat, s.now_ms);
  age("top-age", s.panels.top, s.now_ms);
  age("deepest-age", s.panels.deepest, s.now_ms);
  records(s);
  letters(s);
  if (s.chat && $("chat").hidden) {
    $("layout").classList.add("with-chat");
    $("chat").hidden = $("to-chat").hidden = false;
  }
  chat.of(s.run);
  document.body.dataset.shown = String(Number(document.body.dataset.shown ?? 0) + 1);
}

// a tooltip can be put away without moving the pointer (WCAG 1.4.13)
document.addEventListener("keydown", (event) => event.key === "Escape" && document.body.classList.add("dismissed"));
document.addEventListener("pointermove", () => document.body.classList.remove("dismissed"));
document.addEventListener("focusin", () => document.body.classList.remove("dismissed"));
listen();
