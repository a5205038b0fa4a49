'use strict'

const { Audit, running } = require('./harness/audit.js')
const { ServiceInstance } = require('./harness/service-instance.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

/** Two of the design in use today and two of ours, on the tables of today, as in a rolling deploy. */
async function four() {
  await audit.deploy()
  const env = {
    REDIS_URL: audit.server.url,
    DATABASE_URL: audit.databaseUrl,
    QUEUE: audit.queueName,
  }
  const designs = ['old', 'new', 'old', 'new']
  const instances = designs.map((design) => audit.keep(new ServiceInstance(design, env)))
  await Promise.all(instances.map((instance) => instance.call('heard')))
  return instances
}

/** What each of them has heard, once it is so many updates. */
function heardBy(instances, count) {
  return Promise.all(
    instances.map((instance) =>
      until(async () => {
        const heard = await instance.call('heard')
        return heard.length >= count && heard
      }, 10_000),
    ),
  )
}

/** The snapshots in PostgreSQL, once nothing waits in the queues of both designs. */
async function audited(instances) {
  for (const instance of instances) {
    await until(async () => {
      const { waiting, active, delayed, failed } = await instance.call('metrics')
      expect(failed).toBe(0)
      return waiting + active + delayed === 0
    }, 10_000)
  }
  return (await audit.events()).map(({ state_snapshot: state }) => [
    state.version,
    state.written_by,
  ])
}

const byWriter = ([, one], [, other]) => one.localeCompare(other)

it('in turns: every update is heard by all, in order, and audited once', async () => {
  const instances = await four()
  const state = running({ written_by: 'creation' })
  await instances[0].call('create', state)
  const expected = [[1, 'creation']]
  for (let round = 0; round < 10; round++) {
    for (const [number, instance] of instances.entries()) {
      const by = `${number}:${round}`
      await instance.call('update', state.session_id, by)
      expected.push([expected.length + 1, by])
    }
  }
  for (const heard of await heardBy(instances, expected.length)) expect(heard).toEqual(expected)
  const events = await audited(instances)
  expect(events.sort(([one], [other]) => one - other)).toEqual(expected)
})

it('at once: all hear the same, which is what is audited; although old ones overwrite each other', async () => {
  const instances = await four()
  const state = running({ written_by: 'creation' })
  await instances[1].call('create', state)
  const writing = instances.map(async (instance, number) => {
    for (let round = 0; round < 50; round++) {
      await instance.call('update', state.session_id, `${number}:${round}`)
    }
  })
  await Promise.all(writing)
  const [first, ...others] = await heardBy(instances, 201)
  expect(new Set(first.map(([, by]) => by)).size).toBe(201)
  for (const heard of others) expect(heard).toEqual(first)
  expect((await audited(instances)).sort(byWriter)).toEqual([...first].sort(byWriter))
})
