// What report and lab do beyond standing there: values under the pointer in charts, photos of a clicked cell.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

function make(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  return element;
}

function scale(axis, log) {
  const turn = log ? Math.log10 : (value) => value;
  return (value) => axis[2] + (turn(value) - turn(axis[0])) / (turn(axis[1]) - turn(axis[0])) * (axis[3] - axis[2]);
}

function addHover(svg) {
  const chart = JSON.parse(svg.dataset.chart);
  const pointer = svg.querySelector('.pointer');
  const names = Array.from(svg.parentElement.querySelectorAll('.key'), (key) => key.textContent);
  const atX = scale(chart.x, chart.log), atY = scale(chart.y, false);
  const format = (value) => chart.percent ? (value * 100).toFixed(1) + ' %' : String(Number(value.toPrecision(4)));

  function show(event) {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let nearest = null;
    for (const series of chart.series)
      for (const point of series)
        if (nearest === null || Math.abs(atX(point[0]) - at) < Math.abs(atX(nearest) - at)) nearest = point[0];
    if (nearest === null) return;
    const lines = [String(nearest)];
    pointer.replaceChildren(make('line', {x1: atX(nearest), x2: atX(nearest), y1: chart.y[3], y2: chart.y[2]}));
    chart.series.forEach((series, i) => {
      const point = series.find((p) => p[0] === nearest && p[1] !== null);
      if (point === undefined) return;
      lines.push(names[i] + ' ' + format(point[1]));
      pointer.append(make('circle', {class: 'dot c' + i % 8, cx: atX(point[0]), cy: atY(point[1]), r: 4}));
    });
    const width = 14 + 6.6 * Math.max(...lines.map((line) => line.length));
    const left = atX(nearest) + 10 + width > chart.x[3] ? atX(nearest) - 10 - width : atX(nearest) + 10;
    pointer.append(make('rect', {x: left, y: chart.y[3], width: width, height: 8 + 16 * lines.length, rx: 4}));
    lines.forEach((line, i) => pointer.append(make('text', {x: left + 7, y: chart.y[3] + 17 + 16 * i}, line)));
  }
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', () => pointer.replaceChildren());
}

// A figure as apps/report_album.cc makes them.
function photoFigure(photo) {
  const figure = document.createElement('figure');
  figure.className = 'photo';
  const frame = document.createElement('div');
  frame.className = 'frame';
  if (photo.thumbnail) {
    const image = document.createElement('img');
    image.src = 'data:image/jpeg;base64,' + photo.thumbnail;
    image.alt = photo.path;
    frame.append(image);
  } else {
    frame.textContent = 'no picture kept';
  }
  const caption = document.createElement('figcaption');
  caption.textContent = (photo.probability * 100).toFixed(1) + ' %';
  const file = document.createElement('span');
  file.className = 'file';
  file.textContent = photo.path;
  caption.append(file);
  figure.append(frame, caption);
  return figure;
}

function addCells(photos) {
  const shown = document.getElementById('cell-photos');
  if (shown === null) return;
  for (const button of document.querySelectorAll('table.confusion button')) {
    button.addEventListener('click', () => {
      for (const other of document.querySelectorAll('table.confusion button[aria-pressed="true"]'))
        other.setAttribute('aria-pressed', 'false');
      button.setAttribute('aria-pressed', 'true');
      const here = photos.filter((photo) => photo.cell === Number(button.dataset.cell));
      const title = document.createElement('h3');
      title.textContent = button.title;
      const gallery = document.createElement('div');
      gallery.className = 'gallery';
      gallery.append(...here.map(photoFigure));
      shown.replaceChildren(title, gallery);
    });
  }
}

for (const svg of document.querySelectorAll('svg[data-chart]')) addHover(svg);
const data = JSON.parse(document.getElementById('data').textContent);
if (data !== null && data.photos !== undefined) addCells(data.photos);
