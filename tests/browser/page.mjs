// Looks at the page as people do, in a real Chromium.
//
//     npm ci && node page.mjs http://127.0.0.1:8080 [folder for screenshots]
//
// Exits 1 and says what is wrong on the first failure. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, folder] = process.argv.slice(2);
if (!url) {
  console.error("usage: node page.mjs URL [FOLDER]");
  process.exit(2);
}
const origin = new URL(url).origin;
const profile = await mkdtemp(join(tmpdir(), "eddy-page-"));
const wrong = [];
const WAIT = { timeout: 20_000 };
const between = { origin: "", frozen: false, run: 0, refuse: false };

if (folder) await mkdir(folder, { recursive: true });
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
  viewport: { width: 1280, height: 900 },
});

try {
  await browser.route("**/*", (route) => {
    const asked = route.request().url();
    if ([origin, between.origin].includes(new URL(asked).origin) || asked.startsWith("data:")) return route.continue();
    wrong.push(`the page asked for ${asked}`);
    return route.abort();
  });
  const page = await browser.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && wrong.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`uncaught: ${error.message}`));
  page.on("response", (response) => response.status() >= 400 && wrong.push(`${response.status()} of ${response.url()}`));
  await page.addInitScript(() => {
    window.shifted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });

  await page.goto(url);
  await page.waitForFunction(() => document.querySelector("#link").dataset.state === "live", null, WAIT);
  await filled(page);
  await live(page);
  await keyboard(page);
  const chats = await page.isVisible("#chat");
  if (chats) await chat(page);
  await labelled(page);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await contrast(page, scheme);
    for (const width of [1280, 380]) {
      await page.setViewportSize({ width, height: width === 380 ? 820 : 900 });
      await page.evaluate(() => document.fonts.ready);
      assert.deepEqual(await sideways(page), [], `at ${width} px the page scrolls sideways`);
      if (folder) await page.screenshot({ path: join(folder, `page-${width}-${scheme}.png`), fullPage: true });
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  }
  await steady(page);

  await page.goto(new URL("/docs", url).href);
  assert.ok((await page.locator("section h3").count()) > 0, "/docs lists the views");
  await page.setViewportSize({ width: 380, height: 820 });
  assert.deepEqual(await sideways(page), [], "/docs scrolls sideways at 380 px");
  if (folder) await page.screenshot({ path: join(folder, "docs-380.png") });

  await page.close();
  await tabs(chats);
  assert.deepEqual(wrong, []);
  await broken(chats);
  await without();

  console.log(JSON.stringify({ ok: true, url, chat: chats, chromium: browser.browser()?.version() ?? null }));
} catch (error) {
  if (folder) await browser.pages().at(-1)?.screenshot({ path: join(folder, "failed.png") }).catch(() => {});
  console.error([error.message, ...wrong].join("\n"));
  process.exitCode = 1;
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

/** Every panel shows numbers. */
// What stands beyond the right edge where the page scrolls to it, once its layout has settled.
async function sideways(page) {
  const fits = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;
  if (await page.waitForFunction(fits, null, { timeout: 3_000 }).then(() => true, () => false)) return [];
  return page.evaluate(() => {
    const edge = document.documentElement.clientWidth;
    const beyond = [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > edge);
    return beyond.map((element) => `${element.tagName} #${element.id} .${element.className}: ${element.textContent.slice(0, 60)}`).slice(0, 8);
  });
}

async function filled(page) {
  const number = (selector) => page.waitForFunction((s) => /\d/.test(document.querySelector(s)?.textContent ?? ""), selector, WAIT)
    .catch(() => assert.fail(`${selector} stays empty`));
  for (const id of ["#rate", "#p50", "#p99", "#messages", "#users", "#tick", "#depth", "#deepest-messages", "#sum", "#top-rows li .n", "#heat-rows .sum", "#views .num"]) {
    await number(id);
  }
  assert.equal(await page.locator("#heat-rows tr").count(), 9);
  assert.ok(await page.locator("#heat-rows tr.total i").evaluateAll((cells) => cells.some((cell) => Number(cell.style.getPropertyValue("--v")) > 0)), "no hour has heat");
  assert.ok((await page.locator("#top-rows li").count()) >= 3, "top users are listed");
  assert.ok((await page.locator("#letter-rows tr").count()) >= 1, "dead letters, or that there are none");
  if (await page.isVisible("#verdict")) {
    await page.waitForFunction(() => /agree|differ/.test(document.querySelector("#verdict").textContent), null, WAIT);
    const marks = await page.locator("#views li").evaluateAll((rows) => rows.map((row) => row.className));
    assert.ok(marks.some((mark) => mark === "good" || mark === "bad"), "views are marked");
  }
}

/** Numbers change by themselves. */
async function live(page) {
  const seen = () => page.evaluate(() => [document.querySelector("#tick").textContent, document.querySelector("#sum").textContent].join());
  const before = await seen();
  await page.waitForFunction((was) => [document.querySelector("#tick").textContent, document.querySelector("#sum").textContent].join() !== was, before, WAIT)
    .catch(() => assert.fail("nothing changed in 20 s: the stream stands still"));
}

/** Writes to the bot, is answered, presses a button, and sees what it does. */
async function chat(page) {
  const said = page.locator("#talk .said");
  const bot = page.locator("#talk .said.bot");
  const before = { said: await said.count(), bot: await bot.count() };
  await page.fill("#text", "/help");
  await page.press("#text", "Enter");
  await page.waitForFunction((n) => document.querySelectorAll("#talk .said.bot").length > n, before.bot, WAIT)
    .catch(() => assert.fail("the bot does not answer /help"));
  assert.ok((await said.count()) >= before.said + 2, "the question and its answer are both there");
  assert.equal(await page.inputValue("#text"), "", "what was sent has left the input");
  assert.equal(await page.evaluate(() => document.activeElement.id), "text", "the input keeps the focus");
  const buttons = page.locator("#talk .said.bot .keys button");
  await buttons.first().waitFor(WAIT).catch(() => assert.fail("the bot shows no buttons after /help"));
  const talk = () => page.evaluate(() => document.querySelector("#talk").innerText);
  const was = await talk();
  await buttons.last().click();
  await page.waitForFunction((text) => document.querySelector("#talk").innerText !== text, was, WAIT)
    .catch(() => assert.fail("pressing a button changes nothing"));
  assert.equal(await page.textContent("#chat-error"), "");
}

/** Tab reaches the links, the definitions show, Escape puts them away. */
async function keyboard(page) {
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the first stop skips to the numbers");
  await page.focus("#views li:first-child .term a");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Tab");
  const tip = page.locator("#views li:first-child .tip");
  assert.ok(await tip.isVisible(), "a view's definition shows when it has the focus");
  assert.ok(((await tip.textContent()) ?? "").length > 10);
  if (folder) await page.screenshot({ path: join(folder, "tooltip.png") });
  await page.keyboard.press("Escape");
  assert.ok(!(await tip.isVisible()), "Escape puts the definition away");
}

/** What can be pressed or filled has a name; no id stands twice. */
async function labelled(page) {
  const bad = await page.evaluate(() => {
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
    const nameless = [...document.querySelectorAll("a, button, input")].filter((e) => e.checkVisibility())
      .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length));
    return [...twice.map((id) => `#${id} stands twice`), ...nameless.map((e) => `no name: ${e.outerHTML}`)];
  });
  assert.deepEqual(bad, []);
}

/** Text has 4.5 : 1 against what is behind it (WCAG AA). */
async function contrast(page, scheme) {
  const bad = await page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const over = (color, under) => {
      canvas.fillStyle = `rgb(${under.join()})`;
      canvas.fillRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
      const chain = [];
      for (let e = element; e; e = e.parentElement) chain.unshift(getComputedStyle(e).backgroundColor);
      return chain.reduce((under, color) => over(color, under), [255, 255, 255]);
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Set();
    while (walk.nextNode()) {
      const element = walk.currentNode.parentElement;
      if (!walk.currentNode.data.trim() || element.closest(".hidden, noscript, .tip, .skip, button:disabled") || !element.checkVisibility()) continue;
      const under = behind(element), a = light(over(getComputedStyle(element).color, under)), b = light(under);
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) found.add(`${element.tagName}.${element.className} "${walk.currentNode.data.trim().slice(0, 20)}" ${ratio.toFixed(2)}`);
    }
    return [...found];
  });
  assert.deepEqual(bad, [], `too little contrast in ${scheme}`);
}

/** Updates move nothing. */
async function steady(page) {
  await page.waitForTimeout(500);
  await page.evaluate(() => (window.shifted = 0));
  const before = await page.evaluate(() => Number(document.body.dataset.shown));
  await page.waitForFunction((n) => Number(document.body.dataset.shown) >= n + 8, before, WAIT);
  const shifted = await page.evaluate(() => window.shifted);
  assert.ok(shifted < 0.01, `updates moved things by ${shifted}`);
}

/** Twenty tabs show numbers and chat, whether the browser shares their stream or shows one of them at a time. */
async function tabs(chats) {
  const open = [];
  for (let i = 0; i < 20; i++) {
    const tab = await browser.newPage();
    open.push(tab);
    await tab.goto(url, WAIT);
    await tab.waitForFunction(() => document.querySelector("#link").dataset.state === "live", null, WAIT)
      .catch(() => assert.fail(`tab ${i + 1} does not come to life`));
  }
  if (chats) {
    await open[19].fill("#text", "from the last tab");
    await open[19].press("#text", "Enter");
    for (const tab of [open[19], open[0]]) {
      await tab.waitForFunction(() => document.querySelector("#talk").innerText.includes("from the last tab"), null, WAIT)
        .catch(() => assert.fail("what the last tab says does not reach every tab"));
    }
  }
  for (const tab of open) await tab.close();

  // Without a shared worker a tab that is hidden holds no stream.
  const alone = await browser.newPage();
  await alone.addInitScript(() => {
    delete window.SharedWorker;
    window.streams = [];
    const Source = window.EventSource;
    window.EventSource = class extends Source {
      constructor(...args) {
        super(...args);
        window.streams.push(this);
      }
    };
    window.seen = "visible";
    Object.defineProperty(document, "visibilityState", { get: () => window.seen });
    window.see = (state) => {
      window.seen = state;
      document.dispatchEvent(new Event("visibilitychange"));
      return window.streams.filter((stream) => stream.readyState !== EventSource.CLOSED).length;
    };
  });
  await alone.goto(url, WAIT);
  await alone.waitForFunction(() => document.querySelector("#link").dataset.state === "live", null, WAIT);
  assert.equal(await alone.evaluate(() => window.see("visible")), 1, "a tab holds one stream");
  assert.equal(await alone.evaluate(() => window.see("hidden")), 0, "a hidden tab holds none");
  assert.equal(await alone.evaluate(() => window.see("visible")), 1);
  await live(alone);
  await alone.close();
}

/** A server that falls silent, refuses, or is another one all at once. A small proxy plays it. */
async function broken(chats) {
  const proxy = createServer((asked, answer) => {
    if (between.refuse && asked.method === "POST") return answer.destroy();
    if (between.frozen) return;
    const onward = request(origin + asked.url, { method: asked.method, headers: asked.headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.on("data", (part) => {
        if (between.frozen) return;
        const run = (text) => text.replace(/"run":(\d+)/g, (_, run) => `"run":${Number(run) + between.run}`)
          .replace(/^id: ?(\d+)\./gm, (_, run) => `id: ${Number(run) + between.run}.`);
        answer.write(asked.url.startsWith("/v1/stream") ? run(part.toString()) : part);
      });
      response.on("end", () => answer.end());
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
  between.origin = `http://127.0.0.1:${proxy.address().port}`;
  const page = await browser.newPage();
  await page.goto(between.origin, WAIT);
  const state = (wanted, says) => page.waitForFunction((s) => document.querySelector("#link").dataset.state === s, wanted, WAIT).catch(() => assert.fail(says));
  await state("live", "the page does not come to life");

  between.frozen = true;
  const from = Date.now();
  await state("lost", "the page does not notice that the server is silent");
  assert.ok(Date.now() - from < 8000, `it took ${Date.now() - from} ms to notice`);
  between.frozen = false;
  await state("live", "the page does not find the server again");

  if (chats) {
    const talk = () => page.evaluate(() => document.querySelector("#talk").innerText);
    const say = async (text) => {
      await page.fill("#text", text);
      await page.press("#text", "Enter");
    };
    between.refuse = true;
    await say("lost words");
    await page.waitForFunction(() => /Not sent/.test(document.querySelector("#chat-error").textContent), null, WAIT);
    assert.equal(await page.inputValue("#text"), "lost words", "what was not sent is kept");
    between.refuse = false;
    await say("found words");
    await page.waitForFunction(() => /found words/.test(document.querySelector("#talk").innerText), null, WAIT);
    assert.equal(await page.textContent("#chat-error"), "", "the alert goes with what is sent");

    between.run = 1;
    const anew = "eddy was started anew";
    // The stream is cut, and the one that comes next is of another run.
    proxy.closeAllConnections();
    await page.waitForFunction((text) => document.querySelector("#talk").innerText.includes(text), anew, WAIT)
      .catch(() => assert.fail("the talk of an earlier run is not told from this one's"));
    assert.equal((await talk()).split(anew).length, 2, "once");
  }
  await page.close();
  proxy.closeAllConnections();
  proxy.close();
}

/** Without JavaScript it says so, at the top. */
async function without() {
  const page = await browser.newPage();
  const session = await browser.newCDPSession(page);
  await session.send("Emulation.setScriptExecutionDisabled", { value: true });
  await page.goto(url, WAIT);
  const [says, numbers] = [await page.locator("noscript p").boundingBox(), await page.locator("main").boundingBox()];
  assert.ok(says && says.height > 0 && says.y < numbers.y, "what is missing is said above the numbers");
  await page.close();
}
