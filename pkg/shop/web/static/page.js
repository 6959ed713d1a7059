// How the shop's pages write numbers, money and times.

import { now } from "./live.js";

const plain = new Intl.NumberFormat();
export const count = (number) => plain.format(number);

export function percent(share) {
  const digits = share > 0 && share < 0.1 ? 1 : 0;
  const style = { style: "percent", maximumFractionDigits: digits };
  return new Intl.NumberFormat(undefined, style).format(share);
}

/** An amount with as many decimals as its currency has. */
export function figure(amount, currency) {
  return inParts(amount, currency).filter(({ type }) => type !== "currency").map(({ value }) => value).join("").trim();
}

/** An amount with its currency; null is what no calculation could make a sum of. */
export function money(amount, currency) {
  if (amount === null) return `no sum of ${currency}`;
  return `${figure(amount, currency)} ${currency}`;
}

function inParts(amount, currency) {
  try {
    const style = { style: "currency", currency, currencyDisplay: "code" };
    return new Intl.NumberFormat(undefined, style).formatToParts(amount);
  } catch {
    return [{ type: "text", value: amount }]; // not a currency that this browser can know
  }
}

const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** A `<time>`: the time of today, or the day with it. */
export function time(element, iso) {
  if (element.dateTime === iso) return;
  const moment = new Date(iso);
  const today = moment.toDateString() === new Date(now()).toDateString();
  element.dateTime = iso;
  element.title = exactTime.format(moment);
  element.textContent = (today ? clockTime : dayAndTime).format(moment);
}

/** `total_mismatch` as people write it. */
export function words(code) {
  const text = code.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
