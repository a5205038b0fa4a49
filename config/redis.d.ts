/// <reference types="node" />
import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import type {
  RedisArgument,
  RedisCallback,
  RedisCommands,
  RedisPipelineCommands,
  RedisPipelineResult,
} from './redisCommands.js'

export type {
  RedisArgument,
  RedisCallback,
  RedisCommands,
  RedisPipelineResult,
} from './redisCommands.js'

/**
 * Options of a client. The constructor refuses an unknown option with `InvalidStateError`.
 *
 * @example
 * // For a probe: it does not wait long for Redis.
 * const probe = createRedisClient('redis://localhost:6379', {
 *   commandTimeoutMs: 500,
 *   maxInFlight: 10,
 *   maxInFlightBytes: 1024 * 1024,
 * })
 * console.log(await probe.ping()) // PONG
 * await probe.quit()
 */
export interface RedisClientOptions {
  /** The time in which each command settles, milliseconds, 600000 at most. Default 5000. */
  commandTimeoutMs?: number
  /**
   * How many commands may be in flight; one more rejects at once. A pipeline or a transaction counts as
   * one. Default 10000.
   */
  maxInFlight?: number
  /**
   * How many bytes the calls in flight may send together; a call beyond that rejects at once, unless
   * it is the only one. Default 268435456 (256 MiB).
   */
  maxInFlightBytes?: number
}

/**
 * The address of a Redis server. The constructor refuses an unknown setting with `InvalidStateError`.
 *
 * @example
 * const client = createRedisClient({
 *   host: 'redis.example.com',
 *   port: 6380,
 *   username: 'service',
 *   password: process.env.REDIS_PASSWORD ?? '',
 *   db: 1,
 *   tls: true,
 * })
 * client.disconnect() // It connects when it is first used.
 *
 * const local = createRedisClient({ path: '/run/redis.sock' })
 * local.disconnect()
 */
export interface RedisServerOptions {
  /** Required unless `path` is set. */
  host?: string
  /** Default 6379. */
  port?: number
  /** The path of a Unix socket, instead of `host` and `port`. */
  path?: string
  /** The name of an ACL user. Default: Redis' default user. */
  username?: string
  /** Default: none; with a `username`, an empty one. */
  password?: string
  /** The number of the database. Default 0. */
  db?: number
  /**
   * Whether to encrypt the connection. `true` verifies the certificate and its host name with the
   * authorities of the system and of Node.js. Default false.
   */
  tls?: boolean | RedisTlsOptions
}

/**
 * Settings of TLS to Redis. Certificates and keys are in PEM.
 *
 * @example
 * const trusting = (ca: string) => {
 *   return createRedisClient({ host: 'redis.example.com', tls: { ca, rejectUnauthorized: true } })
 * }
 * const withCertificate = (cert: string, key: string) => {
 *   return createRedisClient({ host: 'redis.example.com', tls: { cert, key } })
 * }
 * console.log(typeof trusting, typeof withCertificate)
 */
export interface RedisTlsOptions {
  /**
   * The certificates to trust: authorities, or the server's own certificate, such as a self-signed one.
   * The module checks its dates and its name. Default: the authorities of the system and of Node.js,
   * with `NODE_EXTRA_CA_CERTS`.
   */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  /** The certificate of this side. Requires `key`. */
  cert?: string | Uint8Array
  key?: string | Uint8Array
  /** Whether to verify the server's certificate. Default true. */
  rejectUnauthorized?: boolean
}

/**
 * An instance of ioredis or node-redis. The module reads its settings (address, database, user, TLS, key
 * prefix) and makes connections of its own, which reconnect for ever, whatever the instance's retry
 * strategy. It refuses settings that it cannot honour: a cluster, a sentinel, a TLS setting that is not in
 * `RedisTlsOptions`. The instance stays usable. When its owner closes it, the module's connections end.
 */
export type RedisInstance =
  | { readonly status: string; readonly options: object; quit(): Promise<unknown> }
  | { readonly isReady: boolean; readonly options?: object | undefined; quit(): Promise<unknown> }

/** The server of a manager or queue: a URL, settings, a client, or an instance of another library. */
export type RedisSource = string | RedisServerOptions | RedisClient | RedisInstance

/**
 * `wait`: not used yet. `ready`: connected. `reconnecting`: a connection that is used is lost or could not
 * be made, and is tried again. `end`: closed by its owner.
 */
export type RedisClientStatus = 'wait' | 'connecting' | 'ready' | 'reconnecting' | 'end'

/** A reply, as clients of RESP2 know it. */
export type RedisReply = string | number | null | RedisReply[]

/** The same, with buffers in place of strings. */
export type RedisBufferReply = Buffer | number | null | RedisBufferReply[]

/** What `client.options` says: where the server is, and the client's options. */
export interface RedisClientSettings extends Required<RedisClientOptions> {
  /** Undefined with a Unix socket. */
  readonly host?: string
  /** Undefined with a Unix socket. */
  readonly port?: number
  /** Of a Unix socket. */
  readonly path?: string
  readonly username: string | null
  /** Not enumerable: who logs the options does not log it. */
  readonly password: string | null
  readonly db: number
  /** Whether the connection is encrypted. */
  readonly tls?: boolean
}

/**
 * Options of `scanStream`, `hscanStream`, `sscanStream` and `zscanStream`.
 *
 * @example
 * for await (const keys of client.scanStream({ match: 'session:*', count: 100, type: 'string' })) {
 *   console.log(keys)
 * }
 * for await (const fields of client.hscanStream('hash', { count: 100 })) console.log(fields)
 * for await (const members of client.sscanStream('set')) console.log(members)
 * for await (const members of client.zscanStream('sorted set')) console.log(members)
 * // Redis 7.4 and later: client.hscanStream('hash', { noValues: true })
 */
export interface RedisScanOptions {
  /** A glob pattern. */
  match?: string
  /** How much Redis looks at in one step. */
  count?: number
  /** Only keys of this type; for `scanStream`. */
  type?: string
  /** Only the fields, not their values; for `hscanStream`. */
  noValues?: boolean
}

/**
 * A command that a Lua script defines.
 *
 * @example
 * client.defineCommand('double', {
 *   numberOfKeys: 1,
 *   lua: "return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]))",
 * })
 * await client.set('hits', 21)
 * const { double } = client as unknown as { double(key: string): Promise<number> }
 * console.log(typeof double)
 */
export interface RedisCommandDefinition {
  lua: string
  /** How many of the arguments are keys. Without it, the first argument says so. */
  numberOfKeys?: number
}

/**
 * Commands that are kept until `exec()`. Each method adds a command, and returns the same pipeline.
 *
 * @example await client.pipeline().set('a', 1).get('a').exec() // [[null, 'OK'], [null, '1']]
 */
export interface RedisPipeline extends RedisPipelineCommands<RedisPipeline> {
  /** How many commands there are. */
  readonly length: number
  /** Any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /** Any command, with buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /** Sends the commands together. Resolves to the outcome of each, in order, also of those that failed. */
  exec(callback?: RedisCallback<RedisPipelineResult[]>): Promise<RedisPipelineResult[]>
}

/**
 * Commands that Redis executes together: all of them, with nothing in between, or none.
 *
 * @example
 * const outcomes = await client.multi().incr('hits').expire('hits', 60).exec()
 * console.log(outcomes) // [[null, 1], [null, 1]]
 */
export interface RedisTransaction extends RedisPipelineCommands<RedisTransaction> {
  /** How many commands there are. */
  readonly length: number
  /** Any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /** Any command, with buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /**
   * Sends `MULTI`, the commands and `EXEC` as one: never sent twice, and never split by a reconnection.
   * Resolves to the outcome of each command; null where Redis executed none.
   * @throws {RedisReplyError} `EXECABORT` where a command was refused before; `previousErrors` says why
   * @throws {OutcomeUnknownError} if it was sent and no answer came
   */
  exec(
    callback?: RedisCallback<RedisPipelineResult[] | null>,
  ): Promise<RedisPipelineResult[] | null>
}

/**
 * A client of one Redis server. It connects when it is first used, and reconnects for ever (after 50 ms to
 * 2 s).
 *
 * Each command of Redis is a method with the arguments and results that it has in ioredis:
 * `client.get('k')`, `client.hgetall('h')`, `client.getBuffer('k')`. A last argument that is a function is
 * a callback. The commands have a connection apart from that of managers and queues that use the client.
 *
 * A command is sent once: an error reply rejects at once, also one of the moment, such as `LOADING`. It
 * rejects with `RedisReplyError` (with Redis' own message), `RedisUnavailableError` (not sent),
 * `OutcomeUnknownError` (sent, and no answer came), `ClosedError`, or `InvalidStateError`: `WATCH`,
 * `MONITOR`, `AUTH`, `SSUBSCRIBE` and what else would change the connection is refused. One that blocks
 * (`BLPOP`) may take the time that it asks for besides, 10 minutes at most, and holds up this client's other
 * commands: give it a client of its own by `duplicate()`.
 *
 * Events: `connect`, `ready`, `close`, `reconnecting`, `error` (needs no listener), `end`; and of
 * subscriptions `message` (channel, text), `pmessage` (pattern, channel, text), `messageBuffer` and
 * `pmessageBuffer` (the same with buffers, but for the pattern). A listener for `connect` or `ready` makes
 * the client connect.
 *
 * @example
 * const client: RedisClient = createRedisClient('redis://localhost:6379')
 * client.on('error', (error) => console.log('reconnecting:', error.message))
 * await client.connect()
 * console.log(client.status, client.options.host, await client.ping())
 * await client.select(1)
 *
 * await client.set('color', 'red', 'EX', 60)
 * console.log(await client.get('color'), await client.callBuffer('GET', 'color'))
 *
 * const pubSub = client.duplicate({ commandTimeoutMs: 1000 })
 * pubSub.on('message', (channel, text) => console.log(channel, text))
 * await pubSub.subscribe('news')
 * await pubSub.psubscribe('news:*')
 * await client.publish('news', 'hello')
 * await pubSub.unsubscribe('news')
 * await pubSub.punsubscribe()
 *
 * pubSub.disconnect()
 * await client.quit()
 */
export declare class RedisClient extends EventEmitter {
  /**
   * @param server `redis://[user[:password]@]host[:port][/db]`, `rediss://…` (TLS), or
   *   `unix:///path[?db=0&user=…&pass=…]`; or settings. What is special in a URL is percent-encoded.
   *   To turn the verification of TLS off, use settings. Default: the environment's `REDIS_URL`,
   *   then `redis://localhost:6379`.
   * @throws {InvalidStateError} for a bad URL or setting; the error repeats no part of a URL
   */
  constructor(server?: string | RedisServerOptions, options?: RedisClientOptions)

  readonly status: RedisClientStatus

  /** Where the server is, and this client's options. */
  readonly options: RedisClientSettings

  /** Connects, if there is no connection yet. A first command does the same. */
  connect(callback?: RedisCallback<void>): Promise<void>

  /** Resolves to `'PONG'`: Redis answers on the connection that managers and queues use. */
  ping(callback?: RedisCallback<string>): Promise<string>
  /** Resolves to the message: Redis answers on the connection for commands. */
  ping(message: RedisArgument, callback?: RedisCallback<string>): Promise<string>

  /**
   * Any command. An argument that is no string, number or buffer is refused.
   * @throws {RedisReplyError} with Redis' own message; a script may have changed something before
   * @throws {RedisUnavailableError} if it was not sent
   * @throws {OutcomeUnknownError} if it was sent and no answer came
   * @example await client.call('INCRBY', 'hits', 5) // 5
   */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): Promise<RedisReply>
  // biome-ignore lint/suspicious/noExplicitAny: libraries that pass a list on have types of their own
  call(...command: string[]): Promise<any>

  /** Any command, with buffers in place of strings. */
  callBuffer(
    command: string,
    ...args: (RedisArgument | RedisArgument[])[]
  ): Promise<RedisBufferReply>

  /** Commands that are sent together by `exec()`. */
  pipeline(commands?: unknown[][]): RedisPipeline

  /** Commands that `exec()` sends as a transaction. */
  multi(commands?: unknown[][]): RedisTransaction

  /**
   * Another database, from the next command on, and for managers that are made after this.
   * @throws {InvalidStateError} if a manager, a queue or a subscription uses the client: make another by
   *   `duplicate({ db })`
   * @throws {RedisUnavailableError} if the server has no such database: then no command succeeds until
   *   another one is selected
   */
  select(db: number | string, callback?: RedisCallback<'OK'>): Promise<'OK'>

  /**
   * Listens to channels, on a connection of their own, and again after each loss of it; what is published
   * meanwhile is lost. Resolves to the number of channels and patterns, once Redis has confirmed them. The
   * client may still run commands. Listeners that are 64 MB behind lose the connection.
   * @throws {RedisUnavailableError} if it is not confirmed in time; it will be later
   */
  subscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** The same for all channels that match a glob pattern. */
  psubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** Ends that for these channels, or for all. Resolves to the number of those that are left. */
  unsubscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** Ends that for these patterns, or for all. */
  punsubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>

  /**
   * Makes a method of a Lua script, for this client and its pipelines, and one with `Buffer` at the end. It
   * is sent by its digest, and whole where Redis does not know it.
   */
  defineCommand(name: string, definition: RedisCommandDefinition): void

  /** All keys, as a stream of arrays: one for each step of `SCAN`. */
  scanStream(options?: RedisScanOptions): Readable
  /** The fields of a hash and their values, in turn. */
  hscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** The members of a set. */
  sscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** The members of a sorted set and their scores, in turn. */
  zscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable

  /** Lets what is in flight end (a second at most), then disconnects for good. */
  quit(callback?: RedisCallback<'OK'>): Promise<'OK'>

  /** Disconnects for good, at once. */
  disconnect(): void

  /** Another client of the same server; what is given here replaces its settings and options. */
  duplicate(overrides?: RedisServerOptions & RedisClientOptions): RedisClient
}

export interface RedisClient extends RedisCommands {}

/** A client; see the class for its parameters. */
export declare function createRedisClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

/** A client for a manager's `pubSub`. */
export declare function createRedisPubSubClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

/** For annotations, as with ioredis. */
export type { RedisClient as Redis }
