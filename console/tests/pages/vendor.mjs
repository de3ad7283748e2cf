// A stand-in for an AI vendor that answers conversations, whole or as streams, and can be told to
// fail.

import { createServer } from "node:http";

const USAGE = { prompt_tokens: 11, completion_tokens: 7 };

function whole() {
  const message = { role: "assistant", content: "Hello." };
  return JSON.stringify({ id: "a", object: "chat.completion", created: 1, model: "sample", choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE });
}

function stream() {
  const chunk = (more) => `data: ${JSON.stringify({ id: "a", object: "chat.completion.chunk", created: 1, model: "sample", ...more })}\n\n`;
  const choice = (delta, reason = null) => ({ choices: [{ index: 0, delta, finish_reason: reason }] });
  return [chunk(choice({ role: "assistant", content: "Hel" })), chunk(choice({ content: "lo." }, "stop")), chunk({ choices: [], usage: USAGE }), "data: [DONE]\n\n"];
}

/** Starts it; `set(false)` has it fail until `set(true)`. */
export async function vendor() {
  let works = true;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => {
      if (!works) {
        response.writeHead(503, { "content-type": "application/json" }).end('{"error":{"message":"Not now."}}');
      } else if (body.includes('"stream":true')) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const piece of stream()) response.write(piece);
        response.end();
      } else {
        response.writeHead(200, { "content-type": "application/json", "x-ratelimit-remaining-requests": "41" }).end(whole());
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // Nothing waits for it.
  server.unref();
  return { address: `127.0.0.1:${server.address().port}`, set: (to) => { works = to; } };
}
