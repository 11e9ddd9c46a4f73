// The page Live: draws what the stream brings, and shows one part large.

import { follow } from "./stream.js";
import { heatMap } from "./heat.js";

const element = (id) => document.getElementById(id);
const page = element("live");
const texts = page.dataset;
const words = JSON.parse(texts.words);
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const percent = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const shortClock = new Intl.DateTimeFormat(language, { timeStyle: "short" });

const SKEW_MS = 5000; // between the clocks of this device and the station
const PINNED_MS = 60000; // so long a part that was chosen stays large
const PICTURE_MS = 500; // between two pictures of the last part, however fast parts come
const SMALL_MS = 300; // between two small pictures
const VERDICTS = ["PASS", "FAIL", "REVIEW", "NOT_INSPECTED"];

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

function show(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

function tone(node, name) {
  node.classList.remove(...VERDICTS, "inspecting", "degraded", "idle");
  if (name) node.classList.add(name);
}

const picture = (id, size) => `/api/v1/records/${encodeURIComponent(id)}/picture?size=${size}`;

// --- the part that is shown large -----------------------------------------------------------

let large = null; // the part
let pinned = null; // the timer, while somebody has chosen it
let pictured = null; // whose picture is shown or being fetched
let nextPicture = null; // the timer of the next one
let pictureAt = 0;
let heating = null; // ends the waiting for a heat map

function showLarge(part) {
  large = part;
  tone(element("last"), part.verdict);
  show("verdict", words[part.verdict]);
  show("class", part.class);
  show("serial", part.serial || "–");
  show("at", clock.format(new Date(part.at)));
  show("camera", part.camera);
  show("reason", part.reason);
  element("record").hidden = false;
  element("record").href = `/records/${encodeURIComponent(part.id)}`;
  element("heat").disabled = false;
  if (nextPicture === null) {
    const wait = pinned ? 0 : Math.max(0, pictureAt + PICTURE_MS - Date.now());
    nextPicture = setTimeout(fetchPicture, wait);
  }
}

// A picture stands beside the verdict of another part only while its own is on its way.
function fetchPicture() {
  nextPicture = null;
  pictureAt = Date.now();
  if (pictured === large.id) return;
  const part = large;
  pictured = part.id;
  const image = new Image();
  image.onload = () => pictured === part.id && showPicture(image.src, part);
  image.onerror = () => pictured === part.id && showPicture(null, part);
  image.src = picture(part.id, "large");
}

function showPicture(address, part) {
  const image = element("picture");
  image.hidden = address === null;
  element("no-picture").hidden = address !== null;
  if (address !== null) {
    image.src = address;
    image.alt = `${part.serial} ${words[part.verdict]}`;
  }
}

function pin(part) {
  endHeat();
  clearTimeout(pinned);
  pinned = setTimeout(unpin, PINNED_MS);
  element("follow").hidden = false;
  clearTimeout(nextPicture);
  nextPicture = null;
  showLarge(part);
}

function unpin() {
  endHeat();
  clearTimeout(pinned);
  pinned = null;
  element("follow").hidden = true;
  if (latest) showLarge(latest);
}

function endHeat() {
  if (heating) heating.abort();
  heating = null;
  element("heat").setAttribute("aria-pressed", "false");
  show("heat-note", "");
}

async function toggleHeat() {
  if (heating) {
    endHeat();
    pictured = null;
    fetchPicture();
    return;
  }
  const part = large;
  pin(part);
  heating = new AbortController();
  const { signal } = heating;
  element("heat").setAttribute("aria-pressed", "true");
  const progress = (done) => show("heat-note", fill(texts.making, { done: percent.format(done) }));
  progress(0);
  try {
    const found = await heatMap(part.id, progress, signal);
    clearTimeout(nextPicture);
    nextPicture = null;
    pictured = `heat of ${part.id}`;
    showPicture(found.address, part);
    show("heat-note", fill(texts.by, { model: found.model }));
  } catch (error) {
    if (!signal.aborted) show("heat-note", `${texts.noHeat} ${error.message}`);
  }
}

// --- the rows of parts ------------------------------------------------------------------------

let latest = null; // the newest part

function addTo(row, template, most, part) {
  const known = `${row.id}-${part.id}`;
  if (element(known)) return;
  const item = template.content.firstElementChild.cloneNode(true);
  item.id = known;
  item.dataset.at = part.at;
  tone(item, part.verdict);
  const link = item.querySelector("a");
  link.href = `/records/${encodeURIComponent(part.id)}`;
  link.title = `${clock.format(new Date(part.at))} ${part.serial} ${part.class}`.trim();
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    pin(part);
  });
  for (const field of item.querySelectorAll("[data-field]")) {
    const name = field.dataset.field;
    field.textContent = name === "verdict" ? words[part.verdict] : part[name];
    if (name === "serial") field.textContent = part.serial.split("/").pop(); // of a file its name
  }
  const image = item.querySelector("img");
  if (image) {
    image.onload = () => { image.hidden = false; };
    image.dataset.later = picture(part.id, "small");
  }
  // Newest first; a record that was closed late goes where its time belongs.
  const before = [...row.children].find((other) => other.dataset.at <= part.at);
  row.insertBefore(item, before || null);
  while (row.children.length > most) row.lastElementChild.remove();
}

// One small picture at a time, the newest first: where parts come fast, those that have left the
// row before their turn are not asked for.
function fetchSmall() {
  const image = element("doubtful").querySelector("img[data-later]");
  if (!image) return;
  image.src = image.dataset.later;
  delete image.dataset.later;
}

setInterval(fetchSmall, SMALL_MS);

function addParts(data) {
  for (const part of data.parts) {
    addTo(element("strip"), element("strip-template"), Number(texts.strip), part);
    if (latest === null || part.at >= latest.at) latest = part;
  }
  for (const part of data.doubtful) {
    addTo(element("doubtful"), element("part-template"), Number(texts.doubtful), part);
  }
  if (latest && !pinned) showLarge(latest);
  showCounts(data);
}

// --- state and figures ---------------------------------------------------------------------------

function showCounts(data) {
  for (const span of ["shift", "day"]) {
    const total = data[span];
    for (const verdict of VERDICTS) show(`${span}-${verdict}`, number.format(total.verdicts[verdict]));
    show(`${span}-yield`, total.yield === null ? "–" : percent.format(total.yield));
  }
  show("shift-since", shortClock.format(new Date(data.shift.since)));
  show("takt", data.takt_s === null ? "–" : `${number.format(data.takt_s)} s`);
}

function showState(data) {
  const skew = Date.now() - new Date(data.at).getTime();
  element("clock").hidden = Math.abs(skew) < SKEW_MS;
  const wrong = fill(texts.skewed, { time: clock.format(new Date(data.at)) });
  show("clock", element("clock").hidden ? "" : wrong);
  tone(element("state"), data.state);
  show("word", words[data.state]);
  const why = element("why");
  if (why.dataset.shown !== JSON.stringify(data.why)) {
    why.dataset.shown = JSON.stringify(data.why);
    why.replaceChildren(...data.why.map((reason) => {
      const item = document.createElement("li");
      item.textContent = reason;
      return item;
    }));
  }
  show("model", data.model || texts.noModel);
  show("signed", data.signed_by ? fill(texts.signed, { name: data.signed_by }) : data.model ? texts.unsigned : "");
  showCounts(data);
}

element("heat").addEventListener("click", toggleHeat);
element("follow").addEventListener("click", unpin);

follow(
  "/events",
  {
    snapshot: (data) => { showState(data); addParts(data); },
    parts: addParts,
    state: showState,
    fault: (data) => showLost(data.why),
  },
  {
    lost: (since) => showLost(fill(texts.lost, { time: clock.format(since) })),
    back: () => {
      show("connection", "");
      element("connection").hidden = true;
      page.classList.remove("old");
    },
    ended: () => {
      showLost(texts.ended);
      const link = document.createElement("a");
      link.href = "/login?next=/";
      link.textContent = texts.login;
      element("connection").append(" ", link);
    },
  },
);

function showLost(text) {
  const ended = element("connection").querySelector("a");
  if (ended && text !== texts.ended) return; // that is why it is lost
  show("connection", text);
  element("connection").hidden = false;
  page.classList.add("old"); // what is shown may not be so any more
}
