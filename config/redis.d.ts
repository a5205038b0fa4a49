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

/**
 * The types of a client's commands.
 *
 * @example
 * const words: RedisArgument[] = ['hits', 5]
 * await client.call('INCRBY', ...words)
 * const told: RedisCallback<string> = (error, pong) => console.log(error ?? pong)
 * await client.ping(told)
 * const store: Pick<RedisCommands, 'get' | 'set'> = client
 * await store.set('color', 'red')
 * const results: RedisPipelineResult[] = await client.pipeline().get('color').exec()
 * console.log(results) // [[null, 'red']]
 */
export type {
  RedisArgument,
  RedisCallback,
  RedisCommands,
  RedisPipelineResult,
} from './redisCommands.js'

/**
 * The options of a client. The constructor throws `InvalidStateError` for an unknown option.
 *
 * @example
 * // A health probe must not wait long for Redis.
 * const probe = createRedisClient('redis://localhost:6379', {
 *   commandTimeoutMs: 500,
 *   maxInFlight: 10,
 *   maxInFlightBytes: 1024 * 1024,
 * })
 * console.log(await probe.ping()) // PONG
 * await probe.quit()
 */
export interface RedisClientOptions {
  /** The time in which each command settles, in milliseconds, at most 600000. Default 5000. */
  commandTimeoutMs?: number
  /**
   * How many commands may be in flight. One more rejects at once with `OverloadedError`. A pipeline or a
   * transaction counts as one command. Default 10000.
   */
  maxInFlight?: number
  /**
   * How many bytes all commands in flight may send together. A command beyond this limit rejects at once
   * with `OverloadedError`, unless no other command is in flight. Default 268435456 (256 MiB).
   */
  maxInFlightBytes?: number
}

/**
 * The address of a Redis server. The constructor throws `InvalidStateError` for an unknown setting.
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
 * client.disconnect() // A client connects when it is first used.
 *
 * const local = createRedisClient({ path: '/run/redis.sock' })
 * local.disconnect()
 */
export interface RedisServerOptions extends RedisSentinelOptions, RedisClusterOptions {
  /** The name or the address of the server. Required unless `path`, `sentinels` or `nodes` is set. */
  host?: string
  /** The port of the server. Default 6379. */
  port?: number
  /** The path of a Unix socket, in place of `host` and `port`. */
  path?: string
  /** The name of the ACL user. Default: Redis' default user. */
  username?: string
  /** The password of the user. Default: none. With a `username`, an empty password. */
  password?: string
  /** The number of the database. Default 0. */
  db?: number
  /**
   * Whether to encrypt the connection. `true` verifies the certificate and the host name, and trusts the
   * authorities of the system and of Node.js. Default false.
   */
  tls?: boolean | RedisTlsOptions
}

/**
 * The sentinels that name the server, in place of `host`, `port` and `path`. The client connects to the
 * master that they name, and to the next one after a failover. `username`, `password`, `db` and `tls` are
 * those of the master. The settings have the names that they have in ioredis.
 *
 * @example
 * const client = createRedisClient({
 *   sentinels: [
 *     { host: 'sentinel-1.example.com', port: 26379 },
 *     { host: 'sentinel-2.example.com' },
 *   ],
 *   name: 'mymaster',
 *   password: process.env.REDIS_PASSWORD ?? '',
 *   sentinelUsername: 'service',
 *   sentinelPassword: process.env.SENTINEL_PASSWORD ?? '',
 *   tls: true,
 *   enableTLSForSentinelMode: true,
 *   sentinelTLS: true,
 *   natMap: { '10.0.0.1:6379': { host: 'redis.example.com', port: 6379 } },
 * })
 * client.disconnect()
 *
 * const byUrl = createRedisClient('redis-sentinel://sentinel-1.example.com,sentinel-2.example.com/mymaster')
 * byUrl.disconnect()
 */
export interface RedisSentinelOptions {
  /**
   * The sentinels to ask first, at least one. The client learns the others from them. Each has a `port`
   * of 26379 by default.
   */
  sentinels?: readonly { host: string; port?: number }[]
  /** The name that the sentinels have for the master. Required with `sentinels`. */
  name?: string
  /** The name of the ACL user of the sentinels. Default: their default user. */
  sentinelUsername?: string
  /** The password for the sentinels. Default: none. */
  sentinelPassword?: string
  /** Whether to encrypt the connections to the sentinels, and whom to trust, as `tls`. Default false. */
  sentinelTLS?: boolean | RedisTlsOptions
  /** With `sentinels`, whether `tls` counts. ioredis has the default false. Default true. */
  enableTLSForSentinelMode?: boolean
  /**
   * Where servers and sentinels are, by the `host:port` that the sentinels or the nodes of a cluster
   * announce, if that cannot be reached from here. Default: where they say.
   */
  natMap?: Record<string, { host: string; port: number }>
}

/**
 * Nodes of a Redis or Valkey Cluster, in place of `host`, `port` and `path`. One that answers is enough: the
 * client learns the others from it, and follows failovers and slots that move. `username`, `password` and
 * `tls` are those of all nodes; `db` has to be 0. A server that is named by `host` and turns out to be a node
 * of a cluster is used as that cluster. The cluster needs Redis 7, Valkey 7.2 or later.
 *
 * @example
 * const client = createRedisClient({
 *   nodes: [{ host: 'redis-1.example.com', port: 6379 }, { host: 'redis-2.example.com' }],
 *   password: process.env.REDIS_PASSWORD ?? '',
 *   natMap: { '10.0.0.1:6379': { host: 'redis-1.example.com', port: 6379 } },
 *   partitions: 64,
 * })
 * client.disconnect()
 *
 * const byUrl = createRedisClient('redis-cluster://redis-1.example.com,redis-2.example.com?partitions=64')
 * byUrl.disconnect()
 */
export interface RedisClusterOptions {
  /** The nodes to ask first, at least one. Each has a `port` of 6379 by default. */
  nodes?: { host: string; port?: number }[]
  /**
   * The number of parts into which the cluster's sessions are divided, from 1 to 1024; each is in one slot.
   * The first client writes it down in the cluster (`synckairos:partitions`). Calls of a client that sets
   * another number are refused with `InvalidStateError`. Without a cluster it has no effect. Default: the
   * number that is written down, or else 64.
   */
  partitions?: number
}

/**
 * The settings of TLS to Redis. Certificates and keys are in PEM. The constructor throws
 * `InvalidStateError` for an unknown setting.
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
   * The certificates to trust, and no others: authorities, or the server's own certificate, such as a
   * self-signed certificate. The module checks its dates and its name. Default: the authorities of the
   * system and of Node.js, with `NODE_EXTRA_CA_CERTS`.
   */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  /** The certificate of this client. Requires `key`. */
  cert?: string | Uint8Array
  /** The private key of `cert`. */
  key?: string | Uint8Array
  /** Whether to verify the server's certificate and its name. Default true. */
  rejectUnauthorized?: boolean
}

/**
 * An instance of ioredis or node-redis. The module reads the settings of the instance (address, database,
 * user, TLS, key prefix) and makes its own connections, which reconnect for ever, whatever the instance's
 * retry strategy is. The instance may be one with sentinels (of ioredis, or of node-redis 6), one of a
 * cluster (of ioredis, or of node-redis 5 and later) or a pool of node-redis, which has to be connected
 * before. The module throws `InvalidStateError` for settings that it does not support, such as a TLS setting
 * that is not in `RedisTlsOptions`. The service may go on
 * using the instance. When the service closes the instance, the module closes its own connections.
 *
 * @example
 * const { Redis } = await import('ioredis')
 * const instance: RedisInstance = new Redis('redis://localhost:6379')
 * const manager = new RedisStateManager(instance)
 * await manager.close() // quits the instance, too
 */
export type RedisInstance =
  | { readonly status: string; readonly options: object; quit(): Promise<unknown> }
  | { readonly isReady: boolean; readonly options?: object | undefined; quit(): Promise<unknown> }
  | { readonly isOpen: boolean; close(): Promise<unknown>; destroy(): unknown }

/**
 * The server of a manager or a queue: a URL, settings, a client, or an instance of another library.
 *
 * `memory:` in place of a server is a store in this process, for development and tests. Managers and queues
 * behave as on a Redis server. All managers, queues and clients of the process with the same URL share the
 * store, also those of worker threads. `memory://name` is a store with a name, apart from the others. A
 * store ends with the last client that uses it, and its sessions and records are lost. With `?keep` in one
 * of the URLs it lasts until the process ends. Other processes do not see the store. If `NODE_ENV` is
 * `production`, the module warns the logger, or else the process, once, with the code
 * `SYNCKAIROS_MEMORY_IN_PRODUCTION`.
 *
 * @example
 * const source: RedisSource = process.env.REDIS_URL ?? 'redis://localhost:6379'
 * const manager = new RedisStateManager(source)
 * await manager.close()
 *
 * const local = new RedisStateManager('memory:')
 * await local.createSession(state)
 * console.log((await local.getSession('game-1'))?.version) // 1
 * await local.close()
 *
 * const first = createRedisClient('memory://games?keep')
 * await first.quit() // The sessions of memory://games stay.
 */
export type RedisSource = string | RedisServerOptions | RedisClient | RedisInstance

/**
 * The state of a client's connections.
 *
 * - `wait`: the client has not been used yet.
 * - `connecting`: the client makes its first connection.
 * - `ready`: the client is connected.
 * - `reconnecting`: the client has lost a connection, or could not connect, and tries again.
 * - `end`: the service has closed the client.
 *
 * @example
 * const status: RedisClientStatus = client.status
 * console.log(status) // wait
 */
export type RedisClientStatus = 'wait' | 'connecting' | 'ready' | 'reconnecting' | 'end'

/**
 * A reply of Redis, in the types of RESP2.
 *
 * @example
 * const reply: RedisReply = await client.call('MGET', 'a', 'b')
 * console.log(reply) // [null, null]
 */
export type RedisReply = string | number | null | RedisReply[]

/**
 * A reply of Redis, with buffers in place of strings.
 *
 * @example
 * const reply: RedisBufferReply = await client.callBuffer('GET', 'a')
 * console.log(reply) // null
 */
export type RedisBufferReply = Buffer | number | null | RedisBufferReply[]

/**
 * The address of a client's server, and the client's options. A client of a `memory:` store has no address:
 * `host`, `port`, `path` and `tls` are undefined, `username` and `password` null, and `db` 0.
 *
 * @example
 * const { host, port, path, db, username, password, tls }: RedisClientSettings = client.options
 * console.log(`${username ?? 'default'}@${path ?? `${host}:${port}`}/${db}`)
 * console.log(tls ? 'encrypted' : 'plain', password ? 'with a password' : 'without a password')
 * console.log(client.options.sentinels?.length ?? 'no', 'sentinels')
 */
export interface RedisClientSettings extends Required<RedisClientOptions> {
  /** Undefined for a Unix socket, for sentinels, for `nodes` and for `memory:`. */
  readonly host?: string
  /** Undefined for a Unix socket, for sentinels, for `nodes` and for `memory:`. */
  readonly port?: number
  /** The path of a Unix socket. Undefined for a host and for `memory:`. */
  readonly path?: string
  readonly username: string | null
  /** The property is not enumerable, so that loggers do not print the password. */
  readonly password: string | null
  readonly db: number
  /** Whether the client encrypts the connection. */
  readonly tls?: boolean
  /** The configured sentinels. This property and the following four are undefined without sentinels. */
  readonly sentinels?: { host: string; port: number }[]
  /** The name that the sentinels have for the master. */
  readonly name?: string
  readonly sentinelUsername?: string | null
  /** The property is not enumerable, as `password`. */
  readonly sentinelPassword?: string | null
  /** Whether the client encrypts the connections to the sentinels. */
  readonly sentinelTLS?: boolean
  /** Undefined without sentinels and `nodes`. */
  readonly natMap?: Record<string, { host: string; port: number }>
  /** The configured nodes of a cluster. Undefined without them. */
  readonly nodes?: { host: string; port: number }[]
}

/**
 * The options of `scanStream`, `hscanStream`, `sscanStream` and `zscanStream`.
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
  /** A glob pattern. Default: everything matches. */
  match?: string
  /** How many entries Redis looks at in one step, about. Default: Redis' own, 10. */
  count?: number
  /** The type of the keys. Only for `scanStream`. Default: all types. */
  type?: string
  /** Whether to leave out the values of the fields. Only for `hscanStream`. Default false. */
  noValues?: boolean
}

/**
 * A command that a Lua script defines.
 *
 * @example
 * const double: RedisCommandDefinition = {
 *   numberOfKeys: 1,
 *   lua: "return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]))",
 * }
 * client.defineCommand('double', double)
 * await client.set('hits', 21)
 * const doubling = client as unknown as { double(key: string): Promise<number> }
 * console.log(await doubling.double('hits')) // 42
 */
export interface RedisCommandDefinition {
  /** The source of the script. */
  lua: string
  /** How many of the first arguments are keys. Default: the first argument is this number. */
  numberOfKeys?: number
}

/**
 * Commands that `exec()` sends together. Each method adds a command, and returns the same pipeline.
 *
 * @example
 * const pipeline: RedisPipeline = client.pipeline().set('a', 1).get('a')
 * console.log(await pipeline.exec()) // [[null, 'OK'], [null, '1']]
 */
export interface RedisPipeline extends RedisPipelineCommands<RedisPipeline> {
  /** How many commands the pipeline holds. */
  readonly length: number
  /** Adds any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /** Adds any command. Its reply has buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /**
   * Sends the commands together. Resolves to the outcome of each command, in order, also of the commands
   * that failed.
   */
  exec(callback?: RedisCallback<RedisPipelineResult[]>): Promise<RedisPipelineResult[]>
}

/**
 * Commands that Redis executes together: all of them, with no other command in between, or none.
 *
 * @example
 * const transaction: RedisTransaction = client.multi().incr('hits').expire('hits', 60)
 * console.log(await transaction.exec()) // [[null, 1], [null, 1]]
 */
export interface RedisTransaction extends RedisPipelineCommands<RedisTransaction> {
  /** How many commands the transaction holds. */
  readonly length: number
  /** Adds any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /** Adds any command. Its reply has buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /**
   * Sends `MULTI`, the commands and `EXEC` together, once. A reconnection never splits them. Resolves to
   * the outcome of each command, or to null if Redis executed none.
   * @throws {RedisReplyError} with `EXECABORT` if Redis refused one of the commands. `previousErrors` of
   *   the error has the reasons.
   * @throws {OutcomeUnknownError} if the client sent the transaction and no answer came
   */
  exec(
    callback?: RedisCallback<RedisPipelineResult[] | null>,
  ): Promise<RedisPipelineResult[] | null>
}

/**
 * A client of one Redis server, of the master that sentinels name, or of a cluster. The client connects when it is first used. After a lost connection it
 * reconnects for ever, with pauses of 50 ms to 2 s.
 *
 * Each command of Redis is a method with the arguments and the result that it has in ioredis:
 * `client.get('k')`, `client.hgetall('h')`, `client.getBuffer('k')`. If the last argument is a function, it
 * is the callback. The commands have a connection apart from that of managers and queues that use the
 * client.
 *
 * The client sends a command once. A command rejects with
 *
 * - `RedisReplyError` if Redis answers with an error. The message is Redis' own. The client does not retry,
 *   also not after a passing error such as `LOADING`.
 * - `RedisUnavailableError` if the client could not send the command.
 * - `OutcomeUnknownError` if the client sent the command and no answer came.
 * - `ClosedError` if the client is closed.
 * - `InvalidStateError` if the command would change the connection: `WATCH`, `MONITOR`, `AUTH`,
 *   `SSUBSCRIBE` and others; and if the client is one of a `memory:` store.
 *
 * A client of a `memory:` store serves managers and queues. It has no commands: commands, pipelines,
 * transactions, scripts, scan streams, `select` and `subscribe` reject with `InvalidStateError`, and so do
 * libraries (rate limiters, adapters, session stores) at their first command. `connect()`, `ping()` without
 * a message, `status`, the events, `duplicate()`, `quit()` and `disconnect()` work.
 *
 * A command that blocks, such as `BLPOP`, may take the time that it asks for, at most 10 minutes, in
 * addition to `commandTimeoutMs`. It delays the other commands of its client, so give it a client of its
 * own with `duplicate()`.
 *
 * Events: `connect`, `ready`, `close`, `reconnecting`, `error` (which needs no listener) and `end`. `error`
 * says why the client cannot connect, or has lost a connection that owed an answer or messages; an idle
 * connection that the server has cut is replaced without one. Events of subscriptions: `message` (channel, text), `pmessage` (pattern, channel, text), `messageBuffer` and
 * `pmessageBuffer` (channel and text as buffers). A listener for `connect` or `ready` makes the client
 * connect.
 *
 * In a cluster a command goes to the node of its keys, and one without keys to any master: `SCAN`, `KEYS`,
 * `DBSIZE` and `FLUSHALL` are about that node alone. A command or a transaction whose keys are in several slots is
 * refused with the server's `CROSSSLOT`; a pipeline is split, and each command has its own outcome.
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
   * @param server a URL or settings. The URL is `redis://[user[:password]@]host[:port][/db]`,
   *   `rediss://…` (TLS), `unix:///path[?db=0&user=…&pass=…]`, or
   *   `redis-sentinel://[user[:password]@]host[:port][,host[:port]…]/master[/db]`, with the default port
   *   26379 and `?sentinelUsername=…&sentinelPassword=…`, or `rediss-sentinel://…` (TLS to sentinels and
   *   servers), or `redis-cluster://[user[:password]@]host[:port][,host[:port]…][?partitions=…]` or
   *   `rediss-cluster://…` (TLS), with special characters percent-encoded; or `memory:` or `memory://name[?keep]`, see `RedisSource`. Only settings can turn
   *   the verification of TLS off. Default: the environment's `REDIS_URL`, then `redis://localhost:6379`.
   * @throws {InvalidStateError} if the URL, a setting or an option is invalid. The message has no part of
   *   the URL.
   */
  constructor(server?: string | RedisServerOptions, options?: RedisClientOptions)

  /** Reading it makes the client connect, as a listener for `connect` or `ready` does. */
  readonly status: RedisClientStatus

  /** The address of the server, and the options of this client. */
  readonly options: RedisClientSettings

  /** Connects, unless the client is connected. The first command does the same. */
  connect(callback?: RedisCallback<void>): Promise<void>

  /** Resolves to `'PONG'` if Redis answers on the connection that managers and queues use. */
  ping(callback?: RedisCallback<string>): Promise<string>
  /** Resolves to the message if Redis answers on the connection for commands. */
  ping(message: RedisArgument, callback?: RedisCallback<string>): Promise<string>

  /**
   * Runs any command.
   * @throws {RedisReplyError} if Redis answers with an error. A script may have changed something before.
   * @throws {RedisUnavailableError} if the client could not send the command
   * @throws {OutcomeUnknownError} if the client sent the command and no answer came
   * @throws {InvalidStateError} if an argument is not a string, a number or a buffer, or if the command
   *   would change the connection
   * @example await client.call('INCRBY', 'hits', 5) // 5
   */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): Promise<RedisReply>
  // biome-ignore lint/suspicious/noExplicitAny: libraries that pass a list on have types of their own
  call(...command: string[]): Promise<any>

  /** Runs any command. The reply has buffers in place of strings. */
  callBuffer(
    command: string,
    ...args: (RedisArgument | RedisArgument[])[]
  ): Promise<RedisBufferReply>

  /** Begins a pipeline. Its `exec()` sends the commands together. */
  pipeline(commands?: unknown[][]): RedisPipeline

  /** Begins a transaction. Its `exec()` sends the commands together. */
  multi(commands?: unknown[][]): RedisTransaction

  /**
   * Selects another database for later commands, and for managers that the service makes later.
   * @throws {InvalidStateError} if a manager, a queue or a subscription uses the client. Make another
   *   client with `duplicate({ db })`.
   * @throws {RedisUnavailableError} if the server does not have the database. No command succeeds then,
   *   until the service selects another database.
   */
  select(db: number | string, callback?: RedisCallback<'OK'>): Promise<'OK'>

  /**
   * Subscribes to channels, on a connection of their own, so that the client can still run commands. The
   * client subscribes again after a lost connection, and misses the messages of the time between. If
   * more than 64 MiB of messages wait for the listeners, the client closes the connection and subscribes
   * again. Resolves to the number of channels and patterns of this client, once Redis has confirmed them.
   * @throws {RedisReplyError} if the user may not listen to one of the channels. The client then listens to
   *   none of them.
   * @throws {RedisUnavailableError} if Redis does not confirm the subscription in time. The client goes on
   *   trying.
   */
  subscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** Subscribes to all channels that match a glob pattern, as `subscribe` does to a channel. */
  psubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /**
   * Unsubscribes from these channels, or from all channels. Resolves to the number of channels and patterns
   * that are left.
   */
  unsubscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /**
   * Unsubscribes from these patterns, or from all patterns. Resolves to the number of channels and patterns
   * that are left.
   */
  punsubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>

  /**
   * Adds a method that runs a Lua script to this client and its pipelines, and a second method with
   * `Buffer` at the end of its name. The client sends the digest of the script. If Redis does not know the
   * digest, the client sends the source.
   */
  defineCommand(name: string, definition: RedisCommandDefinition): void

  /** Streams the keys of the database: one array for each step of `SCAN`. */
  scanStream(options?: RedisScanOptions): Readable
  /** Streams the fields of a hash and their values, in turn. */
  hscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** Streams the members of a set. */
  sscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** Streams the members of a sorted set and their scores, in turn. */
  zscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable

  /** Closes the client for good. Commands in flight get one second to end. */
  quit(callback?: RedisCallback<'OK'>): Promise<'OK'>

  /**
   * Closes the client for good, at once.
   * @param reconnect as for ioredis, true asks for another connection. The client makes one by itself
   *   whenever its connection is lost, so nothing happens then. Default false.
   */
  disconnect(reconnect?: boolean): void

  /**
   * Makes another client of the same server or `memory:` store. The overrides replace settings and options.
   * @throws {InvalidStateError} for an override of a server's setting, if the client is one of a `memory:`
   *   store
   */
  duplicate(overrides?: RedisServerOptions & RedisClientOptions): RedisClient
}

export interface RedisClient extends RedisCommands {}

/** Makes a client. The constructor of `RedisClient` has the documentation of the parameters. */
export declare function createRedisClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

/** Makes a client for the `pubSub` of a manager. It differs in nothing from `createRedisClient`. */
export declare function createRedisPubSubClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

/** The name that ioredis has for a client, for type annotations. */
export type { RedisClient as Redis }
