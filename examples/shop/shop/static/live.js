// Shows new orders as they come. The browser reconnects by itself, to whichever host answers then.
"use strict";
const SHOWN_MAX = 30;
const list = document.getElementById("feed");
const light = document.getElementById("light");
const state = document.getElementById("state");
const seen = new Set();

function part(name, text, kind) {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function show(order) {
  if (seen.has(order.id)) return;
  seen.add(order.id);
  const row = document.createElement("li");
  const link = part("a", "#" + order.id);
  link.href = "/order/" + order.id;
  const goods = order.items.map((item) => item.quantity + " × " + item.name).join(", ");
  row.append(link, part("span", order.customer + ": " + goods, "what"),
    part("span", "€ " + (order.total_cents / 100).toFixed(2), "price"));
  list.prepend(row);
  while (list.children.length > SHOWN_MAX) list.lastChild.remove();
}

function say(on, text) {
  light.classList.toggle("on", on);
  state.textContent = text;
}

const source = new EventSource("/api/feed");
source.onopen = () => say(true, "Live");
source.onerror = () => say(false, "Reconnecting …");
source.addEventListener("order", (event) => show(JSON.parse(event.data)));
