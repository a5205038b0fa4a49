import process from 'node:process'
import { pino } from 'pino'
import { createService, type ServiceSettings } from '@/service'
import { clientOf } from '../client'

for (const name of ['REDIS_URL', 'DATABASE_URL']) {
  if (!process.env[name]) throw new Error(`The integration tests need real servers: set ${name}`)
}

/** One instance of the service, as its clients see it. */
export async function startInstance(settings: Partial<ServiceSettings> = {}) {
  const service = createService({ logger: pino({ level: 'silent' }), ...settings })
  const url = await service.listen().catch(async (error) => {
    await service.close()
    throw error
  })
  return { ...clientOf(url), close: () => service.close() }
}

export type Instance = Awaited<ReturnType<typeof startInstance>>
