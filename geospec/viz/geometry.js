// Geometry for the viewer, on plain arrays: normals, rays and rotations.
"use strict";

const CREASE = (42 * Math.PI) / 180; // faces that meet at a larger angle are not smoothed into each other

// Triangles with a normal at every corner: smooth over the surface, apart where faces meet at a crease. A corner
// at a crease gets a vertex of its own; `origin` says which of the shape's vertices each drawn one is. Vertices at
// one place count as one here, so that the seams of a file do not show.
function withNormals(positions, faces) {
  const count = positions.length / 3, weighted = faceNormals(positions, faces), smooth = new Float32Array(positions.length);
  const first = firstAtPlace(positions), at = faces.map((v) => first[v]);
  for (let i = 0; i < faces.length; i++) for (let a = 0; a < 3; a++) smooth[3 * at[i] + a] += weighted[i - (i % 3) + a];
  const cosine = (u, i, v, j) => {
    const squares = (u[i] ** 2 + u[i + 1] ** 2 + u[i + 2] ** 2) * (v[j] ** 2 + v[j + 1] ** 2 + v[j + 2] ** 2);
    return (u[i] * v[j] + u[i + 1] * v[j + 1] + u[i + 2] * v[j + 2]) / (Math.sqrt(squares) || 1);
  };
  const around = new Map(); // the faces about each vertex where one leans so much that there may be a crease
  for (let i = 0; i < faces.length; i++) if (cosine(smooth, 3 * at[i], weighted, i - (i % 3)) < Math.cos(CREASE / 2)) around.set(at[i], []);
  for (let i = 0; i < faces.length; i++) around.get(at[i])?.push(i - (i % 3));
  const corners = new Uint32Array(faces), extra = [], extraNormals = [];
  for (let i = 0; i < faces.length; i++) {
    const alike = around.get(at[i])?.filter((f) => cosine(weighted, f, weighted, i - (i % 3)) > Math.cos(CREASE));
    if (!alike?.length) continue;
    corners[i] = count + extra.length;
    extra.push(faces[i]);
    for (let a = 0; a < 3; a++) extraNormals.push(alike.reduce((sum, f) => sum + weighted[f + a], 0));
  }
  const origin = new Uint32Array(count + extra.length).map((_, i) => (i < count ? i : extra[i - count]));
  const normals = new Float32Array(3 * origin.length);
  for (let v = 0; v < smooth.length; v++) normals[v] = smooth[3 * first[Math.floor(v / 3)] + (v % 3)];
  normals.set(extraNormals, smooth.length);
  for (let v = 0; v < normals.length; v += 3) {
    const length = Math.sqrt(normals[v] ** 2 + normals[v + 1] ** 2 + normals[v + 2] ** 2) || 1;
    for (let a = 0; a < 3; a++) normals[v + a] /= length;
  }
  return { corners, normals, origin };
}

// For each vertex the first one at the same place. A number made of the coordinates finds candidates quickly.
function firstAtPlace(p) {
  const seen = new Map(), same = (u, v) => p[3 * u] === p[3 * v] && p[3 * u + 1] === p[3 * v + 1] && p[3 * u + 2] === p[3 * v + 2];
  return Uint32Array.from({ length: p.length / 3 }, (_, v) => {
    const key = 0.61 * p[3 * v] + 0.37 * p[3 * v + 1] + 0.71 * p[3 * v + 2], others = seen.get(key);
    if (!others) { seen.set(key, [v]); return v; }
    const found = others.find((u) => same(u, v));
    if (found === undefined) others.push(v);
    return found ?? v;
  });
}

// Normals of triangles, three numbers each, as long as twice the area.
function faceNormals(p, faces) {
  const out = new Float32Array(faces.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
    const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
    out[f] = uy * vz - uz * vy;
    out[f + 1] = uz * vx - ux * vz;
    out[f + 2] = ux * vy - uy * vx;
  }
  return out;
}

// The corner nearest to where a ray first meets a face, or -1.
function hitFace({ positions: p, faces }, [ox, oy, oz], [dx, dy, dz]) {
  const LEAK = 1e-6; // a ray through an edge must not slip between its two faces
  let best = Infinity, vertex = -1;
  for (let f = 0; f < faces.length; f += 3) { // Moeller and Trumbore 1997
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
    const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
    const px = dy * vz - dz * vy, py = dz * vx - dx * vz, pz = dx * vy - dy * vx, volume = ux * px + uy * py + uz * pz;
    if (volume === 0) continue;
    const tx = ox - p[a], ty = oy - p[a + 1], tz = oz - p[a + 2], s = (tx * px + ty * py + tz * pz) / volume;
    if (s < -LEAK || s > 1 + LEAK) continue;
    const qx = ty * uz - tz * uy, qy = tz * ux - tx * uz, qz = tx * uy - ty * ux, t = (dx * qx + dy * qy + dz * qz) / volume;
    if (t < -LEAK || s + t > 1 + LEAK) continue;
    const along = (vx * qx + vy * qy + vz * qz) / volume;
    if (along > 0 && along < best) {
      best = along;
      vertex = faces[f + (1 - s - t >= s && 1 - s - t >= t ? 0 : s >= t ? 1 : 2)]; // the nearest corner
    }
  }
  return vertex;
}

// The point whose ball a ray meets, of several the nearest to eye and ray, or -1.
function hitPoint({ positions: p, radii }, [ox, oy, oz], [dx, dy, dz]) {
  const square = dx * dx + dy * dy + dz * dz;
  let best = Infinity, vertex = -1;
  for (let i = 0; i < radii.length; i++) {
    const x = p[3 * i] - ox, y = p[3 * i + 1] - oy, z = p[3 * i + 2] - oz, along = (x * dx + y * dy + z * dz) / square;
    const away = Math.hypot(x - along * dx, y - along * dy, z - along * dz) / radii[i];
    const rank = along * Math.sqrt(square) + radii[i] * away; // of overlapping discs, the one hit nearest its centre
    if (along > 0 && away < 1 && rank < best) { best = rank; vertex = i; }
  }
  return vertex;
}

// Where a ray first meets the ball of this radius about the origin, as a unit vector, or null.
function hitBall(radius, o, d) {
  const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2], b = dot(o, d) / dot(d, d), c = (dot(o, o) - radius * radius) / dot(d, d);
  if (b * b < c) return null;
  const along = -b - Math.sqrt(b * b - c);
  return along > 0 ? o.map((x, a) => (x + along * d[a]) / radius) : null;
}

// A grid (rows, columns) over latitude and longitude with a row for each pole: the mean of the row beside it.
function withPoles({ values, rows, columns }) {
  const out = new Float32Array((rows + 2) * columns), mean = (row) => values.subarray(row * columns, (row + 1) * columns).reduce((sum, x) => sum + x, 0) / columns;
  out.fill(mean(0), 0, columns);
  out.set(values, columns);
  return out.fill(mean(rows - 1), (rows + 1) * columns);
}

// The value of such a grid, with its poles, at a longitude and latitude in degrees: bilinear, or the nearest sample's. As fieldAt in viewer.js.
function sampleField(padded, { rows, columns, nearest }, lon, lat) {
  const column = ((lon / 360) * columns + 2 * columns) % columns, height = (0.5 - lat / 180) * rows, left = Math.floor(column);
  if (nearest) return padded[(1 + Math.floor(Math.min(rows - 1, Math.max(0, height)))) * columns + (Math.floor(column + 0.5) % columns)];
  const row = height < 0.5 ? 2 * height : height > rows - 0.5 ? 2 * height - rows + 1 : height + 0.5; // half a step to the pole
  const top = Math.min(Math.floor(row), rows), right = (left + 1) % columns, across = column - left, down = row - top;
  const along = (r) => padded[r * columns + left] * (1 - across) + padded[r * columns + right] * across;
  return along(top) * (1 - down) + along(top + 1) * down;
}

// Products and turns of rotations, nine numbers row by row.
function multiply(a, b) {
  return [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j]));
}

function about([x, y, z], angle) { // Rodrigues' formula
  const c = Math.cos(angle), s = Math.sin(angle), t = 1 - c;
  return [t * x * x + c, t * x * y - s * z, t * x * z + s * y, t * x * y + s * z, t * y * y + c, t * y * z - s * x, t * x * z - s * y, t * y * z + s * x, t * z * z + c];
}
