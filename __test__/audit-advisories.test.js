/** @slow It runs npm for each audit. */

'use strict'

const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { runScript } = require('./harness/child.js')

const AUDIT = pathToFileURL(path.join(__dirname, '..', 'scripts', 'audit.mjs'))
const URL_OF_ADVISORY = 'https://github.com/advisories/GHSA-aaaa-bbbb-cccc'
const FAULT = `left-pad <=1.0.0, high: Pads too far (${URL_OF_ADVISORY})`

let directory
let registry
let url
let advisories
beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-audit-'))
  const dependencies = { 'left-pad': '1.0.0' }
  write('package.json', { name: 'a', version: '1.0.0', dependencies })
  const packages = {
    '': { name: 'a', dependencies },
    'node_modules/left-pad': { version: '1.0.0' },
  }
  write('package-lock.json', { name: 'a', lockfileVersion: 3, packages })
  advisories = {}
  registry = http.createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (!advisories) return response.writeHead(405).end('{}')
    if (request.method === 'POST') return response.end(JSON.stringify(advisories))
    const versions = { '1.0.0': { name: 'left-pad', version: '1.0.0' } }
    response.end(JSON.stringify({ name: 'left-pad', versions, 'dist-tags': { latest: '1.0.0' } }))
  })
  registry.listen(0, '127.0.0.1')
  await once(registry, 'listening')
  url = `http://127.0.0.1:${registry.address().port}/`
})
afterEach(() => {
  registry.close()
  fs.rmSync(directory, { recursive: true })
})

function write(name, content) {
  fs.writeFileSync(path.join(directory, name), JSON.stringify(content))
}

/** What `npm audit` finds in the directory, where this is accepted. */
async function audit(accepted = []) {
  const args = [directory, accepted].map((arg) => JSON.stringify(arg)).join(', ')
  const source = `import('${AUDIT}').then(({ auditNpm }) => console.log(JSON.stringify(auditNpm(${args}))))`
  const env = {
    HOME: directory,
    npm_config_registry: url,
    npm_config_fetch_retries: '0',
  }
  const { stdout, stderr } = await runScript(source, { env })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

function publishAdvisory() {
  const about = { title: 'Pads too far', severity: 'high', vulnerable_versions: '<=1.0.0' }
  advisories = { 'left-pad': [{ id: 1, url: URL_OF_ADVISORY, cwe: [], cvss: {}, ...about }] }
}

test('packages without advisories have no fault', async () => {
  expect(await audit()).toEqual({ faults: [], used: [] })
})

test('an advisory is a fault that names the package, the versions and the page', async () => {
  publishAdvisory()
  expect(await audit()).toEqual({ faults: [FAULT], used: [] })
})

test('an accepted advisory is no fault; another one is', async () => {
  publishAdvisory()
  const accepted = { url: URL_OF_ADVISORY, reason: 'nothing is padded' }
  const other = { url: 'https://github.com/advisories/GHSA-dddd-eeee-ffff', reason: 'none' }
  expect(await audit([accepted, other])).toEqual({ faults: [], used: [accepted] })
  expect(await audit([other])).toEqual({ faults: [FAULT], used: [] })
})

test('a registry that cannot answer is a fault, not a clean audit', async () => {
  advisories = undefined
  expect((await audit()).faults).toEqual([expect.stringMatching(/^npm has not answered: 405/)])
  registry.close()
  await once(registry, 'close')
  expect((await audit()).faults).toEqual([expect.stringMatching(/^npm has not answered: .*failed/)])
})
