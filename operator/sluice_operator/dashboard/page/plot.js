// Line plots over a common time, as SVG, with a cross-hair that reads all of them at one moment.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 520, HEIGHT = 176, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 22;

function svg(name, attributes, ...children) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// A round number at or above the largest value, so that the scale does not tremble.
export function ceiling(values, floor) {
  const top = Math.max(floor, ...values);
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((round) => round >= top * 0.999);
}

// Pieces of a line: a gap where nothing was measured.
export function path(times, values, x, y, stepped) {
  let drawn = "", open = false, before = null;
  times.forEach((time, index) => {
    const value = values[index];
    if (value === null || value === undefined) { open = false; return; }
    const [left, up] = [x(time).toFixed(1), y(value).toFixed(1)];
    if (open && stepped) drawn += `V${y(before).toFixed(1)}H${left}`;
    drawn += `${open ? "L" : "M"}${left} ${up}`;
    open = true;
    before = value;
  });
  return drawn;
}

// `lines`: [{label, tone, dashed, values}]; `say` puts a value into words; `floor` is the least top of the scale.
export function plot({ title, times, lines, say, floor, top, stepped }) {
  const all = lines.flatMap((line) => line.values).filter((value) => value !== null);
  const highest = top ?? ceiling(all, floor);
  const [first, last] = [times[0] ?? 0, Math.max(times.at(-1) ?? 1, (times[0] ?? 0) + 30)];
  const x = (time) => LEFT + ((time - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / highest) * (HEIGHT - TOP - BOTTOM);
  const cross = svg("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    ...[0, 0.5, 1].flatMap((part) => [
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(part * highest), y2: y(part * highest) }),
      svg("text", { x: LEFT - 6, y: y(part * highest) + 4, "text-anchor": "end" }, say(part * highest)),
    ]),
    svg("text", { x: LEFT, y: HEIGHT - 6 }, clock(first)),
    svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, clock(last)),
    ...lines.map((line) => svg("path", {
      class: `trace ${line.tone}${line.dashed ? " dashed" : ""}`, d: path(times, line.values, x, y, stepped),
    })), cross);
  const legend = document.createElement("div");
  legend.className = "legend";
  const tell = (index) => legend.replaceChildren(...(index === null ? [] : [clock(times[index])]), ...lines.map((line) => {
    const entry = document.createElement("span");
    const value = index === null ? lastOf(line.values) : line.values[index];
    entry.className = line.tone;
    entry.textContent = `${line.label} ${value === null || value === undefined ? "–" : say(value)}`;
    return entry;
  }));
  drawing.addEventListener("pointermove", (event) => {
    if (!times.length) return;
    const box = drawing.getBoundingClientRect();
    const at = first + (((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT)) * (last - first);
    const index = times.reduce((best, time, i) => Math.abs(time - at) < Math.abs(times[best] - at) ? i : best, 0);
    for (const end of ["x1", "x2"]) cross.setAttribute(end, x(times[index]));
    cross.style.visibility = "visible";
    tell(index);
  });
  drawing.addEventListener("pointerleave", () => { cross.style.visibility = ""; tell(null); });
  tell(null);
  const section = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = title;
  section.append(heading, drawing, legend);
  return section;
}

function lastOf(values) {
  return values.findLast((value) => value !== null) ?? null;
}

export function clock(time) {
  return new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
