"use strict";
(() => {
  // The page must stay quick with 10,000 items, so only one screenful of cards exists at a time; and whatever comes from
  // names, reasons and answers reaches the document as text (textContent), never as markup.
  const PAGE = 60, COSTLY = 100;
  const byId = (id) => document.getElementById(id);
  const { words, items: rows } = JSON.parse(byId("data").textContent);
  const place = JSON.parse(byId("place").textContent);
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      for (const one of document.querySelectorAll("[data-show]")) one.setAttribute("aria-pressed", String(one === button));
      for (const part of document.querySelectorAll("[data-of]")) part.hidden = part.dataset.of !== button.dataset.show;
    });
  }
  if (!rows.length) return;

  const picture = (raw) => raw && { file: place + raw[0], width: raw[1], height: raw[2] };
  const items = rows.map((r) => ({
    name: r[0], state: words[r[1]], code: words[r[2]], reason: r[3], at: r[4], cost: r[5], before: picture(r[6]), after: picture(r[7]),
    steps: r[8].map((s) => ({ step: words[s[0]], picture: picture(s[1]), flags: s[2] })),
    calls: r[9].map((c) => ({ step: words[c[0]], model: words[c[1]], usd: c[2], fate: words[c[3]], outcome: words[c[4]], status: c[5],
      attempts: c[6], request: c[7], at: c[8], seconds: c[9], run: c[10] })),
    files: r[10],
  }));
  for (const item of items) {
    item.text = [item.name, item.state, item.code, item.reason, ...item.calls.flatMap((c) => [c.step, c.model, c.request || "", c.outcome])]
      .join("\n").toLowerCase();
  }
  // Two items may read alike: the first variant of "a", and "a-1".
  const index = new Map();
  for (const item of items) {
    item.id = item.name;
    while (index.has(item.id)) item.id += "'";
    index.set(item.id, item);
  }
  const PRIORITY = { failed: 0, invalid: 1, flagged: 2, uncertain: 3, running: 4, waiting: 5, pending: 6, done: 7, vanished: 8 };
  const LOOK = new Set(["failed", "invalid", "flagged", "uncertain"]);
  const is = (...states) => (item) => states.includes(item.state);
  const FILTERS = [
    ["all", "All", () => true, true],
    ["failed", "Failed", is("failed", "invalid"), true],
    ["flagged", "Flagged", is("flagged"), true],
    ["uncertain", "Uncertain", is("uncertain"), true],
    ["done", "Done", is("done"), false],
    ["waiting", "Waiting", is("waiting", "pending", "running"), false],
    ["vanished", "No longer in source", is("vanished"), false],
    ["costly", "Most expensive", (item) => item.cost > 0, false],
  ];
  const names = new Intl.Collator(undefined, { numeric: true });
  const byName = (a, b) => names.compare(a.name, b.name);
  const ORDERS = {
    look: (a, b) => PRIORITY[a.state] - PRIORITY[b.state] || b.at - a.at || byName(a, b),
    cost: (a, b) => b.cost - a.cost || byName(a, b),
    new: (a, b) => b.at - a.at || byName(a, b),
    name: byName,
  };
  const sorted = {};
  const inOrder = (order) => (sorted[order] ||= [...items].sort(ORDERS[order]));

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const image = (shown, alt) => {
    const element = make("img");
    element.loading = "lazy";
    element.decoding = "async";
    element.alt = alt;
    element.width = 480;
    element.height = Math.max(1, Math.round((480 * shown.height) / shown.width));
    element.src = shown.file;
    return element;
  };
  const dollars = (micros) => {
    const exact = (micros / 1e6).toFixed(6).replace(/0{1,4}$/, "");
    return `$${exact}`;
  };
  const when = (at) => new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const stateName = (state) => (state === "vanished" ? "no longer in source" : state);
  const mark = (state) => make("i", `mark m-${state}`);

  // What is shown is a function of the address alone, so that the way back, reloading and sending a link all work.
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    const filter = FILTERS.some(([id]) => id === given.get("show")) ? given.get("show") : "all";
    const order = Object.hasOwn(ORDERS, given.get("order") || "") ? given.get("order") : filter === "costly" ? "cost" : "look";
    return { filter, order, query: given.get("q") || "", page: Math.max(1, parseInt(given.get("page"), 10) || 1), item: given.get("item") };
  };
  const address = (change) => {
    const to = { ...read(), ...change };
    const parts = new URLSearchParams();
    if (to.filter !== "all") parts.set("show", to.filter);
    if (to.order && to.order !== (to.filter === "costly" ? "cost" : "look")) parts.set("order", to.order);
    if (to.query) parts.set("q", to.query);
    if (to.page > 1) parts.set("page", to.page);
    if (to.item !== null && to.item !== undefined) parts.set("item", to.item);
    return "#" + parts;
  };
  const go = (change) => {
    history.replaceState(null, "", address(change));
    render();
  };

  let found = [], shownList = "";
  const select = ({ filter, order, query }) => {
    const test = FILTERS.find(([id]) => id === filter)[2];
    const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
    const list = inOrder(order).filter((item) => test(item) && terms.every((term) => item.text.includes(term)));
    if (filter !== "costly") return list;
    const limit = inOrder("cost").slice(0, COSTLY).pop().cost;
    return list.filter((item) => item.cost >= limit).slice(0, COSTLY);
  };

  const card = (item) => {
    const link = make("a", "card");
    link.href = address({ item: item.id });
    link.dataset.name = item.id;
    const pic = make("div", "pic");
    const held = item.steps.filter((step) => step.picture).pop();
    const shown = item.after || (held && held.picture) || item.before;
    if (shown) pic.append(image(shown, ""));
    else pic.append("–");
    const text = make("div", "text");
    const under = make("div", "under");
    const state = make("span");
    state.append(mark(item.state), stateName(item.state));
    under.append(state, make("span", "", item.cost ? dollars(item.cost) : ""));
    text.append(make("div", "name", item.name), under);
    if (item.reason) text.append(make("div", LOOK.has(item.state) ? "why warn" : "why soft", item.reason));
    link.append(pic, text);
    const entry = make("li");
    entry.append(link);
    return entry;
  };

  const render = () => {
    const now = read();
    const wanted = JSON.stringify([now.filter, now.order, now.query]);
    const fresh = !shownList.startsWith(wanted);
    if (fresh) found = select(now);
    const pages = Math.max(1, Math.ceil(found.length / PAGE)), page = Math.min(now.page, pages);
    if (shownList !== wanted + page) {
      shownList = wanted + page;
      byId("grid").replaceChildren(...found.slice((page - 1) * PAGE, page * PAGE).map(card));
    }
    for (const chip of byId("chips").children) chip.setAttribute("aria-pressed", String(chip.dataset.filter === now.filter));
    byId("order").value = now.order;
    if (document.activeElement !== byId("search")) byId("search").value = now.query;
    const count = found.length.toLocaleString("en");
    byId("count").textContent = found.length ? `${count} ${found.length === 1 ? "item" : "items"}` : "No item matches.";
    byId("pager").hidden = pages === 1;
    byId("where").textContent = `${page} of ${pages}`;
    byId("back").disabled = page === 1;
    byId("next").disabled = page === pages;
    view(now.item === null ? undefined : index.get(now.item));
  };

  for (const [id, label, test, always] of FILTERS) {
    const count = id === "costly" ? Math.min(COSTLY, items.filter(test).length) : items.filter(test).length;
    if (!count && !always) continue;
    const chip = make("button", "", label);
    chip.type = "button";
    chip.dataset.filter = id;
    if (id !== "costly") chip.append(make("b", "", count.toLocaleString("en")));
    chip.addEventListener("click", () => go({ filter: id, order: null, page: 1 }));
    byId("chips").append(chip);
  }
  byId("tools").hidden = false;
  byId("search").addEventListener("input", () => go({ query: byId("search").value, page: 1 }));
  byId("order").addEventListener("change", () => go({ order: byId("order").value, page: 1 }));
  const turn = (by) => {
    go({ page: read().page + by });
    byId("items").scrollIntoView();
    byId("grid").querySelector(".card").focus({ preventScroll: true });
  };
  byId("back").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));

  // One item, with all its pictures.
  const dialog = byId("view"), compare = byId("compare"), slide = byId("slide");
  let open, shots = [];
  const put = (element, shot) => {
    element.hidden = !shot;
    if (shot) {
      element.src = shot.picture.file;
      element.alt = shot.label;
      element.style.setProperty("--ratio", String(shot.picture.width / shot.picture.height));
    } else element.removeAttribute("src");
  };
  const cutAt = (value) => {
    slide.value = value;
    compare.style.setProperty("--at", `${value}%`);
  };
  const update = () => {
    const right = shots.find((shot) => shot.right), left = shots.find((shot) => shot.left);
    const two = Boolean(left && right && left !== right);
    compare.classList.toggle("two", two);
    put(byId("left"), two ? left : undefined);
    put(byId("right"), right);
    byId("tag-l").textContent = two ? left.label : "";
    byId("tag-r").textContent = right ? right.label : "";
    for (const id of ["cut", "slide", "tag-l"]) byId(id).hidden = !two;
    byId("tag-r").hidden = !right;
    byId("bare").hidden = Boolean(right);
    for (const button of byId("strip").children) button.setAttribute("aria-pressed", String(Boolean(right) && button.shot === right));
  };
  const choose = (side, shot) => {
    if (!shot || !shot.picture) return;
    for (const one of shots) one[side] = one === shot;
    update();
  };
  const fill = (item) => {
    open = item;
    shots = [
      { label: "Before", picture: item.before },
      ...item.steps.map((step) => ({ label: step.step, picture: step.picture, flags: step.flags })),
      ...(item.after || item.files.length ? [{ label: "Finished", picture: item.after }] : []),
    ];
    const there = shots.filter((shot) => shot.picture);
    byId("strip").replaceChildren(...shots.map((shot, number) => {
      const button = make("button");
      button.type = "button";
      button.shot = shot;
      button.disabled = !shot.picture;
      button.title = number < 9 ? `${shot.label} (${number + 1})` : shot.label;
      const thumb = make("div", "thumb");
      thumb.append(shot.picture ? image(shot.picture, "") : "–");
      const size = shot.picture ? `${shot.picture.width} × ${shot.picture.height}` : "no picture";
      button.append(thumb, make("span", "", shot.label), make("small", shot.flags && shot.flags.length ? "warn" : "",
        shot.flags && shot.flags.length ? shot.flags.join(", ") : size));
      button.addEventListener("click", () => choose("right", shot));
      return button;
    }));
    byId("base").replaceChildren(...there.map((shot) => new Option(shot.label, String(shots.indexOf(shot)))));
    byId("against").hidden = there.length < 3;
    cutAt(50);
    for (const shot of there.slice(0, 1)) shot.left = true;
    for (const shot of there.slice(-1)) shot.right = true;
    update();
    byId("v-name").textContent = item.name;
    byId("v-state").replaceChildren(mark(item.state), stateName(item.state) + (item.code && item.code !== item.state ? `: ${item.code}` : ""));
    byId("v-reason").textContent = item.reason;
    const facts = [["Cost", dollars(item.cost) + (item.cost ? " in all runs" : "")], ["Last change", when(item.at)]];
    byId("v-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
    for (const [path, href] of item.files) {
      const file = make("dd");
      const link = make(href ? "a" : "span", "", path);
      if (href) {
        link.href = href;
        link.target = "_blank";
        link.rel = "noopener";
      }
      file.append(link);
      byId("v-facts").append(make("dt", "", "File"), file);
    }
    byId("v-calls-h").hidden = !item.calls.length;
    byId("v-calls").replaceChildren(...item.calls.map(callEntry));
    const position = found.indexOf(item);
    byId("v-back").disabled = position <= 0;
    byId("v-next").disabled = position < 0 || position === found.length - 1;
  };
  const callEntry = (call) => {
    const entry = make("li"), top = make("div", "top");
    top.append(make("span", "", call.step), make("span", call.fate === "uncertain" ? "warn" : call.fate === "spent" ? "" : "soft",
      call.fate === "released" ? "not charged" : call.fate === "spent" ? `$${call.usd}` : `$${call.usd} ${call.fate}`));
    const details = [call.model, call.outcome, call.status && `HTTP ${call.status}`, call.attempts > 1 && `${call.attempts} attempts`,
      call.seconds !== null && `${call.seconds} s`, when(call.at), `run ${call.run}`];
    entry.append(top, make("div", "more", details.filter(Boolean).join(" · ")));
    if (call.request) {
      const request = make("div", "more", "Request ");
      request.append(make("code", "", call.request));
      entry.append(request);
    }
    return entry;
  };
  const view = (item) => {
    if (!item) {
      if (dialog.open) dialog.close();
      return;
    }
    if (item !== open) fill(item);
    if (!dialog.open) {
      dialog.showModal();
      (slide.hidden ? byId("v-close") : slide).focus({ focusVisible: false });
    }
  };
  const step = (by) => {
    const next = found[found.indexOf(open) + by];
    if (!next || !found.includes(open)) return;
    go({ item: next.id, page: Math.floor(found.indexOf(next) / PAGE) + 1 });
    if (!slide.hidden) slide.focus({ focusVisible: false });
  };
  dialog.addEventListener("close", () => {
    // This event comes late: by now another item may be open, or on its way.
    if (dialog.open) return;
    const last = open && open.id;
    open = undefined;
    if (read().item === last) go({ item: null });
    const again = [...byId("grid").querySelectorAll(".card")].find((one) => one.dataset.name === last);
    if (again) again.focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("v-close").addEventListener("click", () => dialog.close());
  byId("v-back").addEventListener("click", () => step(-1));
  byId("v-next").addEventListener("click", () => step(1));
  byId("base").addEventListener("change", () => choose("left", shots[Number(byId("base").value)]));
  slide.addEventListener("input", () => cutAt(slide.value));

  const move = (key) => {
    const cards = [...byId("grid").querySelectorAll(".card")];
    const here = cards.indexOf(document.activeElement);
    if (here < 0) return false;
    const top = cards[0].getBoundingClientRect().top;
    const columns = cards.filter((one) => Math.abs(one.getBoundingClientRect().top - top) < 2).length;
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - columns, ArrowDown: here + columns, Home: 0, End: cards.length - 1 }[key];
    if (to === undefined || !cards[to]) return false;
    cards[to].focus();
    return true;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input[type=search], select");
    if (dialog.open) {
      if (typing) return;
      if (event.key === "j") step(1);
      else if (event.key === "k") step(-1);
      else if (/^[1-9]$/.test(event.key)) choose("right", shots[Number(event.key) - 1]);
      else return;
      event.preventDefault();
    } else if (typing) {
      if (event.key === "Escape" && event.target.id === "search") go({ query: (event.target.value = ""), page: 1 });
    } else if (event.key === "/") {
      byId("search").focus();
      event.preventDefault();
    } else if (move(event.key)) event.preventDefault();
  });
  addEventListener("hashchange", render);
  render();
})();
