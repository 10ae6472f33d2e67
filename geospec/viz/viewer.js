// A small WebGL 2 viewer for triangle meshes and point clouds. No library.
//
// A shape is { positions: Float32Array(3n), faces: Uint32Array(3f) | null, normals, radii, rotation, up }.
// Rotations are nine numbers, row by row; `rotation` is where the camera starts: its rows are the
// viewer's right, up and backward axes in the shape's coordinates. Several viewers may share one camera.
"use strict";

const DISTANCE = 4.7;                          // from the eye to the shape's centre, in half heights: a 24 degree lens
const MISSING = 1e30;                          // stands for NaN, which not every graphics card lets through

const LIGHT = `
  vec3 lit(vec3 albedo, vec3 n) {
    if (n.z < 0.0) n = -n;                       // both sides of a surface are lit alike
    vec3 toKey = vec3(-0.42, 0.56, 0.71);
    float key = max(dot(n, toKey), 0.0), fill = max(dot(n, vec3(0.71, 0.10, 0.70)), 0.0);
    float shine = pow(max(dot(n, normalize(toKey + vec3(0.0, 0.0, 1.0))), 0.0), 48.0);
    float rim = clamp(n.z / 0.35, 0.0, 1.0);
    float light = (0.30 + 0.08 * n.y + 0.74 * key + 0.24 * fill) * (0.70 + 0.30 * rim);
    return pow(clamp(pow(albedo, vec3(2.2)) * light + 0.06 * shine, 0.0, 1.0), vec3(1.0 / 2.2));
  }`;

// A field over longitude and latitude: texture rows are the north pole, the grid's rows, the south pole (see withPoles),
// columns go eastward from longitude 0 and round. The shape is a ball about the origin.
const SPHERE = `
  const vec2 OFFSETS[4] = vec2[4](vec2(-0.125, -0.375), vec2(0.375, -0.125), vec2(0.125, 0.375), vec2(-0.375, 0.125));
  float fieldAt(vec3 p) {
    ivec2 size = textureSize(field, 0);
    float rows = float(size.y - 2), columns = float(size.x);
    float column = mod(atan(p.y, p.x) / 6.283185307 * columns, columns), row = (0.5 - atan(p.z, length(p.xy)) / 3.141592654) * rows;
    if (nearest) return texelFetch(field, ivec2(int(column + 0.5) % size.x, 1 + int(clamp(row, 0.0, rows - 1.0))), 0).r;
    row = row < 0.5 ? 2.0 * row : row > rows - 0.5 ? 2.0 * row - rows + 1.0 : row + 0.5; // half a step to the pole
    int top = min(int(row), size.y - 2), left = int(column) % size.x, right = (left + 1) % size.x;
    float a = texelFetch(field, ivec2(left, top), 0).r, b = texelFetch(field, ivec2(right, top), 0).r;
    float c = texelFetch(field, ivec2(left, top + 1), 0).r, d = texelFetch(field, ivec2(right, top + 1), 0).r;
    if (max(max(abs(a), abs(b)), max(abs(c), abs(d))) > 1e29) return 1e30;
    return mix(mix(a, b, fract(column)), mix(c, d, fract(column)), row - float(top));
  }
  float line(vec3 p) {                           // meridians and parallels every 30 degrees, a pixel wide
    float lon = sin(6.0 * atan(p.y, p.x)), lat = sin(6.0 * asin(clamp(p.z, -1.0, 1.0)));
    float meridian = abs(lon) / max(fwidth(lon), 1e-6), parallel = abs(lat) / max(fwidth(lat), 1e-6);
    float inside = 1.0 - smoothstep(0.983, 0.987, abs(p.z)); // up to ten degrees from the poles
    return max(1.0 - smoothstep(0.2, 1.1, meridian), 1.0 - smoothstep(0.2, 1.1, parallel)) * inside;
  }`;

const SURFACE_VERTEX = `#version 300 es
  in vec3 position, normal, color;
  in float value, radius;
  in vec2 place;
  uniform mat4 toClip;
  uniform mat3 rotation;
  uniform float pixelsPerUnit, bulge;
  out vec3 n, rgb, at;
  out float deeper;
  out float scalar;
  out vec2 uv;
  void main() {
    at = position;
    gl_Position = toClip * vec4(position, 1.0);
    gl_PointSize = max(2.0 * radius * pixelsPerUnit / gl_Position.w, 1.5);
    deeper = bulge * radius / (gl_Position.w * gl_Position.w); // in depth, at a splat's rim
    n = rotation * normal; rgb = color; scalar = value; uv = place;
  }`;

const surfaceFragment = (splats) => `#version 300 es
  ${splats ? "#define SPLAT" : ""}
  precision highp float;
  in vec3 n, rgb, at;
  in float deeper;
  in float scalar;
  in vec2 uv;
  uniform int kind;                              // 0 plain, 1 colours, 2 numbers, 3 colours with a checker, 4 a field on the sphere
  uniform bool zeroLine, nearest, graticule;
  uniform vec3 plain;
  uniform vec2 limits;
  uniform sampler2D table;
  uniform highp sampler2D field;
  out vec4 result;
  ${LIGHT}
  ${SPHERE}
  vec3 colored(float value) {
    float t = clamp((value - limits.x) / (limits.y - limits.x), 0.0, 1.0);
    return abs(value) < 1e29 ? texture(table, vec2((t * 255.0 + 0.5) / 256.0, 0.5)).rgb : vec3(0.62, 0.62, 0.64);
  }
  void main() {
    #ifdef SPLAT // a disc that bulges: where discs overlap, each pixel goes to the nearest centre
      float away = 2.0 * length(gl_PointCoord - 0.5);
      if (away > 1.0) discard;
      gl_FragDepth = gl_FragCoord.z + deeper * away * away;
    #endif
    vec3 albedo = plain;
    if (kind == 1 || kind == 3) albedo = rgb;
    if (kind == 3) {
      vec2 wave = sin(3.14159265 * uv), soft = max(fwidth(uv), 1e-4) * 3.0;
      vec2 side = clamp(wave / soft, -1.0, 1.0);
      albedo *= mix(0.55, 1.0, 0.5 + 0.5 * side.x * side.y);
    }
    if (kind == 2) {
      albedo = colored(scalar);
      if (zeroLine && abs(scalar) < 1e29) albedo *= mix(0.45, 1.0, clamp(abs(scalar) / max(fwidth(scalar), 1e-30) - 0.4, 0.0, 1.0));
    }
    vec3 shaded = lit(albedo, normalize(n));
    if (kind == 4) {                             // lit weakly: colours are to be read against the bar
      albedo = vec3(0.0);                        // four places of the pixel, for the edges of classes
      for (int i = 0; i < 4; i++) albedo += 0.25 * colored(fieldAt(at + dFdx(at) * OFFSETS[i].x + dFdy(at) * OFFSETS[i].y));
      if (graticule) albedo = mix(albedo, dot(albedo, vec3(0.3, 0.6, 0.1)) > 0.22 ? vec3(0.08) : vec3(1.0), 0.3 * line(normalize(at)));
      shaded = mix(albedo, lit(albedo, normalize(n)), 0.4);
    }
    result = vec4(shaded, 1.0);
  }`;

const MARKER_VERTEX = `#version 300 es
  in vec3 position, color;
  uniform mat4 toClip;
  uniform float size;
  out vec3 rgb;
  void main() {
    rgb = color;
    gl_Position = toClip * vec4(position, 1.0);
    gl_Position.z -= 0.004 * gl_Position.w;      // a little towards the viewer: not half sunk in the surface
    gl_PointSize = size;
  }`;

const MARKER_FRAGMENT = `#version 300 es
  precision highp float;
  in vec3 rgb;
  uniform float opacity;
  uniform bool disc;
  out vec4 result;
  ${LIGHT}
  void main() {
    vec2 at = (gl_PointCoord - 0.5) * vec2(2.0, -2.0);
    float d = length(at);
    if (d > 1.0) discard;
    if (disc) { result = mix(vec4(rgb, 1.0), vec4(0.11, 0.12, 0.15, 1.0) * 0.75, smoothstep(0.6, 0.72, d)) * smoothstep(1.0, 0.86, d); return; }
    vec3 ball = d > 0.8 ? vec3(1.0) : lit(rgb, vec3(at, sqrt(1.0 - d * d)));
    result = vec4(ball, 1.0) * opacity * smoothstep(1.0, 0.9, d);
  }`;

class Camera {
  constructor() { this.viewers = new Set(); this.reset(); }
  reset() { this.azimuth = 0; this.elevation = 0; this.zoom = 1; this.pan = [0, 0]; this.changed(); }
  orbit(dx, dy) { this.azimuth += dx; this.elevation = Math.min(1.8, Math.max(-1.8, this.elevation + dy)); this.changed(); }
  shift(dx, dy) { this.pan[0] += dx / this.zoom; this.pan[1] += dy / this.zoom; this.changed(); }
  scale(factor) { this.zoom = Math.min(40, Math.max(0.2, this.zoom * factor)); this.changed(); }
  copy(other) { Object.assign(this, { azimuth: other.azimuth, elevation: other.elevation, zoom: other.zoom, pan: [...other.pan] }); this.changed(); }
  changed() { for (const viewer of this.viewers) viewer.redraw(); }
}

class Viewer {
  constructor(canvas, shape, camera, { missing = () => {} } = {}) {
    this.canvas = canvas;
    this.shape = shape;
    this.markers = [];
    this.dots = null;
    this.labels = canvas.parentElement.querySelector(".labels");
    this.look = { kind: "plain" };
    this.geometry = shape.faces
      ? withNormals(shape.positions, shape.faces)
      : { corners: null, normals: shape.normals, origin: Uint32Array.from({ length: shape.positions.length / 3 }, (_, i) => i) };
    this.measure();
    this.attach(camera);
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    if (!this.gl) { missing(); return; }
    this.upload();
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(canvas);
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.upload(); this.setLook(this.look); this.setDots(this.dots); });
  }

  attach(camera) {
    this.camera?.viewers.delete(this);
    this.camera = camera;
    camera.viewers.add(this);
    this.redraw();
  }

  // Centre and half extents of the shape as first seen.
  measure() {
    const { positions: p, rotation: r } = this.shape, low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    this.seen = new Float32Array(p.length); // as first seen: right, up, towards the viewer, about the centre
    for (let i = 0; i < p.length; i += 3) {
      for (let a = 0; a < 3; a++) {
        const x = r[3 * a] * p[i] + r[3 * a + 1] * p[i + 1] + r[3 * a + 2] * p[i + 2];
        if (x < low[a]) low[a] = x;
        if (x > high[a]) high[a] = x;
        this.seen[i + a] = x;
      }
    }
    const middle = low.map((x, a) => (p.length ? (x + high[a]) / 2 : 0));
    for (let i = 0; i < p.length; i++) this.seen[i] -= middle[i % 3];
    this.half = low.map((x, a) => Math.max(p.length ? (high[a] - x) / 2 : 1, 1e-30));
    this.centre = [0, 1, 2].map((a) => r[a] * middle[0] + r[3 + a] * middle[1] + r[6 + a] * middle[2]);
  }

  // Scale and shift of the picture that fill a canvas of this aspect with the shape as first seen: the lens
  // draws near parts larger, so a few rounds of looking where the outline comes to lie.
  frame(aspect) {
    if (this.framed?.aspect === aspect) return this.framed;
    let scale = 1 / Math.max(this.half[0] / aspect, this.half[1], Math.hypot(...this.half) / 2.4), shift = [0, 0];
    for (let round = 0; round < 3 && this.seen.length; round++) {
      const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
      for (let i = 0; i < this.seen.length; i += 3) {
        const grow = (scale * DISTANCE) / (DISTANCE - scale * this.seen[i + 2]);
        for (let a = 0; a < 2; a++) {
          const x = this.seen[i + a] * grow;
          if (x < low[a]) low[a] = x;
          if (x > high[a]) high[a] = x;
        }
      }
      shift = [-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2];
      const filled = Math.max((high[0] - low[0]) / 2 / aspect, (high[1] - low[1]) / 2) || 1;
      scale = Math.min(scale * (0.92 / filled), 2.4 / Math.hypot(...this.half));
    }
    this.framed = { aspect, scale, shift };
    return this.framed;
  }

  upload() {
    const gl = this.gl;
    this.surface = program(gl, SURFACE_VERTEX, surfaceFragment(!this.geometry.corners), ["position", "normal", "color", "value", "radius", "place"]);
    this.ball = program(gl, MARKER_VERTEX, MARKER_FRAGMENT, ["position", "color"]);
    this.buffers = {};
    this.store("position", this.gather(this.shape.positions, 3));
    this.store("normal", this.geometry.normals);
    if (this.shape.radii) this.store("radius", this.shape.radii);
    if (this.geometry.corners) {
      this.indices = gl.createBuffer();
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.geometry.corners, gl.STATIC_DRAW);
    }
    this.table = gl.createTexture();
    this.storeTable(new Uint8Array(768));
    this.field = gl.createTexture();
    this.storeField(new Float32Array(3), 3, 1);
  }

  store(name, array) {
    const gl = this.gl;
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
  }

  storeTable(colors) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, colors);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.LINEAR);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  }

  // Rows with those of the poles, see withPoles. Read texel by texel: not every graphics card filters floats.
  storeField(values, rows, columns) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.field);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, columns, rows, 0, gl.RED, gl.FLOAT, values.map((x) => (Number.isNaN(x) ? MISSING : x)));
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  }

  // Rows of a per-vertex array for the drawn vertices.
  gather(array, width) {
    const { origin } = this.geometry;
    if (origin.length * width === array.length) return array;
    const out = new array.constructor(origin.length * width);
    for (let i = 0; i < origin.length; i++) for (let c = 0; c < width; c++) out[width * i + c] = array[width * origin[i] + c];
    return out;
  }

  // { kind: "plain" } | { kind: "color" | "checker", colors: Uint8Array(3n), places: Float32Array(2n) }
  // | { kind: "scalar", values: Float32Array(n), limits: [low, high], table: Uint8Array(768), zeroLine }
  // | { kind: "field", values: Float32Array(rows * columns), rows, columns, nearest, limits, table, graticule }, on a ball
  setLook(look) {
    this.look = look;
    if (!this.gl) return;
    if (look.colors) this.store("color", this.gather(look.colors, 3));
    if (look.kind === "checker") this.store("place", this.gather(look.places, 2));
    if (look.kind === "scalar") {
      this.store("value", this.gather(look.values, 1).map((x) => (Number.isNaN(x) ? MISSING : x)));
      this.storeTable(look.table);
    }
    if (look.kind === "field") {
      this.storeField(withPoles(look), look.rows + 2, look.columns);
      this.storeTable(look.table);
    }
    this.redraw();
  }

  // Many small dots at places of their own: { positions: Float32Array(3n), colors: Uint8Array(3n) }, or null.
  setDots(dots) {
    this.dots = dots;
    if (!this.gl) return;
    if (dots) { this.store("dot", dots.positions); this.store("dotColor", dots.colors); }
    this.redraw();
  }

  // markers: [{ vertex, color: [r, g, b] in 0..1, label }]
  setMarkers(markers) { this.markers = markers; this.redraw(); }

  // Orientation and projection for the canvas as it is now.
  pose() {
    const { clientWidth: width, clientHeight: height } = this.canvas, { rotation, up } = this.shape, { zoom, pan } = this.camera;
    const aspect = width / height || 1, tilt = Math.asin(Math.max(-1, Math.min(1, rotation[6] * up[0] + rotation[7] * up[1] + rotation[8] * up[2])));
    const limit = 1.55, elevation = Math.min(limit - tilt, Math.max(-limit - tilt, this.camera.elevation));
    const r = multiply(about([1, 0, 0], elevation), multiply(rotation, about(up, this.camera.azimuth)));
    const { scale, shift } = this.frame(aspect), slide = [shift[0] + pan[0], shift[1] + pan[1]];
    // seen = r (p - centre) scale; on the picture (seen.xy DISTANCE / w + slide) zoom, with w = DISTANCE - seen.z
    const rows = [0, 1, 2].map((i) => {
      const [x, y, z] = [0, 1, 2].map((j) => scale * r[3 * i + j]), [cx, cy, cz] = this.centre;
      return [x, y, z, -(x * cx + y * cy + z * cz)];
    });
    const w = rows[2].map((x, i) => (i === 3 ? DISTANCE - x : -x)), near = 0.05, far = 2 * DISTANCE;
    const zoomed = [zoom / aspect, zoom];
    const clip = [0, 1].map((a) => rows[a].map((x, i) => zoomed[a] * (DISTANCE * x + slide[a] * w[i])));
    const depthSlope = (2 * far * near) / (far - near); // clip z / w = constant - depthSlope / w
    clip.push(w.map((x, i) => ((far + near) * x) / (far - near) - (i === 3 ? depthSlope : 0)), w);
    const matrix = new Float32Array(16);
    clip.forEach((row, i) => row.forEach((x, j) => { matrix[4 * j + i] = x; })); // WebGL wants columns
    return { r, scale, zoomed, slide, width, height, depthSlope, clip, matrix };
  }

  redraw() {
    if (!this.gl || this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const gl = this.gl, pose = this.pose(), ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(pose.width * ratio)), height = Math.max(1, Math.round(pose.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    this.drawSurface(pose, height);
    this.beginBalls(pose);
    if (this.dots) this.drawDots(ratio);
    this.drawMarkers(pose, ratio);
    gl.disable(gl.BLEND);
  }

  drawSurface(pose, height) {
    const gl = this.gl, { at, uniform } = this.surface, { look } = this;
    gl.useProgram(this.surface.program);
    const widths = { position: 3, normal: 3, color: 3, value: 1, radius: 1, place: 2 };
    for (const [name, width] of Object.entries(widths)) {
      if (!this.buffers[name]) { gl.disableVertexAttribArray(at[name]); continue; }
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(at[name]);
      const bytes = name === "color";
      gl.vertexAttribPointer(at[name], width, bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, bytes, 0, 0);
    }
    const r = pose.r;
    gl.uniformMatrix4fv(uniform.toClip, false, pose.matrix);
    gl.uniformMatrix3fv(uniform.rotation, false, new Float32Array([r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8]]));
    gl.uniform1f(uniform.pixelsPerUnit, 0.5 * pose.zoomed[1] * DISTANCE * pose.scale * height);
    gl.uniform1i(uniform.kind, { plain: 0, color: 1, scalar: 2, checker: 3, field: 4 }[look.kind]);
    gl.uniform1f(uniform.bulge, 0.25 * pose.scale * pose.depthSlope); // half a radius, and depth is half of clip z / w
    for (const name of ["zeroLine", "nearest", "graticule"]) gl.uniform1i(uniform[name], look[name] ? 1 : 0);
    gl.uniform3f(uniform.plain, 0.82, 0.83, 0.85);
    gl.uniform2fv(uniform.limits, look.limits || [0, 1]);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.uniform1i(uniform.table, 0);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.field);
    gl.uniform1i(uniform.field, 1);
    gl.activeTexture(gl.TEXTURE0);
    if (this.geometry.corners) {
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
      gl.drawElements(gl.TRIANGLES, this.geometry.corners.length, gl.UNSIGNED_INT, 0);
    } else {
      gl.drawArrays(gl.POINTS, 0, this.geometry.origin.length);
    }
  }

  beginBalls(pose) {
    const gl = this.gl;
    gl.useProgram(this.ball.program);
    for (const name of Object.values(this.surface.at)) if (name >= 0) gl.disableVertexAttribArray(name);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    gl.uniformMatrix4fv(this.ball.uniform.toClip, false, pose.matrix);
  }

  drawDots(ratio) {
    const gl = this.gl, { at, uniform } = this.ball, count = this.dots.positions.length / 3;
    for (const [name, buffer, bytes] of [["position", "dot", false], ["color", "dotColor", true]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[buffer]);
      gl.enableVertexAttribArray(at[name]);
      gl.vertexAttribPointer(at[name], 3, bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, bytes, 0, 0);
    }
    gl.uniform1f(uniform.size, Math.min(14, Math.min(10, Math.max(5, 180 / Math.sqrt(count))) * Math.sqrt(this.camera.zoom)) * ratio);
    gl.uniform1i(uniform.disc, 1);
    gl.drawArrays(gl.POINTS, 0, count);
    gl.uniform1i(uniform.disc, 0);
    for (const name of Object.values(at)) gl.disableVertexAttribArray(name);
  }

  // Each marker twice: faintly wherever it is, then fully where nothing hides it.
  drawMarkers(pose, ratio) {
    const gl = this.gl, { at, uniform } = this.ball;
    gl.uniform1f(uniform.size, 17 * ratio);
    for (const hidden of [true, false]) {
      (hidden ? gl.disable : gl.enable).call(gl, gl.DEPTH_TEST);
      gl.uniform1f(uniform.opacity, hidden ? 0.3 : 1);
      for (const marker of this.markers) {
        gl.vertexAttrib3f(at.position, ...this.place(marker.vertex));
        gl.vertexAttrib3f(at.color, ...marker.color);
        gl.drawArrays(gl.POINTS, 0, 1);
      }
    }
    this.labels?.replaceChildren(...this.markers.map((marker) => this.badge(marker, pose)));
  }

  badge(marker, pose) {
    const [x, y] = this.toScreen(this.place(marker.vertex), pose), badge = document.createElement("span");
    badge.textContent = marker.label;
    badge.style.transform = `translate(${x + 9}px, ${y - 22}px)`;
    return badge;
  }

  place(vertex) { return [...this.shape.positions.subarray(3 * vertex, 3 * vertex + 3)]; }

  toScreen(p, pose = this.pose()) {
    const [x, y, , w] = pose.clip.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);
    return [(0.5 + (0.5 * x) / w) * pose.width, (0.5 - (0.5 * y) / w) * pose.height];
  }

  // Where the eye is and where it looks through a place of the canvas (CSS pixels), in the shape's coordinates.
  ray(x, y) {
    const pose = this.pose(), { r, scale, zoomed, slide } = pose;
    const back = (v) => [0, 1, 2].map((a) => (r[a] * v[0] + r[3 + a] * v[1] + r[6 + a] * v[2]) / scale);
    const onScreen = [(2 * x) / pose.width - 1, 1 - (2 * y) / pose.height];
    const ray = back([...onScreen.map((value, a) => (value / zoomed[a] - slide[a]) / DISTANCE), -1]);
    return [back([0, 0, DISTANCE]).map((value, a) => value + this.centre[a]), ray];
  }

  // The vertex under a place of the canvas, or -1: a ray against every triangle or point.
  pick(x, y) { return (this.shape.faces ? hitFace : hitPoint)(this.shape, ...this.ray(x, y)); }

  // The unit vector under a place of the canvas where the shape is a ball about the origin, or null.
  direction(x, y) { return hitBall(Math.max(...this.half), ...this.ray(x, y)); }

  // Mouse, touch and keyboard. A click that does not drag is sent on as a "pick" event.
  listen() {
    const canvas = this.canvas, fingers = new Map();
    let moved = 0;
    const spread = () => { const [a, b] = [...fingers.values()]; return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      moved = fingers.size > 1 ? Infinity : 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = fingers.size === 2 ? spread() : null, unit = 2 / canvas.clientHeight;
      const dx = event.clientX - last.x, dy = event.clientY - last.y;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      moved += Math.abs(dx) + Math.abs(dy);
      if (before) {
        const now = spread();
        this.camera.scale(now.distance / (before.distance || 1));
        this.camera.shift((now.x - before.x) * unit, (before.y - now.y) * unit);
      } else if (event.shiftKey || event.buttons & 6) this.camera.shift(dx * unit, -dy * unit);
      else if (moved > 4) this.camera.orbit(0.008 * dx, 0.008 * dy);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.camera.scale(Math.exp(-0.0015 * event.deltaY)); }, { passive: false });
    canvas.addEventListener("click", (event) => {
      if (moved > 4) return;
      const vertex = this.pick(event.offsetX, event.offsetY);
      canvas.dispatchEvent(new CustomEvent("pick", { detail: { vertex, repeated: event.detail > 1 } }));
    });
    canvas.addEventListener("dblclick", () => this.camera.reset());
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step && event.shiftKey) this.camera.shift(0.06 * step[0], -0.06 * step[1]);
      else if (step) this.camera.orbit(0.12 * step[0], 0.12 * step[1]);
      else if (event.key === "+" || event.key === "=") this.camera.scale(1.15);
      else if (event.key === "-") this.camera.scale(1 / 1.15);
      else if (event.key === "0" || event.key === "Home") this.camera.reset();
      else if (event.key === "Enter") canvas.dispatchEvent(new CustomEvent("pick", { detail: { vertex: this.pick(canvas.clientWidth / 2, canvas.clientHeight / 2) } }));
      else return;
      event.preventDefault();
    });
  }
}

function program(gl, vertex, fragment, attributes) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  attributes.forEach((name, i) => gl.bindAttribLocation(made, i, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const uniform = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    uniform[name] = gl.getUniformLocation(made, name);
  }
  return { program: made, uniform, at: Object.fromEntries(attributes.map((name, i) => [name, i])) };
}
