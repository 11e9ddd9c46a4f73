// Answers on their way to the station: kept in the browser until it has taken them, sent in order.

const AGAIN_MS = 2000;
const AGAIN_LOGIN_MS = 5000;

/**
 * Keeps what a person has answered and sends it, one after another.
 * @param {string} station - its name: ports of one host share what a browser keeps
 * @param {string} person - who answers; what another person has not sent stays for that person
 * @param {{changed: function(number, string[]), sent: function(object), refused: function(object, number, string),
 *   lost: function(), ended: function(), back: function()}} on - how many are unsent, and of which other people;
 *   one was taken; one was refused for good; the station does not answer; the session has ended; all is well again
 */
export function unsentAnswers(station, person, on) {
  const prefix = `lineside-review ${station} `;
  const mine = new Map(); // key, answer
  const others = new Set();
  let sending = false;
  let well = true;
  let made = 0;

  function keep(key, answer) {
    try {
      localStorage.setItem(key, JSON.stringify(answer));
    } catch { /* a browser that keeps nothing: they are in memory */ }
  }

  function forget(key) {
    mine.delete(key);
    try {
      localStorage.removeItem(key);
    } catch { /* as above */ }
  }

  function read() {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix)).sort();
      for (const key of keys) {
        const answer = JSON.parse(localStorage.getItem(key));
        if (answer.person === person) mine.set(key, answer);
        else others.add(answer.person);
      }
    } catch { /* as above */ }
  }

  const changed = () => on.changed(mine.size, [...others]);

  async function post(answer) {
    const body = answer.body ? JSON.stringify(answer.body) : undefined;
    const headers = { "content-type": "application/json", "x-reviewer": person };
    const reply = await fetch(`/api/v1/review/parts/${encodeURIComponent(answer.id)}/${answer.act}`, { method: "POST", body, headers });
    const found = await reply.json().catch(() => ({}));
    return [reply.status, found.detail || ""];
  }

  async function send() {
    if (sending) return;
    sending = true;
    while (mine.size) {
      const [key, answer] = mine.entries().next().value;
      let status = 0, detail = "";
      try {
        [status, detail] = await post(answer);
      } catch { /* no connection */ }
      if (status >= 200 && status < 300) {
        forget(key);
        on.sent(answer);
      } else if (status === 401 || status === 403) {
        well = false;
        on.ended(detail);
        await pause(AGAIN_LOGIN_MS);
        continue;
      } else if (status >= 400 && status < 500 && status !== 429) {
        forget(key);
        on.refused(answer, status, detail);
      } else {
        well = false;
        on.lost(detail);
        await pause(AGAIN_MS);
        continue;
      }
      if (!well) on.back();
      well = true;
      changed();
    }
    sending = false;
  }

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  read();
  return {
    /** Keep and send an answer: {act, id, body}; returns its key. */
    add(answer) {
      made += 1;
      const key = `${prefix}${Date.now()} ${String(made).padStart(6, "0")} ${Math.random()}`;
      const whole = { ...answer, person };
      keep(key, whole);
      mine.set(key, whole);
      changed();
      send();
      return key;
    },
    /** The records that were answered or skipped, of which the station does not know yet. */
    records() {
      const found = new Set();
      for (const { act, id } of mine.values()) {
        if (act === "undo") found.delete(id);
        else found.add(id);
      }
      return found;
    },
    /** Begin with what an earlier page has left. */
    start() {
      changed();
      send();
    },
  };
}
