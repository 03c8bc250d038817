'use strict';
// The page says everything without this; it adds sorting, reading values off plots, and a theme.

const root = document.documentElement;

const theme = document.getElementById('theme');
theme.hidden = false;
theme.addEventListener('click', () => {
  const isDark = getComputedStyle(root).colorScheme === 'dark'
    || (root.dataset.theme === undefined && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = isDark ? 'light' : 'dark';
});

// Tables: the number in a cell, else its text; what has neither comes last.
function cellKey(row, column) {
  const cell = row.cells[Math.min(column, row.cells.length - 1)];
  const text = (cell.dataset.value ?? cell.textContent).trim().replaceAll(',', '');
  const number = Number.parseFloat(text);
  return { isMissing: text === '' || text === '–', number, text };
}

function compareCells(one, other, sign) {
  if (one.isMissing || other.isMissing) return one.isMissing - other.isMissing;
  if (!Number.isNaN(one.number) && !Number.isNaN(other.number)) {
    return sign * (one.number - other.number);
  }
  return sign * one.text.localeCompare(other.text);
}

function sortBy(table, header) {
  const column = header.cellIndex;
  const isFirstUp = header.getAttribute('aria-sort') !== 'ascending';
  for (const other of header.parentElement.cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', isFirstUp ? 'ascending' : 'descending');
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellKey(row, column), row]);
  rows.sort((one, other) => compareCells(one[0], other[0], isFirstUp ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll('table.sortable')) {
  for (const header of table.tHead.rows[0].cells) {
    if (header.dataset.plain !== undefined || !header.textContent.trim()) continue;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener('click', () => sortBy(table, header));
  }
}

// Plots.
function nearest(times, time) {
  let best = 0;
  for (let i = 1; i < times.length; i += 1) {
    if (Math.abs(times[i] - time) < Math.abs(times[best] - time)) best = i;
  }
  return best;
}

function said(curves, time) {
  return curves.map((curve) => {
    const value = curve.values[nearest(curve.times, time)];
    return `${curve.name} ${value === null ? '–' : `${value.toFixed(1)} ${curve.unit}`}`;
  });
}

function readable(box, course) {
  const level = box.dataset.level;
  const curves = level === undefined ? course.plots[box.dataset.plot] : course.plots.trust[level];
  const cursor = document.createElement('div');
  const tip = document.createElement('div');
  cursor.className = 'cursor';
  tip.className = 'tip';
  const timeAt = (event) => {
    const edges = box.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - edges.left) / edges.width));
    return [course.from + part * (course.to - course.from), part, edges.width];
  };
  box.addEventListener('pointermove', (event) => {
    const [time, part, width] = timeAt(event);
    const shown = curves[0].times[nearest(curves[0].times, time)];
    const notes = course.notes.filter((note) => note.from <= shown && shown < note.to);
    const lines = [`t = ${shown.toFixed(2)} s`, ...said(curves, shown), ...notes.map((n) => n.text)];
    tip.replaceChildren(...lines.flatMap((text) => [text, document.createElement('br')]));
    box.append(cursor, tip);
    cursor.style.left = `${100 * part}%`;
    const left = part * width + 12;
    tip.style.left = `${left + tip.offsetWidth > width ? Math.max(0, left - 24 - tip.offsetWidth) : left}px`;
  });
  box.addEventListener('pointerleave', () => {
    cursor.remove();
    tip.remove();
  });
  box.addEventListener('click', (event) => {
    if (event.target.closest('a')) return;
    const [time] = timeAt(event);
    const scenes = [...document.querySelectorAll('[data-time]')];
    if (scenes.length) {
      const times = scenes.map((scene) => Number(scene.dataset.time));
      location.hash = scenes[nearest(times, time)].id;
    }
  });
}

const data = document.getElementById('course-data');
if (data) {
  const course = JSON.parse(data.textContent);
  for (const box of document.querySelectorAll('.box[data-plot]')) readable(box, course);
}

// On paper everything is open.
addEventListener('beforeprint', () => {
  for (const item of document.querySelectorAll('details')) item.open = true;
});
