// How a timeline is painted. Part of the class Timeline.

const MARKS = { axis: 12, steps: 17, holds: 35, operations: 48, findings: 58 };

Object.assign(Timeline.prototype, {
  /** Soon; once, however often it is asked for. */
  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      const style = getComputedStyle(document.documentElement);
      this.colour = name => style.getPropertyValue('--' + name).trim();
      this.paintMarks();
      if (this.rows) this.paintLanes();
      for (const chart of this.charts) this.paintChart(chart);
    });
  },

  /** A clean canvas in pixels of the page. */
  canvas({ canvas, height }) {
    const [width, ratio] = [canvas.clientWidth, window.devicePixelRatio || 1];
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    canvas.style.height = height + 'px';
    const to = canvas.getContext('2d');
    to.scale(ratio, ratio);
    to.font = '11px system-ui, "DejaVu Sans", sans-serif';
    to.textBaseline = 'middle';
    const x = at => (at - this.from) / (this.to - this.from) * width;
    // What is far outside is drawn at the edge: canvases do not like large numbers.
    return { to, width, x: at => Math.min(Math.max(x(at), -10), width + 10) };
  },

  /** Text in a box of this width, or as much of it as has room. */
  text(to, text, x, y, room) {
    if (room < 14) return;
    to.save();
    to.beginPath();
    to.rect(x, y - 8, room, 16);
    to.clip();
    to.fillText(text, x, y);
    to.restore();
  },

  /** Lines at the beginnings of steps, and at the chosen finding. */
  lines({ to, x, width }, height) {
    const line = (at, colour, wide) => {
      if (at < this.from || at > this.to) return;
      to.fillStyle = this.colour(colour);
      to.fillRect(Math.min(Math.round(x(at)), width - wide), 0, wide, height);
    };
    for (const mark of this.data.marks) if (mark.kind === 'step') line(mark.at, 'faint', 1);
    if (typeof this.chosen.at === 'number') line(this.chosen.at, 'accent', 2);
  },

  paintMarks() {
    const canvas = this.canvas(this.marks), { to, width, x } = canvas;
    this.paintAxis(canvas);
    for (const mark of this.data.marks) {
      const [left, right] = [x(mark.at), x(mark.until ?? mark.at)];
      if (right < 0 || left > width) continue;
      const edge = Math.max(left, 0);
      if (mark.kind === 'step' || mark.kind === 'hold') {
        const [top, height] = mark.kind === 'step' ? [MARKS.steps, 16] : [MARKS.holds, 10];
        to.fillStyle = this.colour(mark.kind === 'step' ? 'idle' : 'hold');
        to.fillRect(left, top, Math.max(right - left - 1, 1), height);
        to.fillStyle = this.colour(mark.kind === 'step' ? 'ink' : 'faint');
        this.text(to, mark.text, edge + 4, top + height / 2 + 0.5, Math.min(right, width) - edge - 6);
      } else {
        to.fillStyle = this.colour({ op: 'accent', scheduler: 'infrastructure', problem: 'fail' }[mark.kind]);
        to.fillRect(left - 1, MARKS.operations, 2, 8);
      }
    }
    for (const finding of this.findings) {
      if (finding.place.at === null) continue;
      const [at, y] = [x(finding.place.at), MARKS.findings];
      to.fillStyle = this.colour(finding.verdict);
      to.beginPath();
      to.moveTo(at, y + 8);
      to.lineTo(at - 5, y);
      to.lineTo(at + 5, y);
      to.fill();
    }
  },

  paintAxis({ to, width, x }) {
    const aim = (this.to - this.from) / Math.max(width / 120, 1), power = 10 ** Math.floor(Math.log10(aim));
    const step = [1, 2, 5, 10].map(factor => factor * power).find(step => step >= aim);
    const digits = Math.max(0, 9 - Math.floor(Math.log10(step)));
    to.fillStyle = this.colour('faint');
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      const left = Math.round(x(at));
      to.fillRect(left, 0, 1, MARKS.axis + 2);
      this.text(to, seconds(at, digits), left + 4, MARKS.axis / 2 + 1, width - left - 4);
    }
  },

  paintLanes() {
    const canvas = this.canvas(this.rows), { to, width, x } = canvas;
    // Once a task: a hue of its own for a worker.
    const others = this.colour('other'), light = this.colour('worker-light');
    const colours = this.data.tasks.map((task, index) => (task.worker ? `hsl(${(index * 137.508) % 360} 55% ${light})` : others));
    colours[0] = this.colour('idle');
    for (const lane of this.lanes) {
      this.paintLane(lane, to, x, width, colours);
      this.paintWaiting(lane, to, x);
    }
    if (this.data.seen === 'samples') this.hatch(to, width);
    this.lines(canvas, this.rows.height);
    const chosen = this.lanes.find(lane => lane.cpu === this.chosen.cpu);
    if (chosen) {
      to.strokeStyle = this.colour('accent');
      to.strokeRect(0.5, chosen.y - 0.5, width - 1, chosen.height + 1);
    }
  },

  paintLane(lane, to, x, width, colours) {
    to.fillStyle = this.colour('unseen');
    to.fillRect(0, lane.y, width, lane.height);
    const ink = this.colour('card');
    let painted = -1;
    for (let i = Math.max(before(lane.at, this.from), 0); i < lane.at.length && lane.at[i] < this.to; i++) {
      const [left, right] = [x(lane.at[i]), x(i + 1 < lane.at.length ? lane.at[i + 1] : this.data.end)];
      // Of several in one pixel the first is seen, and idleness only if it is alone.
      if (right < painted + 1 && right - left < 1) continue;
      const task = lane.tasks[i];
      if (task < 0) continue;
      to.globalAlpha = lane.merged.length > 0 && lane.merged[i] > 1 ? 0.6 : 1;
      to.fillStyle = colours[task];
      to.fillRect(left, lane.y, Math.max(right - left, 1), lane.height);
      painted = Math.floor(left);
      to.globalAlpha = 1;
      if (task === 0 || lane.height < 14 || right - left < 30) continue;
      to.fillStyle = ink;
      const edge = Math.max(left, 0);
      this.text(to, this.data.tasks[task].name, edge + 3, lane.y + lane.height / 2 - 1, Math.min(right, width) - edge - 5);
    }
  },

  paintWaiting(lane, to, x) {
    const high = lane.height > 12 ? 4 : 2;
    to.fillStyle = this.colour('waiting');
    for (let i = Math.max(before(lane.waitAt, this.from), 0); i < lane.waitAt.length && lane.waitAt[i] < this.to; i++) {
      if (lane.waiting[i] === 0) continue;
      const [left, right] = [x(lane.waitAt[i]), x(i + 1 < lane.waitAt.length ? lane.waitAt[i + 1] : this.data.end)];
      to.globalAlpha = 0.35 + 0.65 * lane.waiting[i] / this.mostWaiting;
      to.fillRect(left, lane.y + lane.height - high, Math.max(right - left, 1), high);
    }
    to.globalAlpha = 1;
  },

  /** What was only sampled is not painted as if it were known. */
  hatch(to, width) {
    to.strokeStyle = this.colour('card');
    to.globalAlpha = 0.28;
    to.beginPath();
    for (const { y, height } of this.lanes) {
      for (let left = -height; height > 4 && left < width; left += 7) {
        to.moveTo(left, y + height);
        to.lineTo(left + height, y);
      }
    }
    to.stroke();
    to.globalAlpha = 1;
  },

  paintChart(chart) {
    const canvas = this.canvas(chart), { to, x } = canvas, bottom = chart.height - 3;
    const size = Math.max(chart.most - chart.least, 1e-9);
    const y = value => bottom - (value - chart.least) / size * (bottom - 4);
    const first = Math.max(before(chart.at, this.from), 0);
    to.strokeStyle = to.fillStyle = this.colour('accent');
    // Each value holds until the next; where there is none, there is no line.
    for (let i = first; i < chart.at.length && chart.at[i] <= this.to; i++) {
      if (chart.values[i] === null) continue;
      const [left, right, top] = [x(chart.at[i]), x(i + 1 < chart.at.length ? chart.at[i + 1] : this.data.end), y(chart.values[i])];
      to.globalAlpha = 0.16;
      to.fillRect(left, top, right - left, y(0) - top);
      to.globalAlpha = 1;
      const next = chart.values[i + 1];
      to.fillRect(left, top - 0.75, right - left, 1.5);
      if (typeof next === 'number') to.fillRect(right - 0.75, Math.min(top, y(next)), 1.5, Math.abs(top - y(next)));
    }
    this.lines(canvas, chart.height);
  },
});
