// Requests and errors by release, minute by minute: bars on one scale for each release, with a table beside them.

import { look, patterns, tag } from "./chart.js";
import { h, moment, s } from "./dom.js";

const HEIGHT = 64;

const sum = (minutes, what) => minutes.reduce((all, it) => all + it[what], 0);

/** `0.2 %`, `12 %`. */
function share(errors, requests) {
  const percent = requests ? (errors / requests) * 100 : 0;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

const told = (requests, errors) => `${requests} ${requests === 1 ? "request" : "requests"}, ${errors} ${errors === 1 ? "error" : "errors"} (${share(errors, requests)})`;

function bars({ release, minutes }, { first, count, most, seconds }, width) {
  const step = width / count;
  const rects = minutes.flatMap(({ at, requests, errors }) => {
    const x = ((new Date(at) - first) / (seconds * 1000)) * step;
    const [all, bad] = [(requests / most) * HEIGHT, (errors / most) * HEIGHT];
    const bar = (y, height, attributes) => height > 0 && s("rect", { x, y, width: Math.max(step - 1, 1), height, ...attributes },
      s("title", {}, `${moment(at)}: ${told(requests, errors)}`));
    return [bar(HEIGHT - all, all - bad, { fill: `url(#${look(release).replace("look-", "pattern-")})` }),
      // An error that is one of thousands is seen all the same.
      bar(HEIGHT - all, errors ? Math.max(bad, 3) : 0, { class: "errors" })];
  });
  const label = `Requests of ${release.slice(0, 8)} by the minute, errors at the top of each bar: ${told(sum(minutes, "requests"), sum(minutes, "errors"))}. The table below has all of them.`;
  return s("svg", { class: "chart served", role: "img", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-label": label },
    patterns(), s("line", { x1: 0, x2: width, y1: HEIGHT, y2: HEIGHT, class: "grid" }), rects);
}

function table(releases) {
  const times = [...new Set(releases.flatMap((it) => it.minutes.map((minute) => minute.at)))].sort().reverse();
  const cells = ({ minutes }, at) => {
    const one = minutes.find((minute) => minute.at === at) ?? { requests: 0, errors: 0 };
    return [h("td", { class: "number" }, one.requests), h("td", { class: "number" }, one.errors)];
  };
  return h("details", { class: "as-table" }, h("summary", {}, "As a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Requests and errors as a table" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), releases.map(({ release }) => [
        h("th", { scope: "col", class: "number", title: release }, `${release.slice(0, 8)} requests`),
        h("th", { scope: "col", class: "number", title: release }, "errors")]))),
      h("tbody", {}, times.map((at) => h("tr", {}, h("td", {}, moment(at)), releases.map((it) => cells(it, at))))))));
}

/** What was counted, where something was. */
export function served(view, width) {
  const { releases = [], minuteSecs: seconds = 60 } = view.served ?? {};
  if (releases.length === 0) return h("p", { class: "empty" }, "The load balancer has counted no request in the last minutes, as far as CloudWatch tells.");
  const all = releases.flatMap((it) => it.minutes);
  const starts = all.map((it) => Number(new Date(it.at)));
  const [first, last] = [Math.min(...starts), Math.max(...starts)];
  const count = Math.max((last - first) / (seconds * 1000) + 1, 10);
  const scale = { first, count, most: Math.max(...all.map((it) => it.requests), 1), seconds };
  const roles = new Map(view.releases.map((it) => [it.release, it.role]));
  return [
    releases.map((it) => h("figure", { class: "requests" },
      h("figcaption", {}, tag(it.release, roles.get(it.release)), h("span", {}, told(sum(it.minutes, "requests"), sum(it.minutes, "errors")))),
      bars(it, scale, width))),
    h("p", { class: "note" }, `${moment(first)} to ${moment(last + seconds * 1000)}, at most ${scale.most} a bar. CloudWatch tells it some minutes late. An error is a request without a good answer: 5xx, or none.`),
    table(releases),
  ];
}
