/** @slow It asks Cargo what the binary of each platform contains. */

'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { runScript } = require('./harness/child.js')

const THIRD_PARTY = path.join(__dirname, '..', 'scripts', 'third-party')
const { targets } = require('../package.json').napi

let directory
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-third-party-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

/** What an expression gives, in which a module of scripts/third-party/ is `it`. */
async function evaluate(module, expression) {
  const url = JSON.stringify(pathToFileURL(path.join(THIRD_PARTY, module)))
  const source = `import(${url}).then((it) => console.log(JSON.stringify(${expression})))`
  const { stdout, stderr } = await runScript(source)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test.each(targets)('each component of a binary has the text of its license: %s', async (target) => {
  const components = await evaluate('components.mjs', `it.componentsOf('${target}')`)
  const names = components.map(({ name }) => name)
  expect(names).toEqual(
    expect.arrayContaining(['napi', 'rust-std', 'sqlite', 'sqlx-core', 'tokio']),
  )
  expect(names.includes('schannel')).toBe(target.includes('windows'))
  expect(names.includes('security-framework')).toBe(target.includes('apple'))
  // Only tests need it, only builds do, and only the unused macros of sqlx do.
  for (const name of ['proptest', 'cc', 'sqlx-macros']) expect(names).not.toContain(name)
  for (const { purl, sha256 } of components.filter(({ purl }) => purl.startsWith('pkg:cargo/'))) {
    expect([purl, sha256]).toEqual([purl, expect.stringMatching(/^[0-9a-f]{64}$/)])
  }
})

test.each([
  ['MIT', ['MIT'], true],
  ['MIT OR Apache-2.0', ['Apache-2.0'], true],
  ['MIT OR Apache-2.0', ['ISC'], false],
  ['Apache-2.0 AND ISC', ['ISC'], false],
  ['Apache-2.0 AND ISC', ['Apache-2.0', 'ISC'], true],
  ['(MIT OR Apache-2.0) AND Unicode-3.0', ['MIT'], false],
  ['(MIT OR Apache-2.0) AND Unicode-3.0', ['Apache-2.0', 'Unicode-3.0'], true],
  ['MIT AND ISC OR Zlib', ['Zlib'], true],
  ['MIT AND Apache-2.0 WITH LLVM-exception', ['MIT', 'Apache-2.0'], false],
  ['MIT AND Apache-2.0 WITH LLVM-exception', ['MIT', 'Apache-2.0', 'LLVM-exception'], true],
  ['NOASSERTION', ['MIT'], false],
])('%s is satisfied by the texts of %j: %s', async (expression, licenses, satisfied) => {
  const call = `it.isSatisfied('${expression}', new Set(${JSON.stringify(licenses)}))`
  expect(await evaluate('licenses.mjs', call)).toBe(satisfied)
})

test('the files of a crate that are licenses are found, wherever they are and however they are named', async () => {
  const found = [
    'COPYING',
    'LICENSE-Apache-2.0_WITH_LLVM-exception',
    'LICENSES/MIT.txt',
    'LICENSE_BOOST',
    'NOTICE',
    'UNLICENSE',
    'third_party/fiat/LICENSE',
  ]
  for (const name of [...found, 'README.md', 'src/license.rs', 'licensee.txt', 'Cargo.toml']) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true })
    fs.writeFileSync(path.join(directory, name), '')
  }
  const files = await evaluate('licenses.mjs', `it.licenseFilesIn(${JSON.stringify(directory)})`)
  expect(files.map((file) => path.relative(directory, file).replaceAll('\\', '/'))).toEqual(found)
})
