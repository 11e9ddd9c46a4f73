// An appraiser judges by one key. Nothing is taken before the picture is there, and nothing twice.

const form = document.getElementById("judge");
const picture = document.getElementById("picture");

if (form) {
  const buttons = [...form.querySelectorAll("button")];
  const ready = () => picture.complete && picture.naturalWidth > 0;
  const allow = () => buttons.forEach((button) => (button.disabled = !ready()));
  let sent = false;

  const missing = () => (document.getElementById("no-picture").hidden = false);

  allow();
  if (picture.complete && !ready()) missing();
  picture.addEventListener("error", missing);
  picture.addEventListener("load", allow);
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  // A page that the browser has kept would send an old answer: ask for the next part instead.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toUpperCase();
    const button = buttons.find((b) => b.getAttribute("aria-keyshortcuts") === key);
    if (button && !button.disabled) button.click();
  });
}
