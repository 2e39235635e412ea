// Tables that sort, and numbers that open and can be saved.

const keyOf = (cell) => {
  const key = cell.dataset.key, number = Number(key);
  return key === "inf" ? Infinity : key !== "" && !Number.isNaN(number) ? number : key;
};
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? (a === b ? 0 : a < b ? -1 : 1) : String(a).localeCompare(String(b));

/** A new element with attributes, text or children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A click on a head sorts; a second one turns the order round. What is missing stays last. */
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    if (!table.tBodies[0].rows.length) return;
    const ascending = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort") &&
      typeof keyOf(table.tBodies[0].rows[0].cells[column]) === "string";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((one, two) => {
      const a = keyOf(one.cells[column]), b = keyOf(two.cells[column]);
      if ((a === Infinity) !== (b === Infinity)) return a === Infinity ? 1 : -1;
      return ascending ? compare(a, b) : compare(b, a);
    });
    table.tBodies[0].append(...rows);
  }));
}

/** A table in a frame that scrolls, with sortable heads and its first column as row heads. */
function tableOf(title, head, lines) {
  const table = make("table", {}, make("caption", { class: "hidden" }, title));
  table.append(make("thead", {}, make("tr", {}, ...head.map((name) =>
    make("th", { scope: "col" }, make("button", { type: "button" }, name))))));
  const body = table.appendChild(make("tbody"));
  for (const line of lines) {
    body.append(make("tr", {}, ...line.map((value, column) => {
      const isNumber = value !== "" && value !== null && !Number.isNaN(Number(value));
      return make(column ? "td" : "th", {
        scope: column ? null : "row", class: isNumber && column ? "number" : null,
        "data-key": value === "" || value === null ? "inf" : value,
      }, typeof value === "number" ? digits(value) : value ?? "–");
    })));
  }
  makeSortable(table);
  return { table, frame: make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table) };
}

function parseCsv(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
    if (end === "") break;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

function save(text, name, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function openNumbers(details) {
  if (details.querySelector("table")) return;
  const text = document.getElementById(details.dataset.csv).textContent.replaceAll("<\\", "<");
  const [head, ...body] = parseCsv(text);
  const button = make("button", { type: "button", onclick: () => save(text, details.dataset.file, "text/csv") }, "Save as CSV");
  details.append(button, tableOf(details.querySelector("summary").textContent, head, body).frame);
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("table.heat").forEach((map) => ["pointerover", "click"].forEach((kind) =>
  map.addEventListener(kind, ({ target }) => {
    const cell = target.closest("[data-said]");
    if (cell) map.closest("section").querySelectorAll(".said").forEach((line) => {
      if (line.previousElementSibling === map.parentElement) line.textContent = cell.dataset.said;
    });
  })));
document.querySelectorAll("details.numbers").forEach((details) =>
  details.addEventListener("toggle", () => { if (details.open) openNumbers(details); }));
document.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", () =>
  save(document.getElementById(button.dataset.save).textContent, button.dataset.name, "application/yaml")));
document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  const source = document.getElementById(button.dataset.copy);
  getSelection().selectAllChildren(source);  // selected, where a browser does not let a file use the clipboard
  try { await navigator.clipboard.writeText(source.textContent); button.textContent = "Copied"; }
  catch { button.textContent = "Selected: copy it with the keyboard"; }
}));
