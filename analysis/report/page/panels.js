// The plots of the explorer, as SVG: scatter panels and parallel coordinates. They draw; explorer.js says what is chosen.

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const SHAPES = ["M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M0,-5L4.6,3.5H-4.6Z", "M-3.6,-3.6H3.6V3.6H-3.6Z",
  "M0,-5L4.6,0L0,5L-4.6,0Z", "M0,5L4.6,-3.5H-4.6Z", "M-1.6,-4.5H1.6V-1.6H4.5V1.6H1.6V4.5H-1.6V1.6H-4.5V-1.6H-1.6Z"];
const FEW = 12;  // different values; an axis with at most so many has a place for each
const CLOSE = 16;  // units around a pointer in which a point is met

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Values → places between two ends, with ticks. Logarithmic where positive values span more than two decades. */
function scaleOf(values, from, to) {
  const finite = values.filter(Number.isFinite);
  let low = Math.min(...finite), high = Math.max(...finite);
  const log = low > 0 && high > 100 * low;
  const turn = log ? Math.log10 : (value) => value;
  if (!finite.length) [low, high] = [0, 1];
  const space = low === high ? Math.abs(turn(low)) || 1 : (turn(high) - turn(low)) * .04;
  const start = turn(low) - space, end = turn(high) + space;
  const place = (value) => from + (turn(value) - start) / (end - start) * (to - from);
  const step = log ? Math.max(1, Math.ceil((end - start) / 3)) : niceStep(end - start);
  const ticks = [];
  for (let tick = Math.ceil(start / step) * step; tick <= end + 1e-12; tick += step) ticks.push(log ? 10 ** tick : tick);
  return { place, ticks: ticks.map((tick) => ({ at: place(tick), text: digits(Number(tick.toPrecision(6))) })) };
}

function niceStep(span) {
  const raw = span / 4, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((each) => each * power >= raw) * power;
}

/** A place for each different value, numbers in ascending order. */
function placesOf(values, from, to) {
  const different = [...new Set(values)].sort(compare);
  const place = (value) => different.length === 1 ? (from + to) / 2
    : from + (different.indexOf(value) + .5) / different.length * (to - from);
  return { place, ticks: different.map((value) => ({ at: place(value), text: digits(value) })) };
}

/** A scatter panel: gap against one column. Points can be met by pointer and by arrow keys, and brushed by dragging. */
function scatterPanel(data, groups, events) {
  const width = 320, height = 250, left = 46, right = 8, top = 8, bottom = 30;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application" });
  const points = svg("g"), axes = svg("g");
  const brush = svg("rect", { class: "brush", visibility: "hidden" });
  root.append(axes, points, brush);
  let places = [], marks = [];

  function show(column) {
    const x = scaleOf(column.values, left, width - right), y = scaleOf(data.gap, height - bottom, top);
    places = column.values.map((value, trial) =>
      Number.isFinite(value) && Number.isFinite(data.gap[trial]) ? [x.place(value), y.place(data.gap[trial])] : null);
    axes.replaceChildren(svg("path", { class: "axis", d: `M${left},${top}V${height - bottom}H${width - right}` }),
      ...x.ticks.map((tick) => svg("text", { x: tick.at, y: height - bottom + 15, "text-anchor": "middle" }, tick.text)),
      ...y.ticks.map((tick) => svg("text", { x: left - 5, y: tick.at + 4, "text-anchor": "end" }, tick.text)));
    marks = places.map((place, trial) => place && svg("path", { class: "point", d: SHAPES[groups[trial] % SHAPES.length],
      fill: COLOURS[groups[trial] % COLOURS.length], transform: `translate(${place[0]} ${place[1]})` }));
    points.replaceChildren(...marks.filter(Boolean));
    root.setAttribute("aria-label", `${data.gapName} against ${column.measure}, ${column.layer}: ${marks.filter(Boolean).length} `
      + "trials. Arrow keys go from trial to trial, space selects one, Escape clears the selection.");
  }

  function at(event) {
    const box = root.getBoundingClientRect(), size = width / box.width;
    return [(event.clientX - box.left) * size, (event.clientY - box.top) * size];
  }
  function nearest([x, y]) {
    let best = null, least = CLOSE ** 2;
    places.forEach((place, trial) => {
      const distance = place ? (place[0] - x) ** 2 + (place[1] - y) ** 2 : Infinity;
      if (distance < least) [best, least] = [trial, distance];
    });
    return best;
  }
  let start = null;
  root.addEventListener("pointerdown", (event) => { start = at(event); root.setPointerCapture(event.pointerId); });
  root.addEventListener("pointermove", (event) => {
    const now = at(event);
    if (start === null) return events.meet(nearest(now));
    if (Math.hypot(now[0] - start[0], now[1] - start[1]) < 6) return undefined;
    const box = [Math.min(start[0], now[0]), Math.min(start[1], now[1]), Math.max(start[0], now[0]), Math.max(start[1], now[1])];
    for (const [name, value] of [["x", box[0]], ["y", box[1]], ["width", box[2] - box[0]], ["height", box[3] - box[1]]])
      brush.setAttribute(name, value);
    brush.setAttribute("visibility", "visible");
    return events.brush(places.flatMap((place, trial) => place && place[0] >= box[0] && place[0] <= box[2]
      && place[1] >= box[1] && place[1] <= box[3] ? [trial] : []), false);
  });
  root.addEventListener("pointerup", (event) => {
    const drawn = brush.getAttribute("visibility") === "visible";
    brush.setAttribute("visibility", "hidden");
    start = null;
    if (drawn) events.settle(); else events.pin(nearest(at(event)));
  });
  root.addEventListener("pointercancel", () => { start = null; brush.setAttribute("visibility", "hidden"); });
  root.addEventListener("keydown", (event) => walk(event, places.map((place) => place && place[0]), events));
  return { root, show, mark: (chosen, current) => marks.forEach((mark, trial) => mark && setState(mark, chosen, current, trial)) };
}

function setState(mark, chosen, current, trial) {
  mark.classList.toggle("off", !chosen.has(trial));
  mark.classList.toggle("current", trial === current);
}

/** Arrow keys go through the trials that pass the filters, in the order of their places. */
function walk(event, places, events) {
  const order = places.map((place, trial) => [place, trial]).filter(([place, trial]) => place !== null && events.passes(trial)).sort((a, b) => a[0] - b[0])
    .map(([, trial]) => trial);
  const now = order.indexOf(events.current());
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (step && order.length) events.meet(order[(now + step + (now < 0 && step < 0 ? 1 : 0) + order.length) % order.length]);
  else if (event.key === " " && now >= 0) events.pin(order[now]);
  else if (event.key === "Escape") events.clear();
  else return;
  event.preventDefault();
}

/** Parallel coordinates: a line for each trial through its hyperparameters, its losses, its gap and one measure. */
function parallelPlot(data, groups, events) {
  const root = svg("svg", { tabindex: 0, role: "application",
    "aria-label": "Parallel coordinates of all trials. Arrow keys go from trial to trial, space selects one, Escape clears." });
  let lines = [], order = [];
  function show(column) {
    const dims = [...data.axes, ...data.quantities.filter(({ name }) => name.endsWith("loss")),
      { name: data.gapName, values: data.gap }, { name: column.measure, values: column.values }];
    const gap = 118, width = gap * (dims.length - 1) + 150, height = 290, top = 40, bottom = 270;
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.style.minWidth = `${Math.min(width, 760)}px`;
    const scales = dims.map(({ values }) => values.some((value) => typeof value === "string")
      || new Set(values).size <= FEW ? placesOf(values, bottom, top) : scaleOf(values, bottom, top));
    const heads = dims.map(({ name }, index) => {
      const x = 65 + gap * index;
      return svg("g", {}, svg("line", { class: "axis", x1: x, x2: x, y1: top, y2: bottom }),
        svg("text", { x, y: 14 + (index % 2) * 15, "text-anchor": "middle" }, name.replaceAll("_", " ")),
        ...scales[index].ticks.map((tick) => svg("text", { x: x - 5, y: tick.at + 4, "text-anchor": "end" }, tick.text)));
    });
    lines = data.trials.map((_, trial) => {
      const path = dims.map(({ values }, index) => values[trial] === null ? null : [65 + gap * index, scales[index].place(values[trial])]);
      return svg("polyline", { class: "line", stroke: COLOURS[groups[trial] % COLOURS.length],
        points: path.filter(Boolean).map((point) => point.join(",")).join(" ") });
    });
    lines.forEach((line, trial) => {
      line.addEventListener("pointerenter", () => events.meet(trial));
      line.addEventListener("click", () => events.pin(trial));
    });
    order = data.gap;
    root.replaceChildren(...lines, ...heads);
  }
  root.addEventListener("keydown", (event) => walk(event, order, events));
  return { root, show, mark: (chosen, current) => lines.forEach((line, trial) => setState(line, chosen, current, trial)) };
}
