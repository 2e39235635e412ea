// The explorer: filters, panels, parallel coordinates, τ of what is selected, and the trials, all linked.

/** One sweep's explorer in a root element. `choose(trials)` selects trials, `taus()` is τ of every column over them. */
function explorerOf(root, data) {
  const everything = data.trials.map((_, trial) => trial);
  const grouping = data.axes.find((axis) => axis.values.some((value) => typeof value === "string"));
  // Sorted, so that colours are those of the static figures.
  const names = grouping ? [...new Set(grouping.values)].sort() : [];
  const groups = everything.map((trial) => grouping ? names.indexOf(grouping.values[trial]) : 0);
  const titles = data.columns.map((column) => [column.measure, column.layer].filter(Boolean).join(" · "));
  let brushed = null, current = null, pinned = null;
  const tests = [];  // of the filters: trial → whether it passes

  const passes = (trial) => tests.every((test) => test(trial));
  const chosenTrials = () => everything.filter((trial) => passes(trial) && (brushed === null || brushed.has(trial)));
  const events = {
    current: () => current,
    passes,
    meet: (trial) => { if (trial !== null && trial !== current) { current = trial; mark(); fillCard(); } },
    pin: (trial) => {
      if (trial === null) return events.clear();
      pinned = trial; current = trial;
      brushed = brushed ?? new Set();
      brushed.has(trial) ? brushed.delete(trial) : brushed.add(trial);
      if (!brushed.size) brushed = null;
      fillCard(); update(true);
    },
    brush: (trials) => { brushed = new Set(trials); update(false); },
    settle: () => update(true),
    clear: () => { brushed = null; update(true); },
  };

  // Filters: a box for each value, or two bounds where an axis has many.
  const filters = make("div", { class: "filters" });
  for (const axis of data.axes) {
    const values = [...new Set(axis.values)].sort(compare), field = make("fieldset", {}, make("legend", {}, axis.name.replaceAll("_", " ")));
    if (values.length <= FEW) {
      const boxes = values.map((value) => make("input", { type: "checkbox", checked: true, onchange: () => update(true) }));
      boxes.forEach((box, index) => field.append(make("label", {}, box, digits(values[index]))));
      tests.push((trial) => boxes[values.indexOf(axis.values[trial])].checked);
    } else {
      const [low, high] = ["from", "to"].map((word) => make("input", { type: "number", step: "any", size: 8, oninput: () => update(true) }));
      field.append(make("label", {}, "from", low), make("label", {}, "to", high));
      tests.push((trial) => (low.value === "" || axis.values[trial] >= Number(low.value)) && (high.value === "" || axis.values[trial] <= Number(high.value)));
    }
    filters.append(field);
  }
  const clear = make("button", { type: "button", onclick: () => {
    filters.querySelectorAll("input").forEach((box) => { if (box.type === "checkbox") box.checked = true; else box.value = ""; });
    events.clear();
  } }, "Select all trials again");
  const status = make("p", { class: "status", role: "status" });

  // Panels
  const grid = make("div", { class: "panels" });
  const parallel = parallelPlot(data, groups, events);
  const panels = data.shown.map((start, index) => {
    const panel = scatterPanel(data, groups, events);
    const choice = make("select", { "aria-label": `What panel ${index + 1} shows`, onchange: () => { draw(); update(false); } },
      ...titles.map((title, column) => make("option", { value: column, selected: column === start }, title)));
    const tau = make("div", { class: "tau" });
    grid.append(make("div", { class: "panel" }, choice, tau, panel.root));
    const column = () => data.columns[Number(choice.value)];
    const draw = () => { panel.show(column()); if (index === 0) parallel.show(column()); };
    draw();
    return { ...panel, column, tau };
  });
  const legend = make("p", { class: "note" }, `Vertical axes: ${data.gapName}. `, ...names.map((name, index) =>
    make("span", {}, svg("svg", { width: 14, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": true },
      svg("path", { d: SHAPES[index % SHAPES.length], fill: COLOURS[index % COLOURS.length] })), ` ${name} `)));

  // The trial that a pointer or key has met
  const card = make("div", { class: "card", "aria-live": "polite" });
  function fillCard() {
    const trial = current;
    if (trial === null) {
      card.replaceChildren(make("h3", {}, "No trial yet"), make("p", {}, "Point at a trial in any panel or line, tap it, or focus a panel and use the arrow keys."));
      return;
    }
    const facts = [...data.axes, ...data.quantities, { name: data.gapName, values: data.gap },
      ...panels.map(({ column }) => ({ name: `${column().measure} · ${column().layer}`, values: column().values }))];
    const command = data.checkpoints[trial] ? `renyi measure ${data.checkpoints[trial]}` : "";
    card.replaceChildren(make("h3", {}, data.labels[trial]), make("dl", {}, ...facts.map(({ name, values }) =>
      make("div", {}, make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, digits(values[trial]))))));
    const line = make("p", {}, make("code", {}, data.trials[trial]), " ");
    if (data.runs[trial]) line.append(make("a", { href: data.interface + "/" + data.runs[trial], rel: "noreferrer" }, "its run in MLflow"),
      data.interface.includes("127.0.0.1") ? ` (while \`${data.serve}\` serves it) ` : " ");
    if (command) line.append(make("br"), "Measure it again: ", make("code", {}, command));
    card.append(line);
  }

  // τ of the selection, and the trials
  const tauTable = tableOf("Kendall's τ of the selected trials", ["measure", "layer", "τ, all", "τ, selected", "N selected"],
    data.columns.map((column) => [column.measure, column.layer, signed(column.tau), "", ""]));
  const tauRows = [...tauTable.table.tBodies[0].rows];
  tauRows.forEach((row, index) => { row.cells[2].dataset.key = data.columns[index].tau ?? "inf"; row.cells[2].className = "number"; });
  const head = ["trial", ...data.axes.map(({ name }) => name.replaceAll("_", " ")), ...data.quantities.map(({ name }) => name), data.gapName];
  const trialTable = tableOf("The selected trials", head, everything.map((trial) =>
    [data.trials[trial], ...data.axes.map(({ values }) => values[trial]), ...data.quantities.map(({ values }) => values[trial]), data.gap[trial]]));
  const trialRows = [...trialTable.table.tBodies[0].rows];
  trialRows.forEach((row, trial) => {
    const name = row.cells[0].textContent;
    row.cells[0].replaceChildren(make("button", { type: "button", onclick: () => events.pin(trial), onfocus: () => events.meet(trial) }, name));
    row.addEventListener("pointerenter", () => events.meet(trial));
  });

  function taus(chosen = chosenTrials()) {
    return data.columns.map(({ values }) => kendallTau(values, data.gap, chosen));
  }
  function mark(chosen = new Set(chosenTrials())) {
    [...panels, parallel].forEach((each) => each.mark(chosen, current));
    trialRows.forEach((row, trial) => { row.hidden = !chosen.has(trial); row.classList.toggle("current", trial === current); });
  }
  let waiting = 0;
  function update(settled) {
    const chosen = chosenTrials();
    mark(new Set(chosen));
    const all = chosen.length === everything.length;
    panels.forEach(({ column, tau }) => {
      const found = kendallTau(column().values, data.gap, chosen);
      tau.textContent = `${column().layer ? column().layer + ": " : ""}τ = ${signed(found.tau)} of ${found.n} trials` + (all ? "" : `; of all ${signed(column().tau)}`);
    });
    status.textContent = all ? `All ${chosen.length} trials are selected.` : `${chosen.length} of ${everything.length} trials are selected.`;
    clearTimeout(waiting);
    if (settled) waiting = setTimeout(() => fillTaus(chosen), 0);
  }
  function fillTaus(chosen) {
    const found = chosen.length < everything.length ? taus(chosen)
      : data.columns.map(({ tau, values }) => ({ tau, n: values.filter(Number.isFinite).length }));
    found.forEach(({ tau, n }, index) => {
      const [, , , cell, count] = tauRows[index].cells;
      cell.textContent = signed(tau); cell.dataset.key = tau ?? "inf"; cell.className = "number";
      count.textContent = n; count.dataset.key = n; count.className = "number";
    });
    root.dataset.settled = chosen.length;
  }

  root.append(make("h3", { class: "screen" }, data.name),
    make("p", { class: "note screen" }, "Drag over points to select trials, tap or press space to select one more; every part shows the same selection. τ of a selection is descriptive: it was not declared beforehand."),
    make("div", { class: "screen" }, filters, status, clear), legend, grid, make("div", { class: "screen" }, card,
      make("h3", {}, "Parallel coordinates"),
      make("div", { class: "frame parallel", tabindex: 0, role: "region", "aria-label": "Parallel coordinates" }, parallel.root),
      make("details", {}, make("summary", {}, "τ of every declared measure over the selected trials"), tauTable.frame),
      make("details", {}, make("summary", {}, "The selected trials as a table"), trialTable.frame)));
  fillCard();
  update(true);
  return { choose: (trials) => { brushed = trials === null ? null : new Set(trials); update(true); }, taus, chosenTrials };
}

const explorers = [...document.querySelectorAll(".explorer-data")].map((element) => {
  const root = make("div", { class: "one" });
  document.getElementById("explorer-root").append(root);
  return explorerOf(root, JSON.parse(element.textContent.replaceAll("<\\", "<")));
});
// With the explorer at hand the static figure is for print alone.
if (explorers.length) {
  document.documentElement.classList.add("scripted");
  document.querySelectorAll(".explored details.static").forEach((details) => { details.open = false; });
}
addEventListener("beforeprint", () => document.querySelectorAll("details.methods").forEach((details) => { details.open = true; }));
