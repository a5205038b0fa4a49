// Looks for published advisories about the dependencies: of crates at RustSec, by cargo-deny, and of
// npm packages at npm. It needs the network, and finds what nobody here has changed: so it runs by
// the clock (.github/workflows/audit.yml) and is no part of `npm run check`.
//
// What is accepted is written down with its reason: for crates in deny.toml, for npm packages here.

import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/**
 * Advisories about npm packages that harm nobody here. The published packages depend on none, so
 * this is about development, the demo and the example service alone.
 *
 * @type {Accepted[]}
 */
const ACCEPTED = []

/** Those with a lockfile. */
const DIRECTORIES = ['.', 'demo', 'examples/service']

/** @typedef {{ url: string, reason: string }} Accepted an advisory, by its page */

/**
 * The advisories about the packages in a lockfile, besides those that are accepted.
 *
 * @param {string} directory
 * @param {Accepted[]} accepted
 * @returns {{ faults: string[], used: Accepted[] }} `used`: what was accepted
 */
export function auditNpm(directory, accepted) {
  const shell = process.platform === 'win32' // npm is a batch file there.
  const args = ['audit', '--json', '--package-lock-only', '--prefix', directory]
  const { stdout, stderr, error } = spawnSync('npm', args, { encoding: 'utf8', shell })
  const report = error ? { message: error.message } : parse(stdout, stderr)
  if (!report.vulnerabilities) {
    return { faults: [`npm has not answered: ${report.message}`], used: [] }
  }
  // What is vulnerable only through another package has that one's name here, not an advisory.
  const advisories = Object.values(report.vulnerabilities)
    .flatMap(({ via }) => via)
    .filter((cause) => typeof cause === 'object')
  const byUrl = new Map(advisories.map((advisory) => [advisory.url, advisory]))
  const used = accepted.filter(({ url }) => byUrl.delete(url))
  const faults = [...byUrl.values()].map(
    ({ name, range, severity, title, url }) => `${name} ${range}, ${severity}: ${title} (${url})`,
  )
  return { faults, used }
}

function parse(stdout, stderr) {
  try {
    return JSON.parse(stdout)
  } catch {
    return { message: stderr.trim() || stdout.trim() }
  }
}

function auditCrates() {
  const args = ['scripts/tools.mjs', 'cargo-deny', 'cargo-deny', 'check', 'advisories']
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  return status === 0 ? [] : ['cargo-deny: see above']
}

function report(what, faults) {
  process.stdout.write(`${faults.length === 0 ? 'ok    ' : 'FAILED'} ${what}\n`)
  for (const fault of faults) process.stdout.write(`       ${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  report('crates', auditCrates())
  const used = new Set()
  for (const directory of DIRECTORIES) {
    const audit = auditNpm(directory, ACCEPTED)
    for (const one of audit.used) used.add(one)
    report(`npm packages of ${directory}`, audit.faults)
  }
  // Only who has had every answer knows that.
  const needless = process.exitCode ? [] : ACCEPTED.filter((one) => !used.has(one))
  report(
    'what is accepted is still there',
    needless.map(({ url }) => `${url} concerns nothing any more: remove it from scripts/audit.mjs`),
  )
}
