/**
 * Where sessions and records are, by the names that OpenTelemetry gives to the attributes of a span. No
 * password or user name is in them. A type and no interface, so that it is OpenTelemetry's `Attributes`.
 *
 * @example
 * const nameOf = (server: ServerAttributes) => `${server['server.address']}:${server['server.port']}`
 * console.log(typeof nameOf)
 */
export type ServerAttributes = {
  /** `'memory'` for a `memory:` store, which has no other attributes. */
  readonly 'db.system.name': 'redis' | 'memory'
  /** The number of the database. */
  readonly 'db.namespace'?: string
  /** The host, or the path of a socket. The first of the nodes of a cluster, and of several sentinels. */
  readonly 'server.address'?: string
  readonly 'server.port'?: number
}

/**
 * What the tracing channel `synckairos-state:operation` publishes of a call of a manager or a queue. All events of
 * a call have the same object. It holds nothing of a session, and no session id but in the message and
 * `sessionId` of an error.
 *
 * @example
 * diagnostics_channel.subscribe('tracing:synckairos-state:operation:asyncEnd', (message) => {
 *   const { operation, attributes, error } = message as OperationContext
 *   console.log(operation, attributes['server.address'], attributes['db.operation.batch.size'], error)
 * })
 */
export interface OperationContext {
  /** The name of the method, such as `'updateSession'`. */
  operation: string
  attributes: ServerAttributes & {
    readonly 'db.operation.name': string
    /** How many sessions or records a call names, if it names several. */
    readonly 'db.operation.batch.size'?: number
  }
  /** Why the call has failed, in the events after that. A `StateDeserializationError` has no `rawData` here. */
  error?: unknown
}

/**
 * What a connection to Redis is for: managers and queues, the commands of a client's owner, subscriptions,
 * or an audit worker.
 *
 * @example
 * const purposes: ConnectionPurpose[] = ['sessions', 'commands', 'subscriptions', 'worker']
 * console.log(purposes)
 */
export type ConnectionPurpose = 'sessions' | 'commands' | 'subscriptions' | 'worker'

/**
 * What the tracing channel `synckairos-state:connect` publishes of an attempt to connect. All events of an attempt
 * have the same object. An attempt after a lost connection begins with the pause before it.
 *
 * @example
 * diagnostics_channel.subscribe('tracing:synckairos-state:connect:error', (message) => {
 *   const { connection, attributes, error } = message as ConnectContext
 *   console.log(connection, attributes['server.address'], error?.message)
 * })
 */
export interface ConnectContext {
  connection: ConnectionPurpose
  attributes: ServerAttributes
  /** Why the attempt has failed. A `ClosedError` if nobody needs the connection any more. */
  error?: Error
}

/**
 * What the channel `synckairos-state:connection` publishes when a connection is ready or lost.
 *
 * @example
 * diagnostics_channel.subscribe('synckairos-state:connection', (message) => {
 *   const { connection, state, reason } = message as ConnectionMessage
 *   console.log(connection, state, reason)
 * })
 */
export interface ConnectionMessage {
  connection: ConnectionPurpose
  attributes: ServerAttributes
  /** Of the worker's connections, `ready` tells only that a lost one is replaced. */
  state: 'ready' | 'lost'
  /** Why the connection is lost. Null if nothing was asked of it, and if it is ready. */
  reason: string | null
}

/**
 * What the channel `synckairos-state:gap` publishes when a subscription that was interrupted has caught up.
 *
 * @example
 * diagnostics_channel.subscribe('synckairos-state:gap', (message) => {
 *   const { lastedMs, known, reread, changed } = message as GapMessage
 *   console.log(`${lastedMs} ms`, `${changed} of ${known} sessions changed`, `${reread} were read`)
 * })
 */
export interface GapMessage {
  attributes: ServerAttributes
  /** How long the subscription was interrupted, in milliseconds. */
  lastedMs: number
  /** How many sessions the manager had heard of. */
  known: number
  /** How many of them it could read again. */
  reread: number
  /** How many of them had changed: callbacks were called for them. */
  changed: number
}

/**
 * What the channel `synckairos-state:dead-letter` publishes when the database has refused a record for good. Only
 * the process whose worker has tried the record publishes it.
 *
 * @example
 * diagnostics_channel.subscribe('synckairos-state:dead-letter', (message) => {
 *   const { queueName, id, eventType, attempt, sqlstate } = message as DeadLetterMessage
 *   console.log(queueName, id, eventType, `${attempt} tries`, sqlstate)
 * })
 */
export interface DeadLetterMessage {
  queueName: string
  /** The id of the record, as in `getFailed()`. */
  id: string
  eventType: string
  /** How often the worker has tried the record. */
  attempt: number
  /** Null if the database gave none. */
  sqlstate: string | null
}
