// A heat map: asked for again until the station has made it in its idle time.

const AGAIN_MS = 400;

/**
 * @param {string} id - of the record
 * @param {function(number)} progress - is called with the share that is done
 * @param {AbortSignal} signal - ends the waiting
 * @returns {Promise<{address: string, model: string}>} where it is, and which model it explains;
 *   rejected with the station's reason where there will be none
 */
export async function heatMap(id, progress, signal) {
  const address = `/api/v1/records/${encodeURIComponent(id)}/heat`;
  for (;;) {
    const answer = await fetch(address, { signal });
    if (answer.status === 200) {
      return { address, model: answer.headers.get("x-model-version") };
    }
    const found = await answer.json();
    if (answer.status !== 202) throw new Error(found.detail);
    progress(found.done);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    signal.throwIfAborted();
  }
}
