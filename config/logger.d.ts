/**
 * pino's signature. Without one the process is warned (`process.emitWarning`) of what nobody hears
 * of otherwise:
 *
 * - `SYNCKAIROS_REDIS_OUTAGE`: a Redis could not be connected to. A connection that is lost and made
 *   again by the first try is no outage. `SYNCKAIROS_POSTGRESQL_OUTAGE`: a worker could not store in
 *   its database. Each once an outage and server, however many managers, queues and clients meet it.
 * - `SYNCKAIROS_REDIS_RECOVERED`, `SYNCKAIROS_POSTGRESQL_RECOVERED`: it is over.
 * - `SYNCKAIROS_UNHEARD`: an error (a callback that failed, a dead letter, …). Each kind once.
 *
 * A client or queue with a listener for `error` warns of no outage.
 */
export interface Logger {
  /** Good news, such as the end of an outage. Without it `warn` is called. */
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
