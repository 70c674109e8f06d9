// The page: what is wanted by its address, a stream of what is shown, and acts.

import { ago, h, lasting, show, tick } from "./dom.js";
import { VERBS, headline, overview, service } from "./view.js";

const at = (id) => document.getElementById(id);
const main = at("main");

/** What is shown: the last word of the stream. */
const state = { service: null, view: null, filter: "", stream: null, lost: false, over: false };

// Whoever has just come in is given the token that acts need. It is kept for this address alone, port and all, where
// no other page reads it.
const given = document.querySelector("meta[name=token]").content;
if (location.pathname === "/enter") {
  if (given) localStorage.setItem("token", given);
  else localStorage.removeItem("token");
  history.replaceState(null, "", `/${location.hash}`);
}

function wanted() {
  const name = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  return name === "" ? null : name;
}

/** Tells a screen reader what has changed, and nothing twice. */
function say(text) {
  if (at("news").textContent !== text) at("news").textContent = text;
}

function pulse() {
  const view = state.view;
  let words = "connecting …";
  if (state.over) words = "ended";
  else if (state.lost) words = "lost: trying again …";
  else if (view) words = `renewed ${lasting(ago(view.at))} ago`;
  show(at("pulse"), h("span", { class: `dot ${state.over || state.lost ? "off" : view ? "on" : ""}`, "aria-hidden": "true" }), words);
}

/** A card's padding and border, on both sides, as the style has them. */
const edges = () => (matchMedia("(max-width: 760px)").matches ? 34 : 42);

function draw() {
  const { view, service: name } = state;
  document.title = name ? `${name} · tagship` : "tagship";
  show(at("where"), name && [h("span", { class: "slash", "aria-hidden": "true" }, "/"), h("a", { href: "#/" }, "all services")]);
  if (!view) show(main, h("p", { class: "empty" }, name ? `Looking at ${name} …` : "Looking …"));
  else show(main, name ? service(view, Math.max(main.clientWidth - edges(), 200)) : overview(view, state.filter));
  pulse();
  recheck();
}

function open() {
  state.stream?.close();
  state.stream = null;
  if (document.visibilityState === "hidden" || state.over) return;
  const query = state.service ? `?service=${encodeURIComponent(state.service)}` : "";
  const stream = new EventSource(`/events${query}`);
  state.stream = stream;
  const take = (event) => {
    state.view = JSON.parse(event.data);
    state.lost = false;
    if (state.service) {
      const head = headline(state.view);
      say(`${state.service}: ${head.text}`);
      document.title = `${head.kind === "asks" ? "? " : ""}${state.service} · tagship`;
    } else {
      const waiting = state.view.services.filter((it) => it.waitsForAPerson).map((it) => `${it.service} waits: ${it.at}`);
      say(waiting.join("; "));
    }
    draw();
  };
  stream.addEventListener("overview", take);
  stream.addEventListener("service", take);
  stream.addEventListener("trouble", (event) => {
    at("trouble").textContent = event.data;
    at("trouble").hidden = event.data === "";
  });
  stream.addEventListener("open", () => {
    state.lost = false;
    pulse();
  });
  stream.addEventListener("error", () => {
    state.lost = true;
    // It was refused: this page isn't served any more, or by another run of the command.
    if (stream.readyState === EventSource.CLOSED) {
      state.over = true;
      at("trouble").textContent = "This page has ended. Start `tagship dashboard` again, and open the file that it names.";
      at("trouble").hidden = false;
    }
    pulse();
  });
}

function go() {
  const name = wanted();
  if (name === state.service && state.stream) return;
  Object.assign(state, { service: name, view: null });
  close();
  draw();
  open();
  scrollTo(0, 0);
}

// ---- acts ----

const dialog = at("ask");
let asking = null;

function ask(verb) {
  const act = state.view.acts.find((it) => it.verb === verb);
  if (!act) return;
  const why = verb === "stop";
  asking = { act, service: state.service, sent: false };
  at("ask-title").textContent = `${VERBS[verb]}${act.approval ? ` ${act.approval[1]}` : ""}?`;
  at("ask-question").textContent = act.question;
  at("ask-label").textContent = why || verb === "clean" ? "Why, for those who look later" : "What to say with it, if anything";
  at("ask-words").value = "";
  at("ask-words").required = why || verb === "clean";
  at("ask-yes").textContent = VERBS[verb];
  at("ask-yes").className = verb;
  at("ask-yes").disabled = false;
  problem("");
  dialog.showModal();
}

function problem(text) {
  at("ask-problem").textContent = text;
  at("ask-problem").hidden = text === "";
}

const meaning = ({ verb, pipeline, release, approval }) => ({ verb, pipeline, release, approval });

/** While somebody thinks, the world goes on: what isn't open any more can't be answered. */
function recheck() {
  if (!asking || asking.sent || !dialog.open || !state.view?.acts) return;
  const meant = JSON.stringify(meaning(asking.act));
  if (state.view.acts.some((act) => JSON.stringify(meaning(act)) === meant)) return;
  at("ask-yes").disabled = true;
  problem("This isn't open any more: somebody answered meanwhile, or it has ended. Nothing was done.");
}

function close() {
  asking = null;
  if (dialog.open) dialog.close();
}

at("ask-no").addEventListener("click", close);
dialog.addEventListener("close", () => { asking = null; });
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const current = asking;
  current.sent = true;
  at("ask-yes").disabled = true;
  problem("");
  let text = "No answer came: look whether it was done, before you try again.";
  let did = false;
  try {
    const answer = await fetch("/act", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Tagship-Token": localStorage.getItem("token") ?? "" },
      body: JSON.stringify({ service: current.service, meant: meaning(current.act), words: at("ask-words").value }),
    });
    did = answer.ok;
    text = await answer.text();
  } catch { /* said above */ }
  say(text);
  if (asking !== current) return;
  if (did) close();
  else problem(text);
});

// ---- what a person does ----

addEventListener("hashchange", go);
document.addEventListener("visibilitychange", open);
addEventListener("resize", () => { if (state.view && state.service) draw(); });
document.addEventListener("input", (event) => {
  if (event.target.id !== "filter") return;
  state.filter = event.target.value;
  draw();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea") || dialog.open;
  if (event.key === "/" && !typing && at("filter")) {
    event.preventDefault();
    at("filter").focus();
  }
});
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.act) ask(button.dataset.act);
  if (button?.dataset.copy) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      say(`Copied: ${button.dataset.copy}`);
      button.textContent = "Copied";
    } catch {
      say("It can't be copied here: select it instead.");
    }
  }
});
setInterval(() => { tick(); pulse(); }, 1000);

Object.assign(state, { service: wanted() });
draw();
open();
