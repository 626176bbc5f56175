// The questions: their options and ranges are those of the model's schema, and what was answered is read from them.

const LEFT_OUT = "I’d rather not say";
const INDEX = "body_mass_index";
const CHOICES = ["general_health", "age", "income"];

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const at = (id) => document.getElementById(id);
const slider = at(`${INDEX}-slider`);
const number = at(INDEX);
const left = at(`${INDEX}-left`);

/** Names of the questions that people read, by the field's name. */
export const titles = {
  [INDEX]: "Body mass index",
  general_health: "General health",
  age: "Age",
  income: "Income",
};

let range = { minimum: null, maximum: null };

/** Fill the questions in from the model's input schema. What was answered already stays. */
export function build(schema) {
  const kinds = Object.fromEntries(Object.entries(schema.properties).map(([name, field]) => [name, kind(schema, field)]));
  range = kinds[INDEX];
  for (const input of [slider, number]) {
    input.min = range.minimum;
    input.max = range.maximum;
  }
  if (left.checked) slider.value = (range.minimum + range.maximum) / 2;
  dim();
  at(`${INDEX}-least`).textContent = range.minimum;
  at(`${INDEX}-most`).textContent = range.maximum;
  at(`${INDEX}-hint`).textContent = `${schema.properties[INDEX].description} From ${range.minimum} to ${range.maximum}.`;
  for (const name of CHOICES) {
    at(`${name}-hint`).textContent = schema.properties[name].description.replace(/:.*/s, ".");
    const options = kinds[name].enum.map((value, place, all) => [value, label(name, value, all[place - 1])]);
    if (at(name).tagName === "SELECT") fillSelect(at(name), [["", LEFT_OUT], ...options]);
    else fillChoices(at(name), name, [...options, ["", LEFT_OUT]]);
  }
}

/** Return the answers, as the service takes them: null for what was left out. */
export function read() {
  const form = new FormData(at("questions"));
  const answers = Object.fromEntries(CHOICES.map((name) => [name, form.get(name) || null]));
  answers[INDEX] = left.checked ? null : Number.parseFloat(number.value);
  return answers;
}

/** Say what is wrong with a question; null says that nothing is. */
export function mark(name, problem) {
  const error = at(`${name}-error`);
  error.hidden = problem === null;
  error.textContent = problem ?? "";
  at(name).setAttribute("aria-invalid", String(problem !== null));
}

/** Say that the body mass index does not fit. */
export function explainRange() {
  return `Please give a number from ${range.minimum} to ${range.maximum}, or choose “${LEFT_OUT}”.`;
}

/** Take the body mass index from weight and height, or from the slider, or leave it out: null. */
export function setIndex(value) {
  left.checked = value === null;
  number.value = value === null ? "" : value;
  if (value !== null) slider.value = value;
  dim();
}

/** Listen to the parts of the question for the body mass index, which follow each other. */
export function connect() {
  slider.addEventListener("input", () => setIndex(slider.value));
  number.addEventListener("input", () => {
    // What cannot be read as a number is an answer too, a wrong one, and must not be dropped in silence.
    left.checked = number.value === "" && !number.validity.badInput;
    if (!left.checked) slider.value = number.value;
    dim();
  });
  left.addEventListener("change", () => setIndex(left.checked ? null : slider.value));
  for (const unit of document.querySelectorAll("input[name=units]")) unit.addEventListener("change", changeUnits);
  for (const input of document.querySelectorAll(".measures input")) input.addEventListener("input", workOut);
  at("questions").addEventListener("reset", () => setTimeout(() => {
    setIndex(null);
    slider.value = (range.minimum + range.maximum) / 2;
    changeUnits();
    at("questions").dispatchEvent(new Event("cleared"));
  }));
}

function dim() {
  slider.classList.toggle("unanswered", left.checked);
  slider.setAttribute("aria-valuetext", left.checked ? LEFT_OUT : slider.value);
}

function kind(schema, field) {
  const known = field.anyOf.find((one) => one.type !== "null");
  return "$ref" in known ? schema.$defs[known.$ref.split("/").pop()] : known;
}

function label(name, value, previous) {
  const amounts = (text) => (text ?? "").match(/\d[\d_]*\d|\d/g)?.map((digits) => Number(digits.replaceAll("_", "")));
  if (name === "age") {
    const years = /^FROM_(\d+)(?:_TO_(\d+))?$/.exec(value);
    if (years !== null) return years[2] ? `${years[1]} to ${years[2]}` : `${years[1]} or older`;
  }
  if (name === "income" && /^(FROM|UNDER)_[\d_]+$/.test(value)) {
    const limit = money.format(amounts(value)[0]);
    if (value.startsWith("FROM")) return `${limit} or more`;
    return previous ? `${money.format(amounts(previous)[0])} to under ${limit}` : `Under ${limit}`;
  }
  const words = value.toLowerCase().replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function fillSelect(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, value === "", value === before)));
}

function fillChoices(group, name, options) {
  const before = group.querySelector("input:checked")?.value ?? "";
  group.replaceChildren(...options.map(([value, text]) => {
    const input = Object.assign(document.createElement("input"), { type: "radio", name, value });
    input.defaultChecked = value === "";
    input.checked = value === before;
    const choice = document.createElement("label");
    choice.append(input, Object.assign(document.createElement("span"), { textContent: text }));
    return choice;
  }));
}

function units() {
  return document.querySelector("input[name=units]:checked").value;
}

function changeUnits() {
  for (const part of document.querySelectorAll(".measures")) part.hidden = part.dataset.units !== units();
  workOut();
}

function workOut() {
  const of = (id) => Number.parseFloat(at(id).value) || 0;
  const metric = units() === "metric";
  const kilograms = metric ? of("kilograms") : of("pounds") * 0.45359237;
  const metres = metric ? of("centimetres") / 100 : (of("feet") * 12 + of("inches")) * 0.0254;
  const complete = kilograms > 0 && metres > 0;
  const index = complete ? Math.round((kilograms / metres ** 2) * 10) / 10 : null;
  const fits = complete && index >= range.minimum && index <= range.maximum;
  at("worked-out").value = !complete ? "" : fits
    ? `Body mass index ${index} kg/m², filled in above.`
    : `That makes ${index} kg/m². The model knows ${range.minimum} to ${range.maximum} only: please check both numbers.`;
  if (fits) setIndex(index);
}
