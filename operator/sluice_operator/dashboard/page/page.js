// The page: a list of models, or one model, drawn anew from what the operator says every few seconds.

import { plot } from "./plot.js";

const EVERY = 2500;
const TONES = { Healthy: "good", Progressing: "busy", Paused: "busy", Unknown: "busy", Stalled: "bad", NotReady: "bad",
  Promoted: "good", RolledBack: "bad", Superseded: "quiet", Pass: "good", Fail: "bad", Inconclusive: "busy", Error: "busy" };
const main = document.getElementById("main"), link = document.getElementById("link"), path = document.getElementById("path");

// Text only ever becomes a text node: what people write into manifests is never read as HTML.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.map((child) => child ?? ""));
  return node;
}
const badge = (word) => element("span", { class: `badge ${TONES[word] ?? "quiet"}` }, word);
const id = (text, tone = "") => element("span", { class: `id ${tone}` }, text ?? "–");
const percent = (value) => value === null || value === undefined ? "–" : `${+(100 * value).toPrecision(3)} %`;
const latency = (value) => value >= 1 ? `${+value.toPrecision(3)} s` : `${+(1000 * value).toPrecision(3)} ms`;
const rate = (value) => `${+value.toPrecision(3)}/s`;
const when = (stamp) => stamp ? new Date(stamp).toLocaleString() : "–";

function table(heads, rows) {
  return element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))));
}
function section(title, ...content) {
  return element("section", {}, element("h2", {}, title), ...content);
}

function list(models) {
  path.replaceChildren();
  if (!models.length) return [section("Models", "There is no ModelDeployment yet. ", element("code", {}, "kubectl apply -f"), " one.")];
  const rows = models.map((model) => [
    element("a", { href: `#/${model.namespace}/${model.name}` }, `${model.namespace}/${model.name}`), badge(model.health),
    id(model.stable, "stable"), id(model.canary, "canary"), model.weight === null ? "" : `${model.weight} %`, model.step,
    `${model.readyReplicas}/${model.replicas}`, model.reason,
  ]);
  return [section("Models", table(["Model", "Health", "Stable", "Canary", "Weight", "Step", "Pods", "Reason"], rows))];
}

function tone(model, revision) {
  return revision === model.canary ? "canary" : revision === model.stable ? "stable" : "other";
}

function plots(model) {
  const { time, ...columns } = model.series;
  const lines = (name, extra = "", dashed = false) => Object.entries(columns[name]).map(([revision, values]) =>
    ({ label: `${revision}${extra}`, tone: tone(model, revision), values, dashed }));
  const share = (value) => `${+value.toPrecision(3)} %`;
  return element("div", { class: "plots" },
    plot({ title: "Weight", times: time, lines: lines("weight"), say: share, top: 100, stepped: true }),
    plot({ title: "Requests", times: time, lines: lines("rate"), say: rate, floor: 1 }),
    plot({ title: "Errors (5xx)", times: time, lines: lines("error_rate"), say: percent, floor: 0.01 }),
    plot({ title: "Latency", times: time, lines: [...lines("p99", " p99"), ...lines("p50", " p50", true)], say: latency, floor: 0.001 }));
}

function steps(model) {
  const walked = model.status.rollout, wanted = model.rollout.steps ?? [];
  if (!wanted.length) return [];
  const items = [...wanted, { weight: 100 }].map((step, index) => {
    const state = !walked ? "" : index < walked.step ? "done" : index === walked.step ? "now" : "";
    const hold = step.pause ? " · pause" : step.hold && step.hold !== "0s" ? ` · ${step.hold}` : "";
    return element("li", { class: state, ...(state === "now" ? { "aria-current": "step" } : {}) }, `${step.weight} %${hold}`);
  });
  return [section("Steps", element("ol", { class: "steps" }, ...items))];
}

function revisions(model) {
  const rows = ["stable", "canary"].filter((role) => model.status[role]).map((role) => {
    const it = model.status[role];
    return [element("span", { class: role }, role), id(it.revision, role), it.uri, id((it.digest ?? "").slice(0, 19)), `${it.readyReplicas}/${it.replicas}`];
  });
  return section("Revisions", table(["Role", "Revision", "Package", "Digest", "Pods"], rows));
}

function judgement(model) {
  const analysis = model.status.rollout?.analysis;
  if (!analysis?.measurements?.length) return [];
  const rows = [...analysis.measurements].reverse().map((one) => [when(one.time), badge(one.verdict), one.requests, one.message]);
  return [section("Analysis", table(["Time", "Verdict", "Canary requests", "Values"], rows))];
}

function copies(model) {
  return model.comparison ? [section("Copies", element("p", {}, model.comparison))] : [];
}

function past(model) {
  const rows = (model.status.history ?? []).map((one) => [when(one.finishedAt), id(one.revision), badge(one.outcome), one.uri, one.reason ?? ""]);
  return rows.length ? [section("History", table(["Finished", "Revision", "Outcome", "Package", "Reason"], rows))] : [];
}

function conditions(model) {
  const rows = (model.status.conditions ?? []).map((one) => [one.type, one.status, one.reason, one.message ?? "", when(one.lastTransitionTime)]);
  return section("Conditions", table(["Condition", "Status", "Reason", "Message", "Since"], rows));
}

function one(model) {
  path.replaceChildren(`${model.namespace} / ${model.name}`);
  const head = element("div", { class: "head" }, element("h1", {}, model.name), badge(model.health), element("span", { class: "quiet" }, model.reason),
    element("code", {}, model.status.url ?? ""), element("p", { class: "says" }, model.message));
  return [head, ...steps(model), plots(model), revisions(model), ...judgement(model), ...copies(model), ...past(model), conditions(model)];
}


let shown = "";

async function draw() {
  const target = decodeURI(location.hash.slice(2));
  try {
    const answer = await fetch(target ? `api/models/${target}` : "api/models");
    const told = await answer.json();
    if (target !== decodeURI(location.hash.slice(2))) return;
    const text = JSON.stringify(told);
    if (text !== shown) main.replaceChildren(...(answer.ok ? (target ? one(told) : list(told)) : [section("Not here", told.error)]));
    shown = text;
    link.textContent = "";
  } catch {
    link.textContent = "no answer from the operator; what is shown is old";
  }
}

addEventListener("hashchange", () => { shown = ""; draw(); });
await draw();
setInterval(draw, EVERY);
