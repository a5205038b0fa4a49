'use strict'

const { countBullmqJobs, total } = require('../facts/bullmq.js')
const { ExitCode } = require('../outcome.js')
const { counted } = require('../terminal/paper.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'adopt-bullmq',
  summary: 'moves the jobs that BullMQ has left into the audit queue',
  help: `
    After the last instance with BullMQ has stopped: each job that waits, is delayed or has failed becomes one
    record. A job that a BullMQ worker has locked is left to it: run the command again later.
    Exits with 3 if jobs are no records of a session; they stay in BullMQ.`,
  options: {
    from: {
      type: 'string',
      value: '<name>',
      help: 'the name of the BullMQ queue. Default: that of --queue',
    },
    prefix: { type: 'string', value: '<text>', help: "BullMQ's key prefix. Default: bull" },
  },
  examples: ['adopt-bullmq', 'adopt-bullmq --from db-writes --yes'],

  async run({ servers, settings, values, paper }) {
    const queueName = values.from ?? settings.queueName
    const prefix = values.prefix ?? 'bull'
    if (!settings.yes) {
      const jobs = await countBullmqJobs(servers.client, queueName, prefix)
      if (jobs !== null && total(jobs) === 0) {
        const lines = [`BullMQ has no jobs in the queue ${queueName}`]
        return { json: { would: 'adopt', queueName, jobs }, lines }
      }
      const told = jobs === null ? 'the jobs' : counted(total(jobs), 'job')
      return {
        json: { would: 'adopt', queueName, jobs },
        lines: [
          `would move ${told} of the BullMQ queue ${queueName}; pass --yes to do it`,
          ...(jobs === null ? [] : paper.pairs(Object.entries(jobs))),
        ],
        code: ExitCode.WOULD_CHANGE,
      }
    }
    const { adopted, skipped } = await servers.queue.adoptBullMQ({ queueName, prefix })
    return {
      json: { adopted, skipped },
      lines: [
        `adopted ${counted(adopted, 'job')}`,
        ...skipped.map((id) => paper.warning(`skipped job ${id}: it is no record of a session`)),
      ],
      code: skipped.length > 0 ? ExitCode.FOUND : ExitCode.FINE,
    }
  },
}
