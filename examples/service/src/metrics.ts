import { Gauge, Registry } from 'prom-client'
import type { DBWriteQueue } from '@/state/DBWriteQueue'

/** What Prometheus reads of one instance. */
export function createMetrics(queue: DBWriteQueue) {
  const registry = new Registry()
  const registers = [registry]
  const sessions = new Gauge({
    name: 'synckairos_sessions',
    help: 'Sessions that this instance began and has not deleted',
    registers,
  })
  new Gauge({
    name: 'synckairos_db_writes',
    help: 'Audit records of all instances, by where they are',
    labelNames: ['place'],
    registers,
    // Asked for when Prometheus asks: the queue is shared, and other instances change it, too.
    async collect() {
      for (const [place, count] of Object.entries(await queue.getMetrics())) {
        this.set({ place }, count)
      }
    },
  })
  return { registry, sessions }
}
