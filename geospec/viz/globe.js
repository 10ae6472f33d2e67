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

function showGlobe({ points, center }) {
  const flat = find("#flat"), cursor = find("#flat-cursor"), reading = find("#flat-reading"), padded = new Map(), readings = {};
  const xyz = points ? array(points) : new Float32Array(0), homes = Array.from({ length: xyz.length / 3 }, (_, i) => lonLat(xyz.subarray(3 * i, 3 * i + 3)));
  const [first] = Object.keys(viewers);
  const partOf = (view) => data.looks[Number(find("input[name=look]:checked").value)].views[view];
  const dotsOf = (part) => part.dots?.[find("input[name=dots]:checked")?.value];
  const valueAt = (part, [lon, lat]) => {
    if (!padded.has(part.values)) padded.set(part.values, withPoles({ ...part, values: array(part.values) }));
    return sampleField(padded.get(part.values), part, lon, lat);
  };
  const told = (part, value) => part.classes?.[value] ?? number(value);
  let at = center;

  // The point within a few pixels of a place, or -1.
  const pointNear = ([lon, lat]) => {
    const c = Math.cos(lat / DEGREES), u = [c * Math.cos(lon / DEGREES), c * Math.sin(lon / DEGREES), Math.sin(lat / DEGREES)];
    let best = Math.cos(0.02 / Math.min(1.5, viewers[first].camera.zoom)), found = -1;
    for (let i = 0; i < homes.length; i++) {
      const cosine = xyz[3 * i] * u[0] + xyz[3 * i + 1] * u[1] + xyz[3 * i + 2] * u[2];
      if (cosine > best) { best = cosine; found = i; }
    }
    return found;
  };

  const say = (part, place, point) => {
    const { measured, error } = part.dots ?? {}, words = `${placeText(place)}: ${told(part, valueAt(part, place))}`;
    if (point < 0 || !dotsOf(part)) return words;
    const parts = [measured?.values && `measured ${told(part, array(measured.values)[point])}`, error?.values && `error ${number(array(error.values)[point])}`];
    return `${words} (point ${[point, ...parts.filter(Boolean)].join(", ")})`;
  };

  // Tell the values at a longitude and latitude under every globe and under the map, and mark the place on the map.
  const tell = (place) => {
    at = place;
    const point = pointNear(place);
    for (const [view, output] of Object.entries(readings)) output.textContent = say(partOf(view), place, point);
    reading.textContent = say(partOf(first), place, point);
    const [x, y] = mollweide(...place);
    Object.assign(cursor.style, { left: `${50 + 50 * x}%`, top: `${50 - 100 * y}%` });
    cursor.hidden = false;
  };

  for (const [name, viewer] of Object.entries(viewers)) {
    const output = (readings[name] = document.createElement("output"));
    output.className = "reading";
    output.textContent = "Point at the globe to read it.";
    find(`[data-view="${name}"]`).append(output);
    const read = (x, y) => { const direction = viewer.direction(x, y); if (direction) tell(lonLat(direction)); };
    for (const kind of ["pointermove", "pointerdown"]) viewer.canvas.addEventListener(kind, (event) => { if (kind === "pointerdown" || !event.buttons) read(event.offsetX, event.offsetY); });
    viewer.canvas.addEventListener("keydown", (event) => { if (event.key.startsWith("Arrow")) read(viewer.canvas.clientWidth / 2, viewer.canvas.clientHeight / 2); });
  }

  const turnTo = ([lon, lat]) => {
    for (const camera of new Set(Object.values(viewers).map((viewer) => viewer.camera))) {
      Object.assign(camera, { azimuth: (center[0] - lon) / DEGREES, elevation: (lat - center[1]) / DEGREES, pan: [0, 0] });
      camera.changed();
    }
  };

  // ---- the flat map ----
  const onMap = (event) => mollweideInverse((2 * event.offsetX) / flat.clientWidth - 1, 0.5 - event.offsetY / flat.clientHeight);
  flat.addEventListener("pointermove", (event) => { const place = onMap(event); if (place) tell(place); });
  flat.addEventListener("click", (event) => { const place = onMap(event); if (place) { tell(place); turnTo(place); } });
  flat.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, 2], ArrowDown: [0, -2] }[event.key];
    if (step) tell([((at[0] + step[0] + 540) % 360) - 180, Math.min(90, Math.max(-90, at[1] + step[1]))]);
    else if (event.key === "Enter") turnTo(at);
    else return;
    event.preventDefault();
  });

  const drawFlat = () => {
    const part = partOf(first), dots = dotsOf(part), ratio = Math.min(window.devicePixelRatio || 1, 2), width = Math.round(flat.clientWidth * ratio) || 800, height = Math.round(width / 2);
    Object.assign(flat, { width, height });
    const pen = flat.getContext("2d"), image = pen.createImageData(width, height), colors = array(part.table), [low, high] = part.limits;
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      const place = mollweideInverse((2 * (column + 0.5)) / width - 1, 0.5 - (row + 0.5) / height), i = 4 * (row * width + column);
      if (!place) continue;
      const value = valueAt(part, place), entry = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
      for (let c = 0; c < 3; c++) image.data[i + c] = Number.isNaN(value) ? 158 : colors[entry + c];
      image.data[i + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    const to = ([lon, lat]) => { const [x, y] = mollweide(lon, lat); return [(0.5 + x / 2) * width, (0.5 - y) * height]; };
    const path = (places) => { pen.beginPath(); for (const place of places) pen.lineTo(...to(place)); pen.stroke(); };
    const steps = [...Array(91).keys()];
    Object.assign(pen, { strokeStyle: "rgba(28, 31, 38, 0.28)", lineWidth: ratio });
    if (find("#graticule").checked) for (let a = -150; a <= 150; a += 30) {
      path(steps.slice(5, 86).map((i) => [a, 2 * i - 90]));
      if (Math.abs(a) <= 60) path(steps.map((i) => [4 * i - 180, a]));
    }
    Object.assign(pen, { strokeStyle: getComputedStyle(flat).color, lineWidth: 1.2 * ratio });
    pen.beginPath();
    pen.ellipse(width / 2, height / 2, width / 2 - ratio, height / 2 - ratio, 0, 0, 2 * Math.PI);
    pen.stroke();
    if (!dots) return;
    const paint = array(dots.colors), radius = Math.min(4, Math.max(1.6, 60 / Math.sqrt(homes.length))) * ratio;
    Object.assign(pen, { strokeStyle: "rgba(28, 31, 38, 0.75)", lineWidth: 0.8 * ratio });
    homes.forEach((home, i) => {
      pen.beginPath();
      pen.arc(...to(home), radius, 0, 2 * Math.PI);
      pen.fillStyle = `rgb(${paint.subarray(3 * i, 3 * i + 3)})`;
      pen.fill();
      pen.stroke();
    });
  };

  // ---- the controls ----
  const refresh = () => {
    for (const [name, viewer] of Object.entries(viewers)) {
      const part = partOf(name), dots = dotsOf(part), radius = Math.max(...viewer.half);
      viewer.look.graticule = find("#graticule").checked;
      viewer.setDots(dots ? { positions: xyz.map((x) => x * radius), colors: array(dots.colors) } : null);
      showLegend(name, part);
      if (dots?.limits) find(`[data-view="${name}"] .legend`).append(Object.assign(document.createElement("span"), { className: "gap" }), ...bar(dots));
    }
    drawFlat();
    tell(at);
    cursor.hidden = true;
  };
  for (const control of findAll("input[name=look], input[name=dots], #graticule")) control.addEventListener("change", refresh);
  new ResizeObserver(drawFlat).observe(flat);

  const turning = find("#turning");
  let last = 0;
  const turn = (now) => {
    for (const camera of new Set(Object.values(viewers).map((viewer) => viewer.camera))) camera.orbit(Math.min(50, now - last) * 2e-4, 0);
    last = now;
    if (turning.checked) requestAnimationFrame(turn);
  };
  turning.addEventListener("change", () => { last = performance.now(); if (turning.checked) requestAnimationFrame(turn); });
  refresh();
}
