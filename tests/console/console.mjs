// The console, driven as people do: `node console.mjs`, started by crates/sluice/tests/e2e_console.rs.
//
// The environment says where it is (CONSOLE), which browser (CHROMIUM), and, if pictures are wanted, where they go
// (SCREENSHOTS). It prints a line for each thing that it saw, and fails at the first that is not so. At every page it looks
// for violations of accessibility (axe-core), for anything that the policy of the pages forbids, and for calls to others.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const { CONSOLE: site, ISSUER: issuer, CHROMIUM: executablePath, SCREENSHOTS: pictures, WEB_SESSION: webSession, SHELL_SESSION: shellSession } = process.env;
const WIDTHS = [1440, 390];
const say = (what) => console.log(`ok: ${what}`);
const soon = { timeout: 30_000 };

const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

const complaints = [];

/** A browser of somebody's own, who is signed in. */
async function enter(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('console', (message) => {
    const text = message.text();
    // A call that is refused is told in the page; the browser tells it too.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) complaints.push(text);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(site) && !url.startsWith(issuer) && !url.startsWith('blob:') && !url.startsWith('data:')) complaints.push(`a call to ${url}`);
  });
  await page.goto(`${site}/`);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByRole('button', { name, exact: true }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor(soon);
  return page;
}

/** Looks at a page in both widths: no serious violation, nothing wider than the screen. */
async function look(page, name) {
  const before = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width < 500 ? 844 : 900 });
    await page.waitForTimeout(150);
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
    const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const told = bad.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join(' | ')}`);
    assert.deepEqual(told, [], `${name} at ${width}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${name} at ${width} is ${wide} px too wide`);
    if (pictures) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: path.join(pictures, `${name}-${width}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(before);
}

const go = async (page, name) => {
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor(soon);
};

// Who is not signed in sees how to; and nothing else.
const stranger = await browser.newPage({ viewport: { width: 1440, height: 900 } });
await stranger.goto(`${site}/approvals`);
await stranger.getByRole('link', { name: 'Sign in' }).waitFor(soon);
await look(stranger, 'signin');
await stranger.goto(`${site}/signin/callback?code=x&state=y`);
await stranger.getByRole('alert').waitFor(soon);
say('whoever is not signed in is asked to, and a made-up answer of an issuer lets nobody in');

// Approvals, by an approver.
const dana = await enter('dana');
const cookies = await dana.context().cookies();
const cookie = cookies.find(({ name }) => name === '__Host-sluice');
assert.deepEqual([cookie?.httpOnly, cookie?.secure, cookie?.sameSite, cookie?.path], [true, true, 'Strict', '/']);
assert.equal(await dana.evaluate(() => document.cookie), '');
say('dana signs in');
await go(dana, 'Approvals');
const asked = (text) => dana.getByRole('article').filter({ hasText: text });
await asked('id = 11').waitFor(soon);
await asked('id = 12').waitFor(soon);
const odd = asked('id = 11').getByRole('note');
assert.match(await odd.innerText(), /cannot be seen/);
assert.match(await asked('id = 11').innerText(), /RLO U\+202E/);
await look(dana, 'approvals');
await asked('id = 11').getByRole('button', { name: 'Approve' }).click();
const dialog = dana.getByRole('dialog');
await dialog.waitFor(soon);
await look(dana, 'approve');
await dialog.getByLabel(/Reason/).fill('ticket 4711');
await dialog.getByRole('button', { name: 'Approve' }).click();
await asked('id = 11').waitFor({ state: 'detached', ...soon });
say('a held DELETE is approved');
// By the keyboard alone.
await asked('id = 12').focus();
await dana.keyboard.press('d');
await dialog.waitFor(soon);
await dialog.getByLabel(/Reason/).fill('not this one');
await dana.keyboard.press('Tab');
await dana.keyboard.press('Tab');
await dana.keyboard.press('Enter');
await asked('id = 12').waitFor({ state: 'detached', ...soon });
say('another is denied, by the keyboard');
await dana.getByText('Nothing waits for an answer').waitFor(soon);
await dana.getByRole('link', { name: 'All', exact: true }).click();
await asked('id = 11').getByText('ticket 4711').waitFor(soon);
await look(dana, 'approvals-all');
await asked('id = 11').getByRole('link', { name: 'By itself' }).click();
await dana.getByRole('heading', { level: 1, name: 'Approval' }).waitFor(soon);
await look(dana, 'approval');
await go(dana, 'Approvals');
await dana.getByRole('button', { name: 'Ask for a window' }).click();
await dialog.waitFor(soon);
await look(dana, 'window');
await dialog.getByLabel('delete', { exact: true }).check();
await dialog.getByLabel('Target').fill('payments');
await dialog.getByLabel('Database').fill(process.env.DATABASE);
await dialog.getByLabel('Tables').fill('public.payments');
await dialog.getByLabel('Reason').fill('clean up after the migration');
await dialog.getByRole('button', { name: 'Ask' }).click();
await dialog.waitFor({ state: 'detached', ...soon });
const own = asked('window until');
await own.getByText('Nobody answers their own request').waitFor(soon);
await own.getByRole('button', { name: 'Take it back' }).click();
await dialog.getByRole('button', { name: 'Take it back' }).click();
await own.waitFor({ state: 'detached', ...soon });
say('a window is asked for, cannot be answered by whoever asked, and is taken back');
assert.equal(await dana.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Audit' }).count(), 0);
await dana.goto(`${site}/audit`);
await dana.getByText('This is not yours to see').waitFor(soon);
await go(dana, 'Policy');
await dana.getByText('prod-delete-needs-dba').first().waitFor({ state: 'attached', ...soon });
say('dana sees no record');

// The record, by an auditor.
const vera = await enter('vera');
const question = vera.getByRole('form', { name: 'Who touched' });
await question.getByLabel('Who touched').fill('public.cards');
await question.getByRole('button', { name: 'Ask' }).click();
await question.getByText('One subject').waitFor(soon);
assert.match(await question.getByRole('status').innerText(), /demo\|order-service: 1 allowed/);
say('who touched public.cards: order-service');
const seen = vera.getByRole('form', { name: 'Did somebody ever see' });
await seen.getByLabel('Did', { exact: false }).first().fill('order-service');
await seen.getByLabel('ever see').fill('card_number');
await seen.getByRole('button', { name: 'Ask' }).click();
await seen.getByText('Only masked.').waitFor(soon);
assert.match(await seen.getByRole('status').innerText(), /was shown 0 values of card_number in clear and 3 masked, in 1 request\./);
say('did order-service ever see card_number: only masked');
await look(vera, 'overview');
await question.getByRole('link', { name: 'Every request' }).click();
await vera.getByRole('heading', { level: 1, name: 'Audit' }).waitFor(soon);
const row = vera.getByRole('button', { name: /FROM cards/i }).first();
await row.click();
const proof = vera.getByRole('region', { name: /Proof of entry/ });
await proof.getByRole('button', { name: /Verify entry/ }).click();
await proof.getByText('in the journal').waitFor(soon);
await look(vera, 'audit');
await proof.getByRole('button', { name: /Verify entry/ }).click();
const [kept] = await Promise.all([vera.waitForEvent('download'), proof.getByRole('button', { name: 'Download the proof' }).click()]);
if (process.env.PROOF) await kept.saveAs(process.env.PROOF);
await proof.getByRole('button', { name: /Keep it/ }).click();
await proof.getByRole('button', { name: /Verify entry/ }).click();
await proof.getByText('is the one that this browser keeps').waitFor(soon);
await vera.evaluate(() => localStorage.setItem('sluice.journal-key', localStorage.getItem('sluice.journal-key').replace(/\+([0-9a-f])/, (_, digit) => `+${digit === '0' ? '1' : '0'}`)));
await vera.reload();
await vera.getByRole('button', { name: /FROM cards/i }).first().click();
await proof.getByRole('button', { name: /Verify entry/ }).click();
await proof.getByRole('alert').waitFor(soon);
await vera.evaluate(() => localStorage.removeItem('sluice.journal-key'));
say('an entry is proved in the browser, and not by another key');
const [csv] = await Promise.all([vera.waitForEvent('download'), vera.getByRole('button', { name: 'Export CSV' }).click()]);
assert.match(csv.suggestedFilename(), /^sluice-requests-.*\.csv$/);
await vera.getByRole('link', { name: 'Other events' }).click();
await vera.getByRole('button', { name: 'approval answered' }).first().waitFor(soon);
await look(vera, 'audit-events');
await vera.goto(`${site}/audit?show=report&class=card_number`);
await vera.getByRole('cell', { name: 'demo|order-service' }).waitFor(soon);
await look(vera, 'audit-report');
say('the record is searched, exported and added up');

// A session, replayed; and a moment of it by a link.
await go(vera, 'Sessions');
await vera.getByRole('link', { name: 'Record', exact: true }).click();
await vera.getByLabel('Subject').fill('order-service');
await vera.getByRole('region', { name: 'Sessions of the record' }).getByRole('row').nth(1).waitFor(soon);
await look(vera, 'sessions-record');
await vera.goto(`${site}/sessions/${webSession}`);
await vera.getByRole('button', { name: 'Replay' }).click();
const timeline = vera.getByRole('region', { name: 'Timeline' });
await timeline.getByText('SELECT', { exact: true }).first().waitFor(soon);
await timeline.getByRole('columnheader', { name: 'number' }).waitFor(soon);
await timeline.getByText('allow', { exact: true }).first().waitFor(soon);
assert.match(await timeline.innerText(), /3 rows/);
await look(vera, 'replay');
const moment = await timeline.getByRole('link', { name: /Link to/ }).nth(1).getAttribute('href');
await vera.goto(`${site}${moment}`);
await timeline.getByText('3 rows').waitFor(soon);
say('a session is replayed, from a link to a moment too');

// Who may what, by keyboard alone.
await go(vera, 'Access');
const cellOf = vera.getByRole('button', { name: /^demo\|order-service at payments:/ });
await cellOf.waitFor(soon);
await look(vera, 'access');
await cellOf.focus();
await vera.keyboard.press('Enter');
const opened = vera.getByRole('region', { name: 'demo|order-service at payments' });
await opened.getByText('What is seen').waitFor(soon);
assert.equal(await vera.evaluate(() => document.activeElement?.tagName), 'H2');
await opened.getByLabel('Outcome').selectOption('ask');
const asks = opened.locator('summary').filter({ hasText: 'delete' }).filter({ hasText: 'payments' }).first();
await asks.focus();
await vera.keyboard.press('Enter');
await opened.getByText('@require_approval("dba")').first().waitFor(soon);
await look(vera, 'access-cell');
await vera.getByRole('button', { name: 'Look for unused permits' }).click();
await vera.getByText('would go otherwise').waitFor(soon);
await look(vera, 'access-unused');
await vera.goto(`${site}/access?who=demo%7Cnobody-yet&at=payments&kind=service&groups=pci-cleared`);
await vera.getByText('connect', { exact: true }).first().waitFor(soon);
say('the access map says who may what and why, by keyboard and on a small screen');

// Who is connected, by an administrator, who ends a session.
const root = await enter('root');
await go(root, 'Sessions');
const connected = root.getByRole('region', { name: 'Live sessions' });
const doomed = connected.getByRole('row').filter({ hasText: 'fraud-service' });
await doomed.waitFor(soon);
await look(root, 'sessions-live');
await doomed.getByRole('link').click();
await root.getByRole('button', { name: 'Watch' }).click();
await root.getByRole('region', { name: 'Timeline' }).getByText('count').first().waitFor(soon);
await look(root, 'watch');
await root.getByRole('button', { name: 'Kill', exact: true }).click();
await dialog2(root).getByRole('button', { name: 'Kill' }).click();
await root.getByText(/ended/).first().waitFor(soon);
say('a session is watched, and ended');
await go(root, 'Targets');
await root.getByText('ready').waitFor(soon);
await root.getByRole('button', { name: 'Look for ways past Sluice' }).click();
await root.getByRole('status').first().waitFor(soon);
await look(root, 'targets');
await root.getByRole('button', { name: 'Propose classes for its columns' }).click();
await root.getByText('and none is kept').waitFor(soon);
await root.getByText('Lines for classification.toml').or(root.getByText('Nothing is proposed')).first().waitFor(soon);
await look(root, 'scan');
say('a target is scanned, and no value of it is shown');
await go(root, 'Policy');
await root.getByText('Revision in force').waitFor(soon);
await look(root, 'policy');

// A change of the policies, by two people.
const tab = (page, name) => page.getByRole('group', { name: 'Which' }).getByRole('link', { name, exact: true }).click();
const cards = `Table::"payments/${process.env.DATABASE}/public/cards"`;
const rule = (effect) =>
  `// Nobody needs them by day.\n@id("no-cards-for-orders")\n${effect} (\n  principal == Service::"demo|order-service",\n  action == Action::"select",\n  resource in ${cards}\n);\n`;
await tab(root, 'Write');
await root.getByText('Nothing is changed.').waitFor(soon);
await root.getByRole('button', { name: 'New file' }).click();
await dialog2(root).getByLabel('Name').fill('targets.toml');
await dialog2(root).getByRole('button', { name: 'Make it' }).click();
await dialog2(root).getByRole('alert').waitFor(soon);
await dialog2(root).getByLabel('Name').fill('policies/95-cards.cedar');
await dialog2(root).getByRole('button', { name: 'Make it' }).click();
const editor = root.getByRole('textbox', { name: 'Text of policies/95-cards.cedar' });
await editor.click();
await root.keyboard.insertText(rule('forbod'));
const mistakes = root.getByRole('list', { name: 'Mistakes' });
await mistakes.getByRole('button', { name: /95-cards\.cedar:3/ }).waitFor(soon);
await root.locator('.cm-lintRange-error').first().waitFor(soon);
assert.equal(await root.getByRole('button', { name: 'Propose', exact: true }).isDisabled(), true);
await look(root, 'policy-mistake');
await mistakes.getByRole('button', { name: /95-cards\.cedar:3/ }).first().click();
await root.keyboard.press('ControlOrMeta+A');
await root.keyboard.insertText(rule('forbid'));
await root.getByText('It is right.').waitFor(soon);
say('a policy is checked as it is written, and the mistake has its place');
// Tab leaves the editor: nobody is caught in it.
await root.keyboard.press('Tab');
assert.equal(await root.evaluate(() => document.activeElement.className === 'editor'), false);
await root.getByRole('button', { name: 'Run the cases' }).click();
await root.getByText('The revision has no cases').waitFor(soon);
const simulation = root.getByRole('region', { name: 'Simulation' });
await simulation.getByRole('button', { name: 'Simulate' }).click();
const changes = simulation.getByRole('region', { name: 'Decisions that would change' });
await changes.getByText('allow -> deny (no-cards-for-orders)').first().waitFor(soon);
assert.match(await changes.innerText(), /demo\|order-service/);
await look(root, 'policy-simulated');
say('a simulation lists the decisions that would change');
await root.getByRole('button', { name: 'Propose', exact: true }).click();
await dialog2(root).getByLabel(/Reason/).fill('INC-42: cards are not for orders');
await dialog2(root).getByRole('button', { name: 'Propose' }).click();
const proposed = (page) => page.getByRole('article', { name: /Proposal prp-/ });
await proposed(root).getByRole('heading', { name: 'INC-42: cards are not for orders' }).waitFor(soon);
await proposed(root).getByText('Nobody agrees to their own').waitFor(soon);
assert.equal(await root.getByRole('button', { name: 'Agree' }).count(), 0);
assert.equal(await root.getByRole('button', { name: 'Put into force' }).isDisabled(), true);
await look(root, 'proposal-own');
const rory = await enter('rory');
await go(rory, 'Policy');
await tab(rory, 'Proposals');
await rory.getByRole('link', { name: 'INC-42: cards are not for orders' }).click();
await proposed(rory).getByText('+@id("no-cards-for-orders")').waitFor(soon);
await rory.getByRole('button', { name: 'Agree' }).click();
await dialog2(rory).getByLabel(/Reason/).fill('looked at with root');
await dialog2(rory).getByRole('button', { name: 'Agree' }).click();
await proposed(rory).getByText('looked at with root').waitFor(soon);
assert.equal(await rory.getByRole('button', { name: 'Agree' }).count(), 0);
await look(rory, 'proposal-agreed');
await rory.getByRole('button', { name: 'Put into force' }).click();
await dialog2(rory).getByRole('button', { name: 'Put into force' }).click();
await proposed(rory).getByText('applied').waitFor(soon);
await tab(rory, 'History');
await rory.getByText('+@id("no-cards-for-orders")').waitFor(soon);
await rory.getByRole('link', { name: /^prp-/ }).waitFor(soon);
await look(rory, 'policy-history');
say('somebody else agrees, and puts it into force');
await root.emulateMedia({ colorScheme: 'dark' });
await go(root, 'Overview');
await look(root, 'overview-dark');
await go(root, 'Approvals');
await look(root, 'approvals-dark');
await root.goto(`${site}/sessions/${webSession}?at=0`);
await root.getByRole('region', { name: 'Timeline' }).getByText('3 rows').waitFor(soon);
await look(root, 'replay-dark');
if (shellSession) {
  await root.goto(`${site}/sessions/${shellSession}?at=${Date.now()}`);
  await root.getByRole('region', { name: 'Terminal' }).waitFor(soon);
  await look(root, 'terminal');
}
await root.goto(`${site}/nowhere`).catch(() => {});

function dialog2(page) {
  return page.getByRole('dialog');
}

// Signing out ends it.
await dana.locator('.who summary').click();
await dana.getByRole('button', { name: 'Sign out' }).click();
await dana.getByRole('link', { name: 'Sign in' }).waitFor(soon);
await dana.context().addCookies([cookie]);
await dana.goto(`${site}/approvals`);
await dana.getByRole('link', { name: 'Sign in' }).waitFor(soon);
say('who signs out is out, whatever cookie they kept');

assert.deepEqual(complaints, []);
say('nothing was called but Sluice and the issuer, and the policy of the pages forbade nothing that they do');
await browser.close();
