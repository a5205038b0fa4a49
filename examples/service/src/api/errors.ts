import type { ErrorRequestHandler } from 'express'
import type { Logger } from 'pino'

/** The status of the answer to a request that ended with an error of this code. */
const STATUS: Record<string, number> = {
  INVALID_STATE: 400,
  SESSION_NOT_FOUND: 404,
  CLOCK_RULE: 409,
  // Somebody else changed the session first: the client reads it again.
  CONCURRENT_MODIFICATION: 409,
  SESSION_EXISTS: 409,
  // Nothing changed: the client may send the same request again, to any instance.
  CLOSED: 503,
  OVERLOADED: 503,
  REDIS_UNAVAILABLE: 503,
  // The change may have been applied: the client reads the session before it tries again.
  OUTCOME_UNKNOWN: 503,
}

/** The one place where errors become answers: `{ code, message }`. */
export function errorHandler(logger: Logger): ErrorRequestHandler {
  return (error, _request, response, next) => {
    if (response.headersSent) return next(error)
    const { code = 'INTERNAL', message, status: parserStatus } = error
    const status = STATUS[code] ?? parserStatus ?? 500
    if (status >= 500) logger.error({ err: error }, 'a request failed')
    if (status === 503) response.set('retry-after', '1')
    // The details of an unexpected error are for the log alone.
    const body =
      status === 500 ? { code: 'INTERNAL', message: 'Internal error' } : { code, message }
    response.status(status).json(body)
  }
}
