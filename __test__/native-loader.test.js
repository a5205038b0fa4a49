'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { version } = require('../package.json')
const { runScript } = require('./harness/child.js')

const ROOT = path.join(__dirname, '..')
const BINARY = /^synckairos-state\.(.+)\.node$/
const built = fs.readdirSync(ROOT).find((name) => BINARY.test(name))
const [, here] = BINARY.exec(built)

let directory
let modules
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-loader-'))
  modules = path.join(directory, 'node_modules')
  fs.cpSync(
    path.join(ROOT, 'lib/realm/native.js'),
    path.join(modules, 'synckairos-state/lib/realm/native.js'),
  )
  setVersion(version)
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

function setVersion(version) {
  fs.writeFileSync(path.join(modules, 'synckairos-state/package.json'), JSON.stringify({ version }))
}

/** A platform's package, with this module in it. */
function install(platform, file, content) {
  const directory = path.join(modules, `synckairos-state-${platform}`)
  fs.mkdirSync(directory)
  fs.writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ main: file }))
  fs.writeFileSync(path.join(directory, file), content)
}

function binary() {
  return fs.readFileSync(path.join(ROOT, built))
}

/** What the loader gives or throws in a new process, on the platform that `setup` makes it believe in. */
async function load(setup = '', env = {}) {
  const file = JSON.stringify(path.join(modules, 'synckairos-state/lib/realm/native.js'))
  const source = `
    ${setup}
    try {
      console.log(JSON.stringify({ names: Object.keys(require(${file})) }))
    } catch ({ name, code, message, cause, errors }) {
      const failures = errors.map(({ message }) => message)
      console.log(JSON.stringify({ name, code, message, cause: cause.message, failures }))
    }`
  const { stdout, stderr } = await runScript(source, { env })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

function pretend(platform) {
  const [name, arch, libc] = platform.split('-')
  const executable = path.join(modules, 'executable')
  const interpreter = libc === 'musl' ? '/lib/ld-musl-x86_64.so.1' : '/lib64/ld-linux-x86-64.so.2'
  fs.writeFileSync(executable, `\x7fELF\0${interpreter}\0`)
  return `
    Object.defineProperty(process, 'platform', { value: '${name}' })
    Object.defineProperty(process, 'arch', { value: '${arch}' })
    process.execPath = ${JSON.stringify(executable)}`
}

test('the binary in its own directory, the binary of the package: either is loaded', async () => {
  install(here, 'a.node', binary())
  expect((await load()).names).toContain('NativeStore')
  fs.writeFileSync(path.join(modules, 'synckairos-state', built), 'no binary')
  expect((await load()).names).toContain('NativeStore')
  fs.rmSync(path.join(modules, `synckairos-state-${here}`), { recursive: true })
  fs.writeFileSync(path.join(modules, 'synckairos-state', built), binary())
  expect((await load()).names).toContain('NativeStore')
})

test.each(fs.readdirSync(path.join(ROOT, 'npm')))(
  '%s: its package is loaded there',
  async (platform) => {
    install(platform, 'index.js', `exports.VERSION = '${version}'; exports.mark = 1`)
    expect((await load(pretend(platform))).names).toEqual(['VERSION', 'mark'])
  },
)

test('nothing is installed: the error says what was looked for, where, and what to do', async () => {
  const { code, message, cause, failures } = await load()
  expect(code).toBe('NATIVE_MODULE_UNAVAILABLE')
  expect(message).toContain(` on ${here} (Node.js ${process.versions.node}, N-API `)
  expect(message).toContain(path.join(modules, 'synckairos-state', built))
  expect(message).toContain(`'synckairos-state-${here}'`)
  expect(message).toContain('--omit=optional')
  expect(message).toContain('lockfile')
  expect(failures).toHaveLength(2)
  expect(cause).toBe(failures[1])
})

test('node_modules of another platform: the error names what is there instead', async () => {
  install('plan9-x64', 'a.node', '')
  const { message } = await load()
  expect(message).toContain('Installed is synckairos-state-plan9-x64')
})

test('another libc: the package of that libc is looked for', async () => {
  install('linux-x64-gnu', 'a.node', binary())
  const { message } = await load(pretend('linux-x64-musl'))
  expect(message).toContain(' on linux-x64-musl ')
  expect(message).toContain(`'synckairos-state-linux-x64-musl'`)
  expect(message).toContain('Installed is synckairos-state-linux-x64-gnu')
})

test.each([
  [
    'in its own directory',
    (content) => fs.writeFileSync(path.join(modules, 'synckairos-state', built), content),
  ],
  ['in the package', (content) => install(here, 'a.node', content)],
])(
  'a damaged binary %s: its own fault is the cause, before anything that is missing',
  async (_where, write) => {
    write('no binary')
    const { message, cause, failures } = await load()
    expect(cause).toContain('.node')
    expect(cause).not.toContain('Cannot find module')
    expect(message).toContain(cause)
    expect(message).toContain('damaged')
    expect(failures).toHaveLength(2)
  },
)

test.each([[40], [4096], [1_000_000], [4_000_000]])(
  'a binary that is cut off after %i bytes is refused, before it ends the process',
  async (length) => {
    const content = binary().subarray(0, length)
    install(here, built, content)
    fs.writeFileSync(path.join(modules, 'synckairos-state', built), content)
    const { message, failures } = await load()
    expect(message).toContain('damaged')
    expect(failures).toHaveLength(2)
    const package_ = path.join(modules, `synckairos-state-${here}`, built)
    if (length > 64) expect(failures[1]).toContain(`${package_} is cut off: `)
  },
)

test('Node.js loads no native modules: the error says that it was told not to', async () => {
  install(here, built, binary())
  const { message } = await load('', { NODE_OPTIONS: '--no-addons' })
  expect(message).toContain('--no-addons')
  expect(message).not.toContain('damaged')
})

test('a binary of another version is refused', async () => {
  install(here, 'a.node', binary())
  setVersion('99.0.0')
  const { message, cause } = await load()
  expect(cause).toBe(`The binary for ${here} is of version ${version}, synckairos-state of 99.0.0`)
  expect(message).toContain('Install again')
})

test('a platform without a package: the error lists those with one', async () => {
  const { message, cause } = await load(pretend('linux-riscv64-gnu'))
  expect(cause).toBe('There is no package synckairos-state-linux-riscv64-gnu')
  expect(message).toMatch(/binaries for Linux .*macOS .*Windows/)
})

test("a service's test that mocks the file system can load it", () => {
  jest.isolateModules(() => {
    jest.doMock('node:fs')
    jest.doMock('fs')
    expect(require('../lib/realm/native.js')).toHaveProperty('NativeStore')
  })
})
