// Weights over time: a stacked chart for each switch, with a table beside it.

import { h, moment, s } from "./dom.js";

const HEIGHT = 132;
const KINDS = 4;

/** Each release has one look while the page is open, wherever it is named: a colour with a pattern. */
const looks = new Map();
export function look(release) {
  if (!release) return "none";
  if (!looks.has(release)) looks.set(release, looks.size % KINDS);
  return `look-${looks.get(release)}`;
}

/** What people call a release's build, as far as it has been seen. */
const builds = new Map();
export function learn(release, build) {
  if (release && build) builds.set(release, build);
}

/** A release in a sentence: by its build's name, or the beginning of its id. */
export const called = (release) => builds.get(release) ?? release.slice(0, 8);

/** The beginning of a release's id with its look. */
export function brief(release, ...more) {
  if (!release) return h("span", { class: "muted" }, "nothing");
  return h("span", { class: "tag" }, h("span", { class: `swatch ${look(release)}`, "aria-hidden": "true" }),
    h("code", { title: release }, release.slice(0, 8)), more);
}

/** The same with its build's name and its role. */
export function tag(release, role) {
  const build = builds.get(release);
  return brief(release, build && h("span", { class: "build" }, build), role && h("span", { class: "role" }, role));
}

const named = (group) => group.release ?? `no targets (${group.group})`;

/** The patterns that areas are filled with; colour comes from the style. */
export function patterns() {
  const lines = ["", "M-2 8 L8 -2 M6 10 L10 6", "M0 4 H8", "M4 0 V8"];
  return s("defs", {}, lines.map((line, index) =>
    s("pattern", { id: `pattern-${index}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      s("rect", { width: 8, height: 8, class: `fill-${index}` }), line && s("path", { d: line, class: "stripe" }))));
}

/** A switch's own part of each stretch, those with the same weights together. */
function stretchesOf(label, weights) {
  const own = [];
  for (const { from, to, switches } of weights) {
    const groups = switches.find((it) => it.switch === label)?.groups;
    if (!groups) continue;
    const last = own.at(-1);
    const same = last && last.to === from && JSON.stringify(last.groups) === JSON.stringify(groups);
    if (same) last.to = to;
    else own.push({ from, to, groups });
  }
  return own;
}

function drawing(label, stretches, width) {
  const [first, last] = [new Date(stretches[0].from), new Date(stretches.at(-1).to)];
  const span = Math.max(last - first, 1000);
  const x = (at) => ((new Date(at) - first) / span) * width;
  const areas = [];
  stretches.forEach(({ from, to, groups }, index) => {
    const [left, right] = [x(from), x(to)];
    const before = stretches[index - 1];
    if (before && before.to !== from) {
      areas.push(s("rect", { x: x(before.to), y: 0, width: Math.max(left - x(before.to), 1), height: HEIGHT, class: "gap" },
        s("title", {}, `${moment(before.to)} to ${moment(from)}: nobody looked`)));
    }
    let top = HEIGHT;
    // A release keeps its place: who was there first is at the bottom.
    for (const group of [...groups].sort((a, b) => look(a.release).localeCompare(look(b.release)))) {
      const height = (group.percent / 100) * HEIGHT;
      top -= height;
      if (height > 0) {
        const kind = look(group.release).replace("look-", "pattern-");
        areas.push(s("rect", { x: left, y: top, width: Math.max(right - left, 1), height,
          fill: group.release ? `url(#${kind})` : undefined, class: group.release ? undefined : "fill-none" },
        s("title", {}, `${moment(from)} to ${moment(to)}: ${group.percent} % to ${named(group)}`)));
      }
    }
  });
  const now = stretches.at(-1).groups.filter((group) => group.percent > 0).map((group) => `${group.percent} % to ${group.release?.slice(0, 8) ?? named(group)}`).join(", ");
  const grid = [0, 0.5, 1].map((part) => s("line", { x1: 0, x2: width, y1: part * HEIGHT, y2: part * HEIGHT, class: "grid" }));
  return s("svg", { class: "chart", role: "img", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`,
    "aria-label": `Weights of ${label} from ${moment(first)} to ${moment(last)}; now ${now}. The table below has all of them.` },
  patterns(), grid, areas);
}

function table(stretches) {
  const served = stretches.flatMap((it) => it.groups.filter((group) => group.percent > 0));
  const heads = new Map(served.map((it) => [named(it), it.release?.slice(0, 8) ?? "no targets"]));
  const percent = (groups, name) => groups.filter((it) => named(it) === name).reduce((sum, it) => sum + it.percent, 0);
  return h("details", { class: "as-table" }, h("summary", {}, "As a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Weights as a table" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), h("th", { scope: "col" }, "To"),
        [...heads].map(([name, head]) => h("th", { scope: "col", class: "number", title: name }, head)))),
      h("tbody", {}, [...stretches].reverse().map(({ from, to, groups }) => h("tr", {}, h("td", {}, moment(from)),
        h("td", {}, moment(to)), [...heads.keys()].map((name) => h("td", { class: "number" }, `${percent(groups, name)} %`))))))));
}

/** How a switch divides its traffic now. */
function bar({ groups }, roles) {
  const parts = groups.filter((group) => group.percent > 0);
  return [
    h("div", { class: "bar", "aria-hidden": "true" },
      parts.map((group) => h("span", { class: look(group.release), "data-percent": group.percent }))),
    h("ul", { class: "legend" }, parts.map((group) => h("li", {}, h("strong", {}, `${group.percent} %`), " ",
      group.release ? tag(group.release, roles.get(group.release)) : h("span", { class: "muted" }, named(group))))),
  ];
}

/** All switches; those that have always been alike share a chart. */
export function traffic(view, width) {
  const roles = new Map(view.releases.map((it) => [it.release, it.role]));
  const alike = new Map();
  for (const it of view.switches) {
    const stretches = stretchesOf(it.switch, view.weights);
    // Rules name the pair's groups in any order.
    const plain = stretches.map(({ from, to, groups }) =>
      [from, to, ...groups.filter((group) => group.percent > 0).map((group) => `${named(group)} ${group.percent}`).sort()]);
    const key = JSON.stringify(plain);
    const known = alike.get(key);
    if (known) known.names.push(it.switch);
    else alike.set(key, { names: [it.switch], now: it, stretches });
  }
  return [...alike.values()].map(({ names, now, stretches }) => {
    const watched = stretches.length > 0 && new Date(stretches.at(-1).to) - new Date(stretches[0].from) > 0;
    return h("div", { class: "switch" },
      h("h3", {}, names.join(", ")), bar(now, roles),
      watched && h("figure", {}, drawing(names.join(", "), stretches, width),
        h("figcaption", {}, h("span", {}, moment(stretches[0].from)),
          h("span", { class: "muted" }, "as seen since this page opened; AWS keeps no past weights"),
          h("span", {}, moment(stretches.at(-1).to)))),
      watched && table(stretches));
  });
}
