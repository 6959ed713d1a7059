// The board, shown.

import { Chart } from "./chart.js";
import { byId, follow, make, now, watch, write } from "./live.js";
import { count, figure, money, percent, time, words } from "./page.js";

const STATUS = {
  placed: "Being checked",
  validated: "Being paid",
  captured: "Captured",
  declined: "Declined",
  rejected: "Rejected",
  expired: "Expired",
  refunded: "Refunded",
};
const orders = byId("board").dataset.orders;
const chart = new Chart(byId("chart"), byId("readout"));
let chosen = null;
let ranges = [];
let first = true;

watch("/live/board", (board) => {
  const { total } = board.purchases;
  byId("empty").hidden = total > 0;
  byId("board").hidden = total === 0;
  if (total === 0) return;
  showHead(board);
  showRevenue(board);
  showOutcomes(board);
  showRanks("rejections", board.rejections);
  showRanks("declines", board.declines);
  showNewest(board.newest);
  showChart(board.chart);
  first = false;
});

function showHead({ purchases }) {
  write(byId("since"), `${count(purchases.total)} ${purchases.total === 1 ? "purchase" : "purchases"}`);
  document.title = `${count(purchases.total)} · Business · Shop`;
}

function showRevenue({ revenue, uncounted_charges: uncounted }) {
  byId("no-revenue").hidden = revenue.length > 0;
  follow(
    byId("revenue"),
    revenue,
    (line) => line.currency,
    (line) => {
      const item = make("li");
      item.append(make("span", "", line.currency), make("strong"), make("span"));
      return item;
    },
    (item, line) => {
      write(item.children[1], figure(line.amount, line.currency));
      write(item.lastChild, `from ${count(line.purchases)} ${line.purchases === 1 ? "purchase" : "purchases"}`);
    },
  );
  byId("uncounted").hidden = uncounted === 0;
  write(byId("uncounted"), `${count(uncounted)} were charged an amount that is not valid, and are not counted in the revenue.`);
}

function showOutcomes({ purchases }) {
  for (const kind of ["captured", "declined", "rejected", "expired", "refunded", "in_progress"]) {
    const share = purchases[kind] / purchases.total;
    write(document.querySelector(`[data-count="${kind}"]`), count(purchases[kind]));
    write(document.querySelector(`[data-rate="${kind}"]`), percent(share));
    document.querySelector(`#share .${kind}`).style.width = `${share * 100}%`;
  }
  const facts = [
    `${count(purchases.waiting_for_validation)} being checked`,
    `${count(purchases.waiting_for_payment)} being paid`,
    `${count(purchases.told)} customers notified`,
    `${count(purchases.repeated)} sent again with the same id, counted once`,
  ];
  write(byId("facts"), facts.join(" · "));
}

function showRanks(id, ranks) {
  byId(`no-${id}`).hidden = ranks.length > 0;
  const most = Math.max(1, ...ranks.map((rank) => rank.count));
  follow(
    byId(id),
    ranks,
    (rank) => rank.code,
    (rank) => {
      const item = make("li");
      const track = make("span", "track");
      track.append(make("i"));
      item.append(make("span", "name", words(rank.code)), make("span", "number"), track);
      return item;
    },
    (item, rank) => {
      write(item.children[1], count(rank.count));
      item.querySelector("i").style.width = `${(rank.count / most) * 100}%`;
    },
  );
}

function showNewest(newest) {
  follow(byId("newest"), newest, (order) => order.purchase_id, createOrder, updateOrder);
}

function createOrder(order) {
  const row = make("tr", first ? "" : "new");
  const id = make("td");
  const name = make(orders ? "a" : "span", "id", order.purchase_id);
  if (orders) name.href = `/orders?id=${encodeURIComponent(order.purchase_id)}`;
  id.append(name, make("span", "repeats"));
  const status = make("td");
  status.append(make("span", "status"), make("span", "why"));
  const placed = make("td", "number");
  placed.append(make("time"));
  row.append(id, status, make("td", "number"), placed);
  row.setAttribute("role", "row");
  for (const cell of row.children) cell.setAttribute("role", "cell");
  return row;
}

function updateOrder(row, order) {
  const [id, status, amount, placed] = row.children;
  id.lastChild.hidden = order.repeats === 0;
  write(id.lastChild, `sent ${count(order.repeats + 1)} times`);
  status.firstChild.className = `status ${order.status}`;
  write(status.firstChild, STATUS[order.status]);
  write(status.lastChild, order.reasons.map(words).join(", "));
  write(amount, money(order.amount, order.currency));
  time(placed.firstChild, order.since);
}

function showChart(given) {
  ranges = given;
  chosen ??= smallestWithData();
  follow(
    byId("ranges"),
    ranges,
    (range) => range.name,
    (range) => {
      const button = make("button", "", words(range.name));
      button.type = "button";
      button.addEventListener("click", () => choose(range.name));
      return button;
    },
    (button, range) => button.setAttribute("aria-pressed", String(range.name === chosen)),
  );
  chart.show(ranges.find((range) => range.name === chosen));
}

function choose(name) {
  chosen = name;
  showChart(ranges);
}

/** What happens now is what one wants to see; of an old history, all of it. */
function smallestWithData() {
  const since = now() / 1000;
  const found = ranges.find((range) => range.span && range.bars.some((bar) => bar[0] > since - range.span));
  return (found ?? ranges[ranges.length - 1]).name;
}
