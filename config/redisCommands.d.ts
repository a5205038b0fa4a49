import type { RedisCommandName } from './commandNames.js'

/** An argument of a command. The methods send `null` and `undefined` as an empty argument. */
export type RedisArgument = string | number | Uint8Array

/** The name of a key, a field, a member or a channel. */
export type RedisKey = string | Uint8Array

/** A callback. It receives an error, or `null` and the result. */
export type RedisCallback<T> = (error: Error | null, result?: T) => void

/** A command with the arguments `A` and the result `T`. */
export type RedisCommand<A extends unknown[], T> = (
  ...args: [...A, callback?: RedisCallback<T>]
) => Promise<T>

/** A command that takes any number of arguments, also in lists, after the arguments `A`. */
export type RedisListCommand<T, A extends unknown[] = []> = (
  ...args: [...A, ...words: (RedisArgument | readonly RedisArgument[])[]]
) => Promise<T>

/** Fields with their values, or keys with their values. */
export type RedisPairs =
  | Record<string, RedisArgument | boolean | null | undefined>
  | Map<RedisKey | number, RedisArgument>

/** An entry of a stream. `fields` has fields and values, in turn. */
export type RedisStreamEntry<T = string> = [id: T, fields: T[]]

type Key = [key: RedisKey]
type Count = number | string
type Expiry = 'EX' | 'PX' | 'EXAT' | 'PXAT'

/** `SET`. Resolves to `'OK'`, or to null if a condition is not met; with `GET` to the previous value. */
export interface RedisSet {
  (key: RedisKey, value: RedisArgument, callback?: RedisCallback<'OK'>): Promise<'OK'>
  (key: RedisKey, value: RedisArgument, expiry: Expiry, time: Count): Promise<'OK'>
  (key: RedisKey, value: RedisArgument, keep: 'KEEPTTL'): Promise<'OK'>
  (key: RedisKey, value: RedisArgument, condition: 'NX' | 'XX'): Promise<'OK' | null>
  (
    key: RedisKey,
    value: RedisArgument,
    expiry: Expiry,
    time: Count,
    condition: 'NX' | 'XX',
  ): Promise<'OK' | null>
  (
    key: RedisKey,
    value: RedisArgument,
    condition: 'NX' | 'XX',
    expiry: Expiry,
    time: Count,
  ): Promise<'OK' | null>
  (key: RedisKey, value: RedisArgument, ...options: RedisArgument[]): Promise<string | null>
}

/** `MSET` and `MSETNX`. The pairs are an object, a Map, or keys and values in turn. */
export interface RedisPairsCommand<T> {
  (pairs: RedisPairs, callback?: RedisCallback<T>): Promise<T>
  (...words: (RedisArgument | readonly RedisArgument[])[]): Promise<T>
}

/** `HSET` and `HMSET`. The fields are an object, a Map, or fields and values in turn. */
export interface RedisFieldsCommand<T> {
  (key: RedisKey, fields: RedisPairs, callback?: RedisCallback<T>): Promise<T>
  (key: RedisKey, ...words: (RedisArgument | readonly RedisArgument[])[]): Promise<T>
}

/** The most used commands, with the types of their arguments and results. */
export interface TypedRedisCommands {
  // Strings
  get: RedisCommand<Key, string | null>
  getBuffer: RedisCommand<Key, Buffer | null>
  getdel: RedisCommand<Key, string | null>
  getset: RedisCommand<[...Key, value: RedisArgument], string | null>
  set: RedisSet
  setex: RedisCommand<[...Key, seconds: Count, value: RedisArgument], 'OK'>
  psetex: RedisCommand<[...Key, milliseconds: Count, value: RedisArgument], 'OK'>
  setnx: RedisCommand<[...Key, value: RedisArgument], number>
  append: RedisCommand<[...Key, value: RedisArgument], number>
  strlen: RedisCommand<Key, number>
  incr: RedisCommand<Key, number>
  incrby: RedisCommand<[...Key, by: Count], number>
  incrbyfloat: RedisCommand<[...Key, by: Count], string>
  decr: RedisCommand<Key, number>
  decrby: RedisCommand<[...Key, by: Count], number>
  mget: RedisListCommand<(string | null)[]>
  mgetBuffer: RedisListCommand<(Buffer | null)[]>
  mset: RedisPairsCommand<'OK'>
  msetnx: RedisPairsCommand<number>

  // Keys
  del: RedisListCommand<number>
  unlink: RedisListCommand<number>
  exists: RedisListCommand<number>
  touch: RedisListCommand<number>
  expire: RedisCommand<[...Key, seconds: Count, condition?: 'NX' | 'XX' | 'GT' | 'LT'], number>
  pexpire: RedisCommand<
    [...Key, milliseconds: Count, condition?: 'NX' | 'XX' | 'GT' | 'LT'],
    number
  >
  expireat: RedisCommand<[...Key, seconds: Count], number>
  persist: RedisCommand<Key, number>
  ttl: RedisCommand<Key, number>
  pttl: RedisCommand<Key, number>
  type: RedisCommand<Key, string>
  keys: RedisCommand<[pattern: string], string[]>
  rename: RedisCommand<[...Key, to: RedisKey], 'OK'>
  randomkey: RedisCommand<[], string | null>
  scan: RedisListCommand<[cursor: string, keys: string[]], [cursor: Count]>

  // Hashes
  hget: RedisCommand<[...Key, field: RedisKey], string | null>
  hgetBuffer: RedisCommand<[...Key, field: RedisKey], Buffer | null>
  hgetall: RedisCommand<Key, Record<string, string>>
  hgetallBuffer: RedisCommand<Key, Record<string, Buffer>>
  hset: RedisFieldsCommand<number>
  hmset: RedisFieldsCommand<'OK'>
  hsetnx: RedisCommand<[...Key, field: RedisKey, value: RedisArgument], number>
  hmget: RedisListCommand<(string | null)[], Key>
  hdel: RedisListCommand<number, Key>
  hexists: RedisCommand<[...Key, field: RedisKey], number>
  hincrby: RedisCommand<[...Key, field: RedisKey, by: Count], number>
  hincrbyfloat: RedisCommand<[...Key, field: RedisKey, by: Count], string>
  hkeys: RedisCommand<Key, string[]>
  hvals: RedisCommand<Key, string[]>
  hlen: RedisCommand<Key, number>
  hscan: RedisListCommand<[cursor: string, pairs: string[]], [...Key, cursor: Count]>

  // Lists
  lpush: RedisListCommand<number, Key>
  rpush: RedisListCommand<number, Key>
  lrange: RedisCommand<[...Key, from: Count, to: Count], string[]>
  lindex: RedisCommand<[...Key, at: Count], string | null>
  llen: RedisCommand<Key, number>
  lrem: RedisCommand<[...Key, count: Count, value: RedisArgument], number>
  lset: RedisCommand<[...Key, at: Count, value: RedisArgument], 'OK'>
  ltrim: RedisCommand<[...Key, from: Count, to: Count], 'OK'>
  lpop: RedisCommand<Key, string | null> & RedisCommand<[...Key, count: Count], string[] | null>
  rpop: RedisCommand<Key, string | null> & RedisCommand<[...Key, count: Count], string[] | null>

  // Sets
  sadd: RedisListCommand<number, Key>
  srem: RedisListCommand<number, Key>
  scard: RedisCommand<Key, number>
  sismember: RedisCommand<[...Key, member: RedisArgument], number>
  smembers: RedisCommand<Key, string[]>
  sinter: RedisListCommand<string[]>
  sunion: RedisListCommand<string[]>
  sdiff: RedisListCommand<string[]>
  sscan: RedisListCommand<[cursor: string, members: string[]], [...Key, cursor: Count]>

  // Sorted sets
  zadd: RedisListCommand<number, Key>
  zrem: RedisListCommand<number, Key>
  zcard: RedisCommand<Key, number>
  zcount: RedisCommand<[...Key, min: Count, max: Count], number>
  zscore: RedisCommand<[...Key, member: RedisArgument], string | null>
  zincrby: RedisCommand<[...Key, by: Count, member: RedisArgument], string>
  zrank: RedisCommand<[...Key, member: RedisArgument], number | null>
  zrevrank: RedisCommand<[...Key, member: RedisArgument], number | null>
  zrange: RedisListCommand<string[], [...Key, from: Count, to: Count]>
  zrangebyscore: RedisListCommand<string[], [...Key, min: Count, max: Count]>
  zrevrange: RedisListCommand<string[], [...Key, from: Count, to: Count]>
  zremrangebyscore: RedisCommand<[...Key, min: Count, max: Count], number>
  zremrangebyrank: RedisCommand<[...Key, from: Count, to: Count], number>

  // Streams
  xadd: RedisListCommand<string | null, Key>
  xlen: RedisCommand<Key, number>
  xrange: RedisListCommand<RedisStreamEntry[], [...Key, from: Count, to: Count]>
  xrevrange: RedisListCommand<RedisStreamEntry[], [...Key, from: Count, to: Count]>
  xread: RedisListCommand<[key: string, entries: RedisStreamEntry[]][] | null>
  xreadgroup: RedisListCommand<[key: string, entries: RedisStreamEntry[]][] | null>
  xack: RedisListCommand<number, [...Key, group: string]>
  xdel: RedisListCommand<number, Key>

  // The server and messages
  publish: RedisCommand<[channel: RedisKey, message: RedisArgument], number>
  echo: RedisCommand<[message: RedisArgument], string>
  dbsize: RedisCommand<[], number>
  flushdb: RedisCommand<[how?: 'ASYNC' | 'SYNC'], 'OK'>
  flushall: RedisCommand<[how?: 'ASYNC' | 'SYNC'], 'OK'>
  info: RedisListCommand<string>
  time: RedisCommand<[], [seconds: string, microseconds: string]>
}

/** The names of commands that `RedisClient` declares itself, or that are no method. */
type NoCommand =
  | 'call'
  | 'multi'
  | 'ping'
  | 'psubscribe'
  | 'punsubscribe'
  | 'quit'
  | 'select'
  | 'subscribe'
  | 'unsubscribe'

type CommandMethod = RedisCommandName | `${RedisCommandName}Buffer`

type AnyCommands = {
  // biome-ignore lint/suspicious/noExplicitAny: what a command answers depends on its arguments
  [K in CommandMethod]: (...args: any[]) => Promise<any>
}

/**
 * Each command of Redis as a method. The method has the name of the command in lower case. A second method,
 * with `Buffer` at the end of its name, returns buffers in place of strings. The arguments and results are
 * those of ioredis.
 */
export interface RedisCommands
  extends Omit<AnyCommands, NoCommand | keyof TypedRedisCommands>,
    TypedRedisCommands {}

/** The outcome of one command of a pipeline: its error, or null and its result. */
export type RedisPipelineResult = [error: Error | null, result?: unknown]

/** Each command of Redis as a method that adds the command to a pipeline. */
export type RedisPipelineCommands<P> = {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  [K in Exclude<CommandMethod, 'exec' | 'execBuffer'>]: (...args: any[]) => P
}
