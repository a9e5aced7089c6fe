// Server-sent events out of a response's body, as JSON values; comments (`: ping`) are passed over.

/** Yields the value of each `data:` line before `[DONE]`; then reads to the end, so that the connection can be kept. */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let [rest, ended] = ["", false];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split(/\r\n|\n|\r(?!$)/);
      rest = done ? "" : lines.pop();
      for (const line of lines) {
        if (ended || !line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        ended = data === "[DONE]";
        if (!ended) yield JSON.parse(data);
      }
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
