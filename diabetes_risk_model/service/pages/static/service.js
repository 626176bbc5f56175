// What the page asks of the service. Addresses are relative, so that the page may stand below any path of a proxy.

const model = encodeURIComponent(document.querySelector("meta[name=model]").content);
const paths = {
  metadata: `api/models/${model}/metadata`,
  prediction: `api/models/${model}/prediction`,
  ready: "api/health/ready",
  token: "api/token",
};

let token = null; // in memory only: it is gone with the page

/** The service did not do what it was asked; `status` is 0 where it did not answer at all. */
export class Refused extends Error {
  constructor(status, messages, wait) {
    super(messages.join(" "));
    this.status = status;
    this.messages = messages;
    this.wait = wait;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "omit", ...options });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new Refused(0, [], null);
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const messages = Array.isArray(body?.messages) ? body.messages.map(String) : [];
  const wait = Number.parseInt(response.headers.get("Retry-After"), 10);
  throw new Refused(response.ok ? 0 : response.status, messages, Number.isNaN(wait) ? null : wait);
}

/** Describe the model: its schemas, and the statement that its parameters were verified by. */
export function describe() {
  return ask(paths.metadata);
}

/** Return the model's answer. */
export function predict(answers, signal) {
  const headers = { "Content-Type": "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  return ask(paths.prediction, { method: "POST", headers, body: JSON.stringify(answers), signal });
}

/** Get a token for the predictions to come. */
export async function signIn(username, password) {
  const body = new URLSearchParams({ grant_type: "password", username, password });
  token = (await ask(paths.token, { method: "POST", body })).access_token;
}

/** Return the class of what keeps the service from being ready, if it says so, and whether it goes on trying. */
export async function obstacle() {
  const response = await fetch(paths.ready, { cache: "no-store", credentials: "omit" });
  const { reason, retrying } = await response.json();
  return { reason, retrying: retrying !== false };
}
