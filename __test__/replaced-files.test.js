'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { runScript } = require('./harness/child.js')
const { RedisServer } = require('./harness/redis.js')

const ROOT = path.join(__dirname, '..')

let server
let directory

beforeAll(async () => {
  server = await RedisServer.start()
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-replaced-'))
  const binaries = fs.readdirSync(ROOT).filter((name) => name.endsWith('.node'))
  for (const name of ['lib', 'index.js', 'package.json', ...binaries]) {
    fs.cpSync(path.join(ROOT, name), path.join(directory, 'module', name), { recursive: true })
  }
})
afterAll(async () => {
  await server.stop()
  fs.rmSync(directory, { recursive: true })
})

test('a process whose module is taken away, as an installation does, goes on with every call', async () => {
  const ended = await runScript(
    `
    const fs = require('node:fs')
    const { makeState } = require('./__test__/harness/sessions.js')
    const directory = process.env.MODULE
    const synckairos = require(directory)
    fs.renameSync(directory, directory + '-away')

    const { DBWriteQueue, RedisClient, RedisStateManager } = synckairos
    const url = process.env.REDIS_URL
    ;(async () => {
      const client = new RedisClient(url)
      await client.call('SET', 'a', 'b')
      const databaseUrl = 'postgres://127.0.0.1:1/none'
      const queue = new DBWriteQueue(client, { databaseUrl, worker: false })
      for (const cache of [undefined, { maxSessions: 10 }]) {
        const manager = new RedisStateManager(client, undefined, queue, { cache })
        const heard = []
        manager.subscribeToUpdates((id) => heard.push(id))
        manager.subscribeToWebSocket((id) => heard.push(id))
        await manager.subscribed()
        const state = makeState()
        const id = state.session_id
        await manager.createSession(state)
        for (let round = 1; round <= 40; round++) {
          await manager.updateSession(id, state, round)
          await manager.getSession(id)
          await manager.getSessions([id])
          await manager.broadcastToSession(id, round)
        }
        await manager.updateSession(id, state)
        await manager.modifySession(id, (current) => current)
        await Promise.all(Array.from({ length: 600 }, () => manager.getSession(id)))
        await manager.touchSession(id)
        await manager.deleteSession(id)
        await manager.getSession(id)
        while (heard.length < 84) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await queue.queueWrite('s', makeState({ session_id: 's' }), 'custom')
      await queue.getMetrics()
      await queue.getFailed()
      await queue.retryFailed()
      await queue.adoptBullMQ()
      const failure = await queue.migrate().catch((error) => error.name)
      const refused = await new RedisStateManager(url).getSession('').catch((error) => error.name)
      new RedisClient({ host: '127.0.0.1', port: 1, tls: true }).disconnect()
      await queue.close(true)
      console.log(failure, refused)
      process.exit()
    })()
    `,
    { env: { REDIS_URL: server.url, MODULE: path.join(directory, 'module') } },
  )
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: 'DatabaseError InvalidStateError\n' })
}, 60_000)
