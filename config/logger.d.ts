/**
 * Receives the problems that no call can report. The signature is pino's; `console` works, too.
 *
 * Without a logger, the module calls `process.emitWarning` with one of these codes:
 *
 * - `SYNCKAIROS_REDIS_OUTAGE`: the module cannot connect to a Redis server. A lost connection that the
 *   first attempt restores is no outage.
 * - `SYNCKAIROS_POSTGRESQL_OUTAGE`, `SYNCKAIROS_SQLITE_OUTAGE`: a worker cannot store records in its database.
 * - `SYNCKAIROS_REDIS_RECOVERED`, `SYNCKAIROS_POSTGRESQL_RECOVERED`, `SYNCKAIROS_SQLITE_RECOVERED`: the
 *   outage is over.
 * - `SYNCKAIROS_MEMORY_IN_PRODUCTION`: `NODE_ENV` is `production`, and a manager or a queue uses `memory:`. The
 *   module warns once, the logger or else the process.
 * - `SYNCKAIROS_RECORDS_LOST`: a `memory:` store has ended with its last user, and audit records waited in it.
 * - `SYNCKAIROS_UNHEARD`: an error, such as a callback that failed or a dead letter. The module warns once
 *   of each kind.
 *
 * The module warns once of each outage of a server, however many managers, queues and clients use the
 * server. A client or a queue with a listener for `error` does not warn of outages.
 *
 * @example
 * const logger: Logger = {
 *   info: (fields, message) => console.log(message, fields),
 *   warn: (fields, message) => console.log(message, fields),
 *   error: (fields, message) => console.log(message, fields),
 * }
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, { logger })
 * await manager.close()
 */
export interface Logger {
  /** Receives good news, such as the end of an outage. Default: `warn` receives it. */
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
