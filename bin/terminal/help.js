'use strict'

const NAME = 'npx synckairos-state'

const EXIT_CODES = `Exit codes
  0    fine
  1    failed: a server refused it, cannot be reached, or does not have what was asked for
  2    wrong usage
  3    found something: not ready, findings, a session that disagrees, dead letters
  4    would change something: pass --yes to do it
  130  ended by Ctrl-C`

/** @typedef {Record<string, import('../command.js').Option>} Options */

/** @param {import('../command.js').Command[]} commands */
function programHelp(commands) {
  return `Looks at sessions, their audit and the servers that both are on, and puts right what went wrong.

${NAME} <command> [options]

${columns(commands.map(({ name, summary }) => [name, summary]))}

REDIS_URL and DATABASE_URL say where the servers are, or the options --redis and --database. Every command
reads only, unless --yes is passed. --json prints JSON. "${NAME} <command> --help" explains a
command, and lists its options.

First steps
  ${NAME} status     what waits, who stores it, what was refused
  ${NAME} doctor     what may lose data, and how to mend it

${EXIT_CODES}`
}

/**
 * @param {import('../command.js').Command} command
 * @param {Options} common the options of every command
 */
function commandHelp(command, common) {
  const usage = [command.name, ...(command.arguments ?? []), '[options]'].join(' ')
  const own = optionRows(command.options ?? {})
  return `${NAME} ${usage}

${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.

${command.help.replace(/^\n/, '').replaceAll(/^ {4}/gm, '')}

${own.length > 0 ? `Options\n${columns(own)}\n\n` : ''}Options of every command
${columns(optionRows(common))}

Examples
${command.examples.map((example) => `  ${NAME} ${example}`).join('\n')}

${EXIT_CODES}`
}

/** @param {Options} options @returns {[string, string][]} */
function optionRows(options) {
  return Object.entries(options).map(([name, { value, help }]) => [
    `--${name}${value ? ` ${value}` : ''}`,
    help,
  ])
}

/** @param {[string, string][]} rows */
function columns(rows) {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join('\n')
}

module.exports = { commandHelp, programHelp }
