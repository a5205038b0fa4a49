import process from 'node:process'
import { pino } from 'pino'
import { createService } from './service.ts'

const { PORT = '3000', HOST = '127.0.0.1' } = process.env
const logger = pino()
const app = createService(logger)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    logger.info({ signal }, 'closing')
    await app.close()
    logger.info('closed') // Nothing is left open: the process ends by itself.
  })
}

try {
  await app.listen({ port: Number(PORT), host: HOST })
} catch (error) {
  logger.fatal({ err: error }, 'cannot start')
  await app.close()
  process.exitCode = 1
}
