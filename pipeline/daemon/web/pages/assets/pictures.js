// A picture that is not kept, or no longer, leaves its place empty.

for (const image of document.querySelectorAll(".thumb img")) {
  const empty = () => { image.hidden = true; };
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) empty();
  image.addEventListener("error", empty);
}
