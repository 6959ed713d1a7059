// One order's story, shown.

import { byId, follow, make, watch, write } from "./live.js";
import { time } from "./page.js";

const MARKS = {
  done: "M5 12.5 10 17.5 19 7",
  failed: "M7 7 17 17 M17 7 7 17",
  waiting: "M6.5 12 H6.51 M12 12 H12.01 M17.5 12 H17.51",
  skipped: "M7 12 H17",
};
const SPOKEN = { done: "Done: ", failed: "Failed: ", waiting: "To come: ", skipped: "" };
const order = byId("order");

watch(order.dataset.live, (story) => {
  const known = story.status !== "unknown";
  order.dataset.status = story.status;
  write(byId("headline"), story.headline);
  byId("unknown").hidden = known;
  byId("known").hidden = !known;
  if (!known) return;
  showSteps(story.steps);
  showSummary(story.summary);
  showEarned(story.loyalty);
});

function showSteps(steps) {
  const next = steps.find((step) => step.state === "waiting");
  follow(byId("steps"), steps, (step) => step.step, createStep, (item, step) => {
    const [mark, title, when, texts] = item.children;
    item.className = step === next ? `${step.state} next` : step.state;
    mark.querySelector("path").setAttribute("d", MARKS[step.state]);
    write(title.firstChild, SPOKEN[step.state]);
    write(title.lastChild, step.title);
    when.hidden = step.at === null;
    if (step.at !== null) time(when, step.at);
    texts.hidden = step.texts.length === 0;
    follow(texts, numbered(step.texts), ([at]) => at, () => make("p"), (line, [, text]) => write(line, text));
  });
}

/** Lines may be alike: their place tells them apart. */
const numbered = (lines) => lines.map((line, at) => [String(at), line]);

function createStep() {
  const item = make("li");
  const mark = make("span", "mark");
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  mark.append(drawing);
  const title = make("h3");
  title.append(make("span", "spoken"), make("span"));
  item.append(mark, title, make("time"), make("div", "texts"));
  return item;
}

function showSummary(summary) {
  byId("summary").hidden = summary === null;
  if (summary === null) return;
  follow(byId("lines"), numbered(summary.lines), ([at]) => at, createLine, (row, [, line]) => {
    write(row.children[0], line.sku);
    write(row.children[1], line.quantity);
    write(row.children[2], line.unit_price);
  });
  write(byId("total"), summary.total);
  write(byId("name"), summary.name);
  write(byId("address"), summary.address);
  byId("more").hidden = summary.more_lines === 0;
  write(byId("more"), `and ${summary.more_lines} more`);
}

function showEarned(earned) {
  byId("loyalty").hidden = earned === null;
  if (earned === null) return;
  write(byId("points"), earned.points);
  write(byId("tier"), earned.tier);
  byId("tier").hidden = earned.tier === "";
  byId("reached").hidden = !earned.is_new;
}

function createLine() {
  const row = make("tr");
  row.append(make("td"), make("td", "number"), make("td", "number"));
  return row;
}
