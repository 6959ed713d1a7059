// Stacked bars over time, drawn as SVG.

import { now } from "./live.js";
import { count } from "./page.js";

const KINDS = ["captured", "declined", "expired", "rejected", "in_progress"];
const COLUMN = { in_progress: 1, captured: 2, declined: 3, rejected: 4, expired: 5 };
const LEFT = 44;
const BOTTOM = 24;
const TOP = 8;

const svg = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

export class Chart {
  constructor(drawing, readout) {
    this.drawing = drawing;
    this.readout = readout;
    this.range = null;
    this.over = null;
    this.resting = "";
    new ResizeObserver(() => this.draw()).observe(drawing);
    drawing.addEventListener("pointermove", (event) => this.point(event));
    drawing.addEventListener("pointerleave", () => this.point(null));
    // Time passes without purchases too.
    setInterval(() => this.draw(), 5000);
  }

  show(range) {
    this.range = range;
    this.draw();
  }

  /** The bars from the left edge to now, empty ones included. */
  slots() {
    const { width, span, bars } = this.range;
    const last = Math.floor(now() / 1000 / width) * width;
    const newest = Math.max(last, bars.length ? bars[bars.length - 1][0] : 0);
    const oldest = bars.length ? bars[0][0] : newest;
    const fewest = newest - 11 * width;
    const first = span ? newest - span + width : Math.min(oldest, fewest);
    const known = new Map(bars.map((bar) => [bar[0], bar]));
    const slots = [];
    for (let at = first; at <= newest; at += width) slots.push(known.get(at) ?? [at, 0, 0, 0, 0, 0]);
    return slots;
  }

  draw() {
    const box = this.drawing.getBoundingClientRect();
    if (this.range === null || box.width === 0) return;
    const slots = this.slots();
    const top = nice(Math.max(...slots.map(sum)));
    const area = { width: box.width - LEFT, height: box.height - BOTTOM - TOP };
    const scale = { step: area.width / slots.length, y: (n) => TOP + area.height * (1 - n / top) };
    const parts = [...grid(top, scale, box), ...this.axis(slots, scale, box)];
    slots.forEach((slot, at) => parts.push(...stack(slot, at, scale)));
    this.cursor = svg("rect", { class: "over", y: TOP, height: area.height, width: scale.step });
    this.drawing.replaceChildren(...parts, this.cursor);
    this.shown = { slots, scale };
    const total = slots.reduce((all, slot) => all + sum(slot), 0);
    this.resting = `${count(total)} ${total === 1 ? "purchase" : "purchases"} in ${periodOf(this.range)}, a bar is ${spell(this.range.width)}`;
    this.drawing.setAttribute("aria-label", `${this.resting}. ${totals(slots)}.`);
    this.tell();
  }

  axis(slots, scale, box) {
    const every = Math.max(1, Math.ceil(88 / scale.step));
    const wide = slots.length * this.range.width > 86400 * 1.5;
    const style = this.range.width >= 86400 ? { dateStyle: "medium" }
      : wide ? { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }
        : { timeStyle: this.range.width < 60 && every < 6 ? "medium" : "short" };
    const label = new Intl.DateTimeFormat(undefined, style);
    const marks = [];
    for (let at = slots.length - 1; at >= 0; at -= every) {
      const x = LEFT + (at + 0.5) * scale.step;
      if (x < LEFT + 24) break;
      const anchor = x > box.width - 40 ? "end" : "middle";
      const end = anchor === "end" ? box.width : x;
      const text = label.format(new Date(slots[at][0] * 1000));
      marks.push(svg("text", { x: end, y: box.height - 4, "text-anchor": anchor }, text));
    }
    return marks;
  }

  point(event) {
    this.over = event === null ? null : event.clientX;
    this.tell();
  }

  tell() {
    const { slots, scale } = this.shown ?? {};
    const left = this.drawing.getBoundingClientRect().left + LEFT;
    const at = this.over === null || !slots ? -1 : Math.floor((this.over - left) / scale.step);
    if (at < 0 || at >= slots.length) {
      this.cursor?.setAttribute("visibility", "hidden");
      this.readout.textContent = this.resting;
      return;
    }
    this.cursor.setAttribute("visibility", "visible");
    this.cursor.setAttribute("x", LEFT + at * scale.step);
    const style = { dateStyle: "medium", timeStyle: this.range.width < 60 ? "medium" : "short" };
    const when = new Intl.DateTimeFormat(undefined, style).format(new Date(slots[at][0] * 1000));
    this.readout.textContent = `${when}: ${totals([slots[at]])}`;
  }
}

const sum = (slot) => slot[1] + slot[2] + slot[3] + slot[4] + slot[5];

function totals(slots) {
  const all = (kind) => slots.reduce((total, slot) => total + slot[COLUMN[kind]], 0);
  return KINDS.map((kind) => `${count(all(kind))} ${kind.replace("_", " ")}`).join(", ");
}

function grid(top, scale, box) {
  const lines = top >= 4 ? 4 : top;
  return Array.from({ length: lines + 1 }, (_, at) => (top / lines) * at).flatMap((value) => {
    const y = Math.round(scale.y(value)) + 0.5;
    return [
      svg("line", { x1: LEFT, x2: box.width, y1: y, y2: y }),
      svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, short(value)),
    ];
  });
}

function stack(slot, at, scale) {
  const gap = scale.step > 6 ? 2 : scale.step > 3 ? 1 : 0;
  const shape = { x: LEFT + at * scale.step + gap / 2, width: Math.max(1, scale.step - gap) };
  let below = 0;
  return KINDS.flatMap((kind) => {
    const value = slot[COLUMN[kind]];
    if (!value) return [];
    const y = scale.y(below + value);
    const height = Math.max(0.5, scale.y(below) - y);
    below += value;
    return [svg("rect", { class: kind, ...shape, y, height, rx: Math.min(2, height / 2) })];
  });
}

/** The next number that divides into four readable steps. */
function nice(most) {
  if (most <= 4) return Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(most));
  return [4, 6, 8, 10, 12, 16, 20, 24, 32, 40].map((n) => (n * power) / 2).find((n) => n >= most && n % 4 === 0);
}

const short = (value) => new Intl.NumberFormat(undefined, { notation: value >= 10000 ? "compact" : "standard" }).format(value);

const periodOf = (range) => (range.span ? `the last ${range.name}` : "all");

function spell(seconds) {
  const units = [[604800, "week"], [86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = units.find(([unit]) => seconds % unit === 0);
  const many = seconds / size;
  return many === 1 ? `one ${name}` : `${many} ${name}s`;
}
