'use strict'

// What an example in a comment leaves out: the imports, and what it works on.

const { textOf } = require('./documentation.js')

const REDIS = `'redis://localhost:6379'`

/** An import of everything that the package exports. */
const IMPORTS = textOf('index.d.ts')
  .match(/^export (type )?{[^}]*} from '.*'$/gm)
  .map((list) => list.replace(/^export/, 'import').replace(/'.*'$/, `'synckairos-state';`))
  .concat(
    "import diagnostics_channel from 'node:diagnostics_channel';",
    "import { createTestStore, type TestClock, type TestRecord, type TestStore } from 'synckairos-state/testing';",
  )
  .join(' ')

/** How each is made before an example that names it and does not make its own, and ended after it. */
const FIXTURES = {
  state: {
    make: `const state: SyncState = { session_id: 'game-1', version: 1, sync_mode: SyncMode.PER_PARTICIPANT,
      status: SyncStatus.PENDING, participants: [], active_participant_id: null, total_time_ms: 600_000,
      time_per_cycle_ms: null, increment_ms: null, max_time_ms: null, cycle_started_at: null,
      session_started_at: null, session_completed_at: null, created_at: new Date(), updated_at: new Date() };`,
    end: '',
  },
  manager: {
    make: `const manager = new RedisStateManager(${REDIS}); await manager.createSession(state);`,
    end: 'await manager.close();',
  },
  queue: {
    make: `const queue = new DBWriteQueue(${REDIS}); await queue.migrate();`,
    end: 'await queue.close();',
  },
  client: {
    make: `const client = createRedisClient(${REDIS});`,
    end: 'await client.quit();',
  },
}

/** A program around an example of a file of types, with the lines of the example where they were. */
function programOf({ page, text, ...block }) {
  const needs = (name) =>
    new RegExp(`\\b${name}\\b`).test(text) && !new RegExp(`\\b(const|using) ${name}\\b`).test(text)
  const fixtures = Object.keys(FIXTURES).filter(needs)
  if (fixtures.includes('manager') && !fixtures.includes('state')) fixtures.unshift('state')
  const made = fixtures.map((name) => FIXTURES[name].make).join(' ')
  const ended = fixtures.map((name) => FIXTURES[name].end).join(' ')
  const begin = `${IMPORTS} ${made} {`.replaceAll(/\s*\n\s*/g, ' ')
  return { ...block, page, prefix: begin, text: `${text}}; ${ended}\n` }
}

module.exports = { programOf }
