// Wires a report page: decodes its data, makes the viewers, answers the controls.
//
// The data is one JSON object: { arrays, views, looks, matrix, modes, picks, globe }. An array is
// { dtype, shape, base64 }, or { gather, by } for the rows `by` of another array.
"use strict";

const data = JSON.parse(document.getElementById("report-data").textContent);
const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
const TYPES = { float32: Float32Array, uint32: Uint32Array, int16: Int16Array, uint8: Uint8Array };
const decoded = new Map();

function array(name) {
  if (name === null || name === undefined) return null;
  if (!decoded.has(name)) decoded.set(name, decode(data.arrays[name]));
  return decoded.get(name);
}

function decode(entry) {
  if (entry.gather) {
    const from = array(entry.gather), by = array(entry.by), width = entry.width, out = new from.constructor(by.length * width);
    for (let i = 0; i < by.length; i++) for (let c = 0; c < width; c++) out[width * i + c] = from[width * by[i] + c];
    return out;
  }
  const text = atob(entry.base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new TYPES[entry.dtype](bytes.buffer);
}

const number = (x) => (!Number.isFinite(x) ? "not a number" : x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4))));
const css = (rgb) => `rgb(${rgb.map((x) => Math.round(255 * x)).join(",")})`;
const tableColor = (name, t) => { const colors = array(name), i = 3 * Math.round(255 * Math.min(1, Math.max(0, t))); return [colors[i], colors[i + 1], colors[i + 2]]; };

// ---- viewers -------------------------------------------------------------------------------------------

const shared = new Camera(), viewers = {};
for (const figure of findAll("[data-view]")) {
  const name = figure.dataset.view, view = data.views[name], canvas = find("canvas", figure);
  const shape = { positions: array(view.positions), faces: array(view.faces), normals: array(view.normals), radii: array(view.radii), rotation: view.rotation, up: view.up };
  const missing = () => { find(".frame", figure).dataset.message = "This browser offers no WebGL 2, so the shape cannot be shown. The numbers below still hold."; };
  viewers[name] = new Viewer(canvas, shape, shared, { missing });
  canvas.addEventListener("pick", (event) => pickAt(name, event.detail));
  find("[data-save]", figure)?.addEventListener("click", () => savePicture(name));
}

find("#link")?.addEventListener("change", (event) => {
  const [first] = Object.values(viewers);
  if (event.target.checked) shared.copy(first.camera);
  for (const viewer of Object.values(viewers)) {
    const own = event.target.checked ? shared : new Camera();
    if (!event.target.checked) own.copy(shared);
    viewer.attach(own);
  }
});
find("#reset")?.addEventListener("click", () => { for (const viewer of Object.values(viewers)) viewer.camera.reset(); });

function savePicture(name) {
  viewers[name].draw();
  const paper = document.createElement("canvas"), { canvas } = viewers[name];
  Object.assign(paper, { width: canvas.width, height: canvas.height });
  const pen = paper.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, paper.width, paper.height);
  pen.drawImage(canvas, 0, 0);
  paper.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `geospec-${name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// ---- what the colours show -------------------------------------------------------------------------------

function showLook(index) {
  const look = data.looks[index];
  for (const [name, viewer] of Object.entries(viewers)) {
    const part = look.views[name] || { kind: "plain" };
    viewer.setLook({ ...part, colors: array(part.colors), places: array(part.places), values: part.values ? array(part.values) : null, table: array(part.table) });
    showLegend(name, part);
  }
  const note = find("#look-note");
  if (note) note.textContent = look.note;
}

function showLegend(name, part) {
  const legend = find(`[data-view="${name}"] .legend`);
  if (!legend) return;
  legend.replaceChildren(...legendOf(part));
}

const legendOf = (part) => (part.classes ? swatches(part) : part.limits ? bar(part) : [part.caption || ""]);

// A strip of colours between its limits.
function bar(part) {
  const strip = document.createElement("span"), stops = [...Array(17).keys()].map((i) => `rgb(${tableColor(part.table, i / 16)})`);
  strip.className = "strip";
  strip.style.background = `linear-gradient(to right, ${stops})`;
  return [number(part.limits[0]), strip, number(part.limits[1]), ...(part.caption ? [` ${part.caption}`] : [])];
}

// The names of classes beside their colours.
function swatches({ classes, table }) {
  return classes.map((name, i) => {
    const entry = document.createElement("span"), box = document.createElement("i");
    entry.className = "swatch";
    box.style.background = `rgb(${tableColor(table, i / 255)})`;
    entry.append(box, name);
    return entry;
  });
}

for (const choice of findAll("input[name=look]")) if (choice.value !== "modes") choice.addEventListener("change", () => showLook(Number(choice.value)));
if (data.looks.length && !data.modes) showLook(0);

// ---- picked points -----------------------------------------------------------------------------------------

const picks = []; // { vertex: { view name: index }, color, label }

function pickAt(name, { vertex, repeated }) {
  if (!data.picks) return;
  if (repeated) { if (performance.now() - (picks.at(-1)?.time ?? -1e9) < 600) { picks.pop(); showPicks(); } return; } // the first half of a double click
  if (vertex >= 0) addPick(name, vertex);
}

function addPick(name, vertex) {
  const used = new Set(picks.map((pick) => pick.slot)), { colors, others } = data.picks;
  if (picks.length === colors.length) used.delete(picks.shift().slot);
  const slot = colors.findIndex((_, i) => !used.has(i)), at = { [name]: vertex };
  for (const { view, by } of others[name] || []) at[view] = array(by)[vertex];
  picks.push({ vertex: at, from: name, slot, time: performance.now() });
  showPicks();
}

function showPicks() {
  for (const [name, viewer] of Object.entries(viewers)) {
    viewer.setMarkers(picks.filter((p) => name in p.vertex).map((p) => ({ vertex: p.vertex[name], color: data.picks.colors[p.slot], label: String(p.slot + 1) })));
  }
  const body = find("#picks tbody");
  if (!body) return;
  body.replaceChildren(...picks.map((pick) => {
    const row = document.createElement("tr"), dot = document.createElement("span");
    dot.className = "dot";
    dot.style.background = css(data.picks.colors[pick.slot]);
    dot.textContent = pick.slot + 1;
    row.insertCell().append(dot);
    for (const name of Object.keys(viewers)) row.insertCell().textContent = (pick.vertex[name] ?? "–") + (name === pick.from ? " (picked)" : "");
    for (const { view, values } of data.picks.columns) row.insertCell().textContent = pick.vertex[view] === undefined ? "–" : number(array(values)[pick.vertex[view]]);
    return row;
  }));
  find("#picks").hidden = !picks.length;
  find("#no-picks").hidden = picks.length > 0;
}

find("#clear")?.addEventListener("click", () => { picks.length = 0; showPicks(); });
find("#pick-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const { view, vertex } = event.target.elements, index = Number(vertex.value), count = viewers[view.value].shape.positions.length / 3;
  vertex.setCustomValidity(vertex.value !== "" && Number.isInteger(index) && index >= 0 && index < count ? "" : `a whole number from 0 to ${count - 1}`);
  if (vertex.reportValidity()) addPick(view.value, index);
});
find("#pick-form [name=vertex]")?.addEventListener("input", (event) => event.target.setCustomValidity(""));

// ---- the functional map as a picture -------------------------------------------------------------------------

function showMatrix({ values, rows, columns, limit, table }) {
  const canvas = find("#matrix"), readout = find("#matrix-value"), cells = array(values), pen = canvas.getContext("2d");
  Object.assign(canvas, { width: columns, height: rows });
  canvas.style.aspectRatio = `${columns} / ${rows}`;
  const image = pen.createImageData(columns, rows);
  cells.forEach((value, i) => image.data.set([...(Number.isNaN(value) ? [158, 158, 163] : tableColor(table, 0.5 + (0.5 * value) / limit)), 255], 4 * i));
  pen.putImageData(image, 0, 0);
  const cursor = find("#matrix-cursor");
  let at = [0, 0];
  const tell = ([row, column]) => {
    at = [Math.min(rows - 1, Math.max(0, row)), Math.min(columns - 1, Math.max(0, column))];
    readout.textContent = `C[${at[0]}, ${at[1]}] = ${number(cells[at[0] * columns + at[1]])}: target mode ${at[0]}, source mode ${at[1]}`;
    Object.assign(cursor.style, { left: `${(100 * at[1]) / columns}%`, top: `${(100 * at[0]) / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` });
    cursor.hidden = false;
  };
  canvas.addEventListener("pointermove", (event) => tell([Math.floor((event.offsetY / canvas.clientHeight) * rows), Math.floor((event.offsetX / canvas.clientWidth) * columns)]));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    tell([at[0] + step[0], at[1] + step[1]]);
  });
}
if (data.matrix) showMatrix(data.matrix);

// ---- the modes of a basis --------------------------------------------------------------------------------------

function showModes(modes) {
  const { count, eigenvalues, table, beside } = modes;
  const note = find("#look-note"), slider = find("#mode"), title = find("#mode-title");
  const paint = (basis, i, caption) => {
    const all = array(basis.values), n = all.length / basis.count, reach = basis.scales[i];
    const row = Float32Array.from(all.subarray(i * n, (i + 1) * n), (x) => (x * reach) / 32767);
    const part = { kind: "scalar", values: row, limits: [-reach, reach], zeroLine: find("#zero-line").checked, caption };
    viewers[basis.view].setLook({ ...part, table: array(table) });
    showLegend(basis.view, { ...part, table });
  };
  const plain = (view) => { viewers[view].setLook({ kind: "plain" }); showLegend(view, { kind: "plain", caption: "no partner" }); };
  const draw = (i) => {
    paint(modes, i, beside ? `${beside.names[0]} mode ${i}` + told(eigenvalues, i) : "");
    title.textContent = `Mode ${i}` + told(eigenvalues, i);
    if (beside && i < beside.count) {
      paint(beside, i, `${beside.names[1]} mode ${beside.partner[i]}` + told(beside.eigenvalues, i));
      title.textContent += `, |cos| ${beside.cosines[i].toFixed(3)}`;
    } else if (beside) plain(beside.view);
    note.textContent = "Blue is negative, orange positive; each mode has its own scale.";
    slider.value = i;
    for (const dot of findAll("svg [data-mode]")) dot.classList.toggle("current", Number(dot.dataset.mode) === i);
  };
  const told = (values, i) => (values ? `, eigenvalue ${number(values[i])}` : "");
  const look = () => find("input[name=look]:checked")?.value;
  const refresh = () => { if (look() === "modes") draw(Number(slider.value)); };
  const choose = (i) => { const box = find("input[name=look][value=modes]"); if (box) box.checked = true; draw(Math.min(count - 1, Math.max(0, i))); };
  slider.addEventListener("input", () => choose(Number(slider.value)));
  find("#zero-line").addEventListener("change", refresh);
  find("#mode-back").addEventListener("click", () => choose(Number(slider.value) - 1));
  find("#mode-next").addEventListener("click", () => choose(Number(slider.value) + 1));
  find("input[name=look][value=modes]").addEventListener("change", refresh);
  for (const figure of findAll("#spectrum, #cosines")) figure.addEventListener("click", (event) => { const dot = event.target.closest("[data-mode]"); if (dot && Number(dot.dataset.mode) < count) choose(Number(dot.dataset.mode)); });
  choose(Math.min(1, count - 1));
}
if (data.modes) showModes(data.modes);

if (data.globe) showGlobe(data.globe);
