// The page of one record: its picture, and on request the heat map in its place.

import { heatMap } from "./heat.js";

const element = (id) => document.getElementById(id);
const { id, making, noHeat, by } = element("page").dataset;
const image = element("picture");
const plain = image.getAttribute("src");
const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
let heating = null;

function note(text) {
  element("heat-note").textContent = text;
}

function gone() {
  image.hidden = true;
  element("no-picture").hidden = false;
  element("heat").disabled = true;
}

if (image.complete && image.naturalWidth === 0) gone();
image.addEventListener("error", gone);

element("heat").addEventListener("click", async () => {
  if (heating) {
    heating.abort();
    heating = null;
    image.src = plain;
    element("heat").setAttribute("aria-pressed", "false");
    note("");
    return;
  }
  heating = new AbortController();
  const { signal } = heating;
  element("heat").setAttribute("aria-pressed", "true");
  try {
    const progress = (done) => note(fill(making, { done: percent.format(done) }));
    const found = await heatMap(id, progress, signal);
    image.src = found.address;
    note(fill(by, { model: found.model }));
  } catch (error) {
    if (!signal.aborted) note(`${noHeat} ${error.message}`);
  }
});
