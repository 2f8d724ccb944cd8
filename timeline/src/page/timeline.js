'use strict';
// The timeline of a case: marks, a lane for each CPU, charts; one range of time for all of them.
//
// Data is as page.rs writes it. Everything is drawn anew when the range changes: what is narrower than a pixel is drawn once a pixel.

/** An element with properties and children; strings become text and nothing else. */
function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key.includes('-')) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ''));
  return made;
}

/** Guest time as findings have it: seconds. */
function seconds(ns, digits = 6) {
  return (ns / 1e9).toFixed(digits) + ' s';
}

/** A duration with a unit that suits it. */
function duration(ns) {
  const [unit, size] = ns >= 1e9 ? ['s', 1e9] : ns >= 1e6 ? ['ms', 1e6] : ns >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  return Number((ns / size).toPrecision(4)) + ' ' + unit;
}

/** Index of the last of `times` that is not behind `at`; -1: there is none. */
function before(times, at) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Times out of differences, every `stride`-th number of a list. */
function times(start, list, stride) {
  const all = new Float64Array(list.length / stride);
  for (let i = 0, at = start; i < all.length; i++) all[i] = at += list[i * stride];
  return all;
}

const every = (list, stride, offset) => list.filter((_, index) => index % stride === offset);

class Timeline {
  constructor(data, findings) {
    this.data = data;
    this.findings = findings;
    this.lanes = data.lanes.map(lane => ({
      cpu: lane.cpu, at: times(data.start, lane.runs, 2), tasks: every(lane.runs, 2, 1), merged: lane.merged || [],
      waitAt: times(data.start, lane.waiting, 2), waiting: every(lane.waiting, 2, 1),
    }));
    this.charts = data.charts.map(chart => ({ ...chart, at: times(data.start, chart.times, 1) }));
    this.mostWaiting = this.lanes.reduce((most, lane) => lane.waiting.reduce((a, b) => Math.max(a, b), most), 1);
    this.chosen = {};
    this.build();
    this.fit();
  }

  // ---- the page

  build() {
    const button = (text, title, act) => element('button', { type: 'button', textContent: text, title, onclick: act });
    this.span = element('span', { className: 'span' });
    this.tip = element('div', { className: 'tip', hidden: true });
    this.cursor = element('div', { className: 'cursor', hidden: true });
    this.plot = element('div', { className: 'plot', tabIndex: 0, role: 'application', 'aria-label': 'Timeline; arrows move, plus and minus zoom, 0 shows all' });
    this.marks = this.row('marks', 66);
    this.plot.append(this.marks.row);
    if (this.lanes.length > 0) this.buildLanes();
    this.charts.forEach(chart => this.buildChart(chart));
    this.plot.append(this.cursor);
    this.root = element('div', { className: 'timeline' },
      element('div', { className: 'tools' },
        button('+', 'Zoom in', () => this.zoom(0.5)), button('−', 'Zoom out', () => this.zoom(2)), button('all', 'Show all', () => this.fit()), this.span,
        element('span', { className: 'hint' }, 'drag or ← → moves, Ctrl and wheel or + − zooms, 0 shows all')),
      this.legend(), this.plot, this.tip);
    this.listen();
  }

  row(kind, height) {
    const label = element('div', { className: 'label' });
    const canvas = element('canvas', { height: 1 });
    canvas.style.height = label.style.height = height + 'px';
    return { row: element('div', { className: 'row ' + kind }, label, canvas), label, canvas, height };
  }

  legend() {
    const entry = (colour, text) => {
      const swatch = element('i');
      swatch.style.background = colour;
      return element('span', {}, swatch, text);
    };
    const { seen } = this.data;
    const box = element('div', { className: 'legend' });
    if (seen === 'nothing') return box;
    box.append(
      element('b', { className: 'seen' }, seen === 'switches' ? 'every context switch' : 'sampled: what ran in between is not known'),
      entry('linear-gradient(90deg, hsl(210 60% 55%), hsl(20 60% 55%))', 'workers, each its colour'), entry('var(--other)', 'other tasks'),
      entry('var(--idle)', 'idle'), entry('var(--unseen)', 'not seen, or off line'));
    if (this.lanes.some(lane => lane.waiting.length > 0)) box.append(entry('var(--waiting)', 'tasks that wait for the CPU, at most ' + this.mostWaiting));
    return box;
  }

  /** Labels of lanes, with those of their LLCs and nodes in between. */
  buildLanes() {
    const { cpus_per_llc, llcs_per_node } = this.data;
    const height = this.lanes.length <= 32 ? 20 : this.lanes.length <= 128 ? 11 : 6;
    const [labels, several] = [[], this.lanes.length > cpus_per_llc];
    let y = 0;
    for (const lane of this.lanes) {
      const llc = Math.floor(lane.cpu / cpus_per_llc);
      if (several && lane.cpu % cpus_per_llc === 0) {
        labels.push(element('div', { className: 'group', textContent: `node ${Math.floor(llc / llcs_per_node)} · LLC ${llc}` }));
        labels.at(-1).style.top = y + 4 + 'px';
        y += height > 8 ? 18 : 22;
      }
      [lane.y, lane.height] = [y, height - (height > 8 ? 2 : 1)];
      lane.label = element('div', { className: 'cpu', textContent: 'CPU ' + lane.cpu, 'data-cpu': lane.cpu });
      lane.label.style.top = y + Math.max(height - 12, 0) / 2 + 'px';
      // Where lanes are low, not each name has room.
      lane.label.hidden = height < 11 && lane.cpu % 4 !== 0;
      labels.push(lane.label);
      y += height;
    }
    this.rows = this.row('lanes', y + 4);
    this.rows.label.append(...labels);
    this.plot.append(this.rows.row);
  }

  buildChart(chart) {
    const { row, label, canvas, height } = this.row('chart', 52);
    chart.most = chart.values.reduce((most, value) => Math.max(most, value === null ? most : value), -Infinity);
    chart.least = chart.values.reduce((least, value) => Math.min(least, value === null ? least : value), 0);
    chart.value = element('span');
    label.append(element('b', {}, chart.name), chart.value);
    label.title = chart.name;
    Object.assign(chart, { canvas, height });
    this.plot.append(row);
  }

  // ---- the range of time

  fit() {
    this.show(this.data.start, this.data.end);
  }

  show(from, to) {
    const { start, end } = this.data;
    const length = Math.min(Math.max(to - from, 1000), end - start);
    this.from = Math.min(Math.max(from, start), end - length);
    this.to = this.from + length;
    this.span.textContent = `${seconds(this.from)} to ${seconds(this.to)} (${duration(length)})`;
    this.draw();
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  move(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  }

  /** To the place of a finding. */
  choose(finding) {
    const { at, cpu, step } = finding.place;
    this.chosen = { at, cpu };
    for (const lane of this.lanes) lane.label.classList.toggle('chosen', lane.cpu === cpu);
    const mark = this.data.marks.find(mark => mark.kind === 'step' && mark.text === 'step ' + step);
    const wide = (this.data.end - this.data.start) / 20;
    if (at !== null) this.show(at - 1.5 * wide, at + wide / 2);
    else if (mark) this.show(mark.at, mark.until);
    else this.fit();
  }

  // ---- what the mouse and the keys do

  listen() {
    const area = () => this.marks.canvas.getBoundingClientRect();
    const time = event => this.from + (event.clientX - area().left) / area().width * (this.to - this.from);
    let dragged = null;
    this.plot.addEventListener('wheel', event => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, time(event));
    }, { passive: false });
    this.plot.addEventListener('pointerdown', event => {
      dragged = { x: event.clientX, from: this.from, to: this.to };
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener('pointerup', () => { dragged = null; });
    this.plot.addEventListener('pointerleave', () => this.hover(null));
    this.plot.addEventListener('pointermove', event => {
      if (dragged) {
        const by = (dragged.x - event.clientX) / area().width * (dragged.to - dragged.from);
        this.show(dragged.from + by, dragged.to + by);
      }
      this.hover(event.clientX < area().left ? null : event, time(event), area());
    });
    this.plot.addEventListener('dblclick', event => this.zoom(0.25, time(event)));
    const keys = {
      ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), '+': () => this.zoom(0.5), '=': () => this.zoom(0.5), '-': () => this.zoom(2),
      '0': () => this.fit(), Home: () => this.move(-1e9), End: () => this.move(1e9),
    };
    this.plot.addEventListener('keydown', event => {
      if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  hover(event, at, area) {
    this.tip.hidden = this.cursor.hidden = event === null;
    for (const chart of this.charts) chart.value.textContent = event === null ? 'at most ' + this.number(chart, chart.most) : this.valueAt(chart, at);
    if (event === null) return;
    this.cursor.style.left = event.clientX - this.plot.getBoundingClientRect().left + 'px';
    const text = this.textAt(event, at, area);
    this.tip.hidden = text === '';
    this.tip.textContent = text;
    const right = event.clientX > window.innerWidth / 2;
    this.tip.style.left = right ? '' : event.clientX + 14 + 'px';
    this.tip.style.right = right ? window.innerWidth - event.clientX + 14 + 'px' : '';
    this.tip.style.top = event.clientY + 14 + 'px';
  }

  number(chart, value) {
    return value === null || !isFinite(value) ? 'no value' : Number(value.toPrecision(5)) + chart.unit;
  }

  valueAt(chart, at) {
    const index = before(chart.at, at);
    return index < 0 ? 'no value' : this.number(chart, chart.values[index]);
  }

  textAt(event, at, area) {
    const lanes = this.rows && this.rows.canvas.getBoundingClientRect();
    const lane = lanes && this.lanes.find(lane => event.clientY - lanes.top >= lane.y && event.clientY - lanes.top < lane.y + lane.height + 1);
    if (lane) return this.textOfLane(lane, at);
    if (event.clientY > area.bottom) return '';
    const near = (this.to - this.from) / area.width * 5;
    const told = this.data.marks.filter(mark => mark.until === undefined ? Math.abs(mark.at - at) < near : mark.at <= at && at < mark.until);
    const found = this.findings.filter(finding => finding.place.at !== null && Math.abs(finding.place.at - at) < near);
    return [seconds(at), ...told.map(mark => mark.text), ...found.map(headline)].slice(0, 14).join('\n');
  }

  textOfLane(lane, at) {
    const index = before(lane.at, at);
    const lines = [`CPU ${lane.cpu} at ${seconds(at)}`];
    if (index >= 0) {
      const task = this.data.tasks[lane.tasks[index]];
      const [from, to] = [lane.at[index], index + 1 < lane.at.length ? lane.at[index + 1] : this.data.end];
      const name = !task ? 'not seen, or off line' : lane.tasks[index] === 0 ? 'idle' : task.name + (task.pid === null ? '' : ', pid ' + task.pid);
      lines.push(name, `${seconds(from, 9)} to ${seconds(to, 9)}, ${duration(to - from)}`);
      const runs = lane.merged.length > 0 ? lane.merged[index] : 1;
      if (runs > 1) lines.push(`${runs} short runs are drawn as one: this is what ran longest`);
      if (this.data.seen === 'samples') lines.push('sampled');
    }
    const waiting = before(lane.waitAt, at);
    if (this.data.charts.length > 0) lines.push(`${waiting < 0 ? 0 : lane.waiting[waiting]} tasks wait`);
    return lines.join('\n');
  }
}
