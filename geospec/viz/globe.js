// A page with globes: the reading under the cursor, points with their errors, a flat map of the whole sphere.
//
// data.globe is { points: array of unit vectors | null, center: [lon, lat] }. Each look colours its views with a "field" (see viewer.js)
// that may carry { classes, dots: { choice: { colors, values, limits, table, caption } } }: what its points can show.
"use strict";

const DEGREES = 180 / Math.PI;
const lonLat = ([x, y, z]) => [Math.atan2(y, x) * DEGREES, Math.atan2(z, Math.hypot(x, y)) * DEGREES];
const placeText = ([lon, lat]) => `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(2)}° ${lon < 0 ? "W" : "E"}`;

// Mollweide's map on [-1, 1] x [-1/2, 1/2]; angles in degrees.
function mollweideInverse(x, y) {
  const sine = 2 * y, cosine = Math.sqrt(Math.max(0, 1 - sine * sine));
  if (x * x + sine * sine > 1) return null;
  return [cosine ? (180 * x) / cosine : 0, Math.asin(Math.min(1, Math.max(-1, (2 * Math.asin(sine) + 2 * sine * cosine) / Math.PI))) * DEGREES];
}

function mollweide(lon, lat) { // Newton's method in the angle from the pole, as in projections.py
  const c = 2 * Math.PI * Math.sin((90 - Math.abs(lat)) / DEGREES / 2) ** 2;
  let u = Math.cbrt(6 * c);
  for (let i = 0; i < 6 && u > 1e-4; i++) u -= (u - Math.sin(u) - c) / (2 * Math.sin(u / 2) ** 2);
  return [(lon / 180) * Math.sin(u / 2), (Math.sign(lat) * Math.cos(u / 2)) / 2];
}

// What the globes and the map of a page show together, and the words under them.
class GlobePage {
  constructor({ points, center }) {
    this.center = center;
    this.at = center;
    this.xyz = points ? array(points) : new Float32Array(0);
    this.homes = Array.from({ length: this.xyz.length / 3 }, (_, i) => lonLat(this.xyz.subarray(3 * i, 3 * i + 3)));
    this.padded = new Map();
    this.readings = {};
    [this.first] = Object.keys(viewers);
    for (const [name, viewer] of Object.entries(viewers)) this.listen(name, viewer);
    this.map = new FlatMap(find("#flat"), find("#flat-cursor"), this);
    this.readings.map = find("#flat-reading");
    for (const control of findAll("input[name=look], input[name=dots], #graticule")) control.addEventListener("change", () => this.refresh());
    this.refresh();
  }

  // How a view is coloured, what its points show, and its value at a place.
  partOf(view) { return data.looks[Number(find("input[name=look]:checked").value)].views[view in viewers ? view : this.first]; }
  dotsOf(part) { return part.dots?.[find("input[name=dots]:checked")?.value]; }
  valueAt(part, [lon, lat]) {
    if (!this.padded.has(part.values)) this.padded.set(part.values, withPoles({ ...part, values: array(part.values) }));
    return sampleField(this.padded.get(part.values), part, lon, lat);
  }

  // Write a reading under a globe, and keep it up to date with pointer and keys.
  listen(name, viewer) {
    const output = document.createElement("output"), { canvas } = viewer;
    output.className = "reading";
    find(`[data-view="${name}"]`).append(output);
    this.readings[name] = output;
    const read = (x, y) => { const direction = viewer.direction(x, y); if (direction) this.tell(lonLat(direction)); };
    canvas.addEventListener("pointerdown", (event) => read(event.offsetX, event.offsetY));
    canvas.addEventListener("pointermove", (event) => { if (!event.buttons) read(event.offsetX, event.offsetY); });
    canvas.addEventListener("keydown", (event) => { if (event.key.startsWith("Arrow")) read(canvas.clientWidth / 2, canvas.clientHeight / 2); });
  }

  // Tell the values at a longitude and latitude under every globe and under the map, and mark the place on the map.
  tell(place) {
    this.at = place;
    const point = this.pointNear(place);
    for (const [view, output] of Object.entries(this.readings)) output.textContent = this.say(this.partOf(view), place, point);
    this.map.mark(place);
  }

  say(part, place, point) {
    const told = (value) => part.classes?.[value] ?? number(value), words = `${placeText(place)}: ${told(this.valueAt(part, place))}`;
    if (point < 0 || !this.dotsOf(part)) return words;
    const { measured, error } = part.dots, facts = [`point ${point}`];
    if (measured) facts.push(`measured ${told(array(measured.values)[point])}`, `error ${number(array(error.values)[point])}`);
    return `${words} (${facts.join(", ")})`;
  }

  // The point within a few pixels of a place, or -1.
  pointNear([lon, lat]) {
    const c = Math.cos(lat / DEGREES), u = [c * Math.cos(lon / DEGREES), c * Math.sin(lon / DEGREES), Math.sin(lat / DEGREES)], { xyz } = this;
    let best = Math.cos(0.02 / viewers[this.first].camera.zoom), found = -1;
    for (let i = 0; i < xyz.length / 3; i++) {
      const cosine = xyz[3 * i] * u[0] + xyz[3 * i + 1] * u[1] + xyz[3 * i + 2] * u[2];
      if (cosine > best) { best = cosine; found = i; }
    }
    return found;
  }

  // Turn every globe so that a place faces the reader.
  turnTo([lon, lat]) {
    for (const camera of cameras()) {
      Object.assign(camera, { azimuth: (this.center[0] - lon) / DEGREES, elevation: (lat - this.center[1]) / DEGREES, pan: [0, 0] });
      camera.changed();
    }
  }

  // After another field, another meaning of the points, or the lines were chosen.
  refresh() {
    for (const [name, viewer] of Object.entries(viewers)) {
      const part = this.partOf(name), dots = this.dotsOf(part), radius = Math.max(...viewer.half);
      viewer.look.graticule = find("#graticule").checked;
      viewer.setDots(dots ? { positions: this.xyz.map((x) => x * radius), colors: array(dots.colors) } : null);
      viewer.redraw();
      showLegend(name, part);
      if (dots?.limits) find(`[data-view="${name}"] .legend`).append(dotLegend(dots));
    }
    this.map.draw();
    this.tell(this.at);
    this.map.cursor.hidden = true;
  }
}

// The whole of the first globe's field at once, in Mollweide's projection.
class FlatMap {
  constructor(canvas, cursor, page) {
    Object.assign(this, { canvas, cursor, page });
    const place = (event) => mollweideInverse((2 * event.offsetX) / canvas.clientWidth - 1, 0.5 - event.offsetY / canvas.clientHeight);
    canvas.addEventListener("pointermove", (event) => { const at = place(event); if (at) page.tell(at); });
    canvas.addEventListener("click", (event) => { const at = place(event); if (at) { page.tell(at); page.turnTo(at); } });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, 2], ArrowDown: [0, -2] }[event.key], [lon, lat] = page.at;
      if (step) page.tell([((lon + step[0] + 540) % 360) - 180, Math.min(90, Math.max(-90, lat + step[1]))]);
      else if (event.key === "Enter") page.turnTo(page.at);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  mark(place) {
    const [x, y] = mollweide(...place);
    Object.assign(this.cursor.style, { left: `${50 + 50 * x}%`, top: `${50 - 100 * y}%` });
    this.cursor.hidden = false;
  }

  draw() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), width = Math.round(this.canvas.clientWidth * ratio);
    if (!width) return; // not laid out yet
    Object.assign(this.canvas, { width, height: Math.round(width / 2) });
    const pen = this.canvas.getContext("2d"), part = this.page.partOf(this.page.first), dots = this.page.dotsOf(part);
    this.fill(pen, part);
    this.lines(pen, ratio);
    if (dots) this.dots(pen, array(dots.colors), ratio);
  }

  fill(pen, part) {
    const { width, height } = this.canvas, image = pen.createImageData(width, height), colors = array(part.table), [low, high] = part.limits;
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      const place = mollweideInverse((2 * (column + 0.5)) / width - 1, 0.5 - (row + 0.5) / height), i = 4 * (row * width + column);
      if (!place) continue;
      const value = this.page.valueAt(part, place), entry = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
      for (let c = 0; c < 3; c++) image.data[i + c] = Number.isNaN(value) ? 158 : colors[entry + c];
      image.data[i + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
  }

  to([lon, lat]) { const [x, y] = mollweide(lon, lat); return [(0.5 + x / 2) * this.canvas.width, (0.5 - y) * this.canvas.height]; }

  lines(pen, ratio) {
    const { width, height } = this.canvas, along = [...Array(91).keys()];
    const path = (places) => { pen.beginPath(); for (const place of places) pen.lineTo(...this.to(place)); pen.stroke(); };
    Object.assign(pen, { strokeStyle: "rgba(28, 31, 38, 0.28)", lineWidth: ratio });
    if (find("#graticule").checked) for (let a = -150; a <= 150; a += 30) {
      path(along.slice(5, 86).map((i) => [a, 2 * i - 90])); // up to ten degrees from the poles
      if (Math.abs(a) <= 60) path(along.map((i) => [4 * i - 180, a]));
    }
    Object.assign(pen, { strokeStyle: getComputedStyle(this.canvas).color, lineWidth: 1.2 * ratio });
    pen.beginPath();
    pen.ellipse(width / 2, height / 2, width / 2 - ratio, height / 2 - ratio, 0, 0, 2 * Math.PI);
    pen.stroke();
  }

  dots(pen, colors, ratio) {
    const radius = Math.min(4, Math.max(1.6, 60 / Math.sqrt(this.page.homes.length))) * ratio;
    Object.assign(pen, { strokeStyle: "rgba(28, 31, 38, 0.75)", lineWidth: 0.8 * ratio });
    this.page.homes.forEach((home, i) => {
      pen.beginPath();
      pen.arc(...this.to(home), radius, 0, 2 * Math.PI);
      pen.fillStyle = `rgb(${colors.subarray(3 * i, 3 * i + 3)})`;
      pen.fill();
      pen.stroke();
    });
  }
}

// What the colours of the points mean, beside what those of the field do.
function dotLegend(dots) {
  const group = document.createElement("span");
  group.className = "group";
  group.append("points:\u00a0", ...legendOf(dots));
  return group;
}

const cameras = () => new Set(Object.values(viewers).map((viewer) => viewer.camera));

// A checkbox that lets the globes turn eastward, a round in about half a minute.
function turnWhile(box) {
  let last = 0;
  const turn = (now) => {
    for (const camera of cameras()) camera.orbit(Math.min(50, now - last) * 2e-4, 0);
    last = now;
    if (box.checked) requestAnimationFrame(turn);
  };
  box.addEventListener("change", () => { last = performance.now(); if (box.checked) requestAnimationFrame(turn); });
}

function showGlobe(globe) {
  new GlobePage(globe);
  turnWhile(find("#turning"));
}
