'use strict'

// The commands of docs/command-line.md, in their order, print what the page says.

const { Audit } = require('./harness/audit.js')
const { run, start } = require('./harness/command-line.js')
const { blocksOf, commandsOf } = require('./harness/documentation.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

const NAME = 'npx synckairos-state '

const blocks = blocksOf('docs/command-line.md')
const examples = blocks.flatMap((block, at) => {
  const commands = block.language === 'sh' ? commandsOf(block) : []
  if (!commands.some((command) => command.startsWith(NAME))) return []
  return [[`line ${block.line}`, commands, blocks[at + 1]?.text ?? '']]
})

const audit = Audit.use({ postgres: false })

test('each command is followed by what it prints', () => {
  expect(examples.length).toBeGreaterThan(9)
  for (const [line, , text] of examples) expect([line, text]).not.toEqual([line, ''])
})

test('every command of the program is on the page', () => {
  const { COMMANDS } = require('../bin/program.js')
  const shown = examples.flatMap(([, commands]) => commands).join('\n')
  for (const { name } of COMMANDS) expect(shown).toContain(NAME + name)
})

test('the commands print what the page says', async () => {
  const file = audit.keep(new SqliteFile())
  const env = { REDIS_URL: audit.server.url, DATABASE_URL: file.url }
  const queue = audit.queue({ queueName: 'db-writes', databaseUrl: file.url })
  await queue.migrate()
  await audit.redis.config('SET', 'appendfsync', 'everysec')
  const manager = audit.manage(queue)
  await play(manager, queue, file)
  for (const [line, commands, text] of examples) {
    let printed = ''
    for (const command of commands) {
      const { stdout } = await outcomeOf(command.slice(NAME.length).split(' '), env, manager)
      printed += stdout
    }
    expect([line, plain(printed)]).toEqual([line, plain(text)])
  }
}, 60_000)

/** A game of three versions, and a record that the database refuses. */
async function play(manager, queue, file) {
  const game = { session_id: 'game-1', sync_mode: 'global', status: 'pending', participants: [] }
  await manager.createSession({ ...game, moves: 0 })
  const start = { event: 'started', actor: 'alice' }
  await manager.modifySession('game-1', (state) => ({ ...state, status: 'running' }), start)
  const move = { event: 'moved', actor: 'bob' }
  await manager.modifySession('game-1', (state) => ({ ...state, moves: 1 }), move)
  await file.run(
    `CREATE TRIGGER refuse BEFORE INSERT ON sync_events WHEN NEW.event_type = 'refused'
     BEGIN SELECT RAISE(ABORT, 'not today'); END`,
  )
  await queue.queueWrite('game-2', { ...game, session_id: 'game-2', version: 1 }, 'refused')
  await until(async () => (await queue.getMetrics()).failed === 1)
  await queue.drained()
}

/** Runs a command; while one watches, the game goes on. */
async function outcomeOf(args, env, manager) {
  if (args[0] !== 'watch') return run(args, env)
  const watching = start(args, env)
  const ended = watching.ended.then(() => true)
  await until(async () => {
    await manager.modifySession('game-1', (state) => ({ ...state, status: 'paused' }))
    return Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100, false))])
  })
  return watching.ended
}

/** Without what differs from run to run: ids, dates, numbers with their units, and the width of columns. */
function plain(text) {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<date>')
    .replaceAll(/\S+:\d+:[0-9a-f]{16}\s+\S+/g, '<worker>')
    .replaceAll(/[\w.-]+:\d+(?=[\s,])/g, '<server>')
    .replaceAll(/[^\s(]+\/audit\.db/g, '<file>')
    .replaceAll(/\d[\d.]* (?:ms|s|min|h|days)\b/g, '<time>')
    .replaceAll(/\d[\d.]* (?:[KMG]i)?B\b/g, '<size>')
    .replaceAll(/^(Neither|It is us|It is Redis).*$/gm, '<verdict>')
    .replaceAll(/\d+/g, '0')
    .replaceAll(/\s+/g, ' ')
    .trim()
}
