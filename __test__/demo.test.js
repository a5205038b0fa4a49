'use strict'

// `npm run demo`, as it is once everything is built.

const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { promisify } = require('node:util')

const PLAY = `
  import('./demo/director.mjs').then(async ({ play }) => {
    process.exit(await play(await import('./demo/in-process.mjs')))
  })
`

test('needs no program besides Node.js, and shows the rows of the file', async () => {
  // Nothing is found on this path: no server, no shell.
  const cwd = path.join(__dirname, '..')
  const options = { cwd, env: { PATH: __dirname }, timeout: 40_000 }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', PLAY], options)
  expect(stderr).toBe('')

  const [, file] = /^SQLite: (.*), deleted at the end\.$/m.exec(stdout)
  expect(fs.existsSync(file)).toBe(false)

  const [events, session] = stdout
    .split('sync_events: a row for each change')[1]
    .split('sync_sessions')
  expect(events).toMatch(/^ *1 .*session_created +1 /m)
  expect(events).toMatch(/ more /)
  expect(events).toMatch(/session_deleted/)
  expect(session).toMatch(/final_status +completed/)

  const [, facts] = stdout.split('What must hold')
  expect(facts).not.toContain('FAILED')
  const [, updates] = /version (\d+) = 1 \(created\)/.exec(facts)
  expect(session).toMatch(new RegExp(`version \\(in metadata\\) +${updates}\\b`))
  // One each: of the creation and the updates, and of the deletion.
  expect(facts).toContain(`SQLite has ${Number(updates) + 1} events`)
}, 60_000)
