// A stream of events that comes back by itself, and reports when it is lost.

const SILENT_MS = 5000; // the station sends something every second
const FIRST_MS = 500;
const LONGEST_MS = 5000;

/**
 * Follow a stream of server-sent events.
 * @param {string} address
 * @param {Object<string, function(object)>} handlers - one for each kind of event
 * @param {{lost: function(Date), back: function(), ended: function()}} on - the connection was
 *   lost (and since when), is back, or the session has ended
 */
export function follow(address, handlers, on) {
  let source, timer;
  let seen = new Date();
  let lost = false;
  let pause = FIRST_MS;

  function alive() {
    seen = new Date();
    clearTimeout(timer);
    timer = setTimeout(drop, SILENT_MS);
    if (lost) on.back();
    lost = false;
    pause = FIRST_MS;
  }

  async function drop() {
    source.close();
    clearTimeout(timer);
    lost = true;
    on.lost(seen);
    setTimeout(open, pause);
    pause = Math.min(2 * pause, LONGEST_MS);
    // An event source does not give the status, so ask for something small.
    const answer = await fetch("/status", { headers: { accept: "application/json" } }).catch(() => null);
    if (answer && answer.status === 401) on.ended();
  }

  function open() {
    source = new EventSource(address);
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => {
        alive();
        handle(JSON.parse(event.data));
      });
    }
    source.onerror = drop;
    clearTimeout(timer);
    timer = setTimeout(drop, SILENT_MS);
  }

  open();
}
