/** @slow It runs pip for each installation. */

'use strict'

const { execFileSync, spawnSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const SCRIPT = path.join(__dirname, '..', 'scripts', 'tools.mjs')

/** A wheel with one command, which prints `hello`. */
const WHEEL = `import sys, zipfile
info = 'greeter-1.0.dist-info/'
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    command = zipfile.ZipInfo('greeter-1.0.data/scripts/greet')
    command.external_attr = 0o100755 << 16
    wheel.writestr(command, '#!/bin/sh\\necho hello\\n')
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: greeter\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
`

let root
let wheel
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-tools-'))
  fs.mkdirSync(path.join(root, 'scripts', 'tools'), { recursive: true })
  fs.copyFileSync(SCRIPT, path.join(root, 'scripts', 'tools.mjs'))
  wheel = path.join(root, 'wheels', 'greeter-1.0-py3-none-any.whl')
  fs.mkdirSync(path.dirname(wheel))
  execFileSync('python3', ['-c', WHEEL, wheel])
})
afterEach(() => fs.rmSync(root, { recursive: true }))

function pin(line) {
  fs.writeFileSync(path.join(root, 'scripts', 'tools', 'greeter.txt'), `${line}\n`)
}

function greet() {
  const args = [path.join(root, 'scripts', 'tools.mjs'), 'greeter', 'greet']
  const wheels = { PIP_NO_INDEX: '1', PIP_FIND_LINKS: path.dirname(wheel) }
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...wheels } })
}

function installed() {
  const directory = path.join(root, 'target', 'tools')
  return fs.existsSync(directory) ? fs.readdirSync(directory) : []
}

const checksum = () => createHash('sha256').update(fs.readFileSync(wheel)).digest('hex')

test('a tool is installed once, and its command runs', () => {
  pin(`greeter==1.0 --hash=sha256:${checksum()}`)
  expect(greet()).toMatchObject({ stdout: 'hello\n', status: 0 })
  fs.rmSync(wheel)
  expect(greet()).toMatchObject({ stdout: 'hello\n', status: 0 })
  expect(installed()).toEqual([expect.stringMatching(/^greeter-[0-9a-f]{12}$/)])
})

test('a tool whose pin changes is installed anew', () => {
  pin(`greeter==1.0 --hash=sha256:${checksum()}`)
  expect(greet()).toMatchObject({ status: 0 })
  pin(`greeter==1.1 --hash=sha256:${checksum()}`)
  expect(greet()).toMatchObject({ stdout: '', status: 1 })
})

test.each([
  ['with another checksum', () => `greeter==1.0 --hash=sha256:${'0'.repeat(64)}`, /DO NOT MATCH/],
  ['without a checksum', () => 'greeter==1.0', /Hashes are required/],
])('a tool %s is refused, and nothing is left of it', (_what, line, why) => {
  pin(line())
  const { stdout, stderr, status } = greet()
  expect({ stdout, status }).toEqual({ stdout: '', status: 1 })
  expect(stderr).toMatch(why)
  expect(stderr).toMatch(/greeter could not be installed/)
  expect(installed()).toEqual([])
})
