'use strict'

// Libraries that services give their client to, each by its own documented set-up.

const http = require('node:http')
const { once } = require('node:events')
const { createAdapter } = require('@socket.io/redis-adapter')
const { RedisStore } = require('connect-redis')
const express = require('express')
const { rateLimit } = require('express-rate-limit')
const session = require('express-session')
const { RedisStore: LimitStore } = require('rate-limit-redis')
const { Server } = require('socket.io')
const { io } = require('socket.io-client')
const { createRedisClient } = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { until } = require('./harness/until.js')

let server
let redis
const clients = new Managers()
const ends = []

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await clients.close()
  await redis.flushall()
})

afterAll(() => server.stop())

const open = (...args) => clients.keep(createRedisClient(server.url, ...args))

/** Serves an application; its address. */
async function serve(app) {
  const listening = http.createServer(app).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  ends.push(() => new Promise((resolve) => listening.close(resolve)))
  ends.push(() => listening.closeAllConnections())
  return `http://127.0.0.1:${listening.address().port}`
}

it('rate-limit-redis counts, in a database of its own', async () => {
  const client = open()
  client.select(1)
  const limiter = rateLimit({
    windowMs: 60_000,
    limit: 2,
    standardHeaders: 'draft-8',
    store: new LimitStore({ sendCommand: (...args) => client.call(...args), prefix: 'limit:' }),
  })
  const url = await serve(express().use(limiter, (_request, response) => response.send('ok')))
  const statuses = []
  for (let number = 0; number < 3; number++) statuses.push((await fetch(url)).status)
  expect(statuses).toEqual([200, 200, 429])
  expect(await redis.dbsize()).toBe(0)
  await redis.select(1)
  expect(await redis.keys('*')).toEqual([expect.stringMatching(/^limit:/)])
  await redis.select(0)
})

it('connect-redis keeps sessions of Express', async () => {
  const store = new RedisStore({ client: open(), prefix: 'myapp:' })
  const app = express().use(
    session({ store, resave: false, saveUninitialized: false, secret: 'x' }),
    (request, response) => {
      request.session.count = (request.session.count ?? 0) + 1
      response.json(request.session.count)
    },
  )
  const url = await serve(app)
  const first = await fetch(url)
  expect(await first.json()).toBe(1)
  const cookie = first.headers.get('set-cookie').split(';')[0]
  expect(await (await fetch(url, { headers: { cookie } })).json()).toBe(2)
  expect(await store.length()).toBe(1)
  expect(await store.all()).toEqual([expect.objectContaining({ count: 2 })])
  await store.clear()
  expect(await (await fetch(url, { headers: { cookie } })).json()).toBe(1)
})

describe('@socket.io/redis-adapter', () => {
  /** A server of Socket.IO, and a socket that is connected to it. */
  async function instance() {
    const pubClient = open()
    const subClient = clients.keep(pubClient.duplicate())
    const sockets = new Server({ adapter: createAdapter(pubClient, subClient) })
    const listening = http.createServer().listen(0, '127.0.0.1')
    await once(listening, 'listening')
    sockets.attach(listening)
    ends.push(() => sockets.close())
    const socket = io(`http://127.0.0.1:${listening.address().port}`, { transports: ['websocket'] })
    ends.push(() => socket.close())
    await once(socket, 'connect')
    return { sockets, socket }
  }

  it('carries events between servers, binary ones too, and asks the others', async () => {
    const [one, other] = [await instance(), await instance()]
    await until(async () => (await one.sockets.fetchSockets()).length === 2)
    const got = new Promise((resolve) => other.socket.once('event', (...args) => resolve(args)))
    one.sockets.emit('event', { text: 'ü' }, Buffer.from([0, 255, 128]))
    expect(await got).toEqual([{ text: 'ü' }, Buffer.from([0, 255, 128])])
    await one.sockets.socketsJoin('room')
    await until(async () => (await other.sockets.in('room').fetchSockets()).length === 2)
    other.sockets.on('ping from another', (number, answer) => answer(number + 1))
    expect(await one.sockets.serverSideEmitWithAck('ping from another', 1)).toEqual([2])
  })
})
