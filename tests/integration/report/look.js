// What a person sees on the page, as data.
const wide = document.documentElement.clientWidth;
const shown = (node) => {
  const element = node.nodeType === 3 ? node.parentElement : node;
  return element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
};
const scrolls = (element) => element.closest(".scroll") !== null;
const words = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  if (!node.data.trim() || !shown(node) || ["TITLE", "DESC", "title", "desc"].includes(node.parentElement.tagName)) continue;
  if (node.parentElement.closest("thead") && getComputedStyle(node.parentElement.closest("thead")).clipPath !== "none") continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const box of range.getClientRects()) {
    if (box.width > 0) words.push({ text: node.data.trim(), node, box, element: node.parentElement });
  }
}
const overlaps = [];
for (let one = 0; one < words.length; one++) {
  for (let two = one + 1; two < words.length; two++) {
    const [a, b] = [words[one], words[two]];
    if (a.node === b.node) continue;
    const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    // Boxes of lines are higher than their letters.
    const spare = a.element.ownerSVGElement || b.element.ownerSVGElement ? 3.5 : 5;
    if (across > 1 && down > spare) overlaps.push(`${a.text} / ${b.text}`);
  }
}
const outside = [];
for (const element of document.body.querySelectorAll("*")) {
  if (!shown(element) || element.ownerSVGElement || scrolls(element)) continue;
  const box = element.getBoundingClientRect();
  if (box.width && (box.right > wide + 1 || box.left < -1) && getComputedStyle(element).clipPath === "none" && !element.closest("thead"))
    outside.push(`${element.tagName}.${element.className}`);
}
for (const { element, box, text } of words) {
  const drawing = element.ownerSVGElement;
  if (!drawing) continue;
  const frame = drawing.getBoundingClientRect();
  if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
    outside.push(`${text} in a chart`);
}
const channels = (color) => {
  const numbers = color.match(/[\d.]+/g).map(Number);
  return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
};
const light = ([r, g, b]) => {
  const linear = [r, g, b].map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const { rgb, alpha } = channels(getComputedStyle(at).backgroundColor);
    if (alpha === 1) return rgb;
  }
  return [255, 255, 255];
};
const faint = [];
for (const { element, text } of words) {
  const style = getComputedStyle(element);
  const ink = light(channels(element.ownerSVGElement ? style.fill : style.color).rgb);
  const paper = light(behind(element));
  const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (ratio < 4.5) faint.push(`${text}: ${ratio.toFixed(2)}`);
}
const figures = [...document.querySelectorAll("[data-json]")].map((element) => ({
  path: element.dataset.json,
  text: element.innerText.trim(),
  seen: element.getClientRects().length > 0,
}));
const charts = [...document.querySelectorAll("figure")].map((figure) => {
  const drawings = [...figure.querySelectorAll("svg.chart")].filter(shown);
  const drawing = drawings[0];
  const place = (element) => {
    const box = element.getBoundingClientRect();
    return { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, text: element.textContent };
  };
  return {
    title: figure.querySelector("h3").innerText,
    drawings: drawings.length,
    ticks: [...drawing.querySelectorAll("text.tick[text-anchor=end]")].map(place),
    marks: [...drawing.querySelectorAll("circle.mark")].map(place),
    small: Math.min(...[...drawing.querySelectorAll("text")].map((text) => text.getBoundingClientRect().height)),
  };
});
const bars = [...document.querySelectorAll(".bar")].map((bar) => {
  const whole = bar.clientWidth;
  return Object.fromEntries(
    [...bar.querySelectorAll("span:not(.limit)")].map((piece) => [piece.className, piece.getBoundingClientRect().width / whole])
  );
});
const unnamed = [...document.querySelectorAll("svg[role=img], [role=img], [role=region]")].filter((element) => {
  const named = element.getAttribute("aria-label") ||
    (element.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("");
  return !named.trim();
}).map((element) => element.outerHTML.slice(0, 80));
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
return {
  wide, scroll: document.documentElement.scrollWidth, text: document.body.innerText, overlaps, outside, faint, figures,
  charts, bars, unnamed, doubled: ids.filter((id, index) => ids.indexOf(id) !== index),
  headings: [...document.querySelectorAll("h1, h2, h3")].filter(shown).map((element) => Number(element.tagName[1])),
};
