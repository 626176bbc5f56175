// The model's estimate: a picture of the probability, the same in words, and what was imputed.

import { titles } from "./answers.js";

const CENTRE = [140, 140];
const RADIUS = 100;
const VERDICTS = {
  DIABETES: "Diabetes or prediabetes is the likelier answer",
  NO_DIABETES: "No diabetes is the likelier answer",
};

const panel = document.getElementById("result");
const gauge = document.getElementById("gauge");
const at = (id) => document.getElementById(id);

/** Show an answer of the model.
 * @param answer what the service said.
 * @param answers what it was asked: null was imputed.
 * @param meaning what the schema says that the probability is.
 */
export function show(answer, answers, meaning) {
  const percent = `${(100 * answer.probability).toFixed(1)}%`;
  const verdict = VERDICTS[answer.diabetes_risk] ?? answer.diabetes_risk;
  draw(answer.probability, percent);
  gauge.setAttribute("aria-label", `${percent} on a scale from 0% to 100%, with a mark at 50%`);
  panel.dataset.side = answer.probability >= 0.5 ? "above" : "below";
  say("answer", `${verdict}: ${percent}`, `${meaning} 50% is therefore the average.`);
  const left = Object.keys(titles).filter((name) => answers[name] === null);
  at("imputed").hidden = left.length === 0;
  at("imputed").querySelector("ul").replaceChildren(...left.map((name) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("strong"), { textContent: titles[name] }));
    item.append(": not answered, so the survey’s typical value was used.");
    return item;
  }));
}

/** Show that there is no estimate, and why. */
export function showNone(state, verdict, meaning) {
  draw(0, "?");
  gauge.setAttribute("aria-label", "No estimate");
  delete panel.dataset.side;
  at("imputed").hidden = true;
  say(state, verdict, meaning);
}

/** Show that the model is being asked. */
export function showBusy(busy) {
  panel.setAttribute("aria-busy", String(busy));
}

function say(state, verdict, meaning) {
  at("verdict").textContent = verdict;
  at("meaning").textContent = meaning;
  panel.dataset.state = state;
}

function draw(share, text) {
  const angle = Math.PI * (1 - share);
  gauge.querySelector(".value").setAttribute("stroke-dasharray", `${100 * share} 100`);
  gauge.querySelector(".point").setAttribute("cx", CENTRE[0] + RADIUS * Math.cos(angle));
  gauge.querySelector(".point").setAttribute("cy", CENTRE[1] - RADIUS * Math.sin(angle));
  gauge.querySelector(".number").textContent = text;
}
