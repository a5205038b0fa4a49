'use strict'

const { execSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { scripts } = require('../package.json')
const { Audit } = require('./harness/audit.js')
const { runScript } = require('./harness/child.js')
const { blocksOf, commandsOf, examplesOf, pages, typeFiles } = require('./harness/documentation.js')
const { programOf } = require('./harness/examples.js')

const root = path.join(__dirname, '..')

/** Inside the package, so that blocks import it by its own name; not in git. */
const project = path.join(root, 'target', 'documentation')

/** What cannot be run where it is tested, and why. */
const NOT_RUN = new Map([
  ['npm install synckairos-state', 'it would fetch a release, and this is not one yet'],
  ['npm ci', 'this test would not be here without it'],
  ['npm pkg set "files[]=*.node"', 'it changes package.json: it is run in a copy, below'],
  ['npm pack', 'likewise'],
])

const audit = Audit.use()
const blocks = pages().flatMap(blocksOf)
const inLanguage = (...languages) => blocks.filter(({ language }) => languages.includes(language))
const named = (some) => some.map((block) => [`${block.page}:${block.line}`, block])

test('every block is in a language that is tested here', () => {
  expect(blocks.length).toBeGreaterThan(0)
  const tested = inLanguage('js', 'text', 'ts', 'json', 'sh', 'sql', 'yaml')
  expect(blocks.filter((block) => !tested.includes(block))).toEqual([])
})

describe('TypeScript', () => {
  const snippets = [...inLanguage('ts'), ...typeFiles().flatMap(examplesOf).map(programOf)]
  const nameOf = ({ page, line }) => `${page.replaceAll(/\W/g, '-')}-${line}`
  let faults

  beforeAll(() => {
    fs.rmSync(project, { recursive: true, force: true })
    fs.mkdirSync(project, { recursive: true })
    const compilerOptions = { noEmit: false, rootDir: '.', outDir: 'compiled' }
    const config = { extends: '../../tsconfig.json', compilerOptions, include: ['*.mts'] }
    fs.writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify(config))
    for (const block of snippets) {
      // A fault has the line that it has in its page.
      const text = (block.prefix ?? '') + '\n'.repeat(block.line - 1) + block.text
      fs.writeFileSync(path.join(project, `${nameOf(block)}.mts`), text)
    }
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc')
    faults = spawnSync(tsc, ['-p', project, '--pretty', 'false'], { encoding: 'utf8' }).stdout
  })

  // A service has its tables: without them a worker that is quick enough warns of an outage.
  beforeEach(async () => {
    await audit.redis.flushall()
    await audit.queue({ worker: false }).migrate()
  })

  test('is right under `strict`', () => {
    expect(faults).toBe('')
  })

  test.each(named(snippets))('%s runs, and its process ends by itself', async (_name, block) => {
    const file = path.join(project, 'compiled', `${nameOf(block)}.mjs`)
    const text = fs
      .readFileSync(file, 'utf8')
      .replaceAll('redis://localhost:6379', audit.server.url)
      .replaceAll('postgres://user:password@localhost:5432/app', audit.databaseUrl)
    expect(text).not.toMatch(/\w:\/\/\S*localhost/)
    fs.writeFileSync(file, text)
    const env = { REDIS_URL: audit.server.url, DATABASE_URL: audit.databaseUrl }
    // A module that waits for what never comes would end with 0.
    const source = `process.exitCode = 13
      import(${JSON.stringify(file)}).then(() => { process.exitCode = 0 })`
    expect(await runScript(source, { env })).toMatchObject({ stderr: '', code: 0 })
  })
})

describe('the program that the README begins with', () => {
  const [program, ...changes] = inLanguage('js').filter(({ page }) => page === 'README.md')
  const [output] = inLanguage('text')
  let directory

  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-readme-'))
    await audit.redis.flushall()
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  /** With the line in place of that which begins in the same way; in a directory of its own. */
  async function run(changed = '') {
    const [beginning] = changed.split('=')
    const text = program.text
      .replace(changed && new RegExp(`^${beginning}=.*\n`, 'm'), changed)
      .replaceAll('redis://localhost:6379', audit.server.url)
      .replaceAll('postgres://user:password@localhost:5432/app', audit.databaseUrl)
    expect(text.includes('localhost')).toBe(false)
    const file = path.join(project, 'game.mjs')
    fs.mkdirSync(project, { recursive: true })
    fs.writeFileSync(file, text)
    const source = `process.chdir(${JSON.stringify(directory)}); import(${JSON.stringify(file)})`
    const { stdout, stderr, code } = await runScript(source)
    // A callback and a promise are each for themselves: whose line is first is not said.
    return { lines: stdout.split('\n').sort(), stderr, code }
  }

  test.each([['as it stands', undefined], ...named(changes)])(
    '%s prints what it says',
    async (_, change) => {
      const lines = output.text.split('\n').sort()
      expect(await run(change?.text)).toEqual({ lines, stderr: '', code: 0 })
    },
  )
})

test.each(named(inLanguage('sh')))('%s: its commands are there, or run', (_name, block) => {
  for (const command of commandsOf(block)) {
    if (NOT_RUN.has(command)) continue
    if (command.startsWith('redis-cli -p 26379 ')) continue // Of sentinels: `sentinel.test.js`.
    if (command.startsWith('npx synckairos-state ')) continue // `command-line-page.test.js`, `runbook.test.js`
    if (command.startsWith('redis-cli ')) {
      const shell = command.replace('redis-cli', `redis-cli -p ${audit.server.port}`)
      expect(execSync(shell, { encoding: 'utf8' })).toBe('OK\n')
    } else {
      const [, script] = command.match(/^npm (?:run )?([\w:]+)$/) ?? []
      expect(Object.keys(scripts)).toContain(script)
    }
  }
})

test('what is packed after a build from the sources has its binary in it', async () => {
  const [block] = inLanguage('sh').filter(({ text }) => text.includes('npm pkg set'))
  const commands = commandsOf(block)
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-source-'))
  try {
    const built = fs.readdirSync(root).filter((name) => name.endsWith('.node'))
    for (const name of ['package.json', 'index.js', 'lib', ...built]) {
      fs.cpSync(path.join(root, name), path.join(directory, name), { recursive: true })
    }
    const run = (command) => execSync(command, { cwd: directory, stdio: 'pipe' })
    for (const command of commands.slice(commands.indexOf('npm run build') + 1)) run(command)
    const [tarball] = fs.readdirSync(directory).filter((name) => name.endsWith('.tgz'))
    run(`mkdir service && npm install --offline --no-audit --prefix service ./${tarball}`)
    const installed = path.join(directory, 'service', 'node_modules', 'synckairos-state')
    const source = `console.log(typeof require(${JSON.stringify(installed)}).RedisStateManager)`
    expect(await runScript(source)).toMatchObject({ stdout: 'function\n', stderr: '', code: 0 })
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})

// That of the runbook mends what `runbook.test.js` has broken.
const grants = inLanguage('sql').filter(({ page }) => page !== 'docs/runbook.md')
test.each(named(grants))('%s lets a service do its work', async (_name, block) => {
  await audit.queue({ worker: false }).migrate()
  await audit.rows(block.text)
  const url = new URL(audit.databaseUrl)
  url.username = 'service'
  const queue = audit.queue({ databaseUrl: url.href })
  await queue.migrate() // Every instance may, also one that could not create what is missing.
  await queue.queueWrite('a', { sync_mode: 'global', version: 1 }, 'x')
  await queue.queueWrite('a', { sync_mode: 'global', version: 2 }, 'x')
  await queue.drained()
  expect((await audit.session('a')).metadata.version).toBe(2)
})
