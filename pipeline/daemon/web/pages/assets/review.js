// The page Review: shows one part large, the next ones are fetched ahead, and keys answer.

import { heatMap } from "./heat.js";
import { unsentAnswers } from "./unsent.js";

const element = (id) => document.getElementById(id);
const page = element("review");
const texts = page.dataset;
const words = JSON.parse(texts.words);
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const percent = new Intl.NumberFormat(language, { style: "percent" });
const clock = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

const AHEAD = 6; // parts in hand, whose pictures are fetched before their turn
const ALIVE_MS = 30000; // the station takes parts back after two minutes of silence
const EMPTY_MS = 5000; // between two looks where nothing waits
const COUNTED_MS = 15000;
const HISTORY = 50;
const COMMANDS = { u: "undo", s: "skip", h: "heat", b: "blind", c: "comment" };
const CLASS_KEYS = [..."1234567890", ..."abcdefghijklmnopqrstuvwxyz"].filter((key) => !(key in COMMANDS));

function show(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

// --- what this browser remembers --------------------------------------------------------------

function remembered(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(`lineside-review ${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function remember(key, value) {
  try {
    sessionStorage.setItem(`lineside-review ${key}`, JSON.stringify(value));
  } catch { /* a browser that keeps nothing */ }
}

const drafts = remembered("drafts", {}); // comments by record, until their answer is given
const wish = { order: "doubt", class: "", blind: false, keys: true, ...remembered("wish", {}) };
let history = remembered("history", []); // what was answered or skipped here, for undo
let done = remembered("done", 0);

// --- the parts in hand ------------------------------------------------------------------------

let parts = []; // the first is shown
let classes = [];
let waiting = 0, skipped = 0;
let asking = false, again = false;
let shownPart = null;
let ready = false; // is its picture on the screen?

const picture = (id) => `/api/v1/records/${encodeURIComponent(id)}/picture`;
const ahead = new Map(); // pictures of the next parts, by record
const left = new Set(); // answered or skipped here, though the station may not know it yet

async function post(path, body) {
  const headers = { "content-type": "application/json", "x-reviewer": texts.person };
  const reply = await fetch(`/api/v1/review${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return [reply, await reply.json().catch(() => ({}))];
}

async function fetchParts() {
  if (asking) return;
  asking = true;
  const asked = JSON.stringify(wish);
  try {
    const held = parts.map((part) => part.id).slice(0, 20);
    const most = Math.max(0, AHEAD - parts.length);
    const body = { order: wish.order, class: wish.class, blind: wish.blind, most, held, again };
    const [reply, found] = await post("/next", body);
    if (reply.ok) {
      back();
      if (asked === JSON.stringify(wish)) take(found);
      else release(found.parts.map((part) => part.id)); // the wish has changed meanwhile
    } else if (reply.status === 401 || reply.status === 403) ended(found.detail);
    else lost(found.detail);
  } catch {
    lost();
  }
  asking = false;
  if (asked !== JSON.stringify(wish)) fetchParts();
}

function take(found) {
  again = false;
  const known = new Set([...parts.map((part) => part.id), ...left]);
  for (const part of found.parts.filter((one) => !known.has(one.id))) {
    parts.push(part);
    const image = new Image();
    image.src = picture(part.id);
    ahead.set(part.id, image);
  }
  ({ waiting, skipped } = found);
  if (JSON.stringify(classes) !== JSON.stringify(found.classes)) {
    classes = found.classes;
    showClasses();
  }
  showPart();
}

function release(ids) {
  if (ids.length) post("/release", { records: ids.slice(0, 20) }).catch(() => {});
}

function startOver() {
  remember("wish", wish);
  release(parts.map((part) => part.id));
  parts = [];
  showPart();
  fetchParts();
}

// --- what is shown ----------------------------------------------------------------------------

function showPart() {
  const part = parts[0] || null;
  show("waiting", number.format(waiting));
  show("done", number.format(done));
  element("skipped-line").hidden = skipped === 0;
  show("skipped", fill(words.skipped, { n: number.format(skipped) }));
  element("undo").disabled = history.length === 0;
  if (part === shownPart) {
    if (part === null) show("no-picture", classes.length ? words.nothing : "…");
    return;
  }
  shownPart = part;
  ready = false;
  endHeat();
  const image = element("picture");
  image.hidden = true;
  image.removeAttribute("src");
  element("no-picture").hidden = false;
  show("no-picture", part === null ? words.nothing : "…");
  show("serial", part === null ? "" : part.serial || part.id);
  show("at", part === null ? "" : clock.format(new Date(part.at)));
  show("camera", part === null ? "" : part.camera);
  showFound(part);
  element("frame").hidden = part === null;
  if (part !== null) {
    element("frame").href = `/records/${encodeURIComponent(part.id)}/frame`;
    image.src = picture(part.id);
  }
  element("comment").value = part === null ? "" : drafts[part.id] || "";
  ahead.delete(part && part.id);
  allow();
}

function showFound(part) {
  const open = part !== null && part.verdict && !wish.blind;
  element("verdict").className = open ? `found ${part.verdict}` : "found";
  show("verdict", open ? `${words[part.verdict]} ${part.class}` : "");
  show("reason", open ? part.reason : "");
  const reviews = (part && part.reviews) || [];
  show("others", reviews.map((one) => `${one.reviewer}: ${one.part_class}`).join(" · "));
}

function allow() {
  for (const button of element("classes").children) button.disabled = !ready;
  element("skip").disabled = shownPart === null;
  element("heat").disabled = !ready || wish.blind;
}

element("picture").addEventListener("load", () => {
  ready = true;
  element("picture").hidden = false;
  element("no-picture").hidden = true;
  allow();
});
element("picture").addEventListener("error", () => {
  if (!element("picture").getAttribute("src")) return;
  element("picture").hidden = true;
  element("no-picture").hidden = false;
  show("no-picture", words.no_picture);
});

function showClasses() {
  element("classes").replaceChildren(...classes.map((one, position) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = one.disposition || "unknown";
    button.dataset.name = one.name;
    const key = CLASS_KEYS[position];
    if (key) {
      const hint = document.createElement("kbd");
      hint.textContent = key.toUpperCase();
      button.append(hint, " ");
      button.setAttribute("aria-keyshortcuts", key);
    }
    button.append(one.name);
    button.addEventListener("click", () => answer(one.name));
    return button;
  }));
  if (!classes.some((one) => one.name === wish.class)) wish.class = "";
  const all = element("only").options[0];
  element("only").replaceChildren(all, ...classes.map((one) => new Option(one.name, one.name)));
  element("only").value = wish.class;
  allow();
}

// --- answers ----------------------------------------------------------------------------------

function leave(part, entry) {
  parts.shift();
  left.add(part.id);
  history.push(entry);
  history = history.slice(-HISTORY);
  remember("history", history);
  delete drafts[part.id];
  remember("drafts", drafts);
  waiting = Math.max(0, waiting - 1);
  showPart();
  fetchParts();
}

function answer(name) {
  const part = shownPart;
  if (part === null || !ready) return;
  hideRefusal();
  const comment = element("comment").value.trim();
  element("comment").blur();
  unsent.add({ act: "answer", id: part.id, serial: part.serial, body: { class: name, comment } });
  done += 1;
  remember("done", done);
  show("last", fill(words.answered, { serial: part.serial || part.id, class: name }));
  leave(part, { part, comment, answered: true });
}

function skip() {
  const part = shownPart;
  if (part === null) return;
  hideRefusal();
  unsent.add({ act: "skip", id: part.id, serial: part.serial });
  skipped += 1;
  show("last", fill(words.skipped_one, { serial: part.serial || part.id }));
  leave(part, { part, comment: element("comment").value, answered: false });
}

function undo() {
  const entry = history.pop();
  if (!entry) return;
  hideRefusal();
  remember("history", history);
  left.delete(entry.part.id);
  unsent.add({ act: "undo", id: entry.part.id, serial: entry.part.serial });
  if (entry.answered) done = Math.max(0, done - 1);
  else skipped = Math.max(0, skipped - 1);
  remember("done", done);
  drafts[entry.part.id] = entry.comment;
  remember("drafts", drafts);
  parts = [entry.part, ...parts.filter((part) => part.id !== entry.part.id)];
  waiting += 1;
  show("last", fill(words.undone, { serial: entry.part.serial || entry.part.id }));
  showPart();
}

const unsent = unsentAnswers(texts.station, texts.person, {
  changed: (n, others) => {
    const mine = n ? fill(words.unsent, { n: number.format(n) }) : "";
    show("unsent", [mine, ...others.map((name) => fill(words.unsent_of, { name }))].filter(Boolean).join(" "));
  },
  sent: () => { counted = false; },
  refused: (given, status, detail) => {
    const body = given.body || {};
    const typed = body.class ? `${body.class}${body.comment ? `: ${body.comment}` : ""}` : "";
    show("refusal", `${given.serial || given.id}: ${detail}${typed ? ` (${typed})` : ""}`);
    element("refusal").hidden = false;
    const entry = history.find((one) => one.part.id === given.id);
    if (status === 422 && entry) { // the part still waits: ask again, with what was typed
      history = history.filter((one) => one !== entry);
      left.delete(given.id);
      drafts[given.id] = body.comment || "";
      done = Math.max(0, done - 1);
      parts = [entry.part, ...parts.filter((part) => part.id !== given.id)];
      showPart();
    } else {
      parts = parts.filter((part) => part.id !== given.id);
      showPart();
    }
    fetchParts();
  },
  lost,
  ended,
  back,
});

function hideRefusal() {
  element("refusal").hidden = true;
}

function lost(detail) {
  show("connection", detail ? `${words.lost} ${detail}` : words.lost);
  element("connection").hidden = false;
}

function back() {
  element("connection").hidden = true;
}

function ended(detail) {
  show("connection", `${words.ended} ${detail || ""} `);
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = words.login;
  element("connection").append(link);
  element("connection").hidden = false;
}

// --- heat map ---------------------------------------------------------------------------------

let heating = null;

function endHeat() {
  if (heating) heating.abort();
  heating = null;
  element("heat").setAttribute("aria-pressed", "false");
  show("heat-note", "");
}

async function toggleHeat() {
  const part = shownPart;
  if (part === null || wish.blind) return;
  if (heating) {
    endHeat();
    element("picture").src = picture(part.id);
    return;
  }
  heating = new AbortController();
  const { signal } = heating;
  element("heat").setAttribute("aria-pressed", "true");
  try {
    const found = await heatMap(part.id, (share) => show("heat-note", fill(texts.making, { done: percent.format(share) })), signal);
    if (signal.aborted) return;
    element("picture").src = found.address;
    show("heat-note", fill(texts.by, { model: found.model }));
  } catch (error) {
    if (!signal.aborted) show("heat-note", `${texts.noHeat} ${error.message}`);
  }
}

// --- progress ---------------------------------------------------------------------------------

let counted = false;

function row(one, enough) {
  const found = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = one.known ? one.name : fill(words.former, { class: one.name });
  const reviewed = document.createElement("td");
  reviewed.className = "n";
  reviewed.textContent = one.known ? `${number.format(one.reviewed)} / ${number.format(enough)}` : number.format(one.reviewed);
  const bar = document.createElement("td");
  if (one.known) {
    const meter = document.createElement("meter");
    meter.max = enough;
    meter.value = Math.min(one.reviewed, enough);
    meter.setAttribute("aria-label", one.name);
    bar.append(meter);
  }
  const waits = document.createElement("td");
  waits.className = "n";
  waits.textContent = number.format(one.waiting);
  found.append(name, reviewed, bar, waits);
  return found;
}

async function showProgress() {
  if (counted) return;
  counted = true;
  const reply = await fetch("/api/v1/review/progress").catch(() => null);
  if (!reply || !reply.ok) {
    counted = false;
    return;
  }
  const found = await reply.json();
  element("progress").replaceChildren(...found.classes.map((one) => row(one, found.enough)));
  const helping = found.classes.find((one) => one.name === found.helps);
  show("helps", helping ? fill(words[found.rule], { class: found.helps, n: number.format(helping.lacking), corrected: number.format(helping.corrected) }) : "");
  show("second", found.second ? fill(words.second, { n: number.format(found.second) }) : "");
  show("disagreements", number.format(found.disagreements));
}

// --- keys and buttons -------------------------------------------------------------------------

function showWish() {
  element("order").value = wish.order;
  element("blind").setAttribute("aria-pressed", String(wish.blind));
  element("keys").setAttribute("aria-pressed", String(wish.keys));
  page.classList.toggle("no-keys", !wish.keys);
}

function toggleBlind() {
  wish.blind = !wish.blind;
  showWish();
  startOver();
}

const commands = { undo, skip, heat: toggleHeat, blind: toggleBlind, comment: () => element("comment").focus() };
for (const name of ["undo", "skip", "heat", "blind"]) element(name).addEventListener("click", commands[name]);

element("keys").addEventListener("click", () => {
  wish.keys = !wish.keys;
  remember("wish", wish);
  showWish();
});
element("again").addEventListener("click", () => {
  again = true;
  left.clear();
  fetchParts();
});
element("order").addEventListener("change", (event) => {
  wish.order = event.target.value;
  event.target.blur();
  startOver();
});
element("only").addEventListener("change", (event) => {
  wish.class = event.target.value;
  event.target.blur();
  startOver();
});
element("comment").addEventListener("input", (event) => {
  if (shownPart === null) return;
  drafts[shownPart.id] = event.target.value;
  remember("drafts", drafts);
});

document.addEventListener("keydown", (event) => {
  if (event.target === element("comment")) {
    if (event.key === "Enter" || event.key === "Escape") event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !wish.keys) return;
  if (event.target.closest("select, input, textarea")) return;
  const key = event.key.toLowerCase();
  const chosen = classes[CLASS_KEYS.indexOf(key)];
  if (chosen) answer(chosen.name);
  else if (key in COMMANDS) commands[COMMANDS[key]]();
  else return;
  event.preventDefault();
});

window.addEventListener("pagehide", () => {
  const records = parts.map((part) => part.id);
  if (records.length) navigator.sendBeacon("/api/v1/review/release", JSON.stringify({ records }));
});
window.addEventListener("pageshow", (event) => event.persisted && fetchParts());

async function openWished() {
  const id = new URLSearchParams(location.search).get("part");
  if (!id) return;
  window.history.replaceState(null, "", location.pathname);
  const [reply, found] = await post(`/parts/${encodeURIComponent(id)}/open`, {}).catch(() => [null, {}]);
  if (reply && reply.ok) parts = [found];
  else {
    show("refusal", found.detail || words.lost);
    element("refusal").hidden = false;
  }
}

showWish();
showProgress();
setInterval(showProgress, COUNTED_MS);
setInterval(fetchParts, ALIVE_MS);
setInterval(() => parts.length === 0 && fetchParts(), EMPTY_MS);
for (const id of unsent.records()) left.add(id);
await openWished();
unsent.start();
fetchParts();
