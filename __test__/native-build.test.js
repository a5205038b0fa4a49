'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { runScript } = require('./harness/child.js')

const BUILD = path.join(__dirname, '..', 'scripts', 'build.mjs')
const SCRIPTS = path.join(__dirname, '..', 'scripts')

const BINARY = `synckairos-state.${process.platform}-${process.arch}-x.node`
const SOURCES = ['src/lib.rs', 'migrations/a.sql', 'Cargo.toml', 'Cargo.lock', 'build.rs']

let directory

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-build-'))
  for (const name of [...SOURCES, BINARY, 'native.d.ts']) write(name)
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

function write(name, text = '') {
  const file = path.join(directory, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
}

/** As a build of this profile leaves it, which began this much later than now. */
function built(profile, afterMs = 60_000) {
  write('target/native-profile', profile)
  const begun = new Date(Date.now() + afterMs)
  fs.utimesSync(path.join(directory, 'target', 'native-profile'), begun, begun)
}

async function isBuilt(profile) {
  const source = `process.chdir(${JSON.stringify(directory)})
    import(${JSON.stringify(BUILD)}).then(({ isBuilt }) => console.log(isBuilt('${profile}')))`
  const { stdout, stderr } = await runScript(source)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test.each([
  ['unoptimized', { unoptimized: true, quick: false, release: false }],
  ['quick', { unoptimized: true, quick: true, release: false }],
  ['release', { unoptimized: true, quick: true, release: true }],
])('a build in %s counts for the profiles that run no faster', async (profile, expected) => {
  built(profile)
  for (const [wanted, counts] of Object.entries(expected)) {
    expect([wanted, await isBuilt(wanted)]).toEqual([wanted, counts])
  }
})

test('a build that began before the sources changed does not count', async () => {
  built('release', -60_000)
  expect(await isBuilt('release')).toBe(false)
})

test('a build without its binary does not count', async () => {
  built('release')
  fs.rmSync(path.join(directory, BINARY))
  expect(await isBuilt('unoptimized')).toBe(false)
})

test('a build without the types counts for what needs no types', async () => {
  built('release')
  fs.rmSync(path.join(directory, 'native.d.ts'))
  expect(await isBuilt('release')).toBe(false)
  expect(await isBuilt('unoptimized')).toBe(true)
})

test('setup leaves the packages alone that a link leads to', async () => {
  built('unoptimized')
  const packages = path.join(directory, 'elsewhere')
  write('elsewhere/one/index.js')
  fs.symlinkSync(packages, path.join(directory, 'node_modules'), 'junction')
  write('package-lock.json', '{}')
  write('package.json', '{}')
  fs.cpSync(SCRIPTS, path.join(directory, 'scripts'), { recursive: true })
  for (const name of ['postgres-binaries.js', 'server-packages.js']) {
    const file = path.join('__test__', 'harness', name)
    fs.cpSync(path.join(__dirname, '..', file), path.join(directory, file))
  }
  const setup = path.join(directory, 'scripts', 'setup.mjs')
  const source = `import(${JSON.stringify(setup)})
    .then(({ setUp }) => setUp({ packages: '.', profile: 'unoptimized', servers: [] }))`
  expect(await runScript(source)).toMatchObject({ stderr: '', code: 0 })
  expect(fs.readdirSync(packages)).toEqual(['one'])
})
