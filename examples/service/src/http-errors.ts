import type { FastifyInstance } from 'fastify'

/** What a request is answered with that ended with an error of this code. */
const STATUS: Record<string, number> = {
  INVALID_STATE: 400,
  SESSION_NOT_FOUND: 404,
  CLOCK_RULE: 409,
  CONCURRENT_MODIFICATION: 409,
  SESSION_EXISTS: 409,
  // Nothing changed: the same request may be sent again, to this instance or another.
  CLOSED: 503,
  REDIS_UNAVAILABLE: 503,
  // It may have been applied: the caller has to look before it tries again.
  OUTCOME_UNKNOWN: 504,
}

/** The one place where errors become answers: `{ code, message }`. */
export function answerErrors(app: FastifyInstance) {
  app.setErrorHandler<Error & { code?: string; statusCode?: number }>((error, request, reply) => {
    const { code = 'INTERNAL', message, statusCode } = error
    const status = STATUS[code] ?? statusCode ?? 500
    if (status >= 500) request.log.error({ err: error }, 'a request failed')
    if (status === 503) reply.header('retry-after', '1')
    // What nobody foresaw is for the log alone.
    const answer =
      status === 500 ? { code: 'INTERNAL', message: 'Internal error' } : { code, message }
    return reply.status(status).send(answer)
  })
}
