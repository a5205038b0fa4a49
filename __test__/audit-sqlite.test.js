'use strict'

const { execFileSync } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { Audit, running } = require('./harness/audit.js')
const { startScript } = require('./harness/child.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

const audit = Audit.use({ postgres: false })
let file

beforeEach(() => {
  file = audit.keep(new SqliteFile())
  audit.databaseUrl = file.url
})

async function migrated(options) {
  const queue = audit.queue(options)
  await queue.migrate()
  return queue
}

/** The first problem that a queue tells. */
async function problem(queue) {
  const [error] = await once(queue, 'error')
  return error
}

const write = (queue, count, eventType = 'event') =>
  Promise.all(
    Array.from({ length: count }, () =>
      queue.queueWrite(crypto.randomUUID(), running(), eventType),
    ),
  )

describe('what is stored', () => {
  test('every change, as it is in Redis, and each session as it was last', async () => {
    const queue = await migrated()
    const manager = audit.manage(queue)
    const state = running({ participants: [], own: { list: [], text: '"ünï\\\n😀' } })
    await manager.createSession(state)
    await manager.updateSession(state.session_id, { ...state, status: 'paused' }, 1)
    const text = await audit.redis.get(`session:${state.session_id}`)
    await manager.deleteSession(state.session_id)
    await queue.drained()

    const events = await file.rows('SELECT * FROM sync_events ORDER BY id')
    expect(events.map((event) => event.event_type)).toEqual([
      'session_created',
      'session_updated',
      'session_deleted',
    ])
    expect(events[1].state_snapshot).toBe(text)
    expect(events[2].state_snapshot).toBeNull()
    expect(events[0].timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const [session] = await file.rows(
      "SELECT *, metadata ->> 'version' AS version, typeof(total_cycles) AS type FROM sync_sessions",
    )
    expect(session).toMatchObject({
      session_id: state.session_id,
      final_status: 'paused',
      created_at: state.created_at.toISOString(),
      version: 2,
      type: 'integer',
    })
  })

  test('each once, by two processes on one file, one of which is killed again and again', async () => {
    const queue = await migrated({ worker: false })
    const steady = audit.worker()
    let unsteady = audit.worker()
    const count = 3000
    const writing = (async () => {
      for (let n = 0; n < count; n += 100) await write(queue, 100)
    })()
    for (let kills = 1; kills <= 3; kills++) {
      await until(async () => (await queue.getMetrics()).completed > kills * 300)
      await unsteady.kill()
      unsteady = audit.worker()
    }
    await writing
    await until(async () => (await audit.left()) === 0, 40_000)
    expect(await file.events()).toEqual({ stored: count, ids: count })
    // What was stored before a worker was killed is no fault of the record.
    expect(await queue.getMetrics()).toMatchObject({ completed: count, failed: 0 })
    const shares = await Promise.all([steady, unsteady].map((one) => one.call('completed')))
    expect(shares.every((share) => share > 0)).toBe(true)
    expect(await file.rows('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }])
  }, 60_000)

  test('in a file that a relative path names, from the working directory', async () => {
    audit.databaseUrl = `sqlite:${path.relative(process.cwd(), file.path)}`
    const queue = await migrated()
    await write(queue, 1)
    await queue.drained()
    expect(await file.events()).toEqual({ stored: 1, ids: 1 })
  })

  test('in memory, in a database of that queue alone', async () => {
    audit.databaseUrl = 'sqlite::memory:'
    const queue = audit.queue({ migrate: true })
    const completed = []
    queue.on('completed', (record) => completed.push(record))
    await write(queue, 20)
    await queue.drained()
    await until(() => completed.length === 20)
    const other = audit.queue({ queueName: 'other' })
    const told = problem(other)
    await write(other, 1)
    expect(await told).toMatchObject({ sqlstate: 'SQLITE_ERROR' })
  })
})

describe('the tables', () => {
  test('are made once, by however many queues', async () => {
    const queues = Array.from({ length: 4 }, () => audit.queue({ worker: false }))
    await Promise.all(queues.map((queue) => queue.migrate()))
    const names = await file.rows("SELECT name FROM sqlite_master WHERE sql <> '' ORDER BY name")
    expect(names.map(({ name }) => name)).toEqual([
      'sync_events',
      'sync_events_session_id_timestamp',
      'sync_events_timestamp',
      'sync_sessions',
      'sync_sessions_created_at',
    ])
  })

  test('stay as they are where they are', async () => {
    await file.run('CREATE TABLE sync_events (id TEXT PRIMARY KEY, mine TEXT)')
    await migrated({ worker: false })
    const [table] = await file.rows("SELECT sql FROM sqlite_master WHERE name = 'sync_events'")
    expect(table.sql).toBe('CREATE TABLE sync_events (id TEXT PRIMARY KEY, mine TEXT)')
  })

  test('that are missing hold records up, and what to do is told', async () => {
    const queue = audit.queue()
    const told = problem(queue)
    await write(queue, 1)
    const error = await told
    expect(error.message).toMatch(/^SQLite: there is no table "sync_sessions": call migrate\(\)/)
    expect(error.message).toContain(file.path)
    await queue.migrate()
    await queue.drained()
    expect(await file.events()).toEqual({ stored: 1, ids: 1 })
  })
})

test('a record that SQLite refuses is a dead letter, and those beside it are stored', async () => {
  const queue = await migrated({ worker: false })
  await write(queue, 5)
  await write(queue, 1, 'e'.repeat(51))
  await write(queue, 5)
  await audit.queue().drained()
  expect(await file.events()).toEqual({ stored: 10, ids: 10 })
  const [letter] = await queue.getFailed()
  expect(letter.sqlstate).toBe('SQLITE_CONSTRAINT')
  expect(letter.error.message).toMatch(/^SQLite: CHECK constraint failed: length\(event_type\)/)
  await queue.retryFailed()
  await until(async () => (await queue.getMetrics()).failed === 1)
})

describe('what is wrong with the file holds the records up, and is told once', () => {
  /** Records wait, the problem is told once; after the remedy they are stored, and that is told. */
  async function waits(queue, sqlstate, remedy) {
    const errors = []
    queue.on('error', (error) => errors.push(error))
    await write(queue, 20)
    await until(() => errors.length > 0, 20_000)
    expect(errors[0]).toMatchObject({ code: 'DATABASE_ERROR', sqlstate })
    expect(errors[0].message).toContain(file.directory)
    expect(await queue.getMetrics()).toMatchObject({ completed: 0, failed: 0 })
    await remedy()
    await queue.drained()
    expect((await queue.getMetrics()).failed).toBe(0)
    expect(errors).toHaveLength(1)
    const { warn, info } = audit.logger.told
    expect(warn.map(({ message }) => message)).toEqual([
      'SQLite is unavailable; audit records wait',
    ])
    expect(info.map(({ message }) => message)).toEqual([
      'SQLite is available again; audit records are stored',
    ])
  }

  test('another process has locked it', async () => {
    const queue = await migrated()
    await file.lock()
    await waits(queue, 'SQLITE_BUSY', () => file.unlock())
    expect(await file.events()).toEqual({ stored: 20, ids: 20 })
  }, 30_000)

  test('it is no database', async () => {
    fs.writeFileSync(file.path, 'This is a letter, not a database.\n'.repeat(100))
    await waits(audit.queue({ migrate: true }), 'SQLITE_NOTADB', () => fs.rmSync(file.path))
    expect(await file.events()).toEqual({ stored: 20, ids: 20 })
  }, 30_000)

  test('it is corrupt', async () => {
    const first = await migrated({ worker: false })
    await first.close()
    const sound = fs.readFileSync(file.path)
    // The first page says what tables there are; their pages follow.
    const pageSize = sound.readUInt16BE(16)
    fs.writeFileSync(file.path, Buffer.from(sound).fill(0xff, pageSize))
    await waits(audit.queue(), 'SQLITE_CORRUPT', () => fs.writeFileSync(file.path, sound))
    expect(await file.events()).toEqual({ stored: 20, ids: 20 })
  }, 30_000)

  test('its directory is missing', async () => {
    fs.rmdirSync(file.directory)
    const queue = audit.queue({ migrate: true })
    await waits(queue, 'SQLITE_CANTOPEN', () => fs.mkdirSync(file.directory))
    expect(await file.events()).toEqual({ stored: 20, ids: 20 })
  }, 30_000)

  test('it is read-only', async () => {
    const first = await migrated({ worker: false })
    await first.close()
    // A format that SQLite may read and not write: as good as a right that root would have.
    const format = (version) => {
      const opened = fs.openSync(file.path, 'r+')
      fs.writeSync(opened, Buffer.from([version]), 0, 1, 18)
      fs.closeSync(opened)
    }
    format(3)
    await waits(audit.queue(), 'SQLITE_READONLY', () => format(2))
    expect(await file.events()).toEqual({ stored: 20, ids: 20 })
  }, 30_000)

  const onRoot = process.getuid?.() === 0 && process.platform === 'linux' ? test : test.skip
  onRoot('its user may not write it', async () => {
    await (await migrated({ worker: false })).close()
    fs.chmodSync(file.path, 0o444)
    fs.chmodSync(file.directory, 0o777)
    const source = `
      const { DBWriteQueue } = require('./index.js')
      const options = { worker: false, databaseUrl: ${JSON.stringify(file.url)} }
      const queue = new DBWriteQueue('memory:', options)
      queue.databaseStatus().then((status) => {
        console.log(JSON.stringify(status.missingRights))
        return queue.close()
      })`
    const nobody = { uid: 65_534, gid: 65_534, cwd: path.join(__dirname, '..') }
    const told = execFileSync(process.execPath, ['-e', source], { ...nobody, encoding: 'utf8' })
    expect(JSON.parse(told)).toEqual([`write to ${file.path}`])
  })

  onRoot(
    'its disk is full',
    async () => {
      const disk = path.join(file.directory, 'disk')
      fs.mkdirSync(disk)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk])
      try {
        audit.databaseUrl = `sqlite:${path.join(disk, 'audit.db')}`
        const queue = await migrated()
        const filler = path.join(disk, 'filler')
        fs.writeFileSync(filler, '')
        expect(() => {
          for (;;) fs.appendFileSync(filler, Buffer.alloc(4096))
        }).toThrow('ENOSPC')
        await waits(queue, 'SQLITE_FULL', () => fs.rmSync(filler))
        await queue.close()
      } finally {
        execFileSync('umount', [disk])
      }
    },
    30_000,
  )

  test('nobody hears of it: the process is warned', async () => {
    await file.run('CREATE TABLE note (text)')
    await file.lock()
    const { child, ended } = startScript(
      `const { DBWriteQueue } = require('./index.js')
       const { REDIS_URL, databaseUrl } = process.env
       process.on('warning', ({ code, message }) => process.send({ code, message }))
       new DBWriteQueue(REDIS_URL, { databaseUrl, migrate: true, queueName: 'unheard' })`,
      { env: { REDIS_URL: audit.server.url, databaseUrl: file.url }, ipc: true },
    )
    const told = []
    child.on('message', (warning) => told.push(warning))
    await until(() => told.length > 0, 15_000)
    await file.unlock()
    await write(audit.queue({ queueName: 'unheard', worker: false }), 1)
    await until(() => told.length > 1, 15_000)
    child.kill('SIGKILL')
    await ended
    expect(told.map(({ code }) => code)).toEqual([
      'SYNCKAIROS_SQLITE_OUTAGE',
      'SYNCKAIROS_SQLITE_RECOVERED',
    ])
    expect(told[0].message).toContain(`another process writes to it (${file.path})`)
  }, 40_000)
})

test('closing takes no longer while the file is locked, and leaves the records to others', async () => {
  const queue = await migrated()
  await file.lock()
  await write(queue, 5)
  await until(async () => (await audit.pending()) > 0)
  const started = performance.now()
  await queue.close(true)
  expect(performance.now() - started).toBeLessThan(2000)
  await file.unlock()
  await audit.queue().drained()
  expect(await file.events()).toEqual({ stored: 5, ids: 5 })
}, 30_000)

describe('the URL', () => {
  const made = (options) => () => audit.queue({ worker: false, ...options })

  test.each([
    ['sqlite:', 'names no file'],
    ['sqlite://audit.db', 'names a host'],
    ['sqlite:audit.db?mode=ro', 'remove mode'],
    ['sqlite::memory:?cache=shared', 'remove cache'],
    ['sqlite:a#b.db', 'write # as %23'],
    ['sqlite:a%FF.db', 'write % as %25'],
    ['sqlite:a%00.db', 'null character'],
    ['sqlite:\ud800.db', 'Invalid databaseUrl: it is not well-formed Unicode'],
    ['sqlite::mem:', 'write sqlite::memory:'],
    ['sqlite::MEMORY:', 'write sqlite::memory:'],
    ['"sqlite:audit.db"', 'remove the quotes'],
    ['sqlit:audit.db', 'sqlite:'],
  ])('%s is refused', (databaseUrl, reason) => {
    expect(made({ databaseUrl })).toThrow(reason)
  })

  const onUnix = process.platform === 'win32' ? test.skip : test // Windows keeps it.
  onUnix('is refused where it is relative to a directory that is gone', () => {
    const script = `
      const { DBWriteQueue } = require('./index.js')
      const gone = require('fs').mkdtempSync(require('os').tmpdir() + '/synckairos-gone-')
      process.chdir(gone)
      require('fs').rmdirSync(gone)
      try {
        new DBWriteQueue('memory:', { databaseUrl: 'sqlite:audit.db', worker: false })
      } catch ({ name, message }) {
        console.log(name, message)
      }`
    const told = execFileSync(process.execPath, ['-e', script], { cwd: path.dirname(__dirname) })
    expect(String(told)).toMatch(/^InvalidStateError .*the working directory is gone/)
  })

  test('takes no TLS, and leaves the sizes of the pool alone', async () => {
    expect(made({ ssl: true })).toThrow('Invalid ssl')
    await made({ ssl: false, poolMin: 0, poolMax: 7 })().migrate()
  })

  test('may have escapes, spaces, three slashes, and be that of the environment', async () => {
    const odd = path.join(file.directory, 'a b%c#?.db')
    for (const start of ['sqlite:', 'sqlite://', ' SQLITE:']) {
      const databaseUrl = `${start}${odd.replace('#', '%23').replace('?', '%3F')}`
      await made({ databaseUrl })().migrate()
      expect(fs.existsSync(odd)).toBe(true)
    }
    process.env.DATABASE_URL = file.url
    try {
      await made({ databaseUrl: undefined })().migrate()
    } finally {
      delete process.env.DATABASE_URL
    }
    expect(fs.existsSync(file.path)).toBe(true)
  })
})
