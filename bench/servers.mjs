import fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ClusterGroup } from '../__test__/harness/cluster.js'
import { PostgresServer } from '../__test__/harness/postgres.js'
import { freePort, RedisServer } from '../__test__/harness/redis.js'
import { moveTo } from './modes.mjs'

const certificate = new URL('../__test__/harness/tls/cert.pem', import.meta.url)
const key = new URL('../__test__/harness/tls/key.pem', import.meta.url)

/** Redis, with a TLS port where it was built with TLS, PostgreSQL, and a cluster where it is asked for. */
export class Servers {
  /** @type {RedisServer} */
  redis
  /** @type {{ port: number, ca: string } | undefined} */
  tls
  /** @type {PostgresServer} */
  postgres
  /** @type {ClusterGroup | undefined} */
  cluster
  /** ioredis clients of its masters. @type {import('ioredis').Redis[]} */
  masters = []
  /** An ioredis client for the bench itself. */
  client

  async start() {
    await this.#startRedis()
    this.client = this.redis.client()
    this.postgres = await PostgresServer.start()
  }

  /** Three masters, nothing on disk, as with the server by itself. */
  async startCluster() {
    this.cluster = await ClusterGroup.start({ replicas: 0, appends: false })
    this.masters = this.cluster.nodes.map((node) => node.client())
  }

  /** @param {import('./modes.mjs').Mode} mode */
  enter({ servers: cpus }) {
    moveTo(cpus, this.redis.pid)
    moveTo(cpus, this.postgres.pid)
    for (const node of this.cluster?.nodes ?? []) moveTo(cpus, node.pid)
  }

  async stop() {
    await Promise.all([this.redis?.stop(), this.postgres?.stop(), this.cluster?.stop()])
  }

  async #startRedis() {
    const port = await freePort()
    const args = ['--tls-port', port, '--tls-auth-clients', 'no']
    args.push('--tls-cert-file', fileURLToPath(certificate), '--tls-key-file', fileURLToPath(key))
    try {
      this.redis = await RedisServer.start(args)
      this.tls = { port, ca: fs.readFileSync(certificate, 'utf8') }
    } catch {
      // A Redis that was built without TLS refuses the arguments. Any other reason fails again.
      this.redis = await RedisServer.start()
    }
  }
}
