// The page: asks the service, shows what it says, and says in words what went wrong.

import { build, connect, explainRange, mark, read, titles } from "./answers.js";
import { show, showBusy, showNone } from "./result.js";
import { describe, obstacle, predict, signIn } from "./service.js";

const PAUSE = 300; // milliseconds without a change after which the model is asked anew
const WAIT = 5; // seconds until the service is asked again, where it does not say
const LONGEST_WAIT = 30;

const at = (id) => document.getElementById(id);
const form = at("questions");

let meaning = "";
let asked = false; // once the button was pressed, the estimate follows the answers
let running = null;
let timer = null;

async function start() {
  clearTimeout(timer);
  try {
    const metadata = await describe();
    const first = at("columns").hidden;
    if (first) build(metadata.input_schema);
    meaning = metadata.output_schema.properties.probability.description;
    showSource(metadata);
    at("notice").hidden = true;
    at("columns").hidden = false;
    if (asked) await estimate();
  } catch (failure) {
    await wait(failure);
  }
}

async function wait(failure) {
  let text = failure.message || "The service gave no answer that this page understands.";
  let again = failure.status === 503 || failure.status === 0;
  if (failure.status === 0) {
    text = "The service does not answer.";
  } else if (failure.status === 503) {
    const { reason, retrying } = await obstacle().catch(() => ({ retrying: true }));
    const why = reason ? ` (${reason})` : "";
    text = retrying
      ? `The service is not ready yet: its model is not loaded${why}.`
      : `The service cannot load its model${why}. It will not by itself: its operator finds the reason in its log.`;
    again = retrying;
  }
  const seconds = Math.min(Math.max(failure.wait ?? WAIT, 1), LONGEST_WAIT);
  at("notice").querySelector("p").textContent = again ? `${text} This page asks again by itself.` : text;
  at("notice").hidden = false;
  clearTimeout(timer);
  if (again) timer = setTimeout(start, 1000 * seconds);
}

async function estimate({ focus = false } = {}) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const answers = read();
  for (const name of Object.keys(titles)) mark(name, null);
  if (Number.isNaN(answers.body_mass_index)) return refuse({ body_mass_index: explainRange() }, [], focus);
  showBusy(true);
  try {
    const answer = await predict(answers, signal);
    const metadata = await describe(); // another version may have taken over
    if (signal.aborted) return undefined;
    showSource(metadata);
    showSignIn(false);
    show(answer, answers, meaning);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (focus) at("result").scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
  } catch (failure) {
    if (!signal.aborted) await explain(failure, focus);
  } finally {
    if (!signal.aborted) showBusy(false);
  }
  return undefined;
}

async function explain(failure, focus) {
  if (failure.status === 401) {
    showNone("empty", "Not asked yet.", "The service wants to know first who asks.");
    showSignIn(true);
  } else if (failure.status === 400) {
    const problems = {};
    const others = [];
    for (const message of failure.messages) {
      const [, name, text] = /^Field '(\w+)': (.*)$/s.exec(message) ?? [];
      if (name in titles) problems[name] = name === "body_mass_index" ? explainRange() : text;
      else others.push(message);
    }
    refuse(problems, others, focus);
  } else {
    showNone("error", "No estimate", failure.message || "The service did not answer. What you answered is still here.");
    if (failure.status === 503 || failure.status === 0) await wait(failure);
  }
}

function refuse(problems, others, focus) {
  const names = Object.keys(problems);
  for (const name of names) mark(name, problems[name]);
  const which = names.map((name) => titles[name].toLowerCase()).join(", ");
  const text = [names.length ? `Please look at: ${which}.` : "", ...others].filter(Boolean).join(" ");
  showNone("error", "The answers do not fit", text || "The service did not take them.");
  showBusy(false);
  if (focus && names.length) at(names[0]).focus();
}

function showSignIn(wanted) {
  const before = at("sign-in").hidden;
  at("sign-in").hidden = !wanted;
  if (wanted && before) at("username").focus();
}

function showSource(metadata) {
  const claims = metadata.statement?.predicate;
  const facts = [["Model", `${metadata.display_name} ${metadata.version}`]];
  if (claims !== undefined) {
    facts.push(["Parameters", claims.parameters_version], ["Serial", claims.serial], ["Signed", day(claims.created)]);
    if (claims.expires) facts.push(["Valid until", day(claims.expires)]);
  }
  if (metadata.key_ids?.length) facts.push(["By the key", metadata.key_ids.join(", ")]);
  at("source").querySelector(".hint").hidden = claims === undefined;
  at("source").querySelector("dl").replaceChildren(...facts.map(([name, value]) => {
    const fact = document.createElement("div");
    fact.append(
      Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: value }),
    );
    return fact;
  }));
  at("source").hidden = false;
  at("card").hidden = !claims?.files?.some((file) => file.name === "card.html");
}

function day(time) {
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  asked = true;
  estimate({ focus: true });
});

form.addEventListener("input", () => {
  if (!asked) return;
  clearTimeout(timer);
  timer = setTimeout(estimate, PAUSE);
});

form.addEventListener("cleared", () => {
  running?.abort();
  clearTimeout(timer);
  asked = false;
  for (const name of Object.keys(titles)) mark(name, null);
  showBusy(false);
  showSignIn(false);
  showNone("empty", "Nothing asked yet.", "Answer what you like and press the button. You can leave out any question.");
});

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const error = at("sign-in-error");
  error.hidden = true;
  try {
    await signIn(at("username").value, at("password").value);
    at("password").value = "";
    await estimate({ focus: true });
    at("estimate").focus();
  } catch (failure) {
    error.textContent = failure.status === 429 && failure.wait !== null
      ? `Too many attempts. Try again in ${failure.wait} seconds.`
      : failure.message || "The service did not answer. Please try again.";
    error.hidden = false;
    at("password").focus();
  }
});

at("again").addEventListener("click", start);
connect();
start();
