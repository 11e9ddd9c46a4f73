// The list of parts of which people think differently.

const element = (id) => document.getElementById(id);
const words = JSON.parse(element("review").dataset.words);
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

function report(text) {
  element("connection").textContent = text;
  element("connection").hidden = false;
}

function item(part) {
  const found = element("part-template").content.firstElementChild.cloneNode(true);
  found.querySelector("a").href = `/review?part=${encodeURIComponent(part.id)}`;
  const image = found.querySelector("img");
  image.onerror = () => { image.hidden = true; };
  image.src = `/api/v1/records/${encodeURIComponent(part.id)}/picture?size=small`;
  found.querySelector("[data-field=serial]").textContent = part.serial || part.id;
  found.querySelector("[data-field=at]").textContent = clock.format(new Date(part.at));
  found.querySelector("[data-field=answers]").textContent = part.reviews
    .map((review) => `${review.reviewer}: ${review.part_class}${review.comment ? ` (${review.comment})` : ""}`)
    .join(" · ");
  return found;
}

async function load() {
  const reply = await fetch("/api/v1/review/disagreements").catch(() => null);
  const found = reply ? await reply.json().catch(() => ({})) : {};
  if (!reply || !reply.ok) {
    report(found.detail || words.lost);
    return;
  }
  element("none").hidden = found.parts.length > 0;
  element("list").replaceChildren(...found.parts.map(item));
}

load();
