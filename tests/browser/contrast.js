// Text whose contrast with what is behind it is below 4.5 to 1, with the pair of colours; disabled controls are exempt.
() => {
  const parse = (css) => {
    const plain = css.match(/^rgba?\(([^)]+)\)/);
    const mixed = css.match(/^color\(srgb ([^)]+)\)/);
    if (!plain && !mixed) return null;
    const [r, g, b, a = 1] = (plain || mixed)[1].split(/[ ,/]+/).map(Number);
    return plain ? [r, g, b, a] : [r * 255, g * 255, b * 255, a];
  };
  const over = (top, under) => [0, 1, 2].map((n) => top[n] * top[3] + under[n] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let node = element; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour && colour[3] > 0) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg, :disabled, option")) continue;
    if (!element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue; // hidden from eyes, there for screen readers
    let opacity = 1;
    for (let node = element; node; node = node.parentElement) opacity *= Number(getComputedStyle(node).opacity);
    const ground = behind(element);
    const ink = parse(getComputedStyle(element).color);
    if (!ink) continue;
    const shown = over([ink[0], ink[1], ink[2], ink[3] * opacity], ground);
    const [high, low] = [light(shown), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found[`${element.tagName}.${element.className} ${ratio.toFixed(2)}`] = walker.currentNode.data.trim().slice(0, 40);
  }
  return found;
}
