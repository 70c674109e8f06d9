// What the page shows of all services, and of one.

import { brief, called, learn, look, tag, traffic } from "./chart.js";
import { h, lasting, ago, moment, person, since, time } from "./dom.js";
import { served } from "./served.js";

/** A state in words, with a sign beside it: colour alone says nothing. */
function sign(kind, mark, ...words) {
  return h("span", { class: `sign ${kind}` }, h("span", { class: "mark", "aria-hidden": "true" }, mark), words);
}

const PHASES = {
  open: "being released",
  approved: "approved: what it replaced is being removed",
  ending: "ended: it is being removed",
};

function lacking(unavailable) {
  if (!unavailable?.length) return null;
  return h("section", { class: "card lacking", "aria-labelledby": "lacking" }, h("h2", { id: "lacking" }, "What couldn't be read"),
    h("ul", {}, unavailable.map((it) => h("li", {}, h("strong", {}, it.part), ": ", it.why))));
}

function rowState(row) {
  if (row.waitsForAPerson) return sign("asks", "?", "waits: ", row.at);
  if (row.at) return sign("running", "▸", row.at);
  if (row.phase) return sign("running", "▸", PHASES[row.phase] ?? row.phase);
  return sign("calm", "–", "nothing under way");
}

/** So few are found without help. */
const FEW = 6;

const rank = (row) => (row.waitsForAPerson ? 0 : row.candidate ? 1 : 2);

/** All services: who waits for a person first. */
export function overview(all, filter) {
  all.services.forEach((row) => { learn(row.live, row.liveBuild); learn(row.candidate, row.candidateBuild); });
  const rows = [...all.services].sort((a, b) => rank(a) - rank(b) || a.service.localeCompare(b.service));
  const found = rows.filter((row) => row.service.toLowerCase().includes(filter.toLowerCase()));
  const waits = rows.filter((row) => rank(row) === 0).length;
  const goes = rows.filter((row) => rank(row) === 1).length;
  const many = (number, one, more) => `${number} ${number === 1 ? one : more}`;
  const heads = ["Service", "Live", "Under way", "At", "For"];
  const cell = (index, ...content) => h("td", { "data-head": heads[index] }, content);
  return [
    h("h1", {}, "Services"),
    h("p", { class: "sum" }, many(rows.length, "service", "services"), ", ",
      waits ? h("strong", {}, many(waits, "waits", "wait"), " for a person") : "none waits for a person", ", ",
      goes ? `${goes} under way` : "nothing else under way", `, in ${all.region}`),
    rows.length > FEW && h("p", { class: "filter" }, h("label", { for: "filter" }, "Find"),
      h("input", { id: "filter", type: "search", autocomplete: "off", spellcheck: "false", "aria-keyshortcuts": "/" }),
      h("kbd", { "aria-hidden": "true" }, "/")),
    rows.length === 0 && h("p", { class: "empty" }, "There is no service yet. ", h("code", {}, "tagship onboard SERVICE"), " begins one."),
    rows.length > 0 && found.length === 0 && h("p", { class: "empty" }, "No service has that in its name."),
    found.length > 0 && h("table", { class: "card services stacked" },
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, found.map((row) => h("tr", { class: row.waitsForAPerson ? "waiting" : undefined },
        h("th", { scope: "row" }, h("a", { href: `#/${encodeURIComponent(row.service)}` }, row.service)),
        cell(1, tag(row.live)), cell(2, tag(row.candidate)), cell(3, rowState(row)),
        cell(4, row.since ? since(row.since) : ""))))),
    h("p", { class: "note" }, "Live is told by the tags of the instances. As of ", time(all.at), "."),
    lacking(all.unavailable),
  ];
}

/** What is the matter with a service, in one sentence: the page's headline, and what a screen reader is told. */
export function headline(view) {
  const { approval, held, running, frozen, live } = view;
  if (approval) return { kind: "asks", mark: "?", text: `${approval.approval} waits for an answer`, at: approval.since };
  if (held?.goingBack) return { kind: "bad", mark: "!", text: `Going back: ${held.goingBack}`, at: null };
  if (running) return { kind: "running", mark: "▸", text: `${running.action} is under way`, at: running.since };
  if (held) return { kind: "running", mark: "▸", text: `Release ${called(held.release)} is ${PHASES[held.phase]}`, at: held.since };
  if (frozen) return { kind: "asks", mark: "‖", text: "Frozen: no release may begin", at: frozen.since };
  return live ? { kind: "good", mark: "✓", text: "Nothing is under way", at: null }
    : { kind: "calm", mark: "–", text: "Nothing has been released yet", at: null };
}

const VERBS = { approve: "Approve", reject: "Reject", stop: "Stop", clean: "Remove what is left" };

function now(view) {
  const { approval, held, running, frozen, queued, live, acts, next } = view;
  const head = headline(view);
  const step = held?.step;
  const left = step?.until ? -ago(step.until) : 0;
  const facts = [
    ["Live", tag(live)],
    held && ["Under way", [tag(held.release, PHASES[held.phase]), " for ", since(held.since)]],
    step && ["Step", `${step.step} of ${step.of}: ${step.percent} %, ${!step.since ? "being given" : left > 0 ? `${lasting(left)} more` : "its time is over"}`],
    running && ["Says", running.says ?? "nothing yet"],
    approval && ["Approving", approval.approving],
    approval && ["Rejecting", approval.rejecting],
    queued.length > 0 && ["Queued", [queued.map((it) => tag(it.release)), ` until ${frozen ? "somebody unfreezes the service" : "the stage is free"}`]],
    frozen && ["Frozen", [frozen.reason, frozen.by && ` (${person(frozen.by)})`, frozen.since && [" for ", since(frozen.since)]]],
  ].filter(Boolean);
  return h("section", { class: `card now ${head.kind}`, "aria-labelledby": "now" },
    h("h2", { id: "now" }, sign(head.kind, head.mark, head.text), head.at && h("span", { class: "for" }, " for ", since(head.at))),
    h("dl", { class: "facts" }, facts.map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    acts.length > 0 && h("div", { class: "buttons" }, acts.map((act) =>
      h("button", { type: "button", class: act.verb, "data-act": act.verb }, VERBS[act.verb]))),
    h("details", { class: "commands" }, h("summary", {}, "What can be done, as commands"),
      h("ul", {}, next.map((it) => h("li", {}, h("code", {}, it.command),
        h("button", { type: "button", class: "plain small", "data-copy": it.command, "aria-label": `Copy ${it.command}` }, "Copy"),
        h("span", { class: "muted" }, it.does))))));
}

const STANDINGS = {
  ahead: ["ahead", "", "to come"], "not-reached": ["ahead", "", "not reached"], running: ["running", "▸", "runs"],
  asks: ["asks", "?", "waits for an answer"], done: ["good", "✓", "done"], approved: ["good", "✓", "approved"],
  failed: ["bad", "✕", "failed"], rejected: ["bad", "✕", "rejected"], abandoned: ["bad", "–", "abandoned"],
};

function pipeline(view) {
  const own = view.actions;
  const current = own.find((it) => ["running", "asks"].includes(it.state));
  return h("section", { class: "card", "aria-labelledby": "pipeline" },
    h("h2", { id: "pipeline" }, "Pipeline ", h("span", { class: "muted" }, view.pipeline ?? "")),
    own.length === 0 ? h("p", { class: "empty" }, "The pipeline isn't known, or may not be read.") :
      h("ol", { class: "row" }, own.map((it) => {
        const [kind, mark, words] = STANDINGS[it.state] ?? ["ahead", "", it.state];
        // What went well needs no words here: the decisions have them.
        const says = it.by ? `by ${person(it.by)}` : ["running", "bad"].includes(kind) && it.says;
        return h("li", { class: kind, title: kind === "ahead" ? undefined : it.says, "aria-current": it === current ? "step" : undefined },
          h("span", { class: "mark", "aria-hidden": "true" }, mark),
          h("span", { class: "name" }, it.action),
          h("span", { class: "state" }, words, ["running", "asks"].includes(it.state) && it.since && [" for ", since(it.since)]),
          it.service && it.service !== view.service && h("span", { class: "state" }, it.service),
          says && h("span", { class: "says" }, says));
      })));
}

const HEALTH = { healthy: ["good", "✓"], initial: ["running", "▸"], unhealthy: ["bad", "✕"], draining: ["calm", "↓"] };

function member(it) {
  const [kind, mark] = HEALTH[it.health] ?? ["calm", "–"];
  const health = it.health ? sign(kind, mark, it.health, it.reason && ` (${it.reason})`) :
    h("span", { class: "muted" }, it.reason ?? "no target");
  const cell = (head, ...content) => h("td", { "data-head": head }, content);
  return h("tr", {}, h("th", { scope: "row" }, h("code", {}, it.id)), cell("State", it.state),
    cell("Address", it.address ?? ""), cell("Health", health));
}

const well = (it) => it.state === "running" && (it.health ?? "healthy") === "healthy";
const LISTED = 12;

function fleet(it) {
  const all = it.instances.length;
  const sick = it.instances.filter((one) => !well(one));
  const listed = all > LISTED ? sick : it.instances;
  const count = it.healthy === undefined ? `${all} instances` : `${it.healthy} of ${all} healthy`;
  return h("article", { class: "fleet" },
    h("h3", {}, tag(it.release, it.role), h("span", { class: "count" }, all ? count : "no instance")),
    all > LISTED && h("p", { class: "muted" }, `${all - sick.length} of ${all} run and are well; the others are listed.`),
    listed.length > 0 && h("table", { class: "stacked" }, h("thead", {}, h("tr", {},
      ["Instance", "State", "Address", "Health"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, listed.map(member))));
}

/** A target group is known by its name; its ARN is long. */
const plain = (text) => text.replace(/arn:[^\s,=]*:targetgroup\/([^/\s]+)\/\w+/g, "$1");

function decisions(view) {
  const lines = view.decisions.map((it) => {
    const [, kind, text] = /^(do|wait|fail): (.*)$/s.exec(it.says) ?? [null, "", it.says];
    return h("li", { class: kind }, time(it.at), h("span", { class: "who" }, it.who),
      h("span", { class: "what" }, h("span", { class: "kind" }, kind), " ", plain(text)));
  });
  return h("section", { class: "card", "aria-labelledby": "decisions" },
    h("h2", { id: "decisions" }, "Decisions ", view.decisionsOf && tag(view.decisionsOf)),
    lines.length === 0 ? h("p", { class: "empty" }, "Nothing was decided yet, as far as the functions' logs say.") :
      h("ol", { class: "log", tabindex: "0", "aria-label": "Decisions, the newest first" }, lines));
}

const OUTCOMES = {
  running: ["running", "▸", "under way"], released: ["good", "✓", "released"],
  "rejected-before-traffic": ["bad", "✕", "rejected before traffic"], "rolled-back": ["bad", "↩", "rejected after traffic"],
  stopped: ["bad", "–", "stopped"], superseded: ["calm", "–", "superseded"],
  "failed-before-traffic": ["bad", "✕", "failed before traffic"], "failed-after-traffic": ["bad", "↩", "failed after traffic"],
};

function history(view) {
  const heads = ["Began", "Release", "Build", "Outcome", "Answered", "Took"];
  const row = (it) => {
    const [kind, mark, words] = OUTCOMES[it.outcome] ?? ["calm", "–", it.outcome];
    const cell = (index, ...content) => h("td", { "data-head": heads[index] }, content);
    return [
      h("tr", { class: it.why ? "has-why" : undefined }, cell(0, time(it.began)), cell(1, brief(it.release)),
        cell(2, h("span", { class: "build" }, it.build ?? it.version?.slice(0, 8) ?? "")), cell(3, sign(kind, mark, words)),
        cell(4, it.by ? person(it.by) : ""), cell(5, it.outcome === "running" ? since(it.began) : lasting(it.seconds))),
      it.why && h("tr", { class: "why" }, h("td", { colspan: heads.length }, it.why)),
    ];
  };
  return h("section", { class: "card", "aria-labelledby": "history" }, h("h2", { id: "history" }, "History"),
    view.history.length === 0 ? h("p", { class: "empty" }, "Nothing has been released yet.") :
      h("table", { class: "stacked" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, view.history.map(row))));
}

const ALARMS = { ok: ["good", "✓"], alarm: ["bad", "!"], "no data": ["calm", "–"], missing: ["bad", "✕"] };

function alarms(view) {
  return h("section", { class: "card", "aria-labelledby": "alarms" }, h("h2", { id: "alarms" }, "Alarms"),
    view.alarms.length === 0 ? h("p", { class: "empty" }, "The settings name no alarm.") :
      h("ul", { class: "plain-list" }, view.alarms.map((it) => {
        const [kind, mark] = ALARMS[it.state] ?? ["calm", "–"];
        return h("li", {}, sign(kind, mark, it.state), h("span", {}, it.name), it.since && h("span", { class: "muted" }, since(it.since)));
      })));
}

function names(view) {
  return h("section", { class: "card", "aria-labelledby": "names" }, h("h2", { id: "names" }, "Names"),
    view.names.length === 0 ? h("p", { class: "empty" }, "No name leads to this service now.") :
      h("ul", { class: "plain-list" }, view.names.map((it) =>
        h("li", {}, h("code", {}, it.name), h("span", { class: "muted" }, it.addresses.join(", "))))));
}

/** One service. */
export function service(view, width) {
  // Who was there first has the first look.
  [...view.releases].reverse().forEach((it) => { look(it.release); learn(it.release, it.build); });
  return [
    h("h1", {}, view.service),
    now(view),
    pipeline(view),
    h("section", { class: "card", "aria-labelledby": "traffic" }, h("h2", { id: "traffic" }, "Traffic"),
      view.switches.length === 0 ? h("p", { class: "empty" }, "No switch of a load balancer is known for this service.") :
        traffic(view, width)),
    view.switches.length > 0 && h("section", { class: "card", "aria-labelledby": "served" }, h("h2", { id: "served" }, "Requests and errors"),
      served(view, width)),
    h("section", { class: "card", "aria-labelledby": "fleets" }, h("h2", { id: "fleets" }, "Fleets"),
      view.releases.length === 0 ? h("p", { class: "empty" }, "No release has instances.") : view.releases.map(fleet)),
    decisions(view),
    history(view),
    h("div", { class: "pair" }, alarms(view), names(view)),
    h("p", { class: "note" }, "As of ", time(view.at), ". Live is told by the tags of the instances; who has the traffic, the weights say. ",
      "The whole story of one release: ", h("code", {}, `tagship why ${view.service} RELEASE`)),
    lacking(view.unavailable),
  ];
}

export { VERBS };
