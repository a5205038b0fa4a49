import process from 'node:process'
import { pino } from 'pino'
import { createService } from './service'

const { PORT = '3000', HOST = '127.0.0.1' } = process.env
const logger = pino()
const service = createService({ logger })

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    logger.info({ signal }, 'closing')
    await service.close()
    logger.info('closed') // Nothing is left open: the process ends by itself.
  })
}

try {
  logger.info({ url: await service.listen(Number(PORT), HOST) }, 'listening')
} catch (error) {
  logger.fatal({ err: error }, 'cannot start')
  await service.close()
  process.exitCode = 1
}
