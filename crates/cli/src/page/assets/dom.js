// Elements, made and renewed in place: what a person has focused, opened or scrolled stays so.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** An HTML element: name, attributes, children. */
export const h = (name, attributes, ...children) => build(document.createElement(name), attributes, children);

/** The same of SVG. */
export const s = (name, attributes, ...children) => build(document.createElementNS(SVG, name), attributes, children);

// What a person changes, not we.
const THEIRS = { DETAILS: ["open"], DIALOG: ["open"] };

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id ?? "") === (b.id ?? "");
}

/** Makes `old` like `fresh`, and keeps every element that stays the same. */
export function morph(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  const theirs = THEIRS[old.nodeName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !theirs.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [was, is] = [[...old.childNodes], [...fresh.childNodes]];
  is.forEach((child, index) => {
    const before = was[index];
    if (!before) old.append(child);
    else if (alike(before, child)) morph(before, child);
    else before.replaceWith(child);
  });
  was.slice(is.length).forEach((child) => child.remove());
}

/** Shows these children in an element, in place of what was there. */
export function show(element, ...children) {
  morph(element, build(element.cloneNode(false), {}, children));
  for (const sized of element.querySelectorAll("[data-percent]")) sized.style.width = `${sized.dataset.percent}%`;
}

const pad = (number) => String(number).padStart(2, "0");

/** A moment in UTC: the date only where it isn't today's. */
export function moment(at) {
  const date = new Date(at);
  const time = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}Z`;
  const day = date.toISOString().slice(0, 10);
  return day === new Date().toISOString().slice(0, 10) ? time : `${day} ${time}`;
}

/** `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`: as the command has it. */
export function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(whole / unit));
  const two = (first, unit, rest, of) => (rest ? `${first} ${unit} ${rest} ${of}` : `${first} ${unit}`);
  if (minutes === 0) return `${whole} s`;
  if (minutes < 10) return two(minutes, "min", whole % 60, "s");
  if (hours === 0) return `${minutes} min`;
  if (days === 0) return two(hours, "h", minutes % 60, "min");
  return two(days, "d", hours % 24, "h");
}

/** How long ago, in seconds. */
export const ago = (at) => (Date.now() - new Date(at)) / 1000;

/** A time element that says the moment. */
export const time = (at) => h("time", { datetime: at }, moment(at));

/** The length since then, kept up to date by [`tick`]. */
export const since = (at) => h("span", { "data-since": at }, lasting(ago(at)));

/** Renews every length on the page. */
export function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = lasting(ago(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
}

/** The last part of an ARN: `arn:aws:iam::1:user/kim` is `kim`. */
export const person = (arn) => arn.split("/").pop();
