// The page: a matrix of all cases, and the case that the address names (#case-3, #case-3/finding-1).

const read = id => JSON.parse(document.getElementById(id).textContent);
const all = read('cases');
const shown = element('section', { id: 'case' });

/** What is wrong in one line, as the console says it. */
function headline(finding) {
  const name = finding.check ?? finding.cause.replaceAll('_', ' ');
  const origin = finding.origin ? ` (${finding.origin.replaceAll('_', ' ')})` : '';
  return `${name}: ${finding.measured}${finding.bound ? ', ' + finding.bound : ''}${origin}`;
}

function placeOf({ worker, cgroup, cpu, step, at }) {
  const parts = [['worker', worker], ['cgroup', cgroup], ['CPU', cpu], ['step', step]];
  const told = parts.filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`);
  return told.concat(at === null ? [] : [`at ${seconds(at)} of guest time`]).join(', ');
}

/** A row for each topology and profile, a cell for each seed. */
function matrix() {
  const rows = new Map();
  all.cases.forEach((head, index) => {
    const name = head.topology + (head.profile ? ' · ' + head.profile : '');
    if (!rows.has(name)) rows.set(name, []);
    rows.get(name).push(element('a', {
      className: 'cell ' + head.verdict, href: '#case-' + index, title: head.name, 'data-case': index, textContent: `s${head.seed} ${head.verdict}`,
    }));
  });
  const lines = [...rows].map(([name, cells]) => element('tr', {}, element('th', { scope: 'row', className: 'label' }, name), element('td', {}, ...cells)));
  return element('div', { className: 'card matrix' }, element('table', {}, ...lines));
}

function summary() {
  const counts = new Map();
  for (const { verdict } of all.cases) counts.set(verdict, (counts.get(verdict) || 0) + 1);
  const told = [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(', ');
  return element('div', { className: 'summary' }, `${all.cases.length} case${all.cases.length === 1 ? '' : 's'}: ${told || 'none has ended yet'}`);
}

function facts(report) {
  const took = Object.values(report.timings).reduce((sum, part) => sum + part, 0);
  const all = [
    ['back end', `${report.backend} ${report.backend_version}`], ['clock', report.clock], ['starts by', report.start], ['kernel', report.kernel || 'not known'],
    ['topology', report.topology], ['seed', report.seed], ['ended', report.ending || 'not run'], ['took', took.toFixed(1) + ' s of the host'],
    ['guest events', report.guest_events],
  ];
  return element('div', { className: 'facts' }, ...all.map(([name, value]) => element('span', {}, name + ' ', element('b', {}, String(value)))));
}

/** Red ones first; each is a link to its place in the timeline, if there is one. */
function findings(list, index, chosen, timeline) {
  const items = list.map((finding, number) => {
    const { at, cpu, step } = finding.place;
    const linked = timeline && [at, cpu, step].some(value => value !== null);
    const text = headline(finding);
    return element('li', { className: number === chosen ? 'chosen' : '', 'data-finding': number },
      element('span', { className: 'badge ' + finding.verdict }, finding.verdict), ' ',
      linked ? element('a', { href: `#case-${index}/finding-${number}` }, text) : text, ' ',
      element('span', { className: 'where' }, placeOf(finding.place)),
      finding.explanation ? element('pre', {}, finding.explanation) : null);
  });
  return element('ul', { className: 'findings' }, ...items);
}

const RANK = { fail: 0, infrastructure: 1, unknown: 2, skipped: 3, pass: 4 };
let open = null;

function show(index, chosen) {
  const { report, timeline, no_timeline } = read('case-' + index);
  report.findings.sort((a, b) => RANK[a.verdict] - RANK[b.verdict]);
  const drawn = timeline ? new Timeline(timeline, report.findings) : null;
  const notes = [...(timeline ? timeline.notes : ['no timeline: ' + no_timeline]), ...report.warnings];
  const section = (title, ...parts) => [element('h3', {}, title), ...parts];
  shown.replaceChildren(element('div', { className: 'card' },
    element('div', { className: 'head' }, element('span', { className: 'badge ' + report.verdict }, report.verdict), element('h2', {}, report.name)),
    facts(report),
    notes.length > 0 ? element('ul', { className: 'notes' }, ...notes.map(note => element('li', {}, note))) : null,
    ...section('Findings', findings(report.findings, index, chosen, drawn)),
    ...(drawn ? section('Timeline', drawn.root) : []),
    ...(report.console.length > 0 ? section('Last lines of the console', element('pre', { className: 'console' }, report.console.join('\n'))) : []),
    ...section('Again', element('pre', { className: 'command' }, [report.rerun, report.replay].filter(Boolean).join('\n')))));
  for (const cell of document.querySelectorAll('.cell')) {
    if (cell.dataset.case === String(index)) cell.setAttribute('aria-current', 'true');
    else cell.removeAttribute('aria-current');
  }
  open = { index, drawn, findings: report.findings };
  if (drawn) {
    new ResizeObserver(() => drawn.draw()).observe(drawn.plot);
    drawn.hover(null);
  }
}

/** Shows what the address names; without one, the first case that is red, or the first. */
function route() {
  const named = /^#case-(\d+)(?:\/finding-(\d+))?$/.exec(location.hash);
  const red = all.cases.findIndex(({ verdict }) => RANK[verdict] < 3);
  const index = named ? Number(named[1]) : Math.max(red, 0);
  const chosen = named && named[2] ? Number(named[2]) : null;
  if (index >= all.cases.length) return;
  if (!open || open.index !== index) show(index, chosen);
  for (const item of shown.querySelectorAll('.findings li')) item.classList.toggle('chosen', item.dataset.finding === String(chosen));
  if (chosen === null || !open.drawn || !open.findings[chosen]) return;
  open.drawn.choose(open.findings[chosen]);
  open.drawn.root.scrollIntoView({ block: 'nearest' });
}

document.title = all.title + ' · ktstr';
document.body.append(element('main', {}, element('h1', {}, all.title), summary(), matrix(), shown));
window.addEventListener('hashchange', route);
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => open?.drawn?.draw());
route();
